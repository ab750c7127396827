//! Dates, times and intervals made of numbers.

use super::interval::INTERVAL;
use super::plain::Plain;
use super::span::interval;
use super::template::{shown_type, zone};
use crate::error::Error;
use crate::format::SessionZone;
use crate::format::datetime::{DAY_MICROS, days_from_civil, days_in_month};
use crate::planner::zones::UTC;
use crate::sqlstate::SqlState;
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, IntervalMonthDayNanoArray,
    StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, Signature, Volatility,
};
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> [Arc<ScalarUDF>; 5] {
    let zoned = Signature::one_of(
        [6, 7].map(datafusion::logical_expr::TypeSignature::Any).to_vec(),
        Volatility::Immutable,
    );
    [
        Plain::udf("make_date", 3, |a| numbers("make_date", a, DataType::Date32), make_date),
        Plain::udf("make_time", 3, |a| numbers("make_time", a, TIME), make_time),
        Plain::udf("make_timestamp", 6, |a| numbers("make_timestamp", a, LOCAL), make_timestamp),
        Plain::with_signature(
            "make_timestamptz",
            zoned,
            |a| {
                numbers(
                    "make_timestamptz",
                    a,
                    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
                )
            },
            make_timestamptz,
        ),
        Plain::udf("make_interval", 7, |a| numbers("make_interval", a, INTERVAL), make_interval),
    ]
}

const TIME: DataType = DataType::Time64(TimeUnit::Microsecond);
const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// 42883 unless the first six arguments are numbers.
fn numbers(name: &str, args: &ReturnFieldArgs<'_>, returned: DataType) -> Result<DataType> {
    let types: Vec<&DataType> = args.arg_fields.iter().map(|f| f.data_type()).collect();
    let is_number =
        |(i, t): (usize, &&DataType)| t.is_numeric() || t.is_null() || (i == 6 && t.is_string());
    if types.iter().enumerate().all(is_number) {
        return Ok(returned);
    }
    let types: Vec<String> = types.into_iter().map(shown_type).collect();
    let message = format!("function {name}({}) does not exist", types.join(", "));
    Err(Error::new(SqlState::UndefinedFunction, message)
        .hint("It takes whole numbers, and a number of seconds.")
        .into())
}

fn whole(array: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn float(array: &ArrayRef) -> Result<Float64Array> {
    Ok(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// The rows in which no argument is NULL.
fn rows(arrays: &[ArrayRef]) -> impl Iterator<Item = Option<usize>> {
    (0..arrays[0].len()).map(|row| {
        arrays.iter().all(|a| !a.data_type().is_null() && a.is_valid(row)).then_some(row)
    })
}

/// Days since 1970; years before Christ are negative.
fn days(year: i64, month: i64, day: i64) -> Result<i64, Error> {
    let out_of_range = || {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        Error::new(SqlState::DatetimeFieldOverflow, message)
    };
    let astronomical = if year < 0 { year + 1 } else { year };
    let (Ok(of_month), Ok(of_day)) = (u32::try_from(month), u32::try_from(day)) else {
        return Err(out_of_range());
    };
    let is_day = year != 0
        && (1..=12).contains(&of_month)
        && (1..=days_in_month(astronomical, of_month)).contains(&of_day);
    if !is_day || !(-4713..=294_276).contains(&astronomical) {
        return Err(out_of_range());
    }
    Ok(days_from_civil(astronomical, of_month, of_day))
}

/// Microseconds since midnight.
fn time(hour: i64, minute: i64, second: f64) -> Result<i64, Error> {
    let last = hour == 24 && (minute > 0 || second > 0.0);
    let within = (0..=24).contains(&hour) && (0..60).contains(&minute);
    if !within || last || !(0.0..=60.0).contains(&second) {
        let message = format!("time field value out of range: {hour}:{minute:02}:{second:02}");
        return Err(Error::new(SqlState::DatetimeFieldOverflow, message));
    }
    Ok((hour * 60 + minute) * 60_000_000 + (second * 1e6).round_ties_even() as i64)
}

fn make_date(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let (year, month, day) = (whole(&arrays[0])?, whole(&arrays[1])?, whole(&arrays[2])?);
    let one = |row: usize| {
        let days = days(year.value(row), month.value(row), day.value(row))?;
        Ok(i32::try_from(days).unwrap_or(i32::MAX))
    };
    let dates: Date32Array =
        rows(arrays).map(|r| r.map(one).transpose()).collect::<Result<_, Error>>()?;
    Ok(Arc::new(dates))
}

fn make_time(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let (hour, minute, second) = (whole(&arrays[0])?, whole(&arrays[1])?, float(&arrays[2])?);
    let one = |row: usize| time(hour.value(row), minute.value(row), second.value(row));
    let times: Time64MicrosecondArray =
        rows(arrays).map(|r| r.map(one).transpose()).collect::<Result<_, Error>>()?;
    Ok(Arc::new(times))
}

/// Local times of six numbers each.
fn local_times(arrays: &[ArrayRef]) -> Result<TimestampMicrosecondArray> {
    let parts = arrays[..5].iter().map(whole).collect::<Result<Vec<_>>>()?;
    let second = float(&arrays[5])?;
    let one = |row: usize| {
        let days = days(parts[0].value(row), parts[1].value(row), parts[2].value(row))?;
        let time = time(parts[3].value(row), parts[4].value(row), second.value(row))?;
        Ok(days * DAY_MICROS + time)
    };
    Ok(rows(arrays).map(|r| r.map(one).transpose()).collect::<Result<_, Error>>()?)
}

fn make_timestamp(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    Ok(Arc::new(local_times(arrays)?))
}

fn make_timestamptz(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let session = zone(args);
    let names = match arrays.get(6) {
        Some(names) => cast(names, &DataType::Utf8View)?.as_string_view().clone(),
        None => StringViewArray::new_null(arrays[0].len()),
    };
    let instants: TimestampMicrosecondArray = local_times(arrays)?
        .iter()
        .zip(&names)
        .map(|(local, name)| {
            let Some(local) = local else { return Ok(None) };
            let named = name.map(|name| {
                named_zone(name).ok_or_else(|| {
                    let message = format!("time zone \"{name}\" not recognized");
                    Error::new(SqlState::InvalidParameterValue, message)
                })
            });
            let zone = named.transpose()?.unwrap_or_else(|| session.clone());
            let offset = zone.offset_at_local(local.div_euclid(1_000_000));
            Ok(Some(local - i64::from(offset) * 1_000_000))
        })
        .collect::<Result<_, Error>>()?;
    Ok(Arc::new(instants.with_timezone(UTC)))
}

/// A zone by its name; a number with a sign is east of UTC here.
fn named_zone(name: &str) -> Option<SessionZone> {
    let zone = SessionZone::at(name)?;
    match zone.constant() {
        Some(west) if name.starts_with(['+', '-']) => Some(SessionZone::fixed(-west)),
        _ => Some(zone),
    }
}

fn make_interval(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let parts = arrays[..6].iter().map(whole).collect::<Result<Vec<_>>>()?;
    let seconds = float(&arrays[6])?;
    let one = |row: usize| {
        let part = |i: usize| parts[i].value(row);
        let micros = (seconds.value(row) * 1e6).round_ties_even();
        let out_of_range = || Error::new(SqlState::DatetimeFieldOverflow, "interval out of range");
        if !micros.is_finite() || micros.abs() > 9e18 {
            return Err(out_of_range());
        }
        let time = part(4).checked_mul(60).and_then(|m| m.checked_add(part(5)));
        let time = time.and_then(|m| m.checked_mul(60_000_000));
        let time = time.and_then(|t| t.checked_add(micros as i64)).ok_or_else(out_of_range)?;
        let months = part(0).checked_mul(12).and_then(|m| m.checked_add(part(1)));
        let days = part(2).checked_mul(7).and_then(|d| d.checked_add(part(3)));
        interval(months.ok_or_else(out_of_range)?, days.ok_or_else(out_of_range)?, time)
    };
    let all: IntervalMonthDayNanoArray =
        rows(arrays).map(|r| r.map(one).transpose()).collect::<Result<_, Error>>()?;
    Ok(Arc::new(all))
}

/// `clock_timestamp()`: the time at which it is asked.
pub(super) fn clock_timestamp() -> Arc<ScalarUDF> {
    fn body(_: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let now = chrono::Utc::now().timestamp_micros();
        let times = TimestampMicrosecondArray::from_value(now, args.number_rows.max(1));
        Ok(Arc::new(times.with_timezone(UTC)))
    }
    let instant =
        |_: &ReturnFieldArgs<'_>| Ok(DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())));
    let signature = Signature::exact(Vec::new(), Volatility::Volatile);
    Plain::with_signature("clock_timestamp", signature, instant, body)
}
