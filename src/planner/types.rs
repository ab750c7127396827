//! SQL type names to Arrow types, the same for columns, casts and parameters.

use crate::catalog::SqlType;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType as ArrowType, Field, FieldRef};
use datafusion::common::{ExprSchema, ScalarValue};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::logical_expr::{Expr, ExprSchemable};
use sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};
use std::collections::HashMap;
use std::sync::Arc;

/// DataFusion's hook for type names in casts.
#[derive(Debug)]
pub struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &DataType) -> datafusion::common::Result<Option<FieldRef>> {
        let arrow = match sql_type {
            // Not column types, but what expressions cast to.
            DataType::Interval { .. } => return Ok(None),
            DataType::TinyInt(_) => ArrowType::Int8,
            DataType::JSON | DataType::JSONB | DataType::Uuid | DataType::Regclass => {
                ArrowType::Utf8View
            }
            DataType::Time(..) => ArrowType::Time64(arrow::datatypes::TimeUnit::Microsecond),
            DataType::Custom(name, _) if matches!(last_word(name).as_str(), "oid" | "name") => {
                if last_word(name) == "oid" {
                    ArrowType::Int64
                } else {
                    ArrowType::Utf8View
                }
            }
            other => sql_type_of(other)?.arrow(),
        };
        let field = Field::new("", arrow, true);
        Ok(Some(Arc::new(match sql_type {
            DataType::Numeric(ExactNumberInfo::None)
            | DataType::Decimal(ExactNumberInfo::None)
            | DataType::Dec(ExactNumberInfo::None) => {
                field.with_metadata(HashMap::from([(BARE_NUMERIC.to_owned(), String::new())]))
            }
            _ => field,
        })))
    }
}

/// Marks the field of a cast to `numeric` without a precision, until the cast's operand is known.
const BARE_NUMERIC: &str = "cenote.bare_numeric";

/// A cast to `numeric` keeps the digits of its operand: of an integer none behind the point, of a
/// numeric and of a literal those that it has.
pub(super) fn bare_numeric(cast: Cast, schema: &dyn ExprSchema) -> Expr {
    if !cast.field.metadata().contains_key(BARE_NUMERIC) {
        return Expr::Cast(cast);
    }
    let from = match cast.expr.as_ref() {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            written_type(text)
        }
        other => other.get_type(schema).ok(),
    };
    let to = match from {
        Some(t @ ArrowType::Decimal128(..)) => t,
        Some(t) => super::functions::whole(&t).unwrap_or(SqlType::NUMERIC_DEFAULT.arrow()),
        None => SqlType::NUMERIC_DEFAULT.arrow(),
    };
    datafusion::logical_expr::cast(*cast.expr, to)
}

/// The type of a number as it is written, such as `12.50`.
pub(super) fn written_type(text: &str) -> Option<ArrowType> {
    let digits = text.trim().trim_start_matches(['+', '-']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let fits = all_digits(whole) && all_digits(fraction) && whole.len() + fraction.len() <= 38;
    let scale = i8::try_from(fraction.len()).ok()?;
    fits.then_some(ArrowType::Decimal128(38, scale))
}

fn last_word(name: &sqlparser::ast::ObjectName) -> String {
    crate::parser::object_name(name).pop().unwrap_or_default()
}

/// The column type that a type name means.
///
/// # Errors
/// 42704 for unknown names, 0A000 for PostgreSQL types that tables cannot hold, 22023 for a bad
/// precision or length.
pub fn sql_type_of(data_type: &DataType) -> Result<SqlType> {
    Ok(match data_type {
        DataType::Boolean | DataType::Bool => SqlType::Boolean,
        DataType::SmallInt(_) | DataType::Int2(_) | DataType::TinyInt(_) => SqlType::SmallInt,
        DataType::Integer(_) | DataType::Int(_) | DataType::Int4(_) => SqlType::Integer,
        DataType::BigInt(_) | DataType::Int8(_) | DataType::Int64 => SqlType::BigInt,
        DataType::Real | DataType::Float4 | DataType::Float32 => SqlType::Real,
        DataType::Float(ExactNumberInfo::Precision(p)) if *p <= 24 => SqlType::Real,
        DataType::DoublePrecision
        | DataType::Double(_)
        | DataType::Float8
        | DataType::Float64
        | DataType::Float(_) => SqlType::Double,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Text | DataType::String(_) | DataType::Varchar(None) => SqlType::Text,
        DataType::CharacterVarying(None) | DataType::CharVarying(None) => SqlType::Text,
        DataType::Varchar(Some(length))
        | DataType::CharacterVarying(Some(length))
        | DataType::CharVarying(Some(length)) => varchar(length)?,
        DataType::Date => SqlType::Date,
        DataType::Timestamp(Some(precision), _) if *precision != 6 => {
            return Err(Error::unsupported(
                format_args!("timestamp({precision})"),
                "Times are kept to the microsecond; write timestamp, and round with date_trunc.",
            ));
        }
        DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            SqlType::TimestampTz
        }
        DataType::Timestamp(..) | DataType::Datetime(_) | DataType::TimestampNtz(_) => {
            SqlType::Timestamp
        }
        DataType::Bytea | DataType::Blob(_) | DataType::Binary(_) | DataType::Varbinary(_) => {
            SqlType::Bytea
        }
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, _))
        | DataType::Array(ArrayElemTypeDef::AngleBracket(item))
        | DataType::Array(ArrayElemTypeDef::Parenthesis(item)) => {
            SqlType::Array(Box::new(sql_type_of(item)?))
        }
        other => return Err(unknown(other)),
    })
}

fn numeric(info: &ExactNumberInfo) -> Result<SqlType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(SqlType::NUMERIC_DEFAULT),
        ExactNumberInfo::Precision(p) => (*p, 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (*p, *s),
    };
    let in_range = |p: u64, s: i64| {
        let p = u8::try_from(p).ok().filter(|p| (1..=38).contains(p))?;
        let s = i8::try_from(s).ok().filter(|s| (0..=38).contains(s) && (*s as u8) <= p)?;
        Some(SqlType::Numeric(p, s))
    };
    in_range(precision, scale).ok_or_else(|| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("numeric({precision},{scale}) is out of range"),
        )
        .hint("The precision goes from 1 to 38, the scale from 0 to the precision.")
    })
}

fn varchar(length: &CharacterLength) -> Result<SqlType> {
    match length {
        CharacterLength::IntegerLength { length, .. } => u32::try_from(*length)
            .ok()
            .filter(|n| (1..=10_485_760).contains(n))
            .map(SqlType::Varchar)
            .ok_or_else(|| {
                Error::new(
                    SqlState::InvalidParameterValue,
                    "length for type varchar must be between 1 and 10485760",
                )
            }),
        CharacterLength::Max => Ok(SqlType::Text),
    }
}

/// PostgreSQL's integers that number their rows.
const SERIALS: &[&str] = &["smallserial", "serial", "bigserial", "serial2", "serial4", "serial8"];

fn unknown(data_type: &DataType) -> Error {
    const KNOWN: &[&str] = &[
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "real",
        "double precision",
        "numeric",
        "text",
        "varchar",
        "date",
        "timestamp",
        "timestamptz",
        "bytea",
    ];
    let name = data_type.to_string().to_lowercase();
    match data_type {
        DataType::Custom(..) if SERIALS.contains(&name.as_str()) => Error::unsupported(
            format_args!("type {name}"),
            "There are no sequences: use integer or bigint, and give the values, or row_number() OVER () in a query.",
        ),
        DataType::Custom(..) => {
            Error::new(SqlState::UndefinedObject, format!("type \"{name}\" does not exist"))
                .maybe_hint(crate::suggest::hint("type", &name, KNOWN))
        }
        _ => Error::unsupported(
            format_args!("type {name}"),
            format!("Columns can be of type {}, and arrays of these.", KNOWN.join(", ")),
        ),
    }
}
