//! The accumulator of the metrics of scores, which need every row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::Accumulator;

use super::Metric;
use super::arguments::{
    Arguments, binary, list, list_numbers, list_row, list_type, numbers, value,
};
use crate::ranking::{average_precision, roc_auc};

pub(super) fn state() -> Vec<(&'static str, DataType)> {
    vec![
        ("actual", list_type(DataType::Boolean)),
        ("scores", list_type(DataType::Float64)),
        ("weights", list_type(DataType::Float64)),
    ]
}

/// Keeps the rows; the weights only where the call has them.
#[derive(Debug)]
pub(super) struct RankingAccumulator {
    metric: Metric,
    arguments: Arguments,
    actual: Vec<bool>,
    scores: Vec<f64>,
    weights: Vec<f64>,
}

impl RankingAccumulator {
    pub(super) fn new(metric: Metric, arguments: Arguments) -> Self {
        Self { metric, arguments, actual: Vec::new(), scores: Vec::new(), weights: Vec::new() }
    }
}

impl Accumulator for RankingAccumulator {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let actual = binary(self.metric, &batch[0])?;
        let scores = numbers(&batch[1])?;
        let weights = self.arguments.weights(batch)?;
        for row in 0..actual.len() {
            if let Some(actual) = value(&actual, row)
                && let Some(score) = value(&scores, row)
                && let Some(weight) = weights.get(row)
            {
                self.actual.push(actual == 1.0);
                self.scores.push(score);
                if self.arguments.weight.is_some() {
                    self.weights.push(weight);
                }
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            let actual = list_row(&states[0], row)?;
            self.actual.extend(actual.as_boolean().values());
            self.scores.extend_from_slice(list_numbers(&states[1], row)?.values());
            self.weights.extend_from_slice(list_numbers(&states[2], row)?.values());
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            list(Arc::new(BooleanArray::from(std::mem::take(&mut self.actual)))),
            list(Arc::new(Float64Array::from(std::mem::take(&mut self.scores)))),
            list(Arc::new(Float64Array::from(std::mem::take(&mut self.weights)))),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let weights = self.arguments.weight.is_some().then_some(self.weights.as_slice());
        Ok(ScalarValue::Float64(match self.metric {
            Metric::Auc => roc_auc(&self.actual, &self.scores, weights),
            _ => average_precision(&self.actual, &self.scores, weights),
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.actual.capacity()
            + (self.scores.capacity() + self.weights.capacity()) * size_of::<f64>()
    }
}
