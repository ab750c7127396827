//! Numbers: rounding of numerics, domains of functions, floats that do not overflow silently.

use super::plain::Plain;
use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type,
};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
};
use std::sync::{Arc, LazyLock};

/// Which way numbers go when digits are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rounding {
    /// Half away from zero.
    Nearest,
    /// Towards zero.
    Cut,
    Up,
    Down,
}

/// A numeric of `scale` rounded to `digits` behind the point, as one of `scale_after`.
pub(super) fn rescale(
    value: i128,
    scale: i8,
    digits: i64,
    scale_after: i8,
    rounding: Rounding,
) -> Result<i128> {
    let dropped = i64::from(scale) - digits;
    let rounded = match u32::try_from(dropped) {
        Ok(dropped) if dropped > 38 => 0,
        Ok(dropped) if dropped > 0 => {
            let unit = 10i128.pow(dropped);
            let rest = value % unit;
            let down = value - rest;
            match rounding {
                Rounding::Nearest if rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2) => {
                    down + unit * value.signum()
                }
                Rounding::Up if rest > 0 => down + unit,
                Rounding::Down if rest < 0 => down - unit,
                _ => down,
            }
        }
        _ => value,
    };
    let shift = i32::from(scale_after) - i32::from(scale);
    let power = 10i128.checked_pow(shift.unsigned_abs()).ok_or_else(overflow)?;
    if shift < 0 {
        return Ok(rounded / power);
    }
    Ok(rounded.checked_mul(power).ok_or_else(overflow)?)
}

fn overflow() -> Error {
    Error::new(SqlState::NumericValueOutOfRange, "numeric field overflow")
}

fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::NumericValueOutOfRange, format!("value out of range: {what}"))
}

/// Arguments as floats, all of the same length.
fn floats(args: &ScalarFunctionArgs) -> Result<Vec<Float64Array>> {
    let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    args.args
        .iter()
        .map(|a| {
            let array = arrow::compute::cast(&a.to_array(rows)?, &DataType::Float64)?;
            Ok(array.as_primitive::<Float64Type>().clone())
        })
        .collect()
}

/// 2201E for what has no logarithm.
pub(super) fn check_logarithm(args: &ScalarFunctionArgs) -> Result<()> {
    for value in floats(args)?.iter().flat_map(|a| a.iter().flatten()) {
        let what = if value == 0.0 {
            "zero"
        } else if value < 0.0 {
            "a negative number"
        } else {
            continue;
        };
        let message = format!("cannot take logarithm of {what}");
        return Err(Error::new(SqlState::InvalidArgumentForLogarithm, message).into());
    }
    Ok(())
}

/// 2201F for negative numbers.
pub(super) fn check_square_root(args: &ScalarFunctionArgs) -> Result<()> {
    if floats(args)?.iter().flat_map(|a| a.iter().flatten()).any(|v| v < 0.0) {
        let message = "cannot take square root of a negative number";
        return Err(Error::new(SqlState::InvalidArgumentForPower, message).into());
    }
    Ok(())
}

/// 2201F where a power is undefined or no real number, 22003 where it is too large.
pub(super) fn check_power(args: &ScalarFunctionArgs) -> Result<()> {
    let arrays = floats(args)?;
    let [base, exponent] = arrays.as_slice() else { return Ok(()) };
    for (base, exponent) in base.iter().zip(exponent) {
        let (Some(base), Some(exponent)) = (base, exponent) else { continue };
        let message = if base == 0.0 && exponent < 0.0 {
            "zero raised to a negative power is undefined"
        } else if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
            "a negative number raised to a non-integer power yields a complex result"
        } else if base.is_finite() && exponent.is_finite() && base.powf(exponent).is_infinite() {
            return Err(out_of_range("overflow").into());
        } else {
            continue;
        };
        return Err(Error::new(SqlState::InvalidArgumentForPower, message).into());
    }
    Ok(())
}

/// 22003 where the result is too large.
pub(super) fn check_exp(args: &ScalarFunctionArgs, result: ColumnarValue) -> Result<ColumnarValue> {
    if floats(args)?
        .iter()
        .flat_map(|a| a.iter().flatten())
        .any(|v| v.is_finite() && v.exp().is_infinite())
    {
        return Err(out_of_range("overflow").into());
    }
    Ok(result)
}

/// Where a function is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Domain {
    /// From -1 to 1.
    Unit,
    /// From 1.
    FromOne,
    /// The numbers of characters but 0, which no text can hold.
    Characters,
}

/// Refuses what lies outside of a function's domain; DataFusion answers NaN, or NUL.
pub(super) fn check_domain(args: &ScalarFunctionArgs, domain: Domain) -> Result<()> {
    let rows = match &args.args[0] {
        ColumnarValue::Array(_) => args.number_rows,
        ColumnarValue::Scalar(_) => 1,
    };
    let values = arrow::compute::cast(&args.args[0].to_array(rows)?, &DataType::Float64)?;
    let values = values.as_primitive::<Float64Type>();
    for value in values.iter().flatten() {
        let (defined, code, message) = match domain {
            Domain::Unit => (
                value.abs() <= 1.0 || value.is_nan(),
                SqlState::NumericValueOutOfRange,
                "input is out of range",
            ),
            Domain::FromOne => (
                value >= 1.0 || value.is_nan(),
                SqlState::NumericValueOutOfRange,
                "input is out of range",
            ),
            Domain::Characters => {
                (value != 0.0, SqlState::ProgramLimitExceeded, "null character not permitted")
            }
        };
        if !defined {
            return Err(Error::new(code, message).into());
        }
    }
    Ok(())
}

/// 22003 for the one number of each integer type that has no positive counterpart.
pub(super) fn check_abs(args: &ScalarFunctionArgs) -> Result<()> {
    fn holds<T: ArrowPrimitiveType<Native: PartialEq>>(array: &ArrayRef, least: T::Native) -> bool {
        array.as_primitive::<T>().iter().flatten().any(|v| v == least)
    }
    let array = args.args[0].to_array(args.number_rows)?;
    let (found, name) = match array.data_type() {
        DataType::Int8 => (holds::<Int8Type>(&array, i8::MIN), "smallint"),
        DataType::Int16 => (holds::<Int16Type>(&array, i16::MIN), "smallint"),
        DataType::Int32 => (holds::<Int32Type>(&array, i32::MIN), "integer"),
        DataType::Int64 => (holds::<Int64Type>(&array, i64::MIN), "bigint"),
        _ => return Ok(()),
    };
    if found {
        let message = format!("{name} out of range");
        return Err(Error::new(SqlState::NumericValueOutOfRange, message).into());
    }
    Ok(())
}

/// `div(a, b)`: the whole part of a quotient.
pub(super) fn div() -> Arc<ScalarUDF> {
    fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        let whole = args.arg_fields.iter().all(|f| f.data_type().is_integer());
        Ok(if whole { DataType::Int64 } else { DataType::Decimal128(38, 0) })
    }
    fn body(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
        if *args.return_field.data_type() == DataType::Int64 {
            let whole = |a: &ArrayRef| arrow::compute::cast(a, &DataType::Int64);
            return Ok(arrow::compute::kernels::numeric::div(
                &whole(&arrays[0])?,
                &whole(&arrays[1])?,
            )?);
        }
        let decimal = |a: &ArrayRef| match a.data_type() {
            DataType::Decimal128(..) => Ok(a.clone()),
            _ => arrow::compute::cast(a, &DataType::Decimal128(28, 8)),
        };
        let (left, right) = (decimal(&arrays[0])?, decimal(&arrays[1])?);
        // a - a % b is a multiple of b: the quotient has no fraction to round.
        let rest = arrow::compute::kernels::numeric::rem(&left, &right)?;
        let multiple = arrow::compute::kernels::numeric::sub(&left, &rest)?;
        let quotient = arrow::compute::kernels::numeric::div(&multiple, &right)?;
        Ok(arrow::compute::cast(&quotient, &DataType::Decimal128(38, 0))?)
    }
    Plain::udf("div", 2, returns, body)
}

/// The function that does what an operator does, for floats: 22012 for a zero divisor, 22003 where
/// finite numbers give an infinite one.
pub(in crate::planner) fn float_operator(operator: Operator) -> Option<&'static Arc<ScalarUDF>> {
    static ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| float_udf("float_add"));
    static SUBTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| float_udf("float_subtract"));
    static MULTIPLY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| float_udf("float_multiply"));
    static DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| float_udf("float_divide"));
    Some(match operator {
        Operator::Plus => &*ADD,
        Operator::Minus => &*SUBTRACT,
        Operator::Multiply => &*MULTIPLY,
        Operator::Divide => &*DIVIDE,
        _ => return None,
    })
}

fn float_udf(name: &'static str) -> Arc<ScalarUDF> {
    fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        Ok(args.arg_fields[0].data_type().clone())
    }
    let body = match name {
        "float_add" => add,
        "float_subtract" => subtract,
        "float_multiply" => multiply,
        _ => divide,
    };
    Plain::udf(name, 2, returns, body)
}

fn add(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    finite(arrow::compute::kernels::numeric::add(&arrays[0], &arrays[1])?, arrays)
}

fn subtract(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    finite(arrow::compute::kernels::numeric::sub(&arrays[0], &arrays[1])?, arrays)
}

fn multiply(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    finite(arrow::compute::kernels::numeric::mul(&arrays[0], &arrays[1])?, arrays)
}

fn divide(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let zero = |i: usize| at(&arrays[1], i) == Some(0.0) && at(&arrays[0], i).is_some();
    // Rows are looked at one by one only if there is an infinite or undefined quotient.
    let quotient = arrow::compute::kernels::numeric::div(&arrays[0], &arrays[1])?;
    let undefined = |v: f64| v.is_infinite() || v.is_nan();
    let suspicious = (0..quotient.len()).filter(|i| at(&quotient, *i).is_some_and(undefined));
    for i in suspicious {
        if zero(i) && !at(&arrays[0], i).is_some_and(f64::is_nan) {
            return Err(Error::new(SqlState::DivisionByZero, "division by zero").into());
        }
    }
    finite(quotient, arrays)
}

fn at(array: &ArrayRef, row: usize) -> Option<f64> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(row)),
        _ => array.as_primitive::<Float64Type>().value(row),
    })
}

/// Whether any value is infinite, and any not a number.
fn unusual<T: Copy>(values: &[T], test: impl Fn(T) -> (bool, bool)) -> (bool, bool) {
    values.iter().fold((false, false), |(infinite, nan), v| {
        let (is_infinite, is_nan) = test(*v);
        (infinite | is_infinite, nan | is_nan)
    })
}

/// All NaN in one form: the processor's own has a sign, and sorts before all numbers.
fn one_nan(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            Arc::new(values.unary::<_, Float32Type>(|v| if v.is_nan() { f32::NAN } else { v }))
        }
        _ => {
            let values = array.as_primitive::<Float64Type>();
            Arc::new(values.unary::<_, Float64Type>(|v| if v.is_nan() { f64::NAN } else { v }))
        }
    }
}

/// `-x` for floats.
pub(in crate::planner) fn negate_float() -> &'static Arc<ScalarUDF> {
    static NEGATE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        fn body(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
            Ok(one_nan(&arrow::compute::kernels::numeric::neg(&arrays[0])?))
        }
        Plain::udf("float_negate", 1, |args| Ok(args.arg_fields[0].data_type().clone()), body)
    });
    &NEGATE
}

/// Refuses infinite results of finite operands.
fn finite(result: ArrayRef, operands: &[ArrayRef]) -> Result<ArrayRef> {
    let (any_infinite, any_nan) = match result.data_type() {
        DataType::Float32 => unusual(result.as_primitive::<Float32Type>().values(), |v| {
            (v.is_infinite(), v.is_nan())
        }),
        _ => unusual(result.as_primitive::<Float64Type>().values(), |v| {
            (v.is_infinite(), v.is_nan())
        }),
    };
    let result = if any_nan { one_nan(&result) } else { result };
    if !any_infinite {
        return Ok(result);
    }
    for i in (0..result.len()).filter(|i| at(&result, *i).is_some_and(f64::is_infinite)) {
        if operands.iter().all(|o| at(o, i).is_some_and(f64::is_finite)) {
            return Err(out_of_range("overflow").into());
        }
    }
    Ok(result)
}
