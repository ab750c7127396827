//! `generate_series` over integers, numerics and times, as an array: in FROM it is unnested.

use super::interval::INTERVAL;
use super::plain::over_arrays;
use super::template::shown_type;
use crate::error::Error;
use crate::format::SessionZone;
use crate::planner::zones::UTC;
use crate::sqlstate::SqlState;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, ListArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Int32Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// Elements that the arrays of one batch may have together: at most a quarter of a GiB.
const ELEMENTS_MAX: usize = 16 << 20;

/// The function, to be registered in the place of DataFusion's.
pub(super) fn generate_series() -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Series { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Series {
    signature: Signature,
}

impl ScalarUDFImpl for Series {
    fn name(&self) -> &str {
        "generate_series"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let element = element(types)?;
        let step = if is_time(&element) { INTERVAL } else { element.clone() };
        let wanted = [element.clone(), element, step];
        Ok(wanted.into_iter().take(types.len()).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let element = element(types)?;
        Ok(DataType::List(Arc::new(Field::new_list_field(element, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays, args| match arrays[0].data_type() {
            DataType::Int32 => integers::<Int32Type>(arrays, 1, i32::signum, i32::checked_add),
            DataType::Int64 => {
                integers::<Int64Type>(arrays, 1, |step| step.signum() as i32, i64::checked_add)
            }
            DataType::Decimal128(_, scale) => {
                let one = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
                let sign = |step: i128| step.signum() as i32;
                integers::<Decimal128Type>(arrays, one, sign, i128::checked_add)
            }
            _ => {
                let session = args.config_options.execution.time_zone.as_deref();
                times(arrays, session.unwrap_or(UTC))
            }
        })
    }
}

/// The type of a series' elements, from those of its bounds and its step.
fn element(types: &[DataType]) -> Result<DataType> {
    let is_open = |t: &DataType| t.is_null() || t.is_string();
    let bounds = types.get(..2).unwrap_or_default();
    let of_times = types.len() == 3
        && (bounds.iter().any(is_time) || matches!(types[2], DataType::Interval(_)))
        && bounds.iter().all(|t| is_time(t) || is_open(t))
        && (is_open(&types[2]) || matches!(types[2], DataType::Interval(_)));
    if of_times {
        let is_zoned = |t: &DataType| matches!(t, DataType::Timestamp(_, Some(_)));
        let is_local = |t: &DataType| matches!(t, DataType::Timestamp(_, None));
        // Dates and literals alone have both readings; PostgreSQL prefers the one with a zone.
        let has_zone = bounds.iter().any(is_zoned) || !bounds.iter().any(is_local);
        let zone = has_zone.then(|| UTC.into());
        return Ok(DataType::Timestamp(TimeUnit::Microsecond, zone));
    }
    let is_number =
        |t: &DataType| t.is_integer() || t.is_null() || matches!(t, DataType::Decimal128(..));
    if !(2..=3).contains(&types.len()) || !types.iter().all(is_number) {
        let shown: Vec<String> = types.iter().map(shown_type).collect();
        let message = format!("function generate_series({}) does not exist", shown.join(", "));
        return Err(Error::new(SqlState::UndefinedFunction, message)
            .hint("It takes two or three whole numbers or numerics, or two timestamps and an interval.")
            .into());
    }
    let scales = types.iter().filter_map(|t| match t {
        DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    });
    Ok(match scales.max() {
        Some(scale) => DataType::Decimal128(38, scale),
        None if types.iter().any(|t| matches!(t, DataType::Int64 | DataType::UInt64)) => {
            DataType::Int64
        }
        None => DataType::Int32,
    })
}

fn is_time(t: &DataType) -> bool {
    matches!(t, DataType::Timestamp(..) | DataType::Date32)
}

/// The elements of arrays one after the other, how many each has, and which are NULL.
struct Listed<N> {
    elements: Vec<N>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

/// The arrays from the first bound to the second, by steps in the direction that `sign` tells; without a step, by
/// `one`. NULL where an argument is.
fn listed<T: ArrowPrimitiveType, S: ArrowPrimitiveType>(
    arrays: &[ArrayRef],
    one: Option<S::Native>,
    sign: impl Fn(S::Native) -> i32,
    next: impl Fn(T::Native, S::Native) -> Option<T::Native>,
) -> Result<Listed<T::Native>> {
    let rows = arrays[0].len();
    let (first, last) = (arrays[0].as_primitive::<T>(), arrays[1].as_primitive::<T>());
    let steps = arrays.get(2).map(|steps| steps.as_primitive::<S>());
    let mut out = Listed { elements: Vec::new(), lengths: vec![0; rows], valid: vec![false; rows] };
    for row in 0..rows {
        let step = match steps {
            Some(steps) => steps.is_valid(row).then(|| steps.value(row)),
            None => one,
        };
        let (true, true, Some(step)) = (first.is_valid(row), last.is_valid(row), step) else {
            continue;
        };
        let direction = sign(step);
        if direction == 0 {
            let message = "step size cannot equal zero";
            return Err(Error::new(SqlState::InvalidParameterValue, message).into());
        }
        out.valid[row] = true;
        let before = out.elements.len();
        let last = last.value(row);
        let mut at = Some(first.value(row));
        while let Some(element) = at.filter(|at| match direction > 0 {
            true => *at <= last,
            false => *at >= last,
        }) {
            out.elements.push(element);
            if out.elements.len() > ELEMENTS_MAX {
                return Err(Error::new(
                    SqlState::ProgramLimitExceeded,
                    "requested length too large for generate_series",
                )
                .hint("A series of constant integers in FROM is not limited.")
                .into());
            }
            // A month and some days back may stand still, or turn.
            at = next(element, step).filter(|next| (*next > element) == (direction > 0));
        }
        out.lengths[row] = out.elements.len() - before;
    }
    Ok(out)
}

fn list<T: ArrowPrimitiveType>(listed: Listed<T::Native>, element: &DataType) -> ArrayRef {
    let elements = PrimitiveArray::<T>::from_iter_values(listed.elements);
    let field = Arc::new(Field::new_list_field(element.clone(), true));
    let offsets = OffsetBuffer::from_lengths(listed.lengths);
    let elements = Arc::new(elements.with_data_type(element.clone()));
    Arc::new(ListArray::new(field, offsets, elements, Some(NullBuffer::from(listed.valid))))
}

fn integers<T: ArrowPrimitiveType>(
    arrays: &[ArrayRef],
    one: T::Native,
    sign: impl Fn(T::Native) -> i32,
    next: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Result<ArrayRef> {
    Ok(list::<T>(listed::<T, T>(arrays, Some(one), sign, next)?, arrays[0].data_type()))
}

/// A session's zone in Arrow's spelling, which knows no POSIX.
fn arrow_zone(session: &str) -> String {
    match SessionZone::parse(session).and_then(|zone| zone.constant()) {
        Some(seconds) => {
            let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
        None => session.to_owned(),
    }
}

fn times(arrays: &[ArrayRef], session: &str) -> Result<ArrayRef> {
    let zoned = matches!(arrays[0].data_type(), DataType::Timestamp(_, Some(_)));
    let zone: Tz = if zoned { arrow_zone(session) } else { "+00:00".to_owned() }.parse()?;
    let sign = |step: IntervalMonthDayNano| {
        const DAY_NANOS: i128 = 86_400_000_000_000;
        let days = i128::from(step.months) * 30 + i128::from(step.days);
        (days * DAY_NANOS + i128::from(step.nanoseconds)).signum() as i32
    };
    let next = |at, step| TimestampMicrosecondType::add_month_day_nano(at, step, zone);
    let listed =
        listed::<TimestampMicrosecondType, IntervalMonthDayNanoType>(arrays, None, sign, next)?;
    Ok(list::<TimestampMicrosecondType>(listed, arrays[0].data_type()))
}
