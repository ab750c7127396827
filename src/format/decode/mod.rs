//! Values on their way in: Bind parameters, literals in text, and whole columns.

mod array;
mod binary;
mod column;
mod datetime;
mod interval;
mod number;
mod words;

pub use column::ColumnParser;

use super::encode::Format;
use super::settings::EncodeSettings;
use super::types::{PgType, arrow_type_of};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use std::sync::Arc;

/// Decodes a Bind parameter of the type with this OID; none of the bytes is NULL of that type.
///
/// The value has the type [`arrow_type_of`] gives, except that a numeric has its own precision and
/// scale, as have those in an array. A type that is not known is text. Errors are PostgreSQL's:
/// 22P02, 22003, 22007, 22008 for text, 22P03 for bytes, 22021 for text that is no UTF-8.
pub fn decode_parameter(
    bytes: Option<&[u8]>,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Result<ScalarValue> {
    let data_type = arrow_type_of(oid).unwrap_or(DataType::Utf8);
    let Some(bytes) = bytes else {
        return ScalarValue::try_from(&data_type).map_err(|e| Error::internal(e.to_string()));
    };
    let ty = PgType::from_oid(oid).unwrap_or(PgType::Text);
    match format {
        Format::Text => decode_text(utf8(bytes)?, ty, data_type, settings),
        Format::Binary => decode_binary(bytes, ty, data_type, settings),
    }
}

/// Reads the text of a value, in PostgreSQL's spelling, as a value of an Arrow type.
pub fn parse_text(
    text: &str,
    data_type: &DataType,
    settings: &EncodeSettings,
) -> Result<ScalarValue> {
    let mut column = ColumnParser::new(data_type, settings)?;
    column.append_text(text)?;
    scalar(column)
}

fn scalar(mut column: ColumnParser) -> Result<ScalarValue> {
    let array = column.finish()?;
    ScalarValue::try_from_array(&array, 0).map_err(|e| Error::internal(e.to_string()))
}

fn decode_text(
    text: &str,
    ty: PgType,
    data_type: DataType,
    settings: &EncodeSettings,
) -> Result<ScalarValue> {
    match ty {
        PgType::Numeric => {
            let (value, precision, scale) = number::parse_decimal_natural(text)?;
            Ok(ScalarValue::Decimal128(Some(value), precision, scale))
        }
        PgType::NumericArray => {
            let data_type = numeric_array_type(array::parse_array(text)?.iter().filter_map(
                |item| match item {
                    array::Item::Text(text) => Some(text.as_str()),
                    _ => None,
                },
            ))?;
            parse_text(text, &data_type, settings)
        }
        PgType::Uuid => Ok(ScalarValue::Utf8(Some(uuid_text(number::parse_uuid(text)?)))),
        PgType::Json | PgType::Jsonb => {
            check_json(text)?;
            Ok(ScalarValue::Utf8(Some(text.into())))
        }
        PgType::Oid | PgType::Xid | PgType::Cid => {
            let oid = number::parse_int(text, i64::from(i32::MIN), i64::from(u32::MAX), ty.name())?;
            // A negative number is taken for the unsigned one of the same bits.
            Ok(ScalarValue::Int64(Some(oid & i64::from(u32::MAX))))
        }
        _ => parse_text(text, &data_type, settings),
    }
}

fn decode_binary(
    bytes: &[u8],
    ty: PgType,
    data_type: DataType,
    settings: &EncodeSettings,
) -> Result<ScalarValue> {
    match ty {
        PgType::Numeric => {
            let (value, precision, scale) =
                number::parse_decimal_natural(&binary::numeric_text(bytes)?)?;
            Ok(ScalarValue::Decimal128(Some(value), precision, scale))
        }
        PgType::NumericArray => {
            let array = binary::BinaryArray::new(bytes)?;
            let texts = array
                .items
                .iter()
                .flatten()
                .map(|bytes| binary::numeric_text(bytes))
                .collect::<Result<Vec<_>>>()?;
            let data_type = numeric_array_type(texts.iter().map(String::as_str))?;
            let mut column = ColumnParser::new(&data_type, settings)?;
            column.append_binary(bytes)?;
            scalar(column)
        }
        PgType::Uuid => {
            let bytes = binary::whole::<16>(bytes, "uuid")?;
            Ok(ScalarValue::Utf8(Some(uuid_text(bytes))))
        }
        PgType::Json => decode_text(utf8(bytes)?, ty, data_type, settings),
        PgType::Jsonb => match bytes {
            [1, text @ ..] => decode_text(utf8(text)?, ty, data_type, settings),
            _ => Err(Error::new(
                SqlState::InvalidBinaryRepresentation,
                "unsupported jsonb version number",
            )),
        },
        PgType::Tid | PgType::Int2Vector | PgType::OidVector => Err(Error::unsupported(
            format_args!("binary input of type {}", ty.name()),
            "Send the parameter in text format.",
        )),
        ty if ty.is_oid() => {
            let oid = u32::from_be_bytes(binary::whole(bytes, "oid")?);
            Ok(match data_type {
                DataType::Int64 => ScalarValue::Int64(Some(i64::from(oid))),
                _ => ScalarValue::Utf8(Some(oid.to_string())),
            })
        }
        _ => {
            let mut column = ColumnParser::new(&data_type, settings)?;
            column.append_binary(bytes)?;
            scalar(column)
        }
    }
}

/// A list of decimals that holds every one of the numbers as it is, as far as 38 digits go.
fn numeric_array_type<'a>(texts: impl Iterator<Item = &'a str>) -> Result<DataType> {
    let (mut whole, mut scale) = (0, 0);
    for text in texts {
        let (_, p, s) = number::parse_decimal_natural(text)?;
        whole = whole.max(i16::from(p) - i16::from(s));
        scale = scale.max(s);
    }
    let scale = scale.min((38 - whole) as i8);
    let item = Field::new("item", DataType::Decimal128(38, scale), true);
    Ok(DataType::List(Arc::new(item)))
}

/// A UUID's text in lower case with hyphens.
///
/// # Errors
/// 22P02 for a text that is no UUID.
pub fn normal_uuid(text: &str) -> Result<String> {
    Ok(uuid_text(number::parse_uuid(text)?))
}

fn uuid_text(bytes: [u8; 16]) -> String {
    uuid::Uuid::from_bytes(bytes).hyphenated().to_string()
}

/// 22P02 for a text that is no JSON.
///
/// # Errors
/// What is wrong with it.
pub fn check_json(text: &str) -> Result<()> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| ()).map_err(|e| {
        Error::new(SqlState::InvalidTextRepresentation, "invalid input syntax for type json")
            .detail(format!("The text is no JSON: {e}."))
    })
}

/// Text in the client's encoding, which is always UTF-8, and without zero bytes.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => match bytes.contains(&0) {
            false => Ok(text),
            true => Err(invalid_utf8(&[0])),
        },
        Err(error) => {
            let rest = &bytes[error.valid_up_to()..];
            if bytes[..error.valid_up_to()].contains(&0) {
                return Err(invalid_utf8(&[0]));
            }
            // PostgreSQL shows as many bytes as the first one announces.
            let announced = match rest.first() {
                Some(0xc0..=0xdf) => 2,
                Some(0xe0..=0xef) => 3,
                Some(0xf0..=0xf7) => 4,
                _ => 1,
            };
            Err(invalid_utf8(&rest[..announced.min(rest.len())]))
        }
    }
}

fn invalid_utf8(bytes: &[u8]) -> Error {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
    Error::new(
        SqlState::CharacterNotInRepertoire,
        format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" ")),
    )
}
