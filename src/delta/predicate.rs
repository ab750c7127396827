//! The rows that a statement read, as a value: kept in records, and compared with the statistics of files.
//!
//! A predicate says less than the statement's condition, never more: what cannot be expressed is
//! `true`, and so is a form that a newer program wrote. There is no negation, so that putting `true`
//! for a part of it only ever adds rows. Values are text in the form of Delta's partition values and
//! take the type of their column.
//!
//! ```json
//! {"and": [{">=": ["day", "2024-01-01"]}, {"or": [{"=": ["region", "eu"]}, {"null": "region"}]}]}
//! ```

mod lower;

pub use lower::lower;

use super::actions::Add;
use super::{stats, text};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// All rows: also what cannot be told.
    True,
    /// Rows whose column compares so with the value; none whose column is NULL.
    Compare(String, Comparison, String),
    /// Rows whose column is NULL.
    IsNull(String),
    /// Rows whose column is not NULL.
    IsNotNull(String),
    /// Rows that are in all of them.
    And(Vec<Predicate>),
    /// Rows that are in one of them.
    Or(Vec<Predicate>),
}

/// How a column and a value compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];

    fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

/// A table's columns, as far as statistics need them.
#[derive(Debug, Clone)]
pub struct Columns {
    /// All columns with their types.
    pub schema: SchemaRef,
    /// Those whose value is the same in a whole file.
    pub partition_by: Vec<String>,
}

impl Predicate {
    /// True unless the file's statistics prove that none of its rows is meant.
    pub fn may_match(&self, add: &Add, columns: &Columns) -> bool {
        if *self == Predicate::True {
            return true;
        }
        let statistics = stats::parse(add, &columns.schema, &columns.partition_by);
        self.may_hold(&statistics, columns)
    }

    fn may_hold(&self, file: &Statistics, columns: &Columns) -> bool {
        let column = |name: &str| {
            let index = columns.schema.index_of(name).ok()?;
            Some((columns.schema.field(index).data_type(), file.column_statistics.get(index)?))
        };
        match self {
            Predicate::True => true,
            Predicate::And(all) => all.iter().all(|p| p.may_hold(file, columns)),
            Predicate::Or(any) => any.iter().any(|p| p.may_hold(file, columns)),
            Predicate::IsNull(name) => {
                column(name).is_none_or(|(_, c)| c.null_count != Precision::Exact(0))
            }
            Predicate::IsNotNull(name) => column(name).is_none_or(|(_, c)| !only_null(file, c)),
            Predicate::Compare(name, comparison, value) => {
                let Some((data_type, statistics)) = column(name) else { return true };
                let Some(value) = text::parse(value, data_type) else { return true };
                !only_null(file, statistics) && comparison.may_hold(&value, statistics)
            }
        }
    }
}

fn only_null(file: &Statistics, column: &ColumnStatistics) -> bool {
    matches!(
        (&file.num_rows, &column.null_count),
        (Precision::Exact(rows), Precision::Exact(nulls)) if rows == nulls
    )
}

impl Comparison {
    /// True unless the bounds prove that no value of the column compares so.
    fn may_hold(self, value: &ScalarValue, column: &ColumnStatistics) -> bool {
        let min = bound(&column.min_value).and_then(|min| order(min, value));
        let max = bound(&column.max_value).and_then(|max| order(max, value));
        // What is not known refutes nothing.
        let (above, not_below) =
            (min.is_some_and(Ordering::is_gt), min.is_some_and(Ordering::is_ge));
        let (below, not_above) =
            (max.is_some_and(Ordering::is_lt), max.is_some_and(Ordering::is_le));
        !match self {
            Comparison::Equal => above || below,
            Comparison::NotEqual => {
                let exact = |p: &Precision<ScalarValue>| matches!(p, Precision::Exact(_));
                let one_value = min == Some(Ordering::Equal) && max == Some(Ordering::Equal);
                one_value && exact(&column.min_value) && exact(&column.max_value)
            }
            Comparison::Less => not_below,
            Comparison::LessOrEqual => above,
            Comparison::Greater => not_above,
            Comparison::GreaterOrEqual => below,
        }
    }
}

/// A bound that holds for all rows. The bounds of long decimals do not if they passed through a
/// double; those of cut texts, of timestamps and of floats do, for a file with a NaN has none.
fn bound(known: &Precision<ScalarValue>) -> Option<&ScalarValue> {
    match known {
        Precision::Inexact(ScalarValue::Decimal128(..)) | Precision::Absent => None,
        Precision::Exact(value) | Precision::Inexact(value) => Some(value),
    }
}

/// How a bound compares with a value; nothing for the two zeros, which compare as the reader likes.
fn order(bound: &ScalarValue, value: &ScalarValue) -> Option<Ordering> {
    let is_zero = |v: &ScalarValue| match v {
        ScalarValue::Float32(Some(f)) => *f == 0.0,
        ScalarValue::Float64(Some(f)) => *f == 0.0,
        _ => false,
    };
    if is_zero(bound) && is_zero(value) {
        return None;
    }
    bound.partial_cmp(value)
}

/// The text of a value that a predicate can hold, if there is one.
fn value_text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(Some(v)) | ScalarValue::Utf8View(Some(v)) => Some(v.clone()),
        // Text has one NaN, a float has many, on both ends of the order.
        ScalarValue::Float32(Some(v)) if v.is_nan() => None,
        ScalarValue::Float64(Some(v)) if v.is_nan() => None,
        other => text::partition_text(other),
    }
}

/// The value with the type of the column that it is compared with.
fn typed_text(value: &ScalarValue, data_type: &DataType) -> Option<String> {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Utf8View);
    let fits = value.data_type() == *data_type || is_text(&value.data_type()) && is_text(data_type);
    let text = value_text(value).filter(|_| fits)?;
    // A text that would be read as another value says nothing.
    let back = text::parse(&text, data_type)?;
    (value_text(&back)? == text).then_some(text)
}

impl Predicate {
    fn to_json(&self) -> Value {
        let list = |of: &[Predicate]| of.iter().map(Predicate::to_json).collect::<Vec<_>>();
        match self {
            Predicate::True => json!(true),
            Predicate::Compare(column, comparison, value) => {
                json!({ comparison.sign(): [column, value] })
            }
            Predicate::IsNull(column) => json!({ "null": column }),
            Predicate::IsNotNull(column) => json!({ "not null": column }),
            Predicate::And(all) => json!({ "and": list(all) }),
            Predicate::Or(any) => json!({ "or": list(any) }),
        }
    }

    /// Reads a predicate; any form that is not exactly one of the known ones is `true`.
    fn from_json(json: &Value) -> Predicate {
        Self::known(json).unwrap_or(Predicate::True)
    }

    fn known(json: &Value) -> Option<Predicate> {
        let object = json.as_object().filter(|o| o.len() == 1)?;
        let (key, value) = object.iter().next()?;
        let list = || -> Option<Vec<Predicate>> {
            let list = value.as_array().filter(|l| !l.is_empty())?;
            Some(list.iter().map(Self::from_json).collect())
        };
        let name = || value.as_str().map(str::to_owned);
        match key.as_str() {
            "and" => list().map(Predicate::And),
            "or" => list().map(Predicate::Or),
            "null" => name().map(Predicate::IsNull),
            "not null" => name().map(Predicate::IsNotNull),
            sign => {
                let comparison = Comparison::ALL.into_iter().find(|c| c.sign() == sign)?;
                let [Value::String(column), Value::String(value)] = value.as_array()?.as_slice()
                else {
                    return None;
                };
                Some(Predicate::Compare(column.clone(), comparison, value.clone()))
            }
        }
    }
}

impl Serialize for Predicate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Predicate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_json(&Value::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests;
