//! Gradient-boosted trees: grown by hessboost (XGBoost's method), then kept in our own form.
//!
//! A regression's label is centred in double precision before it becomes single precision, so that a large constant
//! in it costs no digits. Categories are split by sets of their slots; NULL numbers and unseen levels take the path
//! that training found for missing values.

use crate::error::{Error, Result};
use crate::ml::estimator::logistic_regression::balanced_factors;
use crate::ml::estimator::{Body, Fit, Job, Measurement, Rows, STATISTICS, Target};
use crate::ml::forest::{Forest, Nodes};
use crate::ml::link::Link;
use crate::ml::preprocess::{Column, Fitted, Frame, beyond_single, blocked_sum};
use crate::ml::progress::{Monitor, cancelled};
use crate::sqlstate::SqlState;
use hessboost::config::{TrainingParams, TreeMethod};
use hessboost::data::{DMatrix, FeatureType};
use hessboost::model::BoostedModel;
use hessboost::objective::{Multiclass, Objective, RegLoss};
use hessboost::training::Trainer;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

/// Trains.
pub(crate) fn fit(job: &Job<'_>) -> Result<Fit> {
    let slots: Vec<u32> = job
        .preprocessor
        .columns
        .iter()
        .map(|c| if let Fitted::Category(levels) = c { levels.n_slots() as u32 } else { 0 })
        .collect();
    if slots.is_empty() {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            "gradient_boosting needs a feature",
        ));
    }
    let n_cells = job.train.frame.n_rows * slots.len();
    (job.reserve)(n_cells * 7 + 64 * job.train.frame.n_rows, "the matrix of features")?;
    let centre = centre(&job.train);
    let monitor = job.monitor.in_phase("fitting");
    let train = matrix(job, &job.train, &slots, centre, true)?;
    let validation = match &job.validation {
        Some(rows) if rows.frame.n_rows > 0 => Some(matrix(job, rows, &slots, centre, false)?),
        _ => None,
    };
    monitor.enter()?;
    let params = params(job)?;
    let (model, measurements) = grow(job, &params, &train, validation.as_ref(), &monitor)?;
    let forest = convert(&model, slots, centre)?;
    let link = match job.class_names.len() {
        0 => Link::Identity,
        1 | 2 => Link::Logistic,
        _ => Link::Softmax,
    };
    let statistics = STATISTICS
        .iter()
        .map(|s| (*s, (*s == "n").then_some(job.train.frame.n_rows as f64)))
        .collect();
    Ok(Fit {
        body: Body::Forest(Box::new(forest)),
        link,
        weights: Vec::new(),
        statistics,
        notices: Vec::new(),
        measurements,
    })
}

/// The weighted mean of a regression's label, 0 for classes.
fn centre(rows: &Rows<'_>) -> f64 {
    let Target::Number(y) = rows.target else { return 0.0 };
    let total = blocked_sum(y.len(), |i| rows.weight(i));
    blocked_sum(y.len(), |i| rows.weight(i) * y[i] / total)
}

fn trouble(error: hessboost::error::HessboostError) -> Error {
    Error::new(SqlState::InvalidParameterValue, format!("gradient_boosting: {error}"))
}

fn matrix(
    job: &Job<'_>,
    rows: &Rows<'_>,
    slots: &[u32],
    centre: f64,
    training: bool,
) -> Result<DMatrix> {
    let values = row_major(&rows.frame, slots, job)?;
    let types: Vec<FeatureType> = slots
        .iter()
        .map(|n| if *n > 0 { FeatureType::Categorical } else { FeatureType::Numerical })
        .collect();
    let labels: Vec<f32> = match rows.target {
        Target::Number(y) => y.iter().map(|y| (y - centre) as f32).collect(),
        Target::Class(codes) => codes.iter().map(|c| *c as f32).collect(),
    };
    if labels.iter().any(|y| !y.is_finite()) {
        return Err(Error::new(
            SqlState::NumericValueOutOfRange,
            "the label is out of the range of single precision, which trees use",
        )
        .hint("Divide it by a constant."));
    }
    let mut matrix = DMatrix::from_dense_vec(values, rows.frame.n_rows, slots.len())
        .and_then(|m| m.with_feature_types(&types))
        .and_then(|m| m.with_labels(&labels))
        .map_err(trouble)?;
    let balanced = training && job.options.choice("class_weight") == "balanced";
    if rows.weights.is_some() || balanced {
        let mut weights: Vec<f64> = (0..rows.frame.n_rows).map(|row| rows.weight(row)).collect();
        if let (true, Target::Class(codes)) = (balanced, rows.target) {
            let factors = balanced_factors(codes, job.class_names.len());
            weights.iter_mut().zip(codes).for_each(|(w, code)| *w *= factors[*code as usize]);
        }
        let weights: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        matrix = matrix.with_weights(&weights).map_err(trouble)?;
    }
    Ok(matrix)
}

/// The features as training wants them: row by row, NaN for missing.
fn row_major(frame: &Frame<'_>, slots: &[u32], job: &Job<'_>) -> Result<Vec<f32>> {
    let n = slots.len();
    let mut values = vec![f32::NAN; frame.n_rows * n];
    for (feature, column) in frame.columns.iter().enumerate() {
        let out = values[feature..].iter_mut().step_by(n);
        match column {
            Column::Number(numbers) => {
                let mut overflows = false;
                for (out, number) in out.zip(*numbers) {
                    *out = *number as f32;
                    overflows |= out.is_infinite();
                }
                if overflows {
                    return Err(beyond_single(&job.signature.features[feature].name));
                }
            }
            Column::Category(codes) => {
                for (out, code) in out.zip(*codes).filter(|(_, code)| **code < slots[feature]) {
                    *out = *code as f32;
                }
            }
        }
    }
    Ok(values)
}

fn params(job: &Job<'_>) -> Result<TrainingParams> {
    let options = job.options;
    let objective = match job.class_names.len() {
        0 => Objective::SquaredError(RegLoss::default()),
        1 | 2 => Objective::BinaryLogistic(RegLoss::default()),
        n => Objective::Softprob(Multiclass::new(n).map_err(trouble)?),
    };
    TrainingParams::builder()
        .objective(objective)
        .tree_method(TreeMethod::Hist)
        .nthread(job.threads.max(1))
        .seed(options.seed())
        .eta(options.float("learning_rate"))
        .max_depth(options.int("max_depth"))
        .min_child_weight(options.float("min_child_weight"))
        .subsample(options.float("subsample").min(1.0))
        .lambda(options.float("l2"))
        .alpha(options.float("l1"))
        .max_bin(options.int("max_bins"))
        .build()
        .map_err(trouble)
}

fn grow(
    job: &Job<'_>,
    params: &TrainingParams,
    train: &DMatrix,
    validation: Option<&DMatrix>,
    monitor: &Monitor,
) -> Result<(BoostedModel, Vec<Measurement>)> {
    let rounds = job.options.int("rounds");
    let patience = NonZeroUsize::new(job.options.int("early_stopping"));
    let mut measurements = Vec::new();
    let mut trainer = Trainer::new(params, train, rounds);
    if let Some(validation) = validation {
        trainer = trainer.eval(validation, "validation");
        if let Some(patience) = patience {
            trainer = trainer.early_stopping_rounds(patience);
        }
    }
    let measured = &mut measurements;
    let result = trainer
        .on_round(move |round| {
            let loss = round.values().first().copied();
            let step = round.iteration() as u64 + 1;
            if let Some(value) = loss.filter(|v| v.is_finite()) {
                measured.push(Measurement { key: "validation_loss".to_string(), value, step });
            }
            if monitor.step(step, rounds as u64, loss).is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .train()
        .map_err(trouble)?;
    if monitor.check().is_err() {
        return Err(cancelled());
    }
    Ok((result.model, measurements))
}

/// The trees in our own form, up to the best round.
fn convert(model: &BoostedModel, slots: Vec<u32>, centre: f64) -> Result<Forest> {
    let n_trees = match model.best_iteration() {
        Some(best) => ((best + 1) * model.trees_per_iteration()).min(model.trees().len()),
        None => model.trees().len(),
    };
    let mut parts = Parts::default();
    for ((tree, weight), output) in
        model.trees().iter().zip(model.tree_weights()).zip(model.tree_outputs()).take(n_trees)
    {
        parts.push(tree, weight);
        parts.outputs.push(output.start as u32);
    }
    let base = model.base_scores().iter().map(|b| f64::from(*b) + centre).collect();
    let mut starts = vec![0];
    starts.append(&mut parts.ends);
    Forest::new(slots, base, starts, parts.outputs, parts.nodes, parts.sets)
        .ok_or_else(|| Error::internal("the trained trees do not fit together"))
}

#[derive(Default)]
struct Parts {
    nodes: Nodes,
    sets: Vec<u32>,
    ends: Vec<u32>,
    outputs: Vec<u32>,
}

impl Parts {
    /// Adds a tree breadth first, so that the children of a node are neighbours.
    fn push(&mut self, tree: &hessboost::tree::RegTree, weight: f32) {
        let nodes = tree.nodes();
        let mut queue = std::collections::VecDeque::from([0usize]);
        let mut next = 1u32;
        while let Some(index) = queue.pop_front() {
            let node = &nodes[index];
            let set = if node.is_categorical && !node.is_leaf() {
                self.add_set(tree.split_categories(index))
            } else {
                0
            };
            self.nodes.feature.push(if node.is_leaf() { 0 } else { node.split_feature });
            self.nodes.value.push(if node.is_leaf() {
                node.leaf_value * weight
            } else {
                node.split_cond
            });
            self.nodes.default_left.push(u8::from(node.default_left));
            self.nodes.set.push(set);
            if node.is_leaf() {
                self.nodes.left.push(0);
            } else {
                self.nodes.left.push(next);
                next += 2;
                queue.extend([node.left as usize, node.right as usize]);
            }
        }
        self.ends.push(self.nodes.value.len() as u32);
    }

    fn add_set(&mut self, categories: &[u32]) -> u32 {
        let start = self.sets.len();
        let n_words = categories.iter().max().map_or(0, |m| *m as usize / 32 + 1);
        self.sets.push(n_words as u32);
        self.sets.resize(start + 1 + n_words, 0);
        for category in categories {
            self.sets[start + 1 + *category as usize / 32] |= 1 << (category % 32);
        }
        start as u32 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_trees_predict_what_the_library_predicts() {
        let n = 500usize;
        let x: Vec<f64> = (0..n).map(|i| (i * 37 % 101) as f64 / 10.0).collect();
        let slots: Vec<u32> = (0..n as u32).map(|i| i * 13 % 11).collect();
        // Slot 10 of 10 means unseen, and every seventh number is missing.
        let x: Vec<f64> =
            x.into_iter().enumerate().map(|(i, x)| if i % 7 == 0 { f64::NAN } else { x }).collect();
        let labels: Vec<f32> = (0..n).map(|i| (i % 101 / 34) as f32).collect();
        let values: Vec<f32> = x
            .iter()
            .zip(&slots)
            .flat_map(|(x, s)| [*x as f32, if *s < 10 { *s as f32 } else { f32::NAN }])
            .collect();
        let matrix = DMatrix::from_dense_vec(values, n, 2).unwrap();
        let matrix =
            matrix.with_feature_types(&[FeatureType::Numerical, FeatureType::Categorical]).unwrap();
        let matrix = matrix.with_labels(&labels).unwrap();
        for objective in [
            Objective::SquaredError(RegLoss::default()),
            Objective::Softprob(Multiclass::new(3).unwrap()),
        ] {
            let params =
                TrainingParams::builder().objective(objective).max_depth(7).build().unwrap();
            let model = hessboost::training::train(&params, &matrix, 12).unwrap();
            let forest = convert(&model, vec![0, 10], 0.0).unwrap();
            let frame =
                Frame { n_rows: n, columns: vec![Column::Number(&x), Column::Category(&slots)] };
            let ours = forest.scores(&frame).unwrap();
            let theirs = model.predict_margin(&matrix, hessboost::model::Iterations::Best).unwrap();
            let width = model.n_outputs();
            for row in 0..n {
                for k in 0..width {
                    let (a, b) = (ours[k * n + row], f64::from(*theirs.get(row, k).unwrap()));
                    assert!((a - b).abs() < 1e-5, "row {row}: {a} and {b}");
                }
            }
        }
    }
}
