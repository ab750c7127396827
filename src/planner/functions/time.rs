//! `extract` of fields that have fractions: seconds, milliseconds, the epoch.

use super::interval::intervals;
use super::plain::Plain;
use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNano, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use std::sync::Arc;

const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const DAY: i128 = 86_400 * SECOND;

/// `extract('second' | 'milliseconds' | 'epoch', x)` as numeric.
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
        _ if date => DataType::Decimal128(20, 0),
        _ => DataType::Decimal128(24, 6),
    })
}

fn body(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let fields = cast(&arrays[0], &DataType::Utf8View)?;
    let field = match fields.as_string_view().iter().next() {
        Some(Some(field)) => field.to_owned(),
        _ => String::new(),
    };
    let epoch = field == "epoch";
    let of_micros = |micros: i64| match epoch {
        true => i128::from(micros),
        false => i128::from(micros).rem_euclid(MINUTE),
    };
    let values: Decimal128Array = match arrays[1].data_type() {
        DataType::Timestamp(_, zone) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            let times = cast(&arrays[1], &micros)?;
            times
                .as_primitive::<TimestampMicrosecondType>()
                .iter()
                .map(|v| v.map(of_micros))
                .collect()
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let times = cast(&arrays[1], &DataType::Time64(TimeUnit::Microsecond))?;
            times.as_primitive::<Time64MicrosecondType>().iter().map(|v| v.map(of_micros)).collect()
        }
        DataType::Date32 | DataType::Date64 if epoch => {
            let days = cast(&cast(&arrays[1], &DataType::Date32)?, &DataType::Int32)?;
            let days = cast(&days, &DataType::Int64)?;
            let seconds = |d: i64| i128::from(d) * (DAY / SECOND);
            days.as_primitive::<Int64Type>().iter().map(|v| v.map(seconds)).collect()
        }
        DataType::Interval(_) | DataType::Duration(_) => intervals(&arrays[1])?
            .into_iter()
            .map(|v| v.map(|v| if epoch { interval_epoch(v) } else { time_of(v) % MINUTE }))
            .collect(),
        DataType::Null => vec![None::<i128>; arrays[1].len()].into_iter().collect(),
        other => {
            let name = crate::catalog::SqlType::from_arrow(other)
                .map_or_else(|_| other.to_string(), |t| t.to_string());
            return Err(Error::new(
                SqlState::UndefinedFunction,
                format!("there is no {field} in a value of type {name}"),
            )
            .hint("Cast it to timestamp, time or interval.")
            .into());
        }
    };
    let DataType::Decimal128(precision, scale) = args.return_field.data_type() else {
        return Ok(Arc::new(values));
    };
    Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
}

fn time_of(interval: IntervalMonthDayNano) -> i128 {
    i128::from(interval.nanoseconds / 1000)
}

/// A year counts 365.25 days, a month 30.
fn interval_epoch(interval: IntervalMonthDayNano) -> i128 {
    let (years, months) = (i128::from(interval.months / 12), i128::from(interval.months % 12));
    years * (DAY * 1461 / 4)
        + months * 30 * DAY
        + i128::from(interval.days) * DAY
        + time_of(interval)
}
