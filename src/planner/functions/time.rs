//! `extract` with the fields that DataFusion lacks, refuses, or gives without their fractions.

use super::interval::intervals;
use super::plain::Plain;
use super::template::{JULIAN_EPOCH, shown_type, zone};
use crate::error::Error;
use crate::format::SessionZone;
use crate::format::datetime::{DAY_MICROS, civil_from_days};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNano, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use std::sync::Arc;

const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 86_400 * SECOND;

/// The digits of a Julian day's fraction.
const JULIAN_SCALE: i8 = 20;

/// `extract(field, x)` as numeric.
pub(super) fn extract() -> Arc<ScalarUDF> {
    Plain::udf("extract", 2, returns, body)
}

fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let field = match args.scalar_arguments.first() {
        Some(Some(ScalarValue::Utf8(Some(f)) | ScalarValue::Utf8View(Some(f)))) => f.as_str(),
        _ => "epoch",
    };
    let date = matches!(args.arg_fields[1].data_type(), DataType::Date32 | DataType::Date64);
    Ok(match field {
        "second" => DataType::Decimal128(8, 6),
        "milliseconds" => DataType::Decimal128(8, 3),
        "epoch" if !date => DataType::Decimal128(24, 6),
        "julian" if !date => DataType::Decimal128(28, JULIAN_SCALE),
        _ => DataType::Decimal128(20, 0),
    })
}

/// One value, as the field sees it.
enum Of<'a> {
    /// Microseconds since 1970, local.
    Timestamp(i64),
    /// Microseconds since 1970, UTC.
    Instant(i64, &'a SessionZone),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    Interval(IntervalMonthDayNano),
}

fn body(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let fields = cast(&arrays[0], &DataType::Utf8View)?;
    let field = match fields.as_string_view().iter().next() {
        Some(Some(field)) => field.to_owned(),
        _ => String::new(),
    };
    let zone = zone(args);
    let shown = if arrays[1].data_type().is_null() {
        String::new()
    } else {
        shown_type(arrays[1].data_type())
    };
    let one = |value: Of<'_>| {
        value.part(&field).ok_or_else(|| {
            let message = format!("unit \"{field}\" not supported for type {shown}");
            Error::new(SqlState::FeatureNotSupported, message)
        })
    };
    let values: Decimal128Array = match arrays[1].data_type() {
        DataType::Timestamp(_, with_zone) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, with_zone.clone());
            let times = cast(&arrays[1], &micros)?;
            let of = |t| match with_zone {
                Some(_) => Of::Instant(t, &zone),
                None => Of::Timestamp(t),
            };
            let times = times.as_primitive::<TimestampMicrosecondType>().iter();
            times.map(|v| v.map(|v| one(of(v))).transpose()).collect::<Result<_, Error>>()?
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let times = cast(&arrays[1], &DataType::Time64(TimeUnit::Microsecond))?;
            let times = times.as_primitive::<Time64MicrosecondType>().iter();
            times.map(|v| v.map(|v| one(Of::Time(v))).transpose()).collect::<Result<_, Error>>()?
        }
        DataType::Date32 | DataType::Date64 => {
            let days = cast(&arrays[1], &DataType::Date32)?;
            let days = days.as_primitive::<Date32Type>().iter();
            days.map(|v| v.map(|v| one(Of::Date(v))).transpose()).collect::<Result<_, Error>>()?
        }
        DataType::Interval(_) | DataType::Duration(_) => intervals(&arrays[1])?
            .into_iter()
            .map(|v| v.map(|v| one(Of::Interval(v))).transpose())
            .collect::<Result<_, Error>>()?,
        DataType::Null => vec![None::<i128>; arrays[1].len()].into_iter().collect(),
        other => {
            let message = format!("function extract(text, {}) does not exist", shown_type(other));
            return Err(Error::new(SqlState::UndefinedFunction, message)
                .hint("Cast it to timestamp, time or interval.")
                .into());
        }
    };
    let DataType::Decimal128(precision, scale) = args.return_field.data_type() else {
        return Ok(Arc::new(values));
    };
    Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
}

impl Of<'_> {
    /// The field's value, in units of the result's last digit; none where the type has no such field.
    fn part(&self, field: &str) -> Option<i128> {
        match *self {
            Of::Interval(interval) => of_interval(interval, field),
            Of::Time(micros) => match field {
                "epoch" => Some(i128::from(micros)),
                _ => of_clock(i128::from(micros), field),
            },
            Of::Date(days) => match field {
                "epoch" => Some(i128::from(days) * (DAY / SECOND)),
                "julian" => Some(i128::from(days) + i128::from(JULIAN_EPOCH)),
                _ => of_calendar(i64::from(days), field),
            },
            Of::Timestamp(micros) => match field {
                "epoch" => Some(i128::from(micros)),
                _ => of_timestamp(micros, field),
            },
            Of::Instant(micros, zone) => {
                let offset = zone.offset_at(micros.div_euclid(1_000_000));
                match field {
                    "epoch" => Some(i128::from(micros)),
                    "timezone" => Some(i128::from(offset)),
                    "timezone_hour" => Some(i128::from(offset / 3600)),
                    "timezone_minute" => Some(i128::from(offset % 3600 / 60)),
                    _ => of_timestamp(micros.saturating_add(i64::from(offset) * 1_000_000), field),
                }
            }
        }
    }
}

fn of_timestamp(micros: i64, field: &str) -> Option<i128> {
    let (days, time) = (micros.div_euclid(DAY_MICROS), i128::from(micros.rem_euclid(DAY_MICROS)));
    if field == "julian" {
        let unit = 10i128.pow(u32::from(JULIAN_SCALE.unsigned_abs()));
        // Rounded to the nearest.
        let fraction = (time * unit + DAY / 2) / DAY;
        return Some((i128::from(days) + i128::from(JULIAN_EPOCH)) * unit + fraction);
    }
    of_clock(time, field).or_else(|| of_calendar(days, field))
}

/// Of the microseconds since midnight.
fn of_clock(micros: i128, field: &str) -> Option<i128> {
    Some(match field {
        // Microseconds, as the second's fraction has six digits; the milliseconds' has three.
        "second" | "milliseconds" | "microseconds" => micros % MINUTE,
        "minute" => micros / MINUTE % 60,
        "hour" => micros / HOUR,
        _ => return None,
    })
}

/// Of a day; the years before Christ have no year 0 between them and the others.
fn of_calendar(days: i64, field: &str) -> Option<i128> {
    let (year, ..) = civil_from_days(days);
    let counted = |years: i64| match year > 0 {
        true => (year + years - 1) / years,
        false => -((years - 1 - (year - 1)) / years),
    };
    Some(i128::from(match field {
        "year" if year > 0 => year,
        "year" => year - 1,
        "decade" => year.div_euclid(10),
        "century" => counted(100),
        "millennium" => counted(1000),
        _ => return None,
    }))
}

fn of_interval(interval: IntervalMonthDayNano, field: &str) -> Option<i128> {
    let (years, months) = (i128::from(interval.months / 12), i128::from(interval.months % 12));
    let time = i128::from(interval.nanoseconds / 1000);
    Some(match field {
        "epoch" => interval_epoch(years, months, interval.days, time),
        "year" => years,
        "decade" => years / 10,
        "century" => years / 100,
        "millennium" => years / 1000,
        "quarter" => months / 3 + 1,
        _ => return of_clock(time, field),
    })
}

/// A year counts 365.25 days, a month 30.
fn interval_epoch(years: i128, months: i128, days: i32, time: i128) -> i128 {
    years * (DAY * 1461 / 4) + months * 30 * DAY + i128::from(days) * DAY + time
}
