//! A trained model: what it takes, what it predicts, and what is known about it.

use crate::error::{Error, Result};
use crate::ml::algorithm::{Algorithm, Task};
use crate::ml::estimator::{Body, Weight};
use crate::ml::evaluation::Evaluation;
use crate::ml::link::Link;
use crate::ml::preprocess::{Frame, Preprocessor};
use crate::ml::signature::Signature;
use crate::sqlstate::SqlState;
use crate::suggest;
use arrow::array::{ArrayRef, Float64Array, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use std::sync::Arc;

/// What a model predicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The column's name.
    pub name: String,
    /// The column's type in training.
    pub data_type: DataType,
}

/// A trained model. It is immutable, and shared as `Arc<Model>`.
pub struct Model {
    pub(crate) algorithm: Algorithm,
    pub(crate) task: Task,
    pub(crate) label: Label,
    /// The classes in order, in the label's type; none for a regression.
    pub(crate) classes: Option<ArrayRef>,
    pub(crate) class_names: Vec<String>,
    pub(crate) signature: Signature,
    pub(crate) preprocessor: Preprocessor,
    pub(crate) body: Body,
    pub(crate) link: Link,
    pub(crate) options: Vec<(String, String)>,
    pub(crate) weights: Vec<Weight>,
    pub(crate) statistics: Vec<(&'static str, Option<f64>)>,
    pub(crate) evaluations: Vec<Evaluation>,
    /// Rows that the served model was fitted on.
    pub(crate) n_rows: u64,
}

/// Predictions for a batch of rows.
#[derive(Debug, Clone)]
pub struct Prediction {
    n_rows: usize,
    n_classes: usize,
    classes: Option<ArrayRef>,
    /// The numbers of a regression, or the classes' probabilities, class by class.
    numbers: Vec<f64>,
    codes: Vec<u32>,
    answered: Option<BooleanBuffer>,
    unseen: Vec<(String, usize)>,
}

impl Model {
    /// The algorithm that trained it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What it does.
    pub fn task(&self) -> Task {
        self.task
    }

    /// What it predicts.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The features it needs, in order.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The classes, in the label's type: numbers and truth values by size, texts in byte order. The last one is the
    /// positive class of two. `None` for a regression.
    pub fn classes(&self) -> Option<&ArrayRef> {
        self.classes.as_ref()
    }

    /// The classes as texts, empty for a regression.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The position of a class given as text. 22023 for an unknown one, 42809 for a regression.
    pub fn class_index(&self, class: &str) -> Result<usize> {
        if self.class_names.is_empty() {
            return Err(Error::new(
                SqlState::WrongObjectType,
                "the model predicts a number and has no classes",
            ));
        }
        self.class_names.iter().position(|name| name == class).ok_or_else(|| {
            let some = self.class_names.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
            let hint = suggest::hint("class", class, &self.class_names)
                .unwrap_or(format!("The classes are {some}."));
            Error::new(
                SqlState::InvalidParameterValue,
                format!("the model has no class \"{class}\""),
            )
            .hint(hint)
        })
    }

    /// The type of the predicted value: double precision, or the label's type for classes.
    pub fn prediction_type(&self) -> DataType {
        if self.task.is_classification() { self.label.data_type.clone() } else { DataType::Float64 }
    }

    /// The effective options, defaults included.
    pub fn options(&self) -> &[(String, String)] {
        &self.options
    }

    /// Rows that the model was fitted on.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Predicts `n_rows` rows. `columns` stand in the order of [`Model::signature`], each in any type that
    /// [`crate::ml::Feature::check_type`] accepts. 42804 for another type, 22003 for an infinite value.
    pub fn predict(&self, columns: &[ArrayRef], n_rows: usize) -> Result<Prediction> {
        let encoded = self.preprocessor.encode(&self.signature, columns, n_rows)?;
        let frame = encoded.frame();
        let mut prediction = self.finish(self.scores(&frame)?, n_rows);
        let features = self.signature.features.iter();
        prediction.unseen = features
            .zip(&encoded.unseen)
            .filter(|(_, n)| **n > 0)
            .map(|(f, n)| (f.name.clone(), *n))
            .collect();
        prediction.answered = encoded.answered;
        Ok(prediction)
    }

    /// Finite scores; 22003 names the column that makes them infinite.
    pub(crate) fn scores(&self, frame: &Frame<'_>) -> Result<Vec<f64>> {
        match self.body.scores(frame) {
            Some(scores) if scores.iter().all(|s| s.is_finite()) => Ok(scores),
            _ => Err(self.preprocessor.overflow_error(&self.signature, frame)),
        }
    }

    /// From scores to predictions.
    pub(crate) fn finish(&self, scores: Vec<f64>, n_rows: usize) -> Prediction {
        let n_classes = self.class_names.len();
        let numbers = self.link.probabilities(scores, n_rows, n_classes);
        let codes = if n_classes > 0 { likeliest(&numbers, n_rows, n_classes) } else { Vec::new() };
        Prediction {
            n_rows,
            n_classes,
            classes: self.classes.clone(),
            numbers,
            codes,
            answered: None,
            unseen: Vec::new(),
        }
    }
}

/// The likeliest class of each row, the smaller one of equals.
fn likeliest(probabilities: &[f64], n_rows: usize, n_classes: usize) -> Vec<u32> {
    if n_classes == 2 {
        return probabilities[n_rows..].iter().map(|p| u32::from(*p > 0.5)).collect();
    }
    let mut codes = vec![0u32; n_rows];
    let mut best = probabilities[..n_rows].to_vec();
    for class in 1..n_classes {
        for ((code, best), p) in
            codes.iter_mut().zip(&mut best).zip(&probabilities[class * n_rows..])
        {
            if *p > *best {
                *best = *p;
                *code = class as u32;
            }
        }
    }
    codes
}

impl Prediction {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Classes, 0 for a regression.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// How many values of which features were levels that training did not see.
    pub fn unseen(&self) -> &[(String, usize)] {
        &self.unseen
    }

    /// Whether a row has a prediction; rows with NULLs have none under `nulls = 'skip'`.
    pub fn is_answered(&self, row: usize) -> bool {
        self.answered.as_ref().is_none_or(|a| a.value(row))
    }

    /// A regression's number.
    pub fn number(&self, row: usize) -> f64 {
        self.numbers[row]
    }

    /// The position of the predicted class.
    pub fn class_code(&self, row: usize) -> u32 {
        self.codes[row]
    }

    /// The probability of a class.
    pub fn probability(&self, class: usize, row: usize) -> f64 {
        self.numbers[class * self.n_rows + row]
    }

    fn nulls(&self) -> Option<NullBuffer> {
        self.answered.clone().map(NullBuffer::new)
    }

    /// The predicted values: double precision, or classes in the label's type.
    pub fn values(&self, data_type: &DataType) -> Result<ArrayRef> {
        let Some(classes) = &self.classes else {
            return Ok(Arc::new(Float64Array::new(self.numbers.clone().into(), self.nulls())));
        };
        let codes = UInt32Array::new(self.codes.clone().into(), self.nulls());
        let values = take(classes, &codes, None)?;
        Ok(if values.data_type() == data_type { values } else { cast(&values, data_type)? })
    }

    /// The probabilities of one class.
    pub fn probabilities_of(&self, class: usize) -> Float64Array {
        let values = self.numbers[class * self.n_rows..(class + 1) * self.n_rows].to_vec();
        Float64Array::new(values.into(), self.nulls())
    }

    /// The probabilities of the predicted classes.
    pub fn predicted_probabilities(&self) -> Float64Array {
        let values: Vec<f64> = self
            .codes
            .iter()
            .enumerate()
            .map(|(row, code)| self.probability(*code as usize, row))
            .collect();
        Float64Array::new(values.into(), self.nulls())
    }
}

#[cfg(test)]
mod tests {
    use super::likeliest;

    #[test]
    fn ties_go_to_the_smallest_class() {
        assert_eq!(likeliest(&[0.5, 0.4, 0.5, 0.6], 2, 2), vec![0, 1]);
        assert_eq!(likeliest(&[0.25, 0.2, 0.375, 0.4, 0.375, 0.4], 2, 3), vec![1, 1]);
    }
}
