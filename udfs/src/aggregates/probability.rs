//! The accumulator of the metrics of predicted probabilities.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::Accumulator;

use super::Metric;
use super::arguments::{Arguments, binary, numbers, parts, scalars, value};
use crate::probability::ProbabilityStats;

pub(super) fn state() -> Vec<(&'static str, DataType)> {
    [
        "weight",
        "weight_correction",
        "log_loss",
        "log_loss_correction",
        "squared_error",
        "squared_error_correction",
    ]
    .map(|name| (name, DataType::Float64))
    .to_vec()
}

/// Accumulates the sums of [`ProbabilityStats`].
#[derive(Debug)]
pub(super) struct ProbabilityAccumulator {
    metric: Metric,
    arguments: Arguments,
    stats: ProbabilityStats,
}

impl ProbabilityAccumulator {
    pub(super) fn new(metric: Metric, arguments: Arguments) -> Self {
        Self { metric, arguments, stats: ProbabilityStats::default() }
    }
}

impl Accumulator for ProbabilityAccumulator {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let actual = binary(self.metric, &batch[0])?;
        let probability = numbers(&batch[1])?;
        let weights = self.arguments.weights(batch)?;
        for row in 0..actual.len() {
            if let Some(actual) = value(&actual, row)
                && let Some(probability) = value(&probability, row)
                && let Some(weight) = weights.get(row)
            {
                if !(0.0..=1.0).contains(&probability) {
                    return exec_err!(
                        "{}: a probability must be between 0 and 1, but one is {probability}",
                        self.metric.name()
                    );
                }
                self.stats.update(actual == 1.0, probability, weight);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let stats = ProbabilityStats::from_parts(parts(states, row));
            self.stats.merge(&stats);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(scalars(&self.stats.parts()))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(match self.metric {
            Metric::LogLoss => self.stats.log_loss(),
            _ => self.stats.brier(),
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
