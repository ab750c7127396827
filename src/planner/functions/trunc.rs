//! `date_trunc` over all of PostgreSQL's range: DataFusion's goes through nanoseconds, which end in 2262.

use super::plain::Plain;
use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, NaiveDate};
use datafusion::common::Result;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use std::sync::Arc;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// `date_trunc(unit, x)`: a timestamp, with a time zone if `x` has one.
pub(super) fn date_trunc() -> Arc<ScalarUDF> {
    Plain::udf("date_trunc", 2, returns, body)
}

fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
    Ok(match args.arg_fields[1].data_type() {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Null | DataType::Date32 | DataType::Utf8 | DataType::Utf8View => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        other => {
            let name = crate::catalog::SqlType::from_arrow(other)
                .map_or_else(|_| other.to_string(), |t| t.to_string());
            return Err(Error::new(
                SqlState::UndefinedFunction,
                format!("function date_trunc(text, {name}) does not exist"),
            )
            .hint("Cast the value to timestamp.")
            .into());
        }
    })
}

fn body(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let units = cast(&arrays[0], &DataType::Utf8View)?;
    let times = cast(&arrays[1], args.return_field.data_type())?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    // The unit is the same in all rows, as a rule.
    let mut known: Option<(&str, Unit)> = None;
    let mut truncated = TimestampMicrosecondArray::builder(times.len());
    for (unit, time) in units.as_string_view().iter().zip(times) {
        let (Some(name), Some(time)) = (unit, time) else {
            truncated.append_null();
            continue;
        };
        let unit = match known {
            Some((before, unit)) if before == name => unit,
            _ => Unit::named(name)?,
        };
        known = Some((name, unit));
        truncated.append_value(unit.floor(time).ok_or_else(|| {
            Error::new(SqlState::DatetimeFieldOverflow, "timestamp out of range")
        })?);
    }
    Ok(Arc::new(truncated.finish().with_data_type(args.return_field.data_type().clone())))
}

/// What is kept.
#[derive(Debug, Clone, Copy)]
enum Unit {
    /// Whole multiples of so many microseconds since the epoch.
    Micros(i64),
    /// Weeks begin on Monday.
    Week,
    /// So many months, of each year.
    Months(u32),
    Decade,
    /// Centuries and millennia: they begin with the year 1 after a multiple of so many years.
    Years(i32),
}

impl Unit {
    fn named(name: &str) -> Result<Self> {
        let lower = name.to_ascii_lowercase();
        Ok(match lower.as_str() {
            "microsecond" | "microseconds" => Self::Micros(1),
            "millisecond" | "milliseconds" => Self::Micros(1_000),
            "second" | "seconds" => Self::Micros(SECOND),
            "minute" | "minutes" => Self::Micros(60 * SECOND),
            "hour" | "hours" => Self::Micros(3_600 * SECOND),
            "day" | "days" => Self::Micros(DAY),
            "week" | "weeks" => Self::Week,
            "month" | "months" => Self::Months(1),
            "quarter" | "quarters" => Self::Months(3),
            "year" | "years" => Self::Months(12),
            "decade" | "decades" => Self::Decade,
            "century" | "centuries" => Self::Years(100),
            "millennium" | "millenniums" | "millennia" => Self::Years(1_000),
            _ => {
                return Err(Error::new(
                    SqlState::InvalidParameterValue,
                    format!("unit \"{name}\" not recognized for type timestamp without time zone"),
                )
                .hint("Units run from microseconds to millennium, such as 'hour', 'day', 'week' and 'quarter'.")
                .into());
            }
        })
    }

    /// The last start of the unit that is not behind `micros` since the epoch; none where no calendar goes.
    fn floor(self, micros: i64) -> Option<i64> {
        let whole = |unit: i64| micros.checked_sub(micros.rem_euclid(unit));
        match self {
            Self::Micros(unit) => whole(unit),
            // The epoch is a Thursday.
            Self::Week => {
                let weekday = (micros.div_euclid(DAY) + 3).rem_euclid(7);
                whole(DAY)?.checked_sub(weekday * DAY)
            }
            Self::Months(months) => {
                let date = date(micros)?;
                since_epoch(date.year(), date.month0() / months * months + 1)
            }
            Self::Decade => since_epoch(date(micros)?.year().div_euclid(10) * 10, 1),
            Self::Years(years) => {
                since_epoch((date(micros)?.year() - 1).div_euclid(years) * years + 1, 1)
            }
        }
    }
}

fn date(micros: i64) -> Option<NaiveDate> {
    Some(DateTime::from_timestamp_micros(micros)?.date_naive())
}

/// The first day of a month, in microseconds.
fn since_epoch(year: i32, month: u32) -> Option<i64> {
    let midnight = NaiveDate::from_ymd_opt(year, month, 1)?.and_hms_opt(0, 0, 0)?;
    Some(midnight.and_utc().timestamp_micros())
}
