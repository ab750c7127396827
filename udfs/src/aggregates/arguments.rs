//! The arguments of a metric: which types it takes, and how a batch of them is read.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion_common::{Result, ScalarValue, exec_err, internal_datafusion_err, plan_err};
use std::sync::Arc;

use super::Metric;
use crate::total::float_key;

/// How a class or category is stored: as a number in the order of the classes, or as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClassType {
    Boolean,
    Integer,
    Float,
    Text,
}

/// What the arguments of one call are.
#[derive(Debug, Clone)]
pub(super) struct Arguments {
    pub(super) metric: Metric,
    /// The type that classes or categories share; `None` for a metric of numbers.
    pub(super) class_type: Option<ClassType>,
    /// Where the weight stands, if there is one.
    pub(super) weight: Option<usize>,
    /// Where the kind of average stands, if it is given.
    pub(super) average: Option<usize>,
}

impl Arguments {
    /// Judges the types of the arguments: an error of planning that names the function's
    /// form where they do not fit.
    pub(super) fn check(metric: Metric, types: &[DataType]) -> Result<Self> {
        let name = metric.name();
        let types: Vec<&DataType> = types.iter().map(value_type).collect();
        let (first, second, most) = form(metric);
        if types.len() < 2 || types.len() > most {
            return plan_err!("{name} takes {}, not {} arguments", usage(metric), types.len());
        }
        let mut arguments = Self { metric, class_type: None, weight: None, average: None };
        let mut rest = 2..types.len();
        if most == 4
            && let Some(position) = rest.next()
        {
            if !is_text(types[position]) {
                return plan_err!(
                    "{name} takes {}: the average must be text, not {}",
                    usage(metric),
                    types[position]
                );
            }
            arguments.average = Some(position);
        }
        if let Some(position) = rest.next() {
            number(metric, "weight", types[position])?;
            arguments.weight = Some(position);
        }
        match metric {
            Metric::Accuracy
            | Metric::Precision
            | Metric::Recall
            | Metric::F1
            | Metric::Mcc
            | Metric::CohenKappa => {
                arguments.class_type = Some(class_type(metric, types[0], types[1])?);
            }
            Metric::Psi | Metric::JsDivergence => {
                if !(is_number(types[0]) && is_number(types[1])) {
                    arguments.class_type = Some(class_type(metric, types[0], types[1])?);
                }
            }
            Metric::LogLoss | Metric::Brier | Metric::Auc | Metric::AveragePrecision => {
                if *types[0] != DataType::Boolean && !is_number(types[0]) {
                    return plan_err!(
                        "{name} takes {}: {first} must be boolean or 0 and 1, not {}",
                        usage(metric),
                        types[0]
                    );
                }
                number(metric, second, types[1])?;
            }
            _ => {
                number(metric, first, types[0])?;
                number(metric, second, types[1])?;
            }
        }
        Ok(arguments)
    }

    /// The same for fields.
    pub(super) fn of_fields(metric: Metric, fields: &[FieldRef]) -> Result<Self> {
        let types: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
        Self::check(metric, &types)
    }

    /// The weights of a batch: 1 without a weight argument, 0 for a row to skip.
    pub(super) fn weights(&self, batch: &[ArrayRef]) -> Result<Weights> {
        let Some(position) = self.weight else {
            return Ok(Weights(None));
        };
        let weights = numbers(&batch[position])?;
        for weight in weights.iter().flatten() {
            if weight < 0.0 || weight == f64::INFINITY {
                return exec_err!(
                    "{}: a weight must be finite and not negative, but one is {weight}",
                    self.metric.name()
                );
            }
        }
        Ok(Weights(Some(weights)))
    }
}

/// The weights of a batch's rows.
pub(super) struct Weights(Option<Float64Array>);

impl Weights {
    /// The weight of a row, `None` if the row is to be skipped.
    pub(super) fn get(&self, row: usize) -> Option<f64> {
        match &self.0 {
            None => Some(1.0),
            Some(weights) => value(weights, row).filter(|weight| *weight > 0.0),
        }
    }
}

/// The names of the first two arguments, and how many there may be.
fn form(metric: Metric) -> (&'static str, &'static str, usize) {
    match metric {
        Metric::Precision | Metric::Recall | Metric::F1 => ("actual", "predicted", 4),
        Metric::LogLoss | Metric::Brier => ("actual", "probability", 3),
        Metric::Auc | Metric::AveragePrecision => ("actual", "score", 3),
        Metric::Psi | Metric::JsDivergence | Metric::KsStat => ("expected", "actual", 2),
        _ => ("actual", "predicted", 3),
    }
}

/// The arguments as the documentation writes them.
fn usage(metric: Metric) -> String {
    let (first, second, most) = form(metric);
    let rest = match most {
        4 => " [, average [, weight]]",
        3 => " [, weight]",
        _ => "",
    };
    format!("({first}, {second}{rest})")
}

fn value_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || *data_type == DataType::Null
}

fn is_text(data_type: &DataType) -> bool {
    data_type.is_string() || *data_type == DataType::Null
}

fn number(metric: Metric, argument: &str, data_type: &DataType) -> Result<()> {
    if is_number(data_type) {
        return Ok(());
    }
    plan_err!(
        "{} takes {}: {argument} must be a number, not {data_type}",
        metric.name(),
        usage(metric)
    )
}

/// The type in which two columns of classes can be compared.
fn class_type(metric: Metric, left: &DataType, right: &DataType) -> Result<ClassType> {
    let kind = |data_type: &DataType| match data_type {
        DataType::Boolean => Some(ClassType::Boolean),
        DataType::UInt64 => Some(ClassType::Float),
        integer if integer.is_integer() => Some(ClassType::Integer),
        number if number.is_numeric() => Some(ClassType::Float),
        other if can_cast_types(other, &DataType::Utf8) && !other.is_nested() => {
            Some(ClassType::Text)
        }
        _ => None,
    };
    let same_family = left == right || (is_text(left) && is_text(right));
    match (kind(left), kind(right)) {
        _ if *left == DataType::Null => kind(right),
        _ if *right == DataType::Null => kind(left),
        (Some(ClassType::Integer), Some(ClassType::Float))
        | (Some(ClassType::Float), Some(ClassType::Integer)) => Some(ClassType::Float),
        (Some(ClassType::Text), Some(ClassType::Text)) if !same_family => None,
        (left, right) if left == right => left,
        _ => None,
    }
    .map_or_else(
        || {
            plan_err!(
                "{} takes {} of one type, not {left} and {right}",
                metric.name(),
                usage(metric)
            )
        },
        Ok,
    )
}

/// A column as doubles.
pub(super) fn numbers(array: &ArrayRef) -> Result<Float64Array> {
    let array = cast(array, &DataType::Float64)?;
    Ok(array.as_primitive::<Float64Type>().clone())
}

/// The value of a row; `None` for NULL and for NaN.
pub(super) fn value(array: &Float64Array, row: usize) -> Option<f64> {
    if array.is_null(row) {
        return None;
    }
    Some(array.value(row)).filter(|value| !value.is_nan())
}

/// A column of actual values of two classes, as doubles that are 0 or 1.
pub(super) fn binary(metric: Metric, array: &ArrayRef) -> Result<Float64Array> {
    let actual = numbers(array)?;
    if *array.data_type() != DataType::Boolean {
        for actual in actual.iter().flatten() {
            if actual != 0.0 && actual != 1.0 && !actual.is_nan() {
                return exec_err!(
                    "{}: an actual value must be 0 or 1 (or boolean), but one is {actual}",
                    metric.name()
                );
            }
        }
    }
    Ok(actual)
}

/// A column of classes: numbers that sort as the classes do, or texts.
pub(super) enum Classes {
    Keys(Int64Array),
    Texts(StringArray),
}

impl Classes {
    /// Reads a column; NaN becomes NULL.
    pub(super) fn read(array: &ArrayRef, class_type: ClassType) -> Result<Self> {
        Ok(match class_type {
            ClassType::Text => Self::Texts(cast(array, &DataType::Utf8)?.as_string().clone()),
            ClassType::Integer => Self::Keys(cast(array, &DataType::Int64)?.as_primitive().clone()),
            ClassType::Boolean => {
                let array = cast(array, &DataType::Boolean)?;
                Self::Keys(array.as_boolean().iter().map(|v| v.map(i64::from)).collect())
            }
            ClassType::Float => {
                let array = numbers(array)?;
                let keys = (0..array.len()).map(|row| value(&array, row).map(float_key));
                Self::Keys(keys.collect())
            }
        })
    }
}

/// A list of values as one partial state.
pub(super) fn list(values: ArrayRef) -> ScalarValue {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    ScalarValue::List(Arc::new(ListArray::new(field, offsets, values, None)))
}

/// The type of [`list`].
pub(super) fn list_type(values: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(values, true)))
}

/// The list of one row of a column of partial states.
pub(super) fn list_row(states: &ArrayRef, row: usize) -> Result<ArrayRef> {
    let lists = states
        .as_list_opt::<i32>()
        .ok_or_else(|| internal_datafusion_err!("a metric's state is not a list"))?;
    Ok(lists.value(row))
}

/// The doubles of one row of a column of partial states.
pub(super) fn list_numbers(states: &ArrayRef, row: usize) -> Result<Float64Array> {
    Ok(list_row(states, row)?.as_primitive().clone())
}

/// The parts of one row of partial states that are doubles.
pub(super) fn parts<const N: usize>(states: &[ArrayRef], row: usize) -> [f64; N] {
    std::array::from_fn(|i| states[i].as_primitive::<Float64Type>().value(row))
}

/// Doubles as partial states.
pub(super) fn scalars(parts: &[f64]) -> Vec<ScalarValue> {
    parts.iter().map(|part| ScalarValue::from(*part)).collect()
}
