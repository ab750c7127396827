//! Small functions that DataFusion lacks: bits, buckets, and texts of types that are kept as text.

use super::plain::Plain;
use super::template::shown_type;
use crate::error::Error;
use crate::format::{check_json, normal_uuid};
use crate::sqlstate::SqlState;
use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int32Array, ListArray, StringViewArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use datafusion::common::Result;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> [Arc<ScalarUDF>; 9] {
    let text = |_: &ReturnFieldArgs<'_>| Ok(DataType::Utf8View);
    let number = |_: &ReturnFieldArgs<'_>| Ok(DataType::Int32);
    [
        Plain::udf("bitwise_not", 1, integer, bitwise_not),
        Plain::udf("to_hex", 1, |args| integer(args).map(|_| DataType::Utf8View), to_hex),
        Plain::udf("min_scale", 1, number, min_scale),
        Plain::udf("scale", 1, number, |arrays, _| Ok(scale(&arrays[0]))),
        Plain::udf("array_dims", 1, text, |arrays, _| Ok(array_dims(&arrays[0]))),
        Plain::udf("width_bucket", 4, number, width_bucket),
        Plain::udf(
            "rows_or_none",
            1,
            |args| Ok(args.arg_fields[0].data_type().clone()),
            |arrays, _| rows_or_none(&arrays[0]),
        ),
        Plain::udf("uuid_input", 1, text, |arrays, _| checked(&arrays[0], normal_uuid)),
        Plain::udf("json_input", 1, text, |arrays, _| {
            checked(&arrays[0], |text| check_json(text).map(|()| text.to_owned()))
        }),
    ]
}

/// The argument's type, which is a whole number's.
fn integer(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let found = args.arg_fields[0].data_type();
    if found.is_signed_integer() {
        return Ok(found.clone());
    }
    if found.is_null() {
        return Ok(DataType::Int32);
    }
    let message = format!("there is no such operator or function for type {}", shown_type(found));
    Err(Error::new(SqlState::UndefinedFunction, message).hint("It takes whole numbers.").into())
}

/// Arrays with empty ones in the place of NULL.
fn rows_or_none(array: &ArrayRef) -> Result<ArrayRef> {
    let Some(lists) = array.as_list_opt::<i32>().filter(|lists| lists.null_count() > 0) else {
        return Ok(array.clone());
    };
    let DataType::List(field) = lists.data_type() else { return Ok(array.clone()) };
    let offsets = lists.value_offsets();
    let range = |row: usize| match lists.is_valid(row) {
        true => offsets[row]..offsets[row + 1],
        false => 0..0,
    };
    let lengths = OffsetBuffer::from_lengths((0..lists.len()).map(|row| range(row).len()));
    let places: Int32Array = (0..lists.len()).flat_map(range).collect::<Vec<i32>>().into();
    let values = take(lists.values(), &places, None)?;
    Ok(Arc::new(ListArray::new(field.clone(), lengths, values, None)))
}

fn bitwise_not(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let array = &arrays[0];
    Ok(match array.data_type() {
        DataType::Int8 => Arc::new(array.as_primitive::<Int8Type>().unary::<_, Int8Type>(|v| !v)),
        DataType::Int16 => {
            Arc::new(array.as_primitive::<Int16Type>().unary::<_, Int16Type>(|v| !v))
        }
        DataType::Int64 => {
            Arc::new(array.as_primitive::<Int64Type>().unary::<_, Int64Type>(|v| !v))
        }
        _ => {
            let array = cast(array, &DataType::Int32)?;
            Arc::new(array.as_primitive::<Int32Type>().unary::<_, Int32Type>(|v| !v))
        }
    })
}

/// Negative numbers are shown as the unsigned ones of the same bits, eight digits for an integer.
fn to_hex(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let long = *arrays[0].data_type() == DataType::Int64;
    let numbers = cast(&arrays[0], &DataType::Int64)?;
    let hex = |v: i64| match long {
        true => format!("{v:x}"),
        false => format!("{:x}", v as i32),
    };
    let texts: StringViewArray =
        numbers.as_primitive::<Int64Type>().iter().map(|v| v.map(hex)).collect();
    Ok(Arc::new(texts))
}

/// The digits behind the point that a number needs.
fn min_scale(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let DataType::Decimal128(_, scale) = arrays[0].data_type() else {
        let zero = |row: usize| arrays[0].is_valid(row).then_some(0);
        return Ok(Arc::new((0..arrays[0].len()).map(zero).collect::<Int32Array>()));
    };
    let needed = |mut value: i128| {
        let mut digits = i32::from(*scale);
        while digits > 0 && value % 10 == 0 {
            value /= 10;
            digits -= 1;
        }
        digits.max(0)
    };
    let scales: Int32Array =
        arrays[0].as_primitive::<Decimal128Type>().iter().map(|v| v.map(needed)).collect();
    Ok(Arc::new(scales))
}

/// The digits behind the point that a number has.
fn scale(array: &ArrayRef) -> ArrayRef {
    let digits = match array.data_type() {
        DataType::Decimal128(_, scale) => i32::from(*scale),
        _ => 0,
    };
    let is_null = |row: usize| array.data_type().is_null() || array.is_null(row);
    let scales = (0..array.len()).map(|row| (!is_null(row)).then_some(digits));
    Arc::new(scales.collect::<Int32Array>())
}

/// The bounds of each dimension as text: `[1:2][1:3]`.
fn array_dims(array: &ArrayRef) -> ArrayRef {
    let dims = |row| {
        let lengths = lengths(array, row);
        let shown: String = lengths.iter().map(|length| format!("[1:{length}]")).collect();
        (!shown.is_empty()).then_some(shown)
    };
    Arc::new((0..array.len()).map(dims).collect::<StringViewArray>())
}

/// How many elements an array has in each dimension; none for NULL and for an empty one.
fn lengths(array: &ArrayRef, row: usize) -> Vec<usize> {
    let Some(lists) = array.as_list_opt::<i32>().filter(|lists| lists.is_valid(row)) else {
        return Vec::new();
    };
    let elements = lists.value(row);
    if elements.is_empty() {
        return Vec::new();
    }
    let mut all = vec![elements.len()];
    all.extend(lengths(&elements, 0));
    all
}

fn wrong_bucket(message: &str) -> Error {
    Error::new(SqlState::InvalidArgumentForWidthBucket, message)
}

/// The bucket of so many equal ones between two bounds; 0 and one more than there are lie outside.
fn width_bucket(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let counts = cast(&arrays[3], &DataType::Int32)?;
    let counts = counts.as_primitive::<Int32Type>();
    let decimal = |a: &ArrayRef| matches!(a.data_type(), DataType::Decimal128(..));
    let exact = arrays[..3].iter().any(decimal)
        && arrays[..3].iter().all(|a| decimal(a) || a.data_type().is_integer());
    let valid = |row: usize| arrays.iter().all(|a| !a.data_type().is_null() && a.is_valid(row));
    let rows = 0..counts.len();
    let buckets: Int32Array = if exact {
        let scale = arrays[..3].iter().map(|a| match a.data_type() {
            DataType::Decimal128(_, scale) => *scale,
            _ => 0,
        });
        let common = DataType::Decimal128(38, scale.max().unwrap_or(0));
        let numbers = arrays[..3]
            .iter()
            .map(|a| Ok(cast(a, &common)?.as_primitive::<Decimal128Type>().clone()))
            .collect::<Result<Vec<Decimal128Array>>>()?;
        rows.map(|row| {
            valid(row)
                .then(|| {
                    let [value, low, high] = [0, 1, 2].map(|i| numbers[i].value(row));
                    exact_bucket(value, low, high, counts.value(row))
                })
                .transpose()
        })
        .collect::<Result<_, Error>>()?
    } else {
        let numbers = arrays[..3]
            .iter()
            .map(|a| Ok(cast(a, &DataType::Float64)?.as_primitive::<Float64Type>().clone()))
            .collect::<Result<Vec<_>>>()?;
        rows.map(|row| {
            valid(row)
                .then(|| {
                    let [value, low, high] = [0, 1, 2].map(|i| numbers[i].value(row));
                    float_bucket(value, low, high, counts.value(row))
                })
                .transpose()
        })
        .collect::<Result<_, Error>>()?
    };
    Ok(Arc::new(buckets))
}

fn outside(count: i32) -> Result<i32, Error> {
    let message = "integer out of range";
    count.checked_add(1).ok_or_else(|| Error::new(SqlState::NumericValueOutOfRange, message))
}

fn exact_bucket(value: i128, low: i128, high: i128, count: i32) -> Result<i32, Error> {
    if count <= 0 {
        return Err(wrong_bucket("count must be greater than zero"));
    }
    if low == high {
        return Err(wrong_bucket("lower bound cannot equal upper bound"));
    }
    let (distance, width) =
        if low < high { (value - low, high - low) } else { (low - value, low - high) };
    if distance < 0 {
        return Ok(0);
    }
    if distance >= width {
        return outside(count);
    }
    let scaled = distance.checked_mul(i128::from(count)).ok_or_else(|| {
        Error::new(SqlState::NumericValueOutOfRange, "value out of range: overflow")
    })?;
    Ok(i32::try_from(scaled / width).unwrap_or(i32::MAX - 1) + 1)
}

fn float_bucket(value: f64, low: f64, high: f64, count: i32) -> Result<i32, Error> {
    if count <= 0 {
        return Err(wrong_bucket("count must be greater than zero"));
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return Err(wrong_bucket("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(wrong_bucket("lower and upper bounds must be finite"));
    }
    if low == high {
        return Err(wrong_bucket("lower bound cannot equal upper bound"));
    }
    let (distance, width) =
        if low < high { (value - low, high - low) } else { (low - value, low - high) };
    if distance < 0.0 {
        return Ok(0);
    }
    if distance >= width {
        return outside(count);
    }
    // Rounding may have made the quotient one.
    let bucket = (f64::from(count) * (distance / width)) as i32;
    Ok(bucket.min(count - 1) + 1)
}

/// Texts, each looked at, and written in its normal way.
fn checked(array: &ArrayRef, normal: fn(&str) -> Result<String, Error>) -> Result<ArrayRef> {
    let texts = cast(array, &DataType::Utf8View)?;
    let normal: StringViewArray = texts
        .as_string_view()
        .iter()
        .map(|text| text.map(normal).transpose())
        .collect::<Result<_, Error>>()?;
    Ok(Arc::new(normal))
}
