//! Values as PostgreSQL prints them, for error details and for assignments to text.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::array_value_to_string;
use chrono::DateTime;
use std::fmt::Write;

/// The text of a value; `None` for NULL.
pub(super) fn text(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) { "t" } else { "f" }.into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            float(f64::from(value), &format!("{value:e}"), 6)
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            float(value, &format!("{value:e}"), 15)
        }
        DataType::Decimal128(_, scale) => super::super::text::decimal_text(
            array.as_primitive::<Decimal128Type>().value(row),
            *scale,
        ),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Binary => bytes(array.as_binary::<i32>().value(row)),
        DataType::BinaryView => bytes(array.as_binary_view().value(row)),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            super::super::text::date_text(days).unwrap_or_else(|| other(array, row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            timestamp(micros, zone.is_some()).unwrap_or_else(|| other(array, row))
        }
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        _ => other(array, row),
    })
}

fn other(array: &dyn Array, row: usize) -> String {
    array_value_to_string(array, row).unwrap_or_default()
}

/// The shortest digits that read back as the same number; exponents as C prints them.
fn float(value: f64, scientific: &str, digits: i32) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits).contains(&exponent) {
        // Digits are moved, not recomputed, so that a float keeps its own shortest form.
        let (sign, plain) = match mantissa.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", mantissa),
        };
        let digits = plain.replace('.', "");
        let point = exponent + 1;
        return match usize::try_from(point) {
            Ok(point) if point >= digits.len() => format!("{sign}{digits:0<point$}"),
            Ok(point) if point > 0 => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
            _ => format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn bytes(value: &[u8]) -> String {
    let mut shown = String::from("\\x");
    for byte in value {
        let _ = write!(shown, "{byte:02x}");
    }
    shown
}

fn timestamp(micros: i64, zone: bool) -> Option<String> {
    let at = DateTime::from_timestamp_micros(micros)?.naive_utc();
    let mut shown = at.format("%Y-%m-%d %H:%M:%S").to_string();
    let fraction = micros.rem_euclid(1_000_000);
    if fraction > 0 {
        let digits = format!("{fraction:06}");
        let _ = write!(shown, ".{}", digits.trim_end_matches('0'));
    }
    if zone {
        shown.push_str("+00");
    }
    Some(shown)
}

fn list(items: &dyn Array) -> String {
    let mut shown = String::from("{");
    for row in 0..items.len() {
        if row > 0 {
            shown.push(',');
        }
        let item = text(items, row);
        let nested = matches!(items.data_type(), DataType::List(_));
        match item {
            None => shown.push_str("NULL"),
            Some(item) if nested || !needs_quotes(&item) => shown.push_str(&item),
            Some(item) => {
                shown.push('"');
                shown.push_str(&item.replace('\\', "\\\\").replace('"', "\\\""));
                shown.push('"');
            }
        }
    }
    shown + "}"
}

fn needs_quotes(item: &str) -> bool {
    item.is_empty()
        || item.eq_ignore_ascii_case("null")
        || item.contains(|c: char| c.is_whitespace() || "{},\"\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float32Array, Float64Array, ListArray, TimestampMicrosecondArray};

    #[test]
    fn floats_are_printed_as_postgres_does() {
        let values = [
            (1.0, "1"),
            (-0.5, "-0.5"),
            (0.1, "0.1"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (123.456, "123.456"),
            (f64::INFINITY, "Infinity"),
            (0.0, "0"),
            (1.5e300, "1.5e+300"),
        ];
        for (value, expected) in values {
            assert_eq!(text(&Float64Array::from(vec![value]), 0).as_deref(), Some(expected));
        }
        assert_eq!(text(&Float32Array::from(vec![0.1]), 0).as_deref(), Some("0.1"));
        assert_eq!(
            text(&Float32Array::from(vec![1_234_567.0]), 0).as_deref(),
            Some("1.234567e+06")
        );
    }

    #[test]
    fn lists_and_times_too() {
        let items = vec![Some(1), None];
        let array = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(items)]);
        assert_eq!(text(&array, 0).as_deref(), Some("{1,NULL}"));
        let times = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]);
        assert_eq!(text(&times, 0).as_deref(), Some("1970-01-01 00:00:01.5"));
        assert_eq!(text(&times, 1), None);
    }
}
