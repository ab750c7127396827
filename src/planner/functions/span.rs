//! The span between two times in years, months and days, and intervals whose hours and days are carried over.

use super::interval::{INTERVAL, intervals};
use super::plain::Plain;
use crate::error::Error;
use crate::format::datetime::{DAY_MICROS, civil_from_days, days_in_month};
use crate::sqlstate::SqlState;
use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> [Arc<ScalarUDF>; 4] {
    fn justify(arrays: &[ArrayRef], how: fn(i64, i64, i64) -> (i64, i64, i64)) -> Result<ArrayRef> {
        let one = |i: IntervalMonthDayNano| {
            let (months, days) = (i64::from(i.months), i64::from(i.days));
            let (months, days, micros) = how(months, days, i.nanoseconds / 1000);
            interval(months, days, micros)
        };
        let all: IntervalMonthDayNanoArray = intervals(&arrays[0])?
            .into_iter()
            .map(|i| i.map(one).transpose())
            .collect::<Result<_, Error>>()?;
        Ok(Arc::new(all))
    }
    [
        Plain::udf("age", 2, |_| Ok(INTERVAL), age),
        Plain::udf("justify_hours", 1, |_| Ok(INTERVAL), |a, _| justify(a, hours)),
        Plain::udf("justify_days", 1, |_| Ok(INTERVAL), |a, _| justify(a, days)),
        Plain::udf("justify_interval", 1, |_| Ok(INTERVAL), |a, _| justify(a, both)),
    ]
}

/// 22008 for what no interval holds.
pub(super) fn interval(months: i64, days: i64, micros: i64) -> Result<IntervalMonthDayNano, Error> {
    let out_of_range = || Error::new(SqlState::DatetimeFieldOverflow, "interval out of range");
    let months = i32::try_from(months).map_err(|_| out_of_range())?;
    let days = i32::try_from(days).map_err(|_| out_of_range())?;
    let nanos = micros.checked_mul(1000).ok_or_else(out_of_range)?;
    Ok(IntervalMonthDayNano::new(months, days, nanos))
}

/// 24 hours are a day.
fn hours(months: i64, days: i64, micros: i64) -> (i64, i64, i64) {
    let (days, micros) = (days + micros / DAY_MICROS, micros % DAY_MICROS);
    match () {
        () if days > 0 && micros < 0 => (months, days - 1, micros + DAY_MICROS),
        () if days < 0 && micros > 0 => (months, days + 1, micros - DAY_MICROS),
        () => (months, days, micros),
    }
}

/// 30 days are a month.
fn days(months: i64, days: i64, micros: i64) -> (i64, i64, i64) {
    let (months, days) = (months + days / 30, days % 30);
    match () {
        () if months > 0 && days < 0 => (months - 1, days + 30, micros),
        () if months < 0 && days > 0 => (months + 1, days - 30, micros),
        () => (months, days, micros),
    }
}

/// Both, and one sign for all.
fn both(months: i64, days: i64, micros: i64) -> (i64, i64, i64) {
    let (days, micros) = (days + micros / DAY_MICROS, micros % DAY_MICROS);
    let (mut months, mut days) = (months + days / 30, days % 30);
    if months > 0 && (days < 0 || (days == 0 && micros < 0)) {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && (days > 0 || (days == 0 && micros > 0)) {
        (months, days) = (months + 1, days - 30);
    }
    hours(months, days, micros)
}

fn age(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
    let (later, earlier) = (cast(&arrays[0], &LOCAL)?, cast(&arrays[1], &LOCAL)?);
    let later = later.as_primitive::<TimestampMicrosecondType>();
    let earlier = earlier.as_primitive::<TimestampMicrosecondType>();
    let ages: IntervalMonthDayNanoArray = later
        .iter()
        .zip(earlier)
        .map(|pair| match pair {
            (Some(later), Some(earlier)) => between(later, earlier).map(Some),
            _ => Ok(None),
        })
        .collect::<Result<_, Error>>()?;
    Ok(Arc::new(ages))
}

/// From the earlier to the later time: whole months, then days, each of its own length.
fn between(later: i64, earlier: i64) -> Result<IntervalMonthDayNano, Error> {
    let negative = later < earlier;
    let (end, start) = if negative { (earlier, later) } else { (later, earlier) };
    let (end_days, start_days) = (end.div_euclid(DAY_MICROS), start.div_euclid(DAY_MICROS));
    let (end_year, end_month, end_day) = civil_from_days(end_days);
    let (start_year, start_month, start_day) = civil_from_days(start_days);
    let mut micros = end.rem_euclid(DAY_MICROS) - start.rem_euclid(DAY_MICROS);
    let mut days = i64::from(end_day) - i64::from(start_day);
    let mut months = (end_year - start_year) * 12 + i64::from(end_month) - i64::from(start_month);
    if micros < 0 {
        micros += DAY_MICROS;
        days -= 1;
    }
    // The month that is taken apart is the one of the second argument where that is the earlier.
    let length = days_in_month(start_year, start_month);
    while days < 0 {
        days += i64::from(length);
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    interval(sign * months, sign * days, sign * micros)
}
