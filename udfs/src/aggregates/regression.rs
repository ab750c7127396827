//! Accumulators of the metrics of predicted numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::Accumulator;

use super::Metric;
use super::arguments::{Arguments, list, list_numbers, list_type, numbers, parts, scalars, value};
use crate::regression::{PARTS, RegressionStats, weighted_median};

/// The names of the partial state's fields, as [`RegressionStats::parts`] has them.
const STATE: [&str; PARTS] = [
    "rows",
    "has_negative",
    "weight",
    "weight_correction",
    "absolute_error",
    "absolute_error_correction",
    "squared_error",
    "squared_error_correction",
    "percentage_error",
    "percentage_error_correction",
    "squared_log_error",
    "squared_log_error_correction",
    "actual_weight",
    "actual_mean",
    "actual_deviations",
    "error_weight",
    "error_mean",
    "error_deviations",
];

pub(super) fn state() -> Vec<(&'static str, DataType)> {
    STATE.map(|name| (name, DataType::Float64)).to_vec()
}

/// Accumulates the sums of [`RegressionStats`].
#[derive(Debug)]
pub(super) struct RegressionAccumulator {
    arguments: Arguments,
    metric: Metric,
    stats: RegressionStats,
}

impl RegressionAccumulator {
    pub(super) fn new(metric: Metric, arguments: Arguments) -> Self {
        Self { arguments, metric, stats: RegressionStats::new() }
    }
}

impl Accumulator for RegressionAccumulator {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let actual = numbers(&batch[0])?;
        let predicted = numbers(&batch[1])?;
        let weights = self.arguments.weights(batch)?;
        for row in 0..actual.len() {
            if let Some(actual) = value(&actual, row)
                && let Some(predicted) = value(&predicted, row)
                && let Some(weight) = weights.get(row)
            {
                self.stats.update(actual, predicted, weight);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let stats = RegressionStats::from_parts(parts(states, row));
            self.stats.merge(&stats);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(scalars(&self.stats.parts()))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(match self.metric {
            Metric::Mae => self.stats.mae(),
            Metric::Mse => self.stats.mse(),
            Metric::Rmse => self.stats.rmse(),
            Metric::R2 => self.stats.r2(),
            Metric::Mape => self.stats.mape(),
            Metric::Msle => self.stats.msle(),
            _ => self.stats.explained_variance(),
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

pub(super) fn median_state() -> Vec<(&'static str, DataType)> {
    vec![("errors", list_type(DataType::Float64)), ("weights", list_type(DataType::Float64))]
}

/// Keeps every absolute error with its weight: an exact median needs them all.
#[derive(Debug)]
pub(super) struct MedianAccumulator {
    arguments: Arguments,
    errors: Vec<(f64, f64)>,
}

impl MedianAccumulator {
    pub(super) fn new(arguments: Arguments) -> Self {
        Self { arguments, errors: Vec::new() }
    }
}

impl Accumulator for MedianAccumulator {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let actual = numbers(&batch[0])?;
        let predicted = numbers(&batch[1])?;
        let weights = self.arguments.weights(batch)?;
        for row in 0..actual.len() {
            if let Some(actual) = value(&actual, row)
                && let Some(predicted) = value(&predicted, row)
                && let Some(weight) = weights.get(row)
            {
                let error = (actual - predicted).abs();
                if !error.is_nan() {
                    self.errors.push((error, weight));
                }
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let errors = list_numbers(&states[0], row)?;
            let weights = list_numbers(&states[1], row)?;
            let pairs = errors.values().iter().zip(weights.values());
            self.errors.extend(pairs.map(|(error, weight)| (*error, *weight)));
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (errors, weights): (Vec<f64>, Vec<f64>) =
            std::mem::take(&mut self.errors).into_iter().unzip();
        Ok(vec![
            list(Arc::new(Float64Array::from(errors))),
            list(Arc::new(Float64Array::from(weights))),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(weighted_median(self.errors.clone())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.errors.capacity() * size_of::<(f64, f64)>()
    }
}
