//! How a sum and a count become an average, for each numeric type.

use arrow::datatypes::{ArrowPrimitiveType, Decimal128Type, Float64Type, Int64Type, i256};
use datafusion_common::Result;

use crate::total::{
    BigInts, Decimals, Doubles, Native, Reals, SmallInts, Times, Total, UnsignedInts, numeric,
    numeric_overflow,
};

/// A total that has an average.
pub(crate) trait Mean: Total {
    /// The type of the average.
    type Average: ArrowPrimitiveType + Send;

    /// The average of `count` values, which is above 0; its scale is `shift` digits more
    /// than the sum's.
    fn mean(sum: Native<Self::State>, count: u64, shift: u32) -> Result<Native<Self::Average>>;
}

impl<T> Mean for SmallInts<T>
where
    SmallInts<T>: Total<State = Int64Type>,
{
    type Average = Decimal128Type;
    fn mean(sum: i64, count: u64, shift: u32) -> Result<i128> {
        divide(i128::from(sum), count, shift).ok_or_else(numeric_overflow)
    }
}

impl Mean for BigInts {
    type Average = Decimal128Type;
    fn mean(sum: i128, count: u64, shift: u32) -> Result<i128> {
        divide(sum, count, shift).ok_or_else(numeric_overflow)
    }
}

impl Mean for UnsignedInts {
    type Average = Decimal128Type;
    fn mean(sum: i128, count: u64, shift: u32) -> Result<i128> {
        divide(sum, count, shift).ok_or_else(numeric_overflow)
    }
}

impl Mean for Decimals {
    type Average = Decimal128Type;
    fn mean(sum: i128, count: u64, shift: u32) -> Result<i128> {
        divide(sum, count, shift).ok_or_else(numeric_overflow)
    }
}

impl Mean for Reals {
    type Average = Float64Type;
    fn mean(sum: f64, count: u64, _: u32) -> Result<f64> {
        Ok(sum / count as f64)
    }
}

impl Mean for Doubles {
    type Average = Float64Type;
    fn mean(sum: f64, count: u64, _: u32) -> Result<f64> {
        Ok(sum / count as f64)
    }
}

impl<T> Mean for Times<T>
where
    T: ArrowPrimitiveType<Native = i64> + Send,
    Times<T>: Total<State = T>,
{
    type Average = T;
    fn mean(sum: i64, count: u64, _: u32) -> Result<i64> {
        let mean = divide(i128::from(sum), count, 0).and_then(|mean| i64::try_from(mean).ok());
        mean.ok_or_else(Self::overflow)
    }
}

/// `sum` × 10^`shift` / `count`, rounded half away from zero; `None` beyond 38 digits.
/// The product is made in 128 bits where it fits, which is nearly always, else in 256.
fn divide(sum: i128, count: u64, shift: u32) -> Option<i128> {
    let count = i128::from(count);
    let power = 10i128.checked_pow(shift)?;
    let mean = match sum.checked_mul(power) {
        Some(product) => {
            let (quotient, rest) = (product / count, product % count);
            // |rest| is below 2⁶⁴, so that doubling it cannot overflow.
            let up = 2 * rest.abs() >= count;
            quotient + if up { product.signum() } else { 0 }
        }
        None => {
            let product = i256::from_i128(sum).checked_mul(i256::from_i128(power))?;
            let quotient = product.checked_div(i256::from_i128(count))?.to_i128()?;
            let rest = product.checked_rem(i256::from_i128(count))?.to_i128()?;
            let up = 2 * rest.abs() >= count;
            quotient.checked_add(if up { sum.signum() } else { 0 })?
        }
    };
    numeric(mean)
}

/// Evaluates an expression with `$total` standing for the [`Mean`] of a type.
macro_rules! with_mean {
    ($data_type:expr, $total:ident => $body:expr) => {{
        use arrow::datatypes as types;
        use arrow::datatypes::{DataType, TimeUnit};
        use $crate::total;
        macro_rules! with {
            ($kind:ty) => {{
                type $total = $kind;
                $body
            }};
        }
        match $data_type {
            DataType::Int16 => with!(total::SmallInts<types::Int16Type>),
            DataType::Int32 => with!(total::SmallInts<types::Int32Type>),
            DataType::Int64 => with!(total::BigInts),
            DataType::UInt64 => with!(total::UnsignedInts),
            DataType::Float32 => with!(total::Reals),
            DataType::Float64 => with!(total::Doubles),
            DataType::Decimal128(_, _) => with!(total::Decimals),
            DataType::Duration(TimeUnit::Second) => with!(total::Times<types::DurationSecondType>),
            DataType::Duration(TimeUnit::Millisecond) => {
                with!(total::Times<types::DurationMillisecondType>)
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                with!(total::Times<types::DurationMicrosecondType>)
            }
            DataType::Duration(TimeUnit::Nanosecond) => {
                with!(total::Times<types::DurationNanosecondType>)
            }
            other => datafusion_common::internal_err!("no average of {other}"),
        }
    }};
}
pub(crate) use with_mean;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_round_half_away_from_zero() {
        assert_eq!(divide(1, 2, 0), Some(1));
        assert_eq!(divide(-1, 2, 0), Some(-1));
        assert_eq!(divide(1, 3, 4), Some(3333));
        assert_eq!(divide(-2, 3, 4), Some(-6667));
        assert_eq!(divide(7, 7, 16), Some(10i128.pow(16)));
        assert_eq!(divide(0, 7, 16), Some(0));
    }

    #[test]
    fn large_sums_take_the_wide_path() {
        // 10^37 × 10^16 / 10^18 = 10^35, and a remainder that rounds up.
        assert_eq!(divide(10i128.pow(37), 10u64.pow(18), 16), Some(10i128.pow(35)));
        assert_eq!(divide(-(10i128.pow(37) + 150), 10u64.pow(18), 16), Some(-(10i128.pow(35) + 2)));
        assert_eq!(divide(10i128.pow(37), 1, 16), None);
        assert_eq!(divide(10i128.pow(37), 1, 1), None);
    }
}
