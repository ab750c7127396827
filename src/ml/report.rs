//! What the table functions return about a model, as record batches.

use crate::error::Result;
use crate::ml::evaluation::{Evaluation, metric_names};
use crate::ml::model::Model;
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(
        columns.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>(),
    ))
}

/// The columns of `ml.weights`.
pub fn weights_schema() -> SchemaRef {
    let (text, number) = (DataType::Utf8, DataType::Float64);
    schema(&[
        ("term", text.clone()),
        ("category", text.clone()),
        ("class", text),
        ("estimate", number.clone()),
        ("std_error", number.clone()),
        ("statistic", number.clone()),
        ("p_value", number.clone()),
        ("conf_low", number.clone()),
        ("conf_high", number),
    ])
}

/// The columns of `ml.fit_statistics`.
pub fn fit_statistics_schema() -> SchemaRef {
    schema(&[("statistic", DataType::Utf8), ("value", DataType::Float64)])
}

/// The columns of `ml.evaluate` for numbers or for classes.
pub fn evaluation_schema(is_classification: bool) -> SchemaRef {
    let mut columns = vec![("split", DataType::Utf8), ("n_rows", DataType::Int64)];
    columns.extend(metric_names(is_classification).iter().map(|name| (*name, DataType::Float64)));
    schema(&columns)
}

/// The columns of `ml.confusion_matrix`.
pub fn confusion_matrix_schema() -> SchemaRef {
    let text = DataType::Utf8;
    schema(&[
        ("split", text.clone()),
        ("actual", text.clone()),
        ("predicted", text),
        ("n", DataType::Int64),
    ])
}

/// Evaluations as rows of `ml.evaluate`.
pub fn evaluation_batch(
    is_classification: bool,
    evaluations: &[Evaluation],
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(evaluations.iter().map(|e| &e.split))),
        Arc::new(Int64Array::from_iter_values(evaluations.iter().map(|e| e.n_rows as i64))),
    ];
    for metric in 0..metric_names(is_classification).len() {
        columns.push(Arc::new(
            evaluations
                .iter()
                .map(|e| e.values.get(metric).copied().flatten())
                .collect::<Float64Array>(),
        ));
    }
    Ok(RecordBatch::try_new(evaluation_schema(is_classification), columns)?)
}

/// Evaluations as rows of `ml.confusion_matrix`.
pub fn confusion_matrix_batch(evaluations: &[Evaluation]) -> Result<RecordBatch> {
    let cells = || evaluations.iter().flat_map(|e| e.confusion.iter().map(move |c| (&e.split, c)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(cells().map(|(split, _)| Some(split)).collect::<StringArray>()),
        Arc::new(cells().map(|(_, c)| Some(&c.actual)).collect::<StringArray>()),
        Arc::new(cells().map(|(_, c)| Some(&c.predicted)).collect::<StringArray>()),
        Arc::new(Int64Array::from_iter_values(cells().map(|(_, c)| c.n as i64))),
    ];
    Ok(RecordBatch::try_new(confusion_matrix_schema(), columns)?)
}

impl Model {
    /// The rows of `ml.weights`; none for trees.
    pub fn weights(&self) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.weights.iter().map(|w| &w.term))),
            Arc::new(self.weights.iter().map(|w| w.category.as_deref()).collect::<StringArray>()),
            Arc::new(self.weights.iter().map(|w| w.class.as_deref()).collect::<StringArray>()),
        ];
        for value in 0..6 {
            columns.push(Arc::new(
                self.weights.iter().map(|w| w.values[value]).collect::<Float64Array>(),
            ));
        }
        Ok(RecordBatch::try_new(weights_schema(), columns)?)
    }

    /// The rows of `ml.fit_statistics`.
    pub fn fit_statistics(&self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(self.statistics.iter().map(|(name, _)| name))),
            Arc::new(self.statistics.iter().map(|(_, value)| *value).collect::<Float64Array>()),
        ];
        Ok(RecordBatch::try_new(fit_statistics_schema(), columns)?)
    }

    /// The stored rows of `ml.evaluate`.
    pub fn metrics(&self) -> Result<RecordBatch> {
        evaluation_batch(self.task.is_classification(), &self.evaluations)
    }

    /// The stored rows of `ml.confusion_matrix`.
    pub fn confusion_matrix(&self) -> Result<RecordBatch> {
        confusion_matrix_batch(&self.evaluations)
    }

    /// The stored metrics, part by part.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }
}
