//! Trigonometry in degrees, exact where PostgreSQL's is: `sind(30)` is 0.5.

use super::plain::Plain;
use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> [Arc<ScalarUDF>; 8] {
    [
        Plain::udf("sind", 1, |_| Ok(DataType::Float64), |a, _| of_angle(a, sine)),
        Plain::udf("cosd", 1, |_| Ok(DataType::Float64), |a, _| of_angle(a, cosine)),
        Plain::udf("tand", 1, |_| Ok(DataType::Float64), |a, _| of_angle(a, tangent)),
        Plain::udf("cotd", 1, |_| Ok(DataType::Float64), |a, _| of_angle(a, cotangent)),
        Plain::udf("asind", 1, |_| Ok(DataType::Float64), |a, _| of_ratio(a, arc_sine)),
        Plain::udf("acosd", 1, |_| Ok(DataType::Float64), |a, _| of_ratio(a, arc_cosine)),
        Plain::udf(
            "atand",
            1,
            |_| Ok(DataType::Float64),
            |a, _| each(&a[0], |x| Ok(x.atan() / 1_f64.atan() * 45.0)),
        ),
        Plain::udf("atan2d", 2, |_| Ok(DataType::Float64), |a, _| quotient_angle(a)),
    ]
}

fn each(array: &ArrayRef, f: impl Fn(f64) -> Result<f64, Error>) -> Result<ArrayRef> {
    let values = cast(array, &DataType::Float64)?;
    let values = values.as_primitive::<Float64Type>();
    let results: Float64Array =
        values.iter().map(|v| v.map(&f).transpose()).collect::<Result<_, Error>>()?;
    Ok(Arc::new(results))
}

fn out_of_range() -> Error {
    Error::new(SqlState::NumericValueOutOfRange, "input is out of range")
}

/// An angle within one turn; NaN stays itself.
fn of_angle(arrays: &[ArrayRef], f: fn(f64) -> f64) -> Result<ArrayRef> {
    each(&arrays[0], |x| match x.is_infinite() {
        true => Err(out_of_range()),
        false => Ok(f(x % 360.0)),
    })
}

fn of_ratio(arrays: &[ArrayRef], f: fn(f64) -> f64) -> Result<ArrayRef> {
    each(&arrays[0], |x| match x.abs() > 1.0 {
        true => Err(out_of_range()),
        false => Ok(f(x)),
    })
}

fn quotient_angle(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (y, x) = (cast(&arrays[0], &DataType::Float64)?, cast(&arrays[1], &DataType::Float64)?);
    let pairs = y.as_primitive::<Float64Type>().iter().zip(x.as_primitive::<Float64Type>());
    let angles: Float64Array =
        pairs.map(|(y, x)| y.zip(x).map(|(y, x)| y.atan2(x) / 1_f64.atan() * 45.0)).collect();
    Ok(Arc::new(angles))
}

fn sine_to_30(x: f64) -> f64 {
    x.to_radians().sin() / 30_f64.to_radians().sin() / 2.0
}

fn cosine_to_60(x: f64) -> f64 {
    1.0 - (1.0 - x.to_radians().cos()) / (1.0 - 60_f64.to_radians().cos()) / 2.0
}

/// From 0 to 90 degrees.
fn first_sine(x: f64) -> f64 {
    if x <= 30.0 { sine_to_30(x) } else { cosine_to_60(90.0 - x) }
}

/// From 0 to 90 degrees.
fn first_cosine(x: f64) -> f64 {
    if x <= 60.0 { cosine_to_60(x) } else { sine_to_30(90.0 - x) }
}

/// An angle of less than a turn in the first quadrant, and the signs of its sine and its cosine.
fn folded(x: f64) -> (f64, f64, f64) {
    let (mut angle, mut sine, mut cosine) = (x.abs(), x.signum(), 1.0);
    if angle > 180.0 {
        (angle, sine) = (360.0 - angle, -sine);
    }
    if angle > 90.0 {
        (angle, cosine) = (180.0 - angle, -cosine);
    }
    (angle, sine, cosine)
}

fn sine(x: f64) -> f64 {
    let (angle, sign, _) = folded(x);
    sign * first_sine(angle)
}

fn cosine(x: f64) -> f64 {
    let (angle, _, sign) = folded(x);
    sign * first_cosine(angle)
}

fn tangent(x: f64) -> f64 {
    let (angle, sine, cosine) = folded(x);
    let at_45 = first_sine(45.0) / first_cosine(45.0);
    // Zero has no sign.
    sine * cosine * (first_sine(angle) / first_cosine(angle) / at_45) + 0.0
}

fn cotangent(x: f64) -> f64 {
    let (angle, sine, cosine) = folded(x);
    let at_45 = first_cosine(45.0) / first_sine(45.0);
    sine * cosine * (first_cosine(angle) / first_sine(angle) / at_45) + 0.0
}

/// From 0 to 1.
fn first_arc_sine(x: f64) -> f64 {
    match x <= 0.5 {
        true => x.asin() / 0.5_f64.asin() * 30.0,
        false => 90.0 - x.acos() / 0.5_f64.acos() * 60.0,
    }
}

fn arc_sine(x: f64) -> f64 {
    if x < 0.0 { -first_arc_sine(-x) } else { first_arc_sine(x) }
}

fn arc_cosine(x: f64) -> f64 {
    if x < 0.0 {
        90.0 + first_arc_sine(-x)
    } else if x <= 0.5 {
        90.0 - x.asin() / 0.5_f64.asin() * 30.0
    } else {
        x.acos() / 0.5_f64.acos() * 60.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "these are exact")]
    fn round_angles_are_exact() {
        assert_eq!((sine(30.0), sine(-30.0), sine(330.0)), (0.5, -0.5, -0.5));
        assert_eq!((cosine(60.0), cosine(120.0), cosine(90.0)), (0.5, -0.5, 0.0));
        assert_eq!((tangent(45.0), tangent(135.0), tangent(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((arc_sine(0.5), arc_cosine(-0.5), cotangent(45.0)), (30.0, 120.0, 1.0));
    }
}
