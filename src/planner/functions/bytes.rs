//! Single bytes of a bytea, and bytes as text in PostgreSQL's escape format.

use super::plain::Plain;
use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::array::{ArrayRef, AsArray, Int32Array, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> [Arc<ScalarUDF>; 2] {
    [
        Plain::udf("get_byte", 2, |_| Ok(DataType::Int32), get_byte),
        Plain::udf(
            "bytea_escape",
            1,
            |_| Ok(DataType::Utf8View),
            |arrays, _| {
                let bytes = cast(&arrays[0], &DataType::BinaryView)?;
                let texts: StringViewArray =
                    bytes.as_binary_view().iter().map(|b| b.map(escaped)).collect();
                Ok(Arc::new(texts))
            },
        ),
    ]
}

fn get_byte(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let bytes = cast(&arrays[0], &DataType::BinaryView)?;
    let places = cast(&arrays[1], &DataType::Int64)?;
    let rows = bytes.as_binary_view().iter().zip(places.as_primitive::<Int64Type>());
    let found: Int32Array = rows
        .map(|(bytes, place)| {
            let (Some(bytes), Some(place)) = (bytes, place) else { return Ok(None) };
            let byte = usize::try_from(place).ok().and_then(|place| bytes.get(place));
            byte.map(|byte| Some(i32::from(*byte))).ok_or_else(|| {
                let last = i64::try_from(bytes.len()).unwrap_or(i64::MAX) - 1;
                let message = format!("index {place} out of valid range, 0..{last}");
                Error::new(SqlState::InvalidParameterValue, message)
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok(Arc::new(found))
}

/// Zeros and bytes beyond ASCII as three octal digits, the backslash twice.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match *byte {
            b'\\' => out.push_str("\\\\"),
            0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
            plain => out.push(char::from(plain)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn bytes_are_escaped() {
        assert_eq!(escaped(b"\x00a\\\xff\n"), "\\000a\\\\\\377\n");
    }
}
