//! The types that a table column can have, their SQL names, and their Arrow types.

use crate::error::{Error, Result};
use crate::format::TYPMOD_KEY;
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// PostgreSQL counts four header bytes in the type modifier of varchar.
pub(super) const VARCHAR_HEADER: u32 = 4;

/// A column's type. Stored by its PostgreSQL name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum SqlType {
    /// `boolean`
    Boolean,
    /// `smallint`, 16 bit
    SmallInt,
    /// `integer`, 32 bit
    Integer,
    /// `bigint`, 64 bit
    BigInt,
    /// `real`, 32 bit
    Real,
    /// `double precision`, 64 bit
    Double,
    /// `numeric(precision, scale)`; bare `numeric` is (38, 10)
    Numeric(u8, i8),
    /// `text`
    Text,
    /// `character varying(n)`, n in characters
    Varchar(u32),
    /// `date`
    Date,
    /// `timestamp without time zone`, microseconds
    Timestamp,
    /// `timestamp with time zone`, microseconds in UTC
    TimestampTz,
    /// `bytea`
    Bytea,
    /// An array of any of the others.
    Array(Box<SqlType>),
}

impl SqlType {
    /// What bare `numeric` means.
    pub const NUMERIC_DEFAULT: SqlType = SqlType::Numeric(38, 10);

    /// The Arrow type of a column of this type as scans and expressions see it.
    pub fn arrow(&self) -> DataType {
        match self {
            SqlType::Text | SqlType::Varchar(_) => DataType::Utf8View,
            SqlType::Bytea => DataType::BinaryView,
            other => other.arrow_nested(),
        }
    }

    /// The Arrow type inside of an array, where string views are not used.
    fn arrow_nested(&self) -> DataType {
        match self {
            SqlType::Boolean => DataType::Boolean,
            SqlType::SmallInt => DataType::Int16,
            SqlType::Integer => DataType::Int32,
            SqlType::BigInt => DataType::Int64,
            SqlType::Real => DataType::Float32,
            SqlType::Double => DataType::Float64,
            SqlType::Numeric(p, s) => DataType::Decimal128(*p, *s),
            SqlType::Text | SqlType::Varchar(_) => DataType::Utf8,
            SqlType::Date => DataType::Date32,
            SqlType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            SqlType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            SqlType::Bytea => DataType::Binary,
            SqlType::Array(item) => {
                DataType::List(Arc::new(Field::new("element", item.arrow_nested(), true)))
            }
        }
    }

    /// The column type of a query's column, as CREATE TABLE AS and CREATE VIEW need it: varchar's
    /// length travels as metadata.
    ///
    /// # Errors
    /// 0A000 for types that no column can have (maps, structs, intervals, times).
    pub fn of_field(field: &Field) -> Result<SqlType> {
        let typmod = field.metadata().get(TYPMOD_KEY).and_then(|t| t.parse::<u32>().ok());
        match typmod {
            Some(typmod) if field.data_type().is_string() && typmod > VARCHAR_HEADER => {
                Ok(SqlType::Varchar(typmod - VARCHAR_HEADER))
            }
            _ => SqlType::from_arrow(field.data_type()),
        }
    }

    /// The column type that holds values of an Arrow type.
    ///
    /// # Errors
    /// 0A000 for types that no column can have (maps, structs, intervals, times).
    pub fn from_arrow(data_type: &DataType) -> Result<SqlType> {
        Ok(match data_type {
            DataType::Boolean => SqlType::Boolean,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => SqlType::SmallInt,
            DataType::Int32 | DataType::UInt16 => SqlType::Integer,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => SqlType::BigInt,
            DataType::Float16 | DataType::Float32 => SqlType::Real,
            DataType::Float64 => SqlType::Double,
            DataType::Decimal32(p, s)
            | DataType::Decimal64(p, s)
            | DataType::Decimal128(p, s)
            | DataType::Decimal256(p, s) => SqlType::Numeric((*p).min(38), *s),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                SqlType::Text
            }
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => SqlType::Bytea,
            DataType::Date32 | DataType::Date64 => SqlType::Date,
            DataType::Timestamp(_, None) => SqlType::Timestamp,
            DataType::Timestamp(_, Some(_)) => SqlType::TimestampTz,
            DataType::Dictionary(_, value) => SqlType::from_arrow(value)?,
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                SqlType::Array(Box::new(SqlType::from_arrow(item.data_type())?))
            }
            other => {
                return Err(Error::unsupported(
                    format_args!("a column of type {other}"),
                    "Cast it to one of boolean, the integers, real, double precision, numeric, text, date, timestamp, timestamptz, bytea or an array of these.",
                ));
            }
        })
    }

    /// How messages name an Arrow type: as SQL does.
    pub fn shown(data_type: &DataType) -> String {
        match data_type {
            DataType::Time32(_) | DataType::Time64(_) => "time without time zone".to_owned(),
            DataType::Interval(_) => "interval".to_owned(),
            other => {
                SqlType::from_arrow(other).map_or_else(|_| other.to_string(), |t| t.to_string())
            }
        }
    }

    /// The name of the type in the Delta protocol's schema, for all but arrays.
    pub fn delta_name(&self) -> String {
        match self {
            SqlType::Boolean => "boolean".into(),
            SqlType::SmallInt => "short".into(),
            SqlType::Integer => "integer".into(),
            SqlType::BigInt => "long".into(),
            SqlType::Real => "float".into(),
            SqlType::Double => "double".into(),
            SqlType::Numeric(p, s) => format!("decimal({p},{s})"),
            SqlType::Text | SqlType::Varchar(_) => "string".into(),
            SqlType::Date => "date".into(),
            SqlType::Timestamp => "timestamp_ntz".into(),
            SqlType::TimestampTz => "timestamp".into(),
            SqlType::Bytea => "binary".into(),
            SqlType::Array(_) => "array".into(),
        }
    }

    /// True for the types that arithmetic works on.
    pub fn is_numeric(&self) -> bool {
        matches!(
            self,
            SqlType::SmallInt
                | SqlType::Integer
                | SqlType::BigInt
                | SqlType::Real
                | SqlType::Double
                | SqlType::Numeric(..)
        )
    }

    fn parse(text: &str) -> Option<SqlType> {
        if let Some(item) = text.strip_suffix("[]") {
            return Some(SqlType::Array(Box::new(SqlType::parse(item)?)));
        }
        let arguments = |prefix: &str| -> Option<Vec<i64>> {
            let inner = text.strip_prefix(prefix)?.strip_suffix(')')?;
            inner.split(',').map(|n| n.trim().parse().ok()).collect()
        };
        Some(match text {
            "boolean" => SqlType::Boolean,
            "smallint" => SqlType::SmallInt,
            "integer" => SqlType::Integer,
            "bigint" => SqlType::BigInt,
            "real" => SqlType::Real,
            "double precision" => SqlType::Double,
            "text" => SqlType::Text,
            "date" => SqlType::Date,
            "timestamp without time zone" => SqlType::Timestamp,
            "timestamp with time zone" => SqlType::TimestampTz,
            "bytea" => SqlType::Bytea,
            _ => {
                if let Some(numbers) = arguments("numeric(") {
                    let [precision, scale] = numbers[..] else { return None };
                    SqlType::Numeric(precision.try_into().ok()?, scale.try_into().ok()?)
                } else {
                    let numbers = arguments("character varying(")?;
                    let [length] = numbers[..] else { return None };
                    SqlType::Varchar(length.try_into().ok()?)
                }
            }
        })
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::Boolean => f.write_str("boolean"),
            SqlType::SmallInt => f.write_str("smallint"),
            SqlType::Integer => f.write_str("integer"),
            SqlType::BigInt => f.write_str("bigint"),
            SqlType::Real => f.write_str("real"),
            SqlType::Double => f.write_str("double precision"),
            SqlType::Numeric(p, s) => write!(f, "numeric({p},{s})"),
            SqlType::Text => f.write_str("text"),
            SqlType::Varchar(n) => write!(f, "character varying({n})"),
            SqlType::Date => f.write_str("date"),
            SqlType::Timestamp => f.write_str("timestamp without time zone"),
            SqlType::TimestampTz => f.write_str("timestamp with time zone"),
            SqlType::Bytea => f.write_str("bytea"),
            SqlType::Array(item) => write!(f, "{item}[]"),
        }
    }
}

impl From<SqlType> for String {
    fn from(value: SqlType) -> Self {
        value.to_string()
    }
}

impl TryFrom<String> for SqlType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        SqlType::parse(&text).ok_or_else(|| {
            Error::new(
                SqlState::DataCorrupted,
                format!("type \"{text}\" in the catalog is unknown"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SqlType;

    #[test]
    fn names_round_trip() {
        let types = [
            SqlType::Boolean,
            SqlType::Numeric(12, 2),
            SqlType::Varchar(20),
            SqlType::TimestampTz,
            SqlType::Array(Box::new(SqlType::Array(Box::new(SqlType::Integer)))),
        ];
        for t in types {
            assert_eq!(SqlType::try_from(t.to_string()).expect("a name it printed"), t);
        }
        assert!(SqlType::try_from("box".to_owned()).is_err());
    }
}
