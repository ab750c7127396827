//! Prediction of linear models: one pass over a column at a time, in chunks that stay in the cache.

use crate::ml::preprocess::{Column, Frame};

/// Rows in a chunk: its scores stay in the first-level cache while the columns stream by.
const CHUNK_ROWS: usize = 2048;

/// What a feature adds to the scores.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// A coefficient for each score, times the value; a missing value counts as the training mean.
    Number { coefficients: Vec<f64>, mean: f64 },
    /// For each score, an addend for each slot; the last one is for an unseen level: the training mean of the others.
    Category { addends: Vec<f64>, n_slots: usize },
}

/// A linear model: `n_scores` intercepts and an effect for each feature.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    pub(crate) intercepts: Vec<f64>,
    pub(crate) effects: Vec<Effect>,
}

impl Linear {
    /// Scores, output by output: score `k` of row `i` is at `k * n_rows + i`.
    pub(crate) fn scores(&self, frame: &Frame<'_>) -> Vec<f64> {
        let n = frame.n_rows;
        let mut scores = vec![0.0; n * self.intercepts.len()];
        for (k, intercept) in self.intercepts.iter().enumerate() {
            let mut from = 0;
            for chunk in scores[k * n..(k + 1) * n].chunks_mut(CHUNK_ROWS) {
                chunk.fill(*intercept);
                for (effect, column) in self.effects.iter().zip(&frame.columns) {
                    effect.add(k, column, from, chunk);
                }
                from += chunk.len();
            }
        }
        scores
    }
}

impl Effect {
    fn add(&self, score: usize, column: &Column<'_>, from: usize, out: &mut [f64]) {
        match (self, column) {
            (Effect::Number { coefficients, mean }, Column::Number(values)) => {
                let coefficient = coefficients[score];
                for (out, value) in out.iter_mut().zip(&values[from..]) {
                    let value = if value.is_nan() { *mean } else { *value };
                    *out += coefficient * value;
                }
            }
            (Effect::Category { addends, n_slots }, Column::Category(slots)) => {
                let addends = &addends[score * (n_slots + 1)..(score + 1) * (n_slots + 1)];
                for (out, slot) in out.iter_mut().zip(&slots[from..]) {
                    *out += addends.get(*slot as usize).copied().unwrap_or(0.0);
                }
            }
            // The signature pairs effects with columns of their kind.
            _ => debug_assert!(false, "an effect met a column of another kind"),
        }
    }
}
