//! `to_char`, `to_date` and `to_timestamp`: values and texts by PostgreSQL's templates.
//!
//! A template for times is taken apart by `node`; `write` puts a time's fields (`clock`) into it, `read`
//! takes them out of a text. Templates for numbers are another language, which `number` knows.

mod clock;
mod node;
mod number;
mod read;
mod write;

pub(super) use clock::JULIAN_EPOCH;

use super::interval::intervals;
use super::plain::Plain;
use crate::error::Error;
use crate::format::{EncodeSettings, SessionZone, text_column};
use crate::sqlstate::SqlState;
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float64Array, StringViewArray, StringViewBuilder,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, IntervalMonthDayNano, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use clock::Fields;
use datafusion::common::Result;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use node::Node;
use number::Template;
use read::Moment;
use std::sync::Arc;

/// The functions of this folder.
pub(super) fn all() -> [Arc<ScalarUDF>; 3] {
    [to_char(), to_date(), to_timestamp()]
}

/// The session's zone.
pub(super) fn zone(args: &ScalarFunctionArgs) -> SessionZone {
    let zone = args.config_options.execution.time_zone.as_deref();
    zone.and_then(SessionZone::parse).unwrap_or_else(SessionZone::utc)
}

/// The type's name as users write it.
pub(super) fn shown_type(data_type: &DataType) -> String {
    crate::catalog::SqlType::shown(data_type)
}

/// `to_char(value, template)`
fn to_char() -> Arc<ScalarUDF> {
    fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        match args.arg_fields[0].data_type() {
            DataType::Timestamp(..)
            | DataType::Date32
            | DataType::Time64(_)
            | DataType::Interval(_)
            | DataType::Duration(_)
            | DataType::Null => Ok(DataType::Utf8View),
            t if t.is_numeric() => Ok(DataType::Utf8View),
            t => {
                let message = format!("function to_char({}, text) does not exist", shown_type(t));
                Err(Error::new(SqlState::UndefinedFunction, message)
                    .hint("to_char takes a time, an interval or a number; cast the argument.")
                    .into())
            }
        }
    }
    Plain::udf("to_char", 2, returns, written)
}

fn written(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let templates = cast(&arrays[1], &DataType::Utf8View)?;
    let templates = templates.as_string_view();
    let zone = zone(args);
    let array = &arrays[0];
    let texts = match array.data_type() {
        DataType::Timestamp(_, time_zone) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, time_zone.clone());
            let times = cast(array, &micros)?;
            let times = times.as_primitive::<TimestampMicrosecondType>().iter();
            let of = |t: i64| match time_zone {
                Some(_) => Fields::of_instant(t, &zone),
                None => Fields::of_local(t),
            };
            let finite = |t: &i64| *t != i64::MAX && *t != i64::MIN;
            times_written(times.map(|t| t.filter(finite).map(of)), templates)?
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().iter();
            let finite = |d: &i32| *d != i32::MAX && *d != i32::MIN;
            let of = |d| Fields::of_date(d, &zone);
            times_written(days.map(|d| d.filter(finite).map(of)), templates)?
        }
        DataType::Time64(_) => {
            let times = cast(array, &DataType::Time64(TimeUnit::Microsecond))?;
            let times = times.as_primitive::<Time64MicrosecondType>().iter();
            let of = |t: i64| IntervalMonthDayNano::new(0, 0, t * 1000);
            times_written(times.map(|t| t.map(|t| Fields::of_interval(of(t)))), templates)?
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            let of = |i: Option<IntervalMonthDayNano>| i.map(Fields::of_interval);
            times_written(intervals(array)?.into_iter().map(of), templates)?
        }
        DataType::Null => StringViewArray::new_null(array.len()),
        DataType::Float32 | DataType::Float64 | DataType::Float16 => {
            let digits = if *array.data_type() == DataType::Float64 { 15 } else { 6 };
            floats_written(cast(array, &DataType::Float64)?.as_primitive(), digits, templates)?
        }
        _ => numbers_written(array, templates)?,
    };
    Ok(Arc::new(texts))
}

/// Templates taken apart; the same one follows on itself, as a rule.
struct Known<'a, T> {
    text: Option<&'a str>,
    parsed: T,
}

impl<'a, T: Default> Known<'a, T> {
    fn none() -> Self {
        Self { text: None, parsed: T::default() }
    }

    fn get(
        &mut self,
        text: &'a str,
        parse: impl Fn(&str) -> Result<T, Error>,
    ) -> Result<&T, Error> {
        if self.text != Some(text) {
            self.parsed = parse(text)?;
            self.text = Some(text);
        }
        Ok(&self.parsed)
    }
}

fn nodes(template: &str) -> Result<Vec<Node>, Error> {
    Ok(node::parse(template))
}

fn times_written(
    times: impl Iterator<Item = Option<Fields>>,
    templates: &StringViewArray,
) -> Result<StringViewArray> {
    let mut out = StringViewBuilder::with_capacity(templates.len());
    let mut known = Known::none();
    let mut line = String::new();
    for (time, template) in times.zip(templates) {
        match (time, template) {
            (Some(time), Some(template)) if !template.is_empty() => {
                line.clear();
                write::write(known.get(template, nodes)?, &time, &mut line)?;
                out.append_value(&line);
            }
            _ => out.append_null(),
        }
    }
    Ok(out.finish())
}

fn numbers_written(numbers: &ArrayRef, templates: &StringViewArray) -> Result<StringViewArray> {
    let texts = text_column(numbers, &EncodeSettings::default())?;
    let mut out = StringViewBuilder::with_capacity(templates.len());
    let mut known = Known::none();
    for (number, template) in texts.iter().zip(templates) {
        match (number, template) {
            (Some(number), Some(template)) => {
                let template: &Template = known.get(template, Template::parse)?;
                out.append_value(template.write(&number::rounded(number, template.behind)));
            }
            _ => out.append_null(),
        }
    }
    Ok(out.finish())
}

/// Floats, which have so many digits; a template that asks for more gets none behind them.
fn floats_written(
    numbers: &Float64Array,
    digits: usize,
    templates: &StringViewArray,
) -> Result<StringViewArray> {
    let mut out = StringViewBuilder::with_capacity(templates.len());
    let mut known = Known::none();
    for (number, template) in numbers.iter().zip(templates) {
        match (number, template) {
            (Some(number), Some(template)) => {
                let template: &Template = known.get(template, Template::parse)?;
                let whole = format!("{:.0}", number.abs()).len();
                let behind = template.behind.min(digits.saturating_sub(whole));
                let text = match number.is_infinite() {
                    true if number > 0.0 => "Infinity".to_owned(),
                    true => "-Infinity".to_owned(),
                    false => format!("{number:.behind$}"),
                };
                if behind == template.behind {
                    out.append_value(template.write(&text));
                } else {
                    out.append_value(template.with_behind(behind).write(&text));
                }
            }
            _ => out.append_null(),
        }
    }
    Ok(out.finish())
}

/// `to_date(text, template)`
fn to_date() -> Arc<ScalarUDF> {
    fn body(arrays: &[ArrayRef], _: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let dates = moments(arrays)?.into_iter();
        let dates: Date32Array =
            dates.map(|m| m.and_then(|m| i32::try_from(m.days).ok())).collect();
        Ok(Arc::new(dates))
    }
    Plain::udf("to_date", 2, |args| texts("to_date", args, DataType::Date32), body)
}

/// `to_timestamp(text, template)`, under a name of its own beside the one of numbers.
fn to_timestamp() -> Arc<ScalarUDF> {
    fn returns(args: &ReturnFieldArgs<'_>) -> Result<DataType> {
        let instant =
            DataType::Timestamp(TimeUnit::Microsecond, Some(crate::planner::zones::UTC.into()));
        texts("to_timestamp", args, instant)
    }
    fn body(arrays: &[ArrayRef], args: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let zone = zone(args);
        let instant = |m: Moment| {
            let local = m.local();
            let of_zone = || zone.offset_at_local(local.div_euclid(1_000_000));
            local - i64::from(m.offset.unwrap_or_else(of_zone)) * 1_000_000
        };
        let times: TimestampMicrosecondArray =
            moments(arrays)?.into_iter().map(|m| m.map(instant)).collect();
        Ok(Arc::new(times.with_timezone(crate::planner::zones::UTC)))
    }
    Plain::udf("to_timestamp_by_template", 2, returns, body)
}

/// 42883 unless both arguments are texts.
fn texts(name: &str, args: &ReturnFieldArgs<'_>, returned: DataType) -> Result<DataType> {
    let types: Vec<&DataType> = args.arg_fields.iter().map(|f| f.data_type()).collect();
    if types.iter().all(|t| t.is_string() || t.is_null()) {
        return Ok(returned);
    }
    let types: Vec<String> = types.into_iter().map(shown_type).collect();
    let message = format!("function {name}({}) does not exist", types.join(", "));
    Err(Error::new(SqlState::UndefinedFunction, message)
        .hint("It takes a text and a template, such as 'YYYY-MM-DD'.")
        .into())
}

fn moments(arrays: &[ArrayRef]) -> Result<Vec<Option<Moment>>> {
    let values = cast(&arrays[0], &DataType::Utf8View)?;
    let templates = cast(&arrays[1], &DataType::Utf8View)?;
    let mut known = Known::none();
    let mut out = Vec::with_capacity(values.len());
    for (value, template) in values.as_string_view().iter().zip(templates.as_string_view()) {
        out.push(match (value, template) {
            (Some(value), Some(template)) => Some(read::read(value, known.get(template, nodes)?)?),
            _ => None,
        });
    }
    Ok(out)
}
