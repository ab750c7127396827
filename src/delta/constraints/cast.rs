//! Assignment casts: a value becomes a column's value as in PostgreSQL, or an error.

use super::display;
use crate::catalog::SqlType;
use crate::error::{Error, Result};
use crate::format::{ColumnParser, EncodeSettings};
use crate::sqlstate::SqlState;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, ListArray, StringArray,
    StringViewArray, StringViewBuilder, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DECIMAL256_MAX_PRECISION, DataType, Decimal128Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type,
};
use std::sync::Arc;

/// What does not fit becomes NULL, which the callers then look for.
const LENIENT: CastOptions = CastOptions { safe: true, format_options: FORMAT };
const STRICT: CastOptions = CastOptions { safe: false, format_options: FORMAT };
const FORMAT: arrow::util::display::FormatOptions = arrow::util::display::FormatOptions::new();

/// The array as values of a column of type `to`.
///
/// # Errors
/// 22003 for numbers out of range, 22001 for texts that are too long, 22P02 and the like for texts
/// that are no such value.
pub fn assign(array: &ArrayRef, to: &SqlType) -> Result<ArrayRef> {
    let cast = cast(array, to)?;
    match to {
        SqlType::Varchar(n) => fit_texts(cast, *n as usize),
        SqlType::Array(item) => match item.as_ref() {
            SqlType::Varchar(n) => fit_items(&cast, *n as usize),
            _ => Ok(cast),
        },
        SqlType::Numeric(precision, scale) => within_precision(cast, *precision, *scale),
        _ => Ok(cast),
    }
}

fn cast(array: &ArrayRef, to: &SqlType) -> Result<ArrayRef> {
    let from = array.data_type();
    let target = to.arrow();
    if *from == target {
        return Ok(Arc::clone(array));
    }
    match from {
        DataType::Null => return Ok(new_null_array(&target, array.len())),
        DataType::Dictionary(_, values) => {
            return cast(&cast_with_options(array, values, &STRICT)?, to);
        }
        _ => {}
    }
    if is_text(from) && !is_text(&target) {
        return read(array, &target);
    }
    match to {
        SqlType::SmallInt => integer::<Int16Type>(array, "smallint out of range"),
        SqlType::Integer => integer::<Int32Type>(array, "integer out of range"),
        SqlType::BigInt => integer::<Int64Type>(array, "bigint out of range"),
        SqlType::Numeric(precision, scale) => numeric(array, *precision, *scale),
        SqlType::Real if from.is_numeric() => real(array),
        SqlType::Text | SqlType::Varchar(_) if !is_text(from) => {
            let mut texts = StringViewBuilder::with_capacity(array.len());
            (0..array.len()).for_each(|row| texts.append_option(boolean_word(array, row)));
            Ok(Arc::new(texts.finish()))
        }
        _ => Ok(cast_with_options(array, &target, &STRICT)?),
    }
}

/// Texts as values in PostgreSQL's spellings; times without a zone are UTC.
fn read(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let texts = cast_with_options(array, &DataType::Utf8View, &STRICT)?;
    let mut column = ColumnParser::new(target, &EncodeSettings::default())?;
    for text in texts.as_string_view() {
        match text {
            Some(text) => column.append_text(text)?,
            None => column.append_null(),
        }
    }
    column.finish()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A value's text; a boolean assigned to text is spelled out, though it prints as one letter.
fn boolean_word(array: &ArrayRef, row: usize) -> Option<String> {
    let shown = display::text(array.as_ref(), row)?;
    Some(match (array.data_type(), shown.as_str()) {
        (DataType::Boolean, "t") => "true".into(),
        (DataType::Boolean, _) => "false".into(),
        _ => shown,
    })
}

fn out_of_range(message: &str) -> Error {
    Error::new(SqlState::NumericValueOutOfRange, message)
}

/// Casts numbers to an integer type: floats round half to even, numerics half away from zero.
fn integer<T: ArrowPrimitiveType>(array: &ArrayRef, message: &str) -> Result<ArrayRef> {
    let whole: ArrayRef = match array.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let floats = cast_with_options(array, &DataType::Float64, &STRICT)?;
            Arc::new(floats.as_primitive::<Float64Type>().unary_opt::<_, Int64Type>(whole))
        }
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
            cast_with_options(array, &DataType::Decimal128(38, 0), &LENIENT)?
        }
        DataType::Decimal256(..) => {
            cast_with_options(array, &DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0), &LENIENT)?
        }
        from if from.is_integer() => Arc::clone(array),
        _ => return Ok(cast_with_options(array, &T::DATA_TYPE, &STRICT)?),
    };
    let narrow = cast_with_options(&whole, &T::DATA_TYPE, &LENIENT)?;
    if narrow.null_count() > array.null_count() {
        return Err(out_of_range(message));
    }
    Ok(narrow)
}

/// The nearest integer, if 64 bits hold it. NaN is in no range.
fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let value = value.round_ties_even();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (-LIMIT..LIMIT).contains(&value).then_some(value as i64)
}

fn real(array: &ArrayRef) -> Result<ArrayRef> {
    let wide = cast_with_options(array, &DataType::Float64, &STRICT)?;
    let narrow = cast_with_options(&wide, &DataType::Float32, &STRICT)?;
    let (wide, floats) = (wide.as_primitive::<Float64Type>(), narrow.as_primitive::<Float32Type>());
    let overflows = |(w, n): (Option<f64>, Option<f32>)| {
        w.is_some_and(f64::is_finite) && n.is_some_and(f32::is_infinite)
    };
    if wide.iter().zip(floats).any(overflows) {
        return Err(out_of_range("value out of range: overflow"));
    }
    Ok(narrow)
}

fn numeric(array: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let target = DataType::Decimal128(precision, scale);
    let cast = match array.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let single = *array.data_type() != DataType::Float64;
            let floats = cast_with_options(array, &DataType::Float64, &STRICT)?;
            let digits = if single { 6 } else { 15 };
            let decimals: Decimal128Array = floats
                .as_primitive::<Float64Type>()
                .unary_opt::<_, Decimal128Type>(|v| unscaled(v, digits, scale));
            Arc::new(decimals.with_precision_and_scale(precision, scale)?)
        }
        from if from.is_numeric() => cast_with_options(array, &target, &LENIENT)?,
        _ => cast_with_options(array, &target, &STRICT)?,
    };
    if cast.null_count() > array.null_count() {
        return Err(numeric_overflow(precision, scale));
    }
    Ok(cast)
}

/// A float as a decimal of its significant decimal digits, not of its binary ones: PostgreSQL
/// takes 0.285 for 0.285 and rounds it to 0.29.
fn unscaled(value: f64, digits: usize, scale: i8) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = text.split_once('e')?;
    let mantissa: i128 = mantissa.replace('.', "").parse().ok()?;
    let shift = exponent.parse::<i32>().ok()? - i32::try_from(digits).ok()? + 1 + i32::from(scale);
    if shift >= 0 {
        return mantissa.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?);
    }
    let Some(divisor) = 10_i128.checked_pow(shift.unsigned_abs()) else { return Some(0) };
    let half = divisor / 2;
    Some((mantissa + if mantissa < 0 { -half } else { half }) / divisor)
}

/// Arithmetic may leave a numeric larger than its own precision; a column does not take it.
fn within_precision(array: ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef> {
    let limit = 10_i128.pow(u32::from(precision));
    let decimals = array.as_primitive::<Decimal128Type>();
    let largest = arrow::compute::max(decimals).unwrap_or(0);
    let smallest = arrow::compute::min(decimals).unwrap_or(0);
    if largest >= limit || smallest <= -limit {
        return Err(numeric_overflow(precision, scale));
    }
    Ok(array)
}

fn numeric_overflow(precision: u8, scale: i8) -> Error {
    let whole_digits = i32::from(precision) - i32::from(scale);
    let bound = if whole_digits == 0 { "1".into() } else { format!("10^{whole_digits}") };
    out_of_range("numeric field overflow").detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
    ))
}

/// Cuts blanks behind the n-th character; anything else there is an error.
fn fit_text(text: &str, n: usize) -> Result<&str> {
    if text.len() <= n {
        return Ok(text);
    }
    match text.char_indices().nth(n) {
        Some((end, _)) if text[end..].bytes().all(|b| b == b' ') => Ok(&text[..end]),
        Some(_) => Err(Error::new(
            SqlState::StringDataRightTruncation,
            format!("value too long for type character varying({n})"),
        )),
        None => Ok(text),
    }
}

fn fit_texts(array: ArrayRef, n: usize) -> Result<ArrayRef> {
    let texts = array.as_string_view();
    // The length in bytes is at least that in characters, and is at hand in the view.
    if texts.lengths().all(|bytes| bytes as usize <= n) {
        return Ok(array);
    }
    let fitted = texts
        .iter()
        .map(|text| text.map(|t| fit_text(t, n)).transpose())
        .collect::<Result<StringViewArray>>()?;
    Ok(Arc::new(fitted))
}

fn fit_items(array: &ArrayRef, n: usize) -> Result<ArrayRef> {
    let (field, offsets, items, nulls) = array.as_list::<i32>().clone().into_parts();
    let fitted = items
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(|t| fit_text(t, n)).transpose())
        .collect::<Result<StringArray>>()?;
    Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(fitted), nulls)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array};

    fn floats(values: &[f64]) -> ArrayRef {
        Arc::new(Float64Array::from(values.to_vec()))
    }

    #[test]
    fn floats_round_to_even_and_decimals_away_from_zero() {
        let cast = assign(&floats(&[0.5, 1.5, 2.5, -0.5, -1.5]), &SqlType::Integer).expect("fits");
        assert_eq!(cast.as_primitive::<Int32Type>().values(), &[0, 2, 2, 0, -2]);
        let decimals = Decimal128Array::from(vec![5, 15, 25, -5, -15])
            .with_precision_and_scale(10, 1)
            .expect("fits");
        let cast = assign(&(Arc::new(decimals) as ArrayRef), &SqlType::SmallInt).expect("fits");
        assert_eq!(cast.as_primitive::<Int16Type>().values(), &[1, 2, 3, -1, -2]);
    }

    #[test]
    fn what_does_not_fit_is_22003() {
        let big: ArrayRef = Arc::new(Int64Array::from(vec![1 << 31]));
        let cases = [
            (big.clone(), SqlType::Integer, "integer out of range"),
            (big, SqlType::SmallInt, "smallint out of range"),
            (floats(&[9.3e18]), SqlType::BigInt, "bigint out of range"),
            (floats(&[f64::NAN]), SqlType::BigInt, "bigint out of range"),
            (floats(&[1e300]), SqlType::Real, "value out of range: overflow"),
            (floats(&[999.995]), SqlType::Numeric(5, 2), "numeric field overflow"),
            (floats(&[f64::NAN]), SqlType::Numeric(5, 2), "numeric field overflow"),
        ];
        for (array, to, message) in cases {
            let error = assign(&array, &to).expect_err(message);
            assert_eq!(error.code(), SqlState::NumericValueOutOfRange);
            assert_eq!(error.message(), message);
        }
        let error = assign(&floats(&[1000.0]), &SqlType::Numeric(5, 2)).expect_err("too large");
        assert_eq!(
            error.get_detail(),
            Some(
                "A field with precision 5, scale 2 must round to an absolute value less than 10^3."
            )
        );
    }

    #[test]
    fn a_float_becomes_the_numeric_that_it_prints_as() {
        let cast = assign(&floats(&[0.285, -0.285, 1e-20, 123.456]), &SqlType::Numeric(10, 2));
        let cast = cast.expect("fits");
        assert_eq!(cast.as_primitive::<Decimal128Type>().values(), &[29, -29, 0, 12346]);
    }

    #[test]
    fn only_blanks_are_cut_from_texts() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["ab   ", "größe", ""]));
        let cast = assign(&texts, &SqlType::Varchar(5)).expect("fits");
        let cast: Vec<_> = cast.as_string_view().iter().flatten().collect();
        assert_eq!(cast, ["ab   ", "größe", ""]);
        let cast = assign(&texts, &SqlType::Varchar(4)).expect_err("five letters");
        assert_eq!(cast.code(), SqlState::StringDataRightTruncation);
        assert_eq!(cast.message(), "value too long for type character varying(4)");
        let blanks: ArrayRef = Arc::new(StringArray::from(vec!["ab   "]));
        let cast = assign(&blanks, &SqlType::Varchar(3)).expect("blanks");
        assert_eq!(cast.as_string_view().value(0), "ab ");
    }

    #[test]
    fn other_types_become_text_as_they_print() {
        let booleans: ArrayRef = Arc::new(arrow::array::BooleanArray::from(vec![true, false]));
        let cast = assign(&booleans, &SqlType::Text).expect("always");
        assert_eq!(cast.as_string_view().iter().flatten().collect::<Vec<_>>(), ["true", "false"]);
        let cast = assign(&floats(&[1.0]), &SqlType::Varchar(3)).expect("always");
        assert_eq!(cast.as_string_view().value(0), "1");
    }
}
