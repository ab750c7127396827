//! The design matrix of linear models: which columns there are, and their values block by block.

use crate::error::Result;
use crate::ml::estimator::RowBlocks;
use crate::ml::linear::{Effect, Linear};
use crate::ml::preprocess::{BLOCK_ROWS, Column, Fitted, Frame, Preprocessor};
use crate::ml::signature::Signature;

/// A column of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term {
    /// Ones.
    Intercept,
    /// A number.
    Number { feature: usize },
    /// 1 where a feature has this slot.
    Dummy { feature: usize, slot: usize },
}

/// The columns of the design matrix, the intercept first if there is one.
pub(crate) struct Design<'a> {
    pub(crate) terms: Vec<Term>,
    preprocessor: &'a Preprocessor,
}

/// Column changes: `(value - shift) * scale`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) shift: Vec<f64>,
    pub(crate) scale: Vec<f64>,
}

impl<'a> Design<'a> {
    /// The columns for the features. With dummy coding the first level in byte order is left out as the reference;
    /// without an intercept the first category keeps all its levels (as in R), since they add up to one.
    pub(crate) fn new(preprocessor: &'a Preprocessor, intercept: bool, one_hot: bool) -> Self {
        let mut terms = Vec::new();
        if intercept {
            terms.push(Term::Intercept);
        }
        let mut keep_all = one_hot || !intercept;
        for (feature, fitted) in preprocessor.columns.iter().enumerate() {
            match fitted {
                Fitted::Number { .. } => terms.push(Term::Number { feature }),
                Fitted::Category(levels) => {
                    let from = usize::from(!keep_all);
                    terms
                        .extend((from..levels.n_slots()).map(|slot| Term::Dummy { feature, slot }));
                    keep_all = one_hot;
                }
            }
        }
        Self { terms, preprocessor }
    }

    /// Whether the first column is the intercept.
    pub(crate) fn has_intercept(&self) -> bool {
        self.terms.first() == Some(&Term::Intercept)
    }

    /// Columns of the matrix.
    pub(crate) fn n_terms(&self) -> usize {
        self.terms.len()
    }

    /// Writes rows `from..from + rows` of column `term` to `out`.
    pub(crate) fn fill(&self, frame: &Frame<'_>, term: usize, from: usize, out: &mut [f64]) {
        match self.terms[term] {
            Term::Intercept => out.fill(1.0),
            Term::Number { feature } => {
                let (Column::Number(values), Fitted::Number { mean }) =
                    (frame.columns[feature], &self.preprocessor.columns[feature])
                else {
                    return;
                };
                for (out, value) in out.iter_mut().zip(&values[from..]) {
                    *out = if value.is_nan() { *mean } else { *value };
                }
            }
            Term::Dummy { feature, slot } => {
                let Column::Category(slots) = frame.columns[feature] else { return };
                for (out, value) in out.iter_mut().zip(&slots[from..]) {
                    *out = f64::from(u8::from(*value as usize == slot));
                }
            }
        }
    }

    /// As [`Design::fill`], changed.
    pub(crate) fn fill_changed(
        &self,
        frame: &Frame<'_>,
        term: usize,
        from: usize,
        change: &Change,
        out: &mut [f64],
    ) {
        self.fill(frame, term, from, out);
        let (shift, scale) = (change.shift[term], change.scale[term]);
        if shift != 0.0 || scale != 1.0 {
            out.iter_mut().for_each(|v| *v = (*v - shift) * scale);
        }
    }

    /// No change.
    pub(crate) fn unchanged(&self) -> Change {
        Change { shift: vec![0.0; self.n_terms()], scale: vec![1.0; self.n_terms()] }
    }

    /// The largest magnitude in each column.
    pub(crate) fn largest(&self, rows: &dyn RowBlocks) -> Result<Vec<f64>> {
        let mut largest = vec![0.0f64; self.n_terms()];
        let mut values = vec![0.0; BLOCK_ROWS];
        rows.for_each(&mut |block| {
            let values = &mut values[..block.frame.n_rows];
            for (term, largest) in largest.iter_mut().enumerate() {
                self.fill(&block.frame, term, 0, values);
                *largest = values.iter().fold(*largest, |m, v| m.max(v.abs()));
            }
            Ok(())
        })?;
        Ok(largest)
    }

    /// Weighted means and standard deviations (over the sum of weights) of the columns, in three passes.
    pub(crate) fn moments(&self, rows: &dyn RowBlocks) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut total = 0.0;
        rows.for_each(&mut |block| {
            total += (0..block.frame.n_rows).map(|row| block.weight(row)).sum::<f64>();
            Ok(())
        })?;
        let over_total = |sums: Vec<f64>| sums.into_iter().map(move |s| s / total);
        let first: Vec<f64> = over_total(self.sums(rows, |_, v| v)?).collect();
        let rest = over_total(self.sums(rows, |term, v| v - first[term])?);
        let means: Vec<f64> = first.iter().zip(rest).map(|(first, rest)| first + rest).collect();
        let squares = self.sums(rows, |term, v| (v - means[term]) * (v - means[term]))?;
        let deviations = over_total(squares).map(f64::sqrt).collect();
        Ok((means, deviations))
    }

    /// The weighted sum of a function of each column's values.
    fn sums(&self, rows: &dyn RowBlocks, of: impl Fn(usize, f64) -> f64) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; self.n_terms()];
        let mut values = vec![0.0; BLOCK_ROWS];
        rows.for_each(&mut |block| {
            let values = &mut values[..block.frame.n_rows];
            for (term, sum) in sums.iter_mut().enumerate() {
                self.fill(&block.frame, term, 0, values);
                let weighted =
                    values.iter().enumerate().map(|(i, v)| block.weight(i) * of(term, *v));
                *sum += weighted.sum::<f64>();
            }
            Ok(())
        })?;
        Ok(sums)
    }

    /// Name and category of a term, as `ml.weights` shows them.
    pub(crate) fn term_name(&self, term: usize, signature: &Signature) -> (String, Option<String>) {
        match self.terms[term] {
            Term::Intercept => ("(intercept)".to_string(), None),
            Term::Number { feature } => (signature.features[feature].name.clone(), None),
            Term::Dummy { feature, slot } => {
                let category = match &self.preprocessor.columns[feature] {
                    Fitted::Category(levels) => Some(levels.slot_name(slot).to_string()),
                    Fitted::Number { .. } => None,
                };
                (signature.features[feature].name.clone(), category)
            }
        }
    }

    /// The model with these coefficients: for each score one coefficient a term, intercepts given apart.
    pub(crate) fn model(&self, intercepts: Vec<f64>, coefficients: &[Vec<f64>]) -> Linear {
        let n_scores = coefficients.len();
        let mut effects: Vec<Effect> = self
            .preprocessor
            .columns
            .iter()
            .map(|fitted| match fitted {
                Fitted::Number { mean } => {
                    Effect::Number { coefficients: vec![0.0; n_scores], mean: *mean }
                }
                Fitted::Category(levels) => Effect::Category {
                    addends: vec![0.0; n_scores * (levels.n_slots() + 1)],
                    n_slots: levels.n_slots(),
                },
            })
            .collect();
        for (score, of_terms) in coefficients.iter().enumerate() {
            for (term, coefficient) in self.terms.iter().zip(of_terms) {
                self.add_effect(&mut effects, *term, score, *coefficient);
            }
        }
        Linear { intercepts, effects }
    }

    fn add_effect(&self, effects: &mut [Effect], term: Term, score: usize, coefficient: f64) {
        match term {
            Term::Intercept => {}
            Term::Number { feature } => {
                if let Effect::Number { coefficients, .. } = &mut effects[feature] {
                    coefficients[score] = coefficient;
                }
            }
            Term::Dummy { feature, slot } => {
                if let (Effect::Category { addends, n_slots }, Fitted::Category(levels)) =
                    (&mut effects[feature], &self.preprocessor.columns[feature])
                {
                    let addends =
                        &mut addends[score * (*n_slots + 1)..(score + 1) * (*n_slots + 1)];
                    addends[slot] = coefficient;
                    addends[*n_slots] += coefficient * levels.means()[slot];
                }
            }
        }
    }
}

/// A power of two that brings a magnitude to [0.5, 1), 1 for zero.
pub(crate) fn power_of_two_scale(largest: f64) -> f64 {
    if largest == 0.0 || !largest.is_finite() {
        return 1.0;
    }
    let exponent = largest.log2().floor().clamp(-1000.0, 1000.0) as i32 + 1;
    2f64.powi(-exponent)
}
