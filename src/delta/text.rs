//! Values as the text that Delta keeps them in: partition values and statistics.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::common::ScalarValue;

const DAYS_TO_EPOCH: i32 = 719_163;

/// Reads a value of `data_type` from its text; `None` if it is no such value.
pub(super) fn parse(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Boolean => ScalarValue::Boolean(Some(text.parse().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(text.parse().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(text.parse().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(text.parse().ok()?)),
        DataType::Float32 => ScalarValue::Float32(Some(text.parse().ok()?)),
        DataType::Float64 => ScalarValue::Float64(Some(text.parse().ok()?)),
        DataType::Decimal128(p, s) => ScalarValue::Decimal128(Some(decimal(text, *p, *s)?), *p, *s),
        DataType::Utf8 => ScalarValue::Utf8(Some(text.to_owned())),
        DataType::Utf8View => ScalarValue::Utf8View(Some(text.to_owned())),
        DataType::Date32 => {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            ScalarValue::Date32(Some(days(date)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ScalarValue::TimestampMicrosecond(Some(micros(text)?), zone.clone())
        }
        _ => return None,
    })
}

fn days(date: NaiveDate) -> i32 {
    use chrono::Datelike;
    date.num_days_from_ce() - DAYS_TO_EPOCH
}

fn micros(text: &str) -> Option<i64> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_micros());
    }
    let text = text.trim_end_matches('Z');
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|at| at.and_utc().timestamp_micros())
}

/// Reads a decimal, also in scientific notation, if it fits without rounding.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = i32::from(scale) + exponent - i32::try_from(fraction.len()).ok()?;
    let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
    if shift >= 0 {
        unscaled = unscaled.checked_mul(factor)?;
    } else if unscaled % factor == 0 {
        unscaled /= factor;
    } else {
        return None;
    }
    let fits = unscaled < 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    fits.then_some(if negative { -unscaled } else { unscaled })
}

/// A decimal as plain digits.
pub(super) fn decimal_text(value: i128, scale: i8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) => {
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) => format!("{sign}{digits}{}", "0".repeat(usize::from(scale.unsigned_abs()))),
    }
}

/// A date, if its year has four digits.
pub(super) fn date_text(days: i32) -> Option<String> {
    let date = NaiveDate::from_num_days_from_ce_opt(days.checked_add(DAYS_TO_EPOCH)?)?;
    plain_year(date).then(|| date.format("%Y-%m-%d").to_string())
}

/// A time in UTC with the given digits of a second, if its year has four digits.
///
/// `zone` adds the letter Z, which a timestamp without time zone must not carry.
pub(super) fn timestamp_text(micros: i64, format: &str, zone: bool) -> Option<String> {
    let at = DateTime::from_timestamp_micros(micros)?.naive_utc();
    plain_year(at.date()).then(|| {
        let text = at.format(format).to_string();
        if zone { text + "Z" } else { text }
    })
}

fn plain_year(date: NaiveDate) -> bool {
    use chrono::Datelike;
    (1..=9999).contains(&date.year())
}

/// The text of a partition value; `None` for a value that cannot be one.
///
/// Timestamps with time zone are written with their Z, since without it readers would take their
/// own session's time zone.
pub(super) fn partition_text(value: &ScalarValue) -> Option<String> {
    Some(match value {
        ScalarValue::Boolean(Some(v)) => v.to_string(),
        ScalarValue::Int16(Some(v)) => v.to_string(),
        ScalarValue::Int32(Some(v)) => v.to_string(),
        ScalarValue::Int64(Some(v)) => v.to_string(),
        ScalarValue::Float32(Some(v)) => v.to_string(),
        ScalarValue::Float64(Some(v)) => v.to_string(),
        ScalarValue::Decimal128(Some(v), _, scale) => decimal_text(*v, *scale),
        ScalarValue::Utf8(Some(v)) | ScalarValue::Utf8View(Some(v)) if !v.is_empty() => v.clone(),
        ScalarValue::Date32(Some(v)) => date_text(*v)?,
        ScalarValue::TimestampMicrosecond(Some(v), None) => {
            timestamp_text(*v, "%Y-%m-%d %H:%M:%S%.6f", false)?
        }
        ScalarValue::TimestampMicrosecond(Some(v), Some(_)) => {
            timestamp_text(*v, "%Y-%m-%dT%H:%M:%S%.6f", true)?
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        assert_eq!(decimal("12.5", 5, 2), Some(1250));
        assert_eq!(decimal("-0.05", 5, 2), Some(-5));
        assert_eq!(decimal("1.25E2", 5, 1), Some(1250));
        assert_eq!(decimal("0.125", 5, 2), None);
        assert_eq!(decimal("1000", 5, 2), None);
        assert_eq!(
            decimal("99999999999999999999999999999999999999", 38, 0),
            Some(10_i128.pow(38) - 1)
        );
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(1250, 0), "1250");
        assert_eq!(decimal_text(1250, 2), "12.50");
    }

    #[test]
    fn values_round_trip_as_partition_text() {
        let values = [
            ScalarValue::Boolean(Some(true)),
            ScalarValue::Int16(Some(-3)),
            ScalarValue::Float64(Some(0.1)),
            ScalarValue::Float32(Some(f32::NAN)),
            ScalarValue::Decimal128(Some(-1250), 10, 3),
            ScalarValue::Utf8View(Some("a b/ä".into())),
            ScalarValue::Date32(Some(-1)),
            ScalarValue::TimestampMicrosecond(Some(1_700_000_000_123_456), None),
            ScalarValue::TimestampMicrosecond(Some(-1), Some("UTC".into())),
        ];
        for value in values {
            let text = partition_text(&value).expect("a partition value");
            assert_eq!(parse(&text, &value.data_type()).as_ref(), Some(&value), "{text}");
        }
        assert_eq!(partition_text(&ScalarValue::Utf8View(Some(String::new()))), None);
        assert_eq!(date_text(-1).as_deref(), Some("1969-12-31"));
    }
}
