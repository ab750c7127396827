//! `date_trunc` over all of PostgreSQL's range: DataFusion's goes through nanoseconds, which end in 2262.

use super::interval::{INTERVAL, intervals};
use super::plain::over_arrays;
use crate::error::Error;
use crate::planner::zones::UTC;
use crate::sqlstate::SqlState;
use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, NaiveDate};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// `date_trunc(unit, x)`: a timestamp, with a time zone if `x` has one or is a date, or an interval.
pub(super) fn date_trunc() -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Truncation { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Truncation {
    signature: Signature,
}

impl ScalarUDFImpl for Truncation {
    fn name(&self) -> &str {
        "date_trunc"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// A date begins at midnight in the session's zone.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [unit, time] = types else {
            return plan_err!("date_trunc does not take {} arguments", types.len());
        };
        let time = match time {
            DataType::Date32 | DataType::Date64 => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
            }
            other => other.clone(),
        };
        Ok(vec![unit.clone(), time])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        result(types.get(1).unwrap_or(&DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays, args| match args.return_field.data_type() {
            DataType::Interval(_) => cut_intervals(arrays),
            _ => body(arrays, args),
        })
    }
}

fn result(time: &DataType) -> Result<DataType> {
    Ok(match time {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Null | DataType::Utf8 | DataType::Utf8View => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
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

/// Intervals without what is smaller than the unit.
fn cut_intervals(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let units = cast(&arrays[0], &DataType::Utf8View)?;
    let rows = units.as_string_view().iter().zip(intervals(&arrays[1])?);
    let cut: IntervalMonthDayNanoArray = rows
        .map(|(unit, interval)| match (unit, interval) {
            (Some(unit), Some(interval)) => cut_interval(unit, interval).map(Some),
            _ => Ok(None),
        })
        .collect::<Result<_, Error>>()?;
    Ok(Arc::new(cut))
}

fn cut_interval(name: &str, interval: IntervalMonthDayNano) -> Result<IntervalMonthDayNano, Error> {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    let of_months = |unit: i32| Ok(IntervalMonthDayNano::new(months - months % unit, 0, 0));
    let unit = Unit::named(name).map_err(|_| {
        let message = format!("unit \"{name}\" not recognized for type interval");
        Error::new(SqlState::InvalidParameterValue, message)
    })?;
    match unit {
        Unit::Micros(DAY) => Ok(IntervalMonthDayNano::new(months, days, 0)),
        Unit::Micros(micros) => {
            let time = nanoseconds - nanoseconds % (micros * 1000);
            Ok(IntervalMonthDayNano::new(months, days, time))
        }
        Unit::Week => {
            let message = format!("unit \"{name}\" not supported for type interval");
            Err(Error::new(SqlState::FeatureNotSupported, message)
                .detail("Months usually have fractional weeks."))
        }
        Unit::Months(count) => of_months(count.cast_signed()),
        Unit::Decade => of_months(120),
        Unit::Years(count) => of_months(count * 12),
    }
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
