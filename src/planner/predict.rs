//! `predict` and its kin as functions over Arrow columns, one function a model version.

use super::Unseen;
use crate::error::{Error, Result};
use crate::ml::{FeatureKind, Model, Prediction};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, Float64Array, Float64Builder, MapBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use sqlparser::ast::{Expr, Value, ValueWithSpan};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Generated function names begin with this; the user's name follows behind a number.
pub(super) const PREFIX: &str = "__cenote_model_";

/// What is asked of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// The predicted value or class.
    Value,
    /// The probability of the predicted class.
    PredictedProbability,
    /// The probability of one class, by its index.
    ClassProbability(usize),
    /// The probabilities of all classes, as a map.
    Probabilities,
    /// The probability of the class that the first argument names (for log loss).
    ActualProbability,
    /// The label itself, the only argument, which must be a number (for the metrics of a regression).
    ActualNumber,
}

/// One question to one model version, as a scalar function over the model's features.
struct Predict {
    name: String,
    /// The artefact's folder: it names the version.
    identity: String,
    model: Arc<Model>,
    question: Question,
    signature: Signature,
    /// The model's name for users, and where levels that training did not see are counted.
    tally: (String, Arc<Unseen>),
}

impl std::fmt::Debug for Predict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predict")
            .field("name", &self.name)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Predict {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.identity == other.identity
            && self.question == other.question
    }
}

impl Eq for Predict {}

impl Hash for Predict {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.identity.hash(state);
        self.question.hash(state);
    }
}

/// The function for a question to a model.
pub(super) fn function(
    name: String,
    identity: &str,
    model: &Arc<Model>,
    question: Question,
    tally: (String, Arc<Unseen>),
) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Predict {
        name,
        identity: identity.to_owned(),
        model: model.clone(),
        question,
        signature: Signature::user_defined(Volatility::Immutable),
        tally,
    }))
}

/// Untyped literals take the types of their features: `x => '1.5'` is a number.
pub(super) fn typed(
    arguments: Vec<Expr>,
    model: &Model,
) -> std::result::Result<Vec<Expr>, super::rewrite::Failure> {
    let settings = crate::format::EncodeSettings::default();
    let features = &model.signature().features;
    let typed = arguments.into_iter().zip(features).map(|(argument, feature)| {
        let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), span }) = &argument
        else {
            return Ok(argument);
        };
        let to = match feature.kind {
            FeatureKind::Text => return Ok(argument),
            FeatureKind::Boolean => "boolean",
            FeatureKind::Number => "double precision",
        };
        let arrow = if to == "boolean" { DataType::Boolean } else { DataType::Float64 };
        crate::format::parse_text(text, &arrow, &settings)
            .map_err(|e| Box::new((e.column(&feature.name), *span)))?;
        let cast = format!("CAST('{}' AS {to})", text.replace('\'', "''"));
        super::ast::parse_expression(&cast).map_err(|e| Box::new((e, *span)))
    });
    typed.collect()
}

/// The type of the map that `predict_probs` gives.
fn map_type() -> DataType {
    let entries = Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Float64, true),
    ]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

impl Predict {
    /// Refuses an argument of another kind than its feature.
    fn check_type(&self, index: usize, given: &DataType) -> Result<()> {
        let feature = &self.model.signature().features[index];
        let fits = match feature.kind {
            FeatureKind::Number => given.is_numeric(),
            FeatureKind::Boolean => matches!(given, DataType::Boolean),
            FeatureKind::Text => given.is_string() || matches!(given, DataType::Dictionary(..)),
        };
        if fits || given.is_null() {
            return Ok(());
        }
        let given_name = crate::catalog::SqlType::shown(given);
        Err(Error::new(
            SqlState::DatatypeMismatch,
            format!(
                "feature \"{}\" is of type {given_name}, the model was trained on {}",
                feature.name,
                feature.kind.name()
            ),
        )
        .column(&feature.name)
        .hint("Cast the column to the type that the model was trained on."))
    }

    /// Refuses a label that is no number, where the model predicts one.
    fn check_label(&self, given: &DataType) -> Result<()> {
        if given.is_numeric() || given.is_null() {
            return Ok(());
        }
        let label = &self.model.label().name;
        let given = crate::catalog::SqlType::shown(given);
        Err(Error::new(
            SqlState::DatatypeMismatch,
            format!("label \"{label}\" is of type {given}, the model predicts a number"),
        )
        .column(label)
        .hint("Cast the column to a number."))
    }

    /// An untyped NULL becomes one of the feature's type.
    fn type_nulls(&self, columns: &mut [ArrayRef]) -> Result<()> {
        let leading = columns.len() - self.model.signature().features.len().min(columns.len());
        for (column, feature) in columns[leading..].iter_mut().zip(&self.model.signature().features)
        {
            if column.data_type().is_null() {
                *column = arrow::compute::cast(column, &feature.data_type)?;
            }
        }
        Ok(())
    }

    fn answer(&self, prediction: &Prediction, actual: Option<&ArrayRef>) -> Result<ArrayRef> {
        Ok(match &self.question {
            Question::ActualNumber => return Err(Error::internal("a label is not predicted")),
            Question::Value => prediction.values(&self.model.prediction_type())?,
            Question::PredictedProbability => Arc::new(prediction.predicted_probabilities()),
            Question::ClassProbability(class) => Arc::new(prediction.probabilities_of(*class)),
            Question::Probabilities => self.map(prediction)?,
            Question::ActualProbability => {
                let actual = actual.ok_or_else(|| Error::internal("no label was given"))?;
                Arc::new(self.actual_probability(prediction, actual)?)
            }
        })
    }

    fn map(&self, prediction: &Prediction) -> Result<ArrayRef> {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
        for row in 0..prediction.n_rows() {
            let answered = prediction.is_answered(row);
            if answered {
                for (class, name) in self.model.class_names().iter().enumerate() {
                    builder.keys().append_value(name);
                    builder.values().append_value(prediction.probability(class, row));
                }
            }
            builder.append(answered)?;
        }
        Ok(arrow::compute::cast(&builder.finish(), &map_type())?)
    }

    /// The probability given to each row's true class; 0 for a class that training never saw.
    fn actual_probability(
        &self,
        prediction: &Prediction,
        actual: &ArrayRef,
    ) -> Result<Float64Array> {
        let names = arrow::compute::cast(actual, &DataType::Utf8)?;
        let names = arrow::array::AsArray::as_string::<i32>(&names);
        Ok((0..prediction.n_rows())
            .map(|row| {
                if names.is_null(row) || !prediction.is_answered(row) {
                    return None;
                }
                let class = self.model.class_names().iter().position(|n| n == names.value(row));
                Some(class.map_or(0.0, |class| prediction.probability(class, row)))
            })
            .collect())
    }
}

impl ScalarUDFImpl for Predict {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> DfResult<Vec<DataType>> {
        if self.question == Question::ActualNumber {
            return Ok(given.to_vec());
        }
        let leading = usize::from(self.question == Question::ActualProbability);
        let features = given.len() - leading.min(given.len());
        if features != self.model.signature().features.len() {
            return Err(
                Error::internal("a model was called with the wrong number of features").into()
            );
        }
        // What does not fit is refused by `return_type`, for DataFusion would wrap an error of here
        // into words of its own.
        Ok(given.to_vec())
    }

    fn return_type(&self, given: &[DataType]) -> DfResult<DataType> {
        if self.question == Question::ActualNumber {
            given.iter().try_for_each(|label| self.check_label(label))?;
            return Ok(DataType::Float64);
        }
        let leading = usize::from(self.question == Question::ActualProbability);
        for (i, data_type) in given.iter().skip(leading).enumerate() {
            self.check_type(i, data_type)?;
        }
        Ok(match self.question {
            Question::Value => self.model.prediction_type(),
            Question::Probabilities => map_type(),
            _ => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        if let (Question::ActualNumber, Some(label)) = (&self.question, args.args.first()) {
            return label.cast_to(&DataType::Float64, None);
        }
        let all_scalars = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if all_scalars { 1 } else { args.number_rows };
        let mut columns =
            args.args.iter().map(|a| a.to_array(rows)).collect::<DfResult<Vec<_>>>()?;
        self.type_nulls(&mut columns)?;
        let actual = (self.question == Question::ActualProbability).then(|| columns.remove(0));
        let prediction = self.model.predict(&columns, rows)?;
        let (shown, unseen) = &self.tally;
        for (feature, values) in prediction.unseen().iter().filter(|(_, values)| *values > 0) {
            unseen.add(shown, &self.question, feature, *values);
        }
        let answer = self.answer(&prediction, actual.as_ref())?;
        if all_scalars {
            let scalar = datafusion::common::ScalarValue::try_from_array(&answer, 0)?;
            return Ok(ColumnarValue::Scalar(scalar));
        }
        Ok(ColumnarValue::Array(answer))
    }
}
