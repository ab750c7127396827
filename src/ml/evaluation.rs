//! Measuring a model: on its own parts of the data, and on new rows.

use crate::error::{Error, Result};
use crate::ml::dataset::infinite;
use crate::ml::interner;
use crate::ml::metrics::{self, Weights};
use crate::ml::model::Model;
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::array_value_to_string;
use std::sync::Arc;

/// The metrics of `ml.evaluate` for numbers, in its order.
pub(crate) const REGRESSION: [&str; 7] = [
    "mean_absolute_error",
    "mean_squared_error",
    "root_mean_squared_error",
    "mean_squared_log_error",
    "median_absolute_error",
    "r2_score",
    "explained_variance",
];

/// The metrics of `ml.evaluate` for classes, in its order.
pub(crate) const CLASSES: [&str; 6] =
    ["accuracy", "precision", "recall", "f1_score", "log_loss", "roc_auc"];

/// A cell of a confusion matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    /// The class that a row has, as text.
    pub actual: String,
    /// The class that the model predicts, as text.
    pub predicted: String,
    /// Rows.
    pub n: u64,
}

/// The metrics of one part of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// `train`, `validation`, `test`, `all` or `input`.
    pub split: String,
    /// Rows measured.
    pub n_rows: u64,
    /// Values for the metrics of `ml.evaluate`, in its order; `None` where undefined.
    pub values: Vec<Option<f64>>,
    /// The confusion matrix, empty for a regression.
    pub confusion: Vec<Confusion>,
}

/// The names of the metrics of a task, in the order of `ml.evaluate`.
pub fn metric_names(is_classification: bool) -> &'static [&'static str] {
    if is_classification { &CLASSES } else { &REGRESSION }
}

/// Measures a regression.
pub(crate) fn regression(
    split: &str,
    actual: &[f64],
    predicted: &[f64],
    weights: Weights<'_>,
) -> Evaluation {
    let mse = metrics::mean_squared_error(actual, predicted, weights);
    let values = vec![
        metrics::mean_absolute_error(actual, predicted, weights),
        mse,
        mse.map(f64::sqrt),
        metrics::mean_squared_log_error(actual, predicted, weights),
        metrics::median_absolute_error(actual, predicted, weights),
        metrics::r2_score(actual, predicted, weights),
        metrics::explained_variance(actual, predicted, weights),
    ];
    Evaluation {
        split: split.to_string(),
        n_rows: actual.len() as u64,
        values,
        confusion: Vec::new(),
    }
}

/// A confusion matrix of more cells than this leaves the empty ones out.
const MAX_EMPTY_CELLS: usize = 10_000;

/// Measures a classification. `names` has the model's classes and after them unknown ones that occur in `actual`;
/// `probabilities` are class by class.
pub(crate) fn classification(
    split: &str,
    (actual, predicted): (&[u32], &[u32]),
    probabilities: &[f64],
    (names, n_classes): (&[String], usize),
    weights: Weights<'_>,
) -> Evaluation {
    let scores = metrics::precision_recall_f1(actual, predicted, n_classes, weights)
        .filter(|_| !actual.is_empty());
    let values = vec![
        metrics::accuracy(actual, predicted, weights),
        scores.map(|s| s[0]),
        scores.map(|s| s[1]),
        scores.map(|s| s[2]),
        metrics::log_loss(actual, probabilities, n_classes, weights),
        metrics::roc_auc_classes(actual, probabilities, n_classes, weights),
    ];
    let mut counts = vec![0u64; names.len() * n_classes];
    for (a, p) in actual.iter().zip(predicted) {
        counts[*a as usize * n_classes + *p as usize] += 1;
    }
    let is_large = counts.len() > MAX_EMPTY_CELLS;
    let confusion = counts
        .into_iter()
        .enumerate()
        .filter(|(_, n)| *n > 0 || !is_large)
        .map(|(i, n)| Confusion {
            actual: names[i / n_classes].clone(),
            predicted: names[i % n_classes].clone(),
            n,
        })
        .collect();
    Evaluation { split: split.to_string(), n_rows: actual.len() as u64, values, confusion }
}

/// Measures a model on new rows, batch by batch: `ml.evaluate(ref, input)`. Rows with a NULL label, without weight or
/// without a prediction are left out.
pub struct Evaluator {
    model: Arc<Model>,
    names: Vec<String>,
    numbers: Vec<f64>,
    codes: Vec<u32>,
    predicted_numbers: Vec<f64>,
    predicted_codes: Vec<u32>,
    /// Row by row here, since batches are appended.
    probabilities: Vec<f64>,
    weights: Option<Vec<f64>>,
}

impl Evaluator {
    /// An evaluator without rows.
    pub fn new(model: Arc<Model>) -> Self {
        let names = model.class_names().to_vec();
        Self {
            model,
            names,
            numbers: Vec::new(),
            codes: Vec::new(),
            predicted_numbers: Vec::new(),
            predicted_codes: Vec::new(),
            probabilities: Vec::new(),
            weights: None,
        }
    }

    /// Adds rows: features in the signature's order, the label, and weights if there are any.
    pub fn push(
        &mut self,
        columns: &[ArrayRef],
        label: &ArrayRef,
        weights: Option<&ArrayRef>,
    ) -> Result<()> {
        let n = label.len();
        let prediction = self.model.predict(columns, n)?;
        let weights = weights.map(|w| cast(w, &DataType::Float64)).transpose()?;
        let weights = weights.as_ref().map(|w| w.as_primitive::<Float64Type>());
        let actual = if self.model.task().is_classification() {
            Actual::Codes(self.codes_of(label)?)
        } else {
            Actual::Numbers(cast(label, &DataType::Float64)?)
        };
        for row in 0..n {
            let weight = weights.map_or(1.0, |w| if w.is_null(row) { 0.0 } else { w.value(row) });
            if weight < 0.0 {
                return Err(Error::new(
                    SqlState::InvalidParameterValue,
                    "the weight column has a negative value",
                ));
            }
            if !prediction.is_answered(row) || weight.is_nan() || weight == 0.0 {
                continue;
            }
            match &actual {
                Actual::Codes(codes) => {
                    let Some(code) = codes[row] else { continue };
                    self.codes.push(code);
                    self.predicted_codes.push(prediction.class_code(row));
                    self.probabilities.extend(
                        (0..prediction.n_classes()).map(|class| prediction.probability(class, row)),
                    );
                }
                Actual::Numbers(numbers) => {
                    let numbers = numbers.as_primitive::<Float64Type>();
                    let value = numbers.value(row);
                    if numbers.is_null(row) || value.is_nan() {
                        continue;
                    }
                    if value.is_infinite() {
                        return Err(infinite(&self.model.label().name));
                    }
                    self.numbers.push(value);
                    self.predicted_numbers.push(prediction.number(row));
                }
            }
            if weights.is_some() {
                self.weights.get_or_insert_default().push(weight);
            }
        }
        Ok(())
    }

    /// The codes of the label's values; values that the model does not know get codes of their own.
    fn codes_of(&mut self, label: &ArrayRef) -> Result<Vec<Option<u32>>> {
        let label = interner::plain(label)?;
        (0..label.len())
            .map(|row| {
                if label.is_null(row) {
                    return Ok(None);
                }
                let text = array_value_to_string(&label, row)?;
                let code = self.names.iter().position(|name| *name == text).unwrap_or_else(|| {
                    self.names.push(text);
                    self.names.len() - 1
                });
                Ok(Some(code as u32))
            })
            .collect()
    }

    /// The metrics of all rows.
    pub fn finish(self, split: &str) -> Evaluation {
        let weights = self.weights.as_deref();
        if !self.model.task().is_classification() {
            return regression(split, &self.numbers, &self.predicted_numbers, weights);
        }
        let (n, k) = (self.codes.len(), self.model.class_names().len());
        let by_class: Vec<f64> = (0..k)
            .flat_map(|class| (0..n).map(move |row| (class, row)))
            .map(|(c, r)| self.probabilities[r * k + c])
            .collect();
        classification(
            split,
            (&self.codes, &self.predicted_codes),
            &by_class,
            (&self.names, k),
            weights,
        )
    }
}

enum Actual {
    Numbers(ArrayRef),
    Codes(Vec<Option<u32>>),
}
