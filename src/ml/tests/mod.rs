//! Whole trainings on data with known answers. Expected numbers come from NIST, published documentation, or from
//! scikit-learn 1.9.1 and statsmodels 0.15 on the same files; never from this engine.
//!
//! Files in `testdata/`: NIST StRD (longley, norris, noint1, wampler; public domain), R's datasets (iris, mtcars),
//! palmerpenguins (CC0, columns of `penguins_raw`, NA left empty), scikit-learn's diabetes (Efron et al., 2004).

mod artifacts;
mod boosting;
mod classification;
mod edges;
mod nist;
mod penguins;
mod regression;
mod rules;
mod speed;
mod streaming;

use crate::error::{Error, Result};
use crate::ml::{Algorithm, Model, OptionValue, TrainContext, TrainRequest, Trained, train};
use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Schema};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A named column.
pub(super) type Column = (String, ArrayRef);

pub(super) fn batch(columns: Vec<Column>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

pub(super) fn numbers(name: &str, values: impl IntoIterator<Item = f64>) -> Column {
    (name.to_string(), Arc::new(Float64Array::from_iter_values(values)))
}

pub(super) fn integers(name: &str, values: impl IntoIterator<Item = i64>) -> Column {
    (name.to_string(), Arc::new(Int64Array::from_iter_values(values)))
}

pub(super) fn texts<'a>(name: &str, values: impl IntoIterator<Item = Option<&'a str>>) -> Column {
    (name.to_string(), Arc::new(values.into_iter().collect::<StringArray>()))
}

pub(super) fn truths(name: &str, values: impl IntoIterator<Item = Option<bool>>) -> Column {
    (name.to_string(), Arc::new(values.into_iter().collect::<BooleanArray>()))
}

/// Columns of a CSV file: numbers where every value is one, NULL where it is empty.
pub(super) fn csv(text: &str, wanted: &[&str]) -> Vec<Column> {
    let mut lines =
        text.lines().map(|line| line.split(',').map(|v| v.trim_matches('"')).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    wanted
        .iter()
        .map(|name| {
            let index = header.iter().position(|h| h == name).unwrap();
            let values: Vec<Option<&str>> =
                rows.iter().map(|row| Some(row[index]).filter(|v| !v.is_empty())).collect();
            if values.iter().flatten().all(|v| v.parse::<f64>().is_ok()) {
                let array: Float64Array =
                    values.iter().map(|v| v.map(|v| v.parse::<f64>().unwrap())).collect();
                (name.to_string(), Arc::new(array) as ArrayRef)
            } else {
                texts(name, values)
            }
        })
        .collect()
}

/// Options from texts such as `l2 = 1.5` and `encoding = one_hot`.
pub(super) fn options(given: &[&str]) -> Vec<(String, OptionValue)> {
    given
        .iter()
        .map(|text| {
            let (name, value) = text.split_once('=').unwrap();
            let value = value.trim();
            let value = if let Ok(v) = value.parse() {
                OptionValue::Int(v)
            } else if let Ok(v) = value.parse() {
                OptionValue::Float(v)
            } else if let Ok(v) = value.parse() {
                OptionValue::Bool(v)
            } else {
                OptionValue::Text(value.to_string())
            };
            (name.trim().to_string(), value)
        })
        .collect()
}

pub(super) fn context(threads: usize) -> TrainContext {
    context_of(threads, 1 << 30)
}

/// A context that gives training this many bytes of memory.
pub(super) fn context_of(threads: usize, bytes: usize) -> TrainContext {
    let pool = Arc::new(GreedyMemoryPool::new(bytes));
    let runtime = Arc::new(RuntimeEnvBuilder::new().with_memory_pool(pool).build().unwrap());
    TrainContext { runtime, cancel: CancellationToken::new(), progress: None, threads }
}

pub(super) async fn try_train_with(
    batches: Vec<RecordBatch>,
    algorithm: Option<Algorithm>,
    label: &str,
    given: &[&str],
    context: &TrainContext,
) -> Result<Trained> {
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    let stream = futures::stream::iter(batches.into_iter().map(Ok));
    let input = Box::pin(RecordBatchStreamAdapter::new(schema, stream));
    let request = TrainRequest {
        algorithm,
        label: label.to_string(),
        options: options(given),
        primary_key: Vec::new(),
    };
    train(request, input, context).await
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(super) fn try_train(
    data: RecordBatch,
    algorithm: Option<Algorithm>,
    label: &str,
    given: &[&str],
) -> Result<Trained> {
    block_on(try_train_with(vec![data], algorithm, label, given, &context(2)))
}

pub(super) fn trained(
    data: Vec<Column>,
    algorithm: Algorithm,
    label: &str,
    given: &[&str],
) -> Trained {
    try_train(batch(data), Some(algorithm), label, given).unwrap()
}

pub(super) fn linear(data: Vec<Column>, label: &str, given: &[&str]) -> Trained {
    trained(data, Algorithm::LinearRegression, label, given)
}

pub(super) fn failure(
    data: Vec<Column>,
    algorithm: Algorithm,
    label: &str,
    given: &[&str],
) -> Error {
    try_train(batch(data), Some(algorithm), label, given).map(|_| ()).unwrap_err()
}

/// One of the six values of a weight; `term` may be `name=category`.
pub(super) fn weight_of(
    model: &Model,
    term: &str,
    class: Option<&str>,
    value: usize,
) -> Option<f64> {
    let (name, category) = term.split_once('=').map_or((term, None), |(n, c)| (n, Some(c)));
    let row = model
        .weights
        .iter()
        .find(|w| {
            w.term == name
                && w.category.as_deref() == category
                && (class.is_none() || w.class.as_deref() == class)
        })
        .unwrap_or_else(|| panic!("no weight {term}"));
    row.values[value]
}

pub(super) fn estimate(model: &Model, term: &str) -> f64 {
    weight_of(model, term, None, 0).unwrap()
}

pub(super) fn std_error(model: &Model, term: &str) -> f64 {
    weight_of(model, term, None, 1).unwrap()
}

pub(super) fn statistic(model: &Model, name: &str) -> f64 {
    model.statistics.iter().find(|(n, _)| *n == name).unwrap().1.unwrap()
}

pub(super) fn metric(model: &Model, split: &str, name: &str) -> f64 {
    let evaluations = model.metrics().unwrap();
    let row =
        evaluations.column(0).as_string::<i32>().iter().position(|s| s == Some(split)).unwrap();
    evaluations.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(row)
}

/// Predictions for the model's features among the columns.
pub(super) fn predict(model: &Model, data: &[Column]) -> Vec<f64> {
    let data = batch(data.to_vec());
    let positions = model.signature().resolve(&data.schema()).unwrap();
    let columns: Vec<ArrayRef> = positions.iter().map(|i| Arc::clone(data.column(*i))).collect();
    let prediction = model.predict(&columns, data.num_rows()).unwrap();
    (0..data.num_rows()).map(|row| prediction.number(row)).collect()
}

#[track_caller]
pub(super) fn close(actual: f64, expected: f64, tolerance: f64) {
    let scale = if expected == 0.0 { 1.0 } else { expected.abs() };
    assert!((actual - expected).abs() <= tolerance * scale, "{actual:?} instead of {expected:?}");
}

#[track_caller]
pub(super) fn has_notice(trained: &Trained, part: &str) {
    assert!(
        trained.notices.iter().any(|n| n.message.contains(part)),
        "no \"{part}\" among {:?}",
        trained.notices
    );
}
