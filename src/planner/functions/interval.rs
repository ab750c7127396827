//! Intervals: reading, multiplying, and the order that comparisons use.

use super::plain::Plain;
use crate::error::Error;
use crate::format::{EncodeSettings, parse_text};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, DurationMicrosecondType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};
use std::sync::{Arc, LazyLock};

pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const DAY_NANOS: i64 = 86_400_000_000_000;
const DAY_MICROS: i64 = 86_400_000_000;
const DAY_SECONDS: f64 = 86_400.0;

/// Intervals of a column; the difference of two times counts whole days.
pub(super) fn intervals(array: &ArrayRef) -> Result<Vec<Option<IntervalMonthDayNano>>> {
    if matches!(array.data_type(), DataType::Duration(_)) {
        // In nanoseconds, differences of times would end at 292 years.
        let micros = cast(array, &DataType::Duration(TimeUnit::Microsecond))?;
        let split = |n: i64| {
            let days = i32::try_from(n / DAY_MICROS).unwrap_or(i32::MAX);
            IntervalMonthDayNano::new(0, days, n % DAY_MICROS * 1000)
        };
        return Ok(micros
            .as_primitive::<DurationMicrosecondType>()
            .iter()
            .map(|v| v.map(split))
            .collect());
    }
    let array = cast(array, &INTERVAL)?;
    Ok(array.as_primitive::<IntervalMonthDayNanoType>().iter().collect())
}

/// Text as intervals.
pub(in crate::planner) fn interval_input() -> &'static Arc<ScalarUDF> {
    fn body(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let texts = cast(&arrays[0], &DataType::Utf8View)?;
        let settings = EncodeSettings::default();
        let read = |text: Option<&str>| match text {
            Some(text) => match parse_text(text, &INTERVAL, &settings)? {
                ScalarValue::IntervalMonthDayNano(value) => Ok(value),
                _ => Ok(None),
            },
            None => Ok(None),
        };
        let values: IntervalMonthDayNanoArray =
            texts.as_string_view().iter().map(read).collect::<Result<_, Error>>()?;
        Ok(Arc::new(values))
    }
    static UDF: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Plain::udf("interval_input", 1, |_| Ok(INTERVAL), body));
    &UDF
}

/// What intervals are compared by: nanoseconds, a month counting 30 days.
pub(in crate::planner) fn interval_key() -> Arc<ScalarUDF> {
    fn body(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let key = |v: IntervalMonthDayNano| {
            (i128::from(v.months) * 30 + i128::from(v.days)) * i128::from(DAY_NANOS)
                + i128::from(v.nanoseconds)
        };
        let keys: Decimal128Array =
            intervals(&arrays[0])?.into_iter().map(|v| v.map(key)).collect();
        Ok(Arc::new(keys.with_precision_and_scale(38, 0)?))
    }
    static UDF: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Plain::udf("interval_key", 1, |_| Ok(DataType::Decimal128(38, 0)), body));
    UDF.clone()
}

/// `interval * number`
pub(super) fn interval_multiply() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Plain::udf(
            "interval_multiply",
            2,
            |_| Ok(INTERVAL),
            |arrays, _| scale(arrays, |a, b| a * b),
        )
    });
    UDF.clone()
}

/// `interval / number`
pub(super) fn interval_divide() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Plain::udf(
            "interval_divide",
            2,
            |_| Ok(INTERVAL),
            |arrays, _| {
                let divisors = cast(&arrays[1], &DataType::Float64)?;
                if divisors.as_primitive::<Float64Type>().iter().flatten().any(|v| v == 0.0) {
                    return Err(Error::new(SqlState::DivisionByZero, "division by zero").into());
                }
                scale(arrays, |a, b| a / b)
            },
        )
    });
    UDF.clone()
}

fn scale(arrays: &[ArrayRef], by: fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let factors = cast(&arrays[1], &DataType::Float64)?;
    let factors = factors.as_primitive::<Float64Type>();
    let values: IntervalMonthDayNanoArray = intervals(&arrays[0])?
        .into_iter()
        .zip(factors)
        .map(|pair| match pair {
            (Some(value), Some(factor)) => scaled(value, |x| by(x, factor)).map(Some),
            _ => Ok(None),
        })
        .collect::<Result<_, Error>>()?;
    Ok(Arc::new(values))
}

/// Fractions of months go to days, fractions of days to seconds.
fn scaled(
    value: IntervalMonthDayNano,
    by: impl Fn(f64) -> f64,
) -> Result<IntervalMonthDayNano, Error> {
    let micro = |seconds: f64| (seconds * 1e6).round_ties_even() / 1e6;
    let months = by(f64::from(value.months));
    let days = by(f64::from(value.days));
    let month_days = micro(months.fract() * 30.0);
    let mut seconds = micro((days.fract() + month_days.fract()) * DAY_SECONDS);
    let mut whole_days = days.trunc() + month_days.trunc();
    if seconds.abs() >= DAY_SECONDS {
        whole_days += (seconds / DAY_SECONDS).trunc();
        seconds %= DAY_SECONDS;
    }
    let micros = (by((value.nanoseconds / 1000) as f64) + seconds * 1e6).round_ties_even();
    let fits = |v: f64, bound: f64| v.is_finite() && v.abs() < bound;
    if !fits(months, 2e9) || !fits(whole_days, 2e9) || !fits(micros, 9e15) {
        return Err(Error::new(SqlState::DatetimeFieldOverflow, "interval out of range"));
    }
    Ok(IntervalMonthDayNano::new(months as i32, whole_days as i32, micros as i64 * 1000))
}
