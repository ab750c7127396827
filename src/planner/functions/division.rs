//! Quotients of numerics.

use super::plain::Plain;
use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, cast};
use std::sync::{Arc, LazyLock};

/// The digits after the point that a quotient has at least, as an average has.
///
/// PostgreSQL shows as many as make 16 significant ones, which depends on the value.
const SCALE: i8 = 16;

/// True where a quotient is a numeric: both sides are numerics or integers, and one is a numeric.
pub(in crate::planner) fn is_quotient(left: &DataType, right: &DataType) -> bool {
    let is_numeric = |t: &DataType| matches!(t, DataType::Decimal128(..));
    let fits = |t: &DataType| is_numeric(t) || whole(t).is_some();
    (is_numeric(left) || is_numeric(right)) && fits(left) && fits(right)
}

/// `left / right` where [`is_quotient`] says so.
pub(in crate::planner) fn quotient(left: (Expr, &DataType), right: (Expr, &DataType)) -> Expr {
    static DIVIDE: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Plain::udf("numeric_divide", 2, returns, divide));
    let numeric = |(expr, data_type): (Expr, &DataType)| match whole(data_type) {
        Some(numeric) => cast(expr, numeric),
        None => expr,
    };
    DIVIDE.call(vec![numeric(left), numeric(right)])
}

/// The numeric that holds all values of an integer type.
pub(in crate::planner) fn whole(data_type: &DataType) -> Option<DataType> {
    let digits = match data_type {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        _ => return None,
    };
    Some(DataType::Decimal128(digits, 0))
}

fn scale_of(data_type: &DataType) -> i8 {
    match data_type {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let scales = args.arg_fields.iter().map(|f| scale_of(f.data_type()));
    Ok(DataType::Decimal128(38, scales.fold(SCALE, i8::max)))
}

fn divide(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let scale = scale_of(args.return_field.data_type());
    let [left, right] = arrays else { return Err(overflow().into()) };
    // left / 10^l : right / 10^r = (left · 10^(scale + r − l) / right) / 10^scale
    let shift = scale + scale_of(right.data_type()) - scale_of(left.data_type());
    let power = 10i128.checked_pow(shift.unsigned_abs().into()).ok_or_else(overflow)?;
    let left = left.as_primitive::<Decimal128Type>();
    let right = right.as_primitive::<Decimal128Type>();
    let quotients = (0..left.len()).map(|row| {
        if left.is_null(row) || right.is_null(row) {
            return Ok(None);
        }
        one(left.value(row), right.value(row), power).map(Some)
    });
    let quotients = quotients.collect::<Result<Decimal128Array>>()?;
    Ok(Arc::new(quotients.with_precision_and_scale(38, scale)?))
}

/// `left · power / right`, rounded half away from zero.
fn one(left: i128, right: i128, power: i128) -> Result<i128> {
    if right == 0 {
        return Err(Error::new(SqlState::DivisionByZero, "division by zero").into());
    }
    let quotient = match left.checked_mul(power) {
        Some(product) => {
            let (whole, rest) = (product / right, product % right);
            let up = rest.unsigned_abs() >= right.unsigned_abs() - rest.unsigned_abs();
            whole + i128::from(up) * product.signum() * right.signum()
        }
        None => {
            let (wide, divisor) = (i256::from_i128(left), i256::from_i128(right));
            let product = wide.checked_mul(i256::from_i128(power)).ok_or_else(overflow)?;
            let whole = product.checked_div(divisor).ok_or_else(overflow)?;
            let rest = product.checked_rem(divisor).ok_or_else(overflow)?;
            let rest = rest.to_i128().ok_or_else(overflow)?.unsigned_abs();
            let up = rest >= right.unsigned_abs() - rest;
            let whole = whole.to_i128().ok_or_else(overflow)?;
            whole + i128::from(up) * left.signum() * right.signum()
        }
    };
    match quotient.unsigned_abs() < 10u128.pow(38) {
        true => Ok(quotient),
        false => Err(overflow().into()),
    }
}

fn overflow() -> Error {
    Error::new(SqlState::NumericValueOutOfRange, "numeric field overflow")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_round_half_away_from_zero() {
        assert_eq!(one(1, 3, 10_000).unwrap(), 3_333);
        assert_eq!(one(2, 3, 10_000).unwrap(), 6_667);
        assert_eq!(one(-2, 3, 10_000).unwrap(), -6_667);
        assert_eq!(one(1, -8, 100).unwrap(), -13);
        assert_eq!(one(5, 2, 1).unwrap(), 3);
        assert!(one(1, 0, 1).is_err());
    }

    #[test]
    fn what_does_not_fit_on_the_way_is_right_all_the_same() {
        // 3·10^37 · 10^16 / (3·10^37) and the like, beyond 128 bits.
        let large = 3 * 10i128.pow(37);
        assert_eq!(one(large, large, 10i128.pow(16)).unwrap(), 10i128.pow(16));
        assert_eq!(one(-large, 2 * large, 10i128.pow(16)).unwrap(), -5 * 10i128.pow(15));
        assert!(one(large, 1, 10i128.pow(16)).is_err());
    }
}
