//! Functions that make much out of little: what they would make is measured before they make it.
//!
//! `repeat('x', 2000000000)` is a short statement. Memory that cannot be had ends the whole process,
//! so a batch that would hold more than [`MOST`] bytes is an error of its statement instead.

use crate::error::Error;
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// As large as a value may be in PostgreSQL: 1 GiB, here for all values of a batch together.
const MOST: i128 = 1 << 30;

/// What a number or a point in time takes.
const WORD: i128 = 8;

/// The bytes that a call would make.
type Measure = fn(&[ColumnarValue], usize) -> Result<i128>;

/// The functions of this file, to be registered in the place of DataFusion's.
pub(super) fn functions() -> Vec<ScalarUDF> {
    use datafusion::functions::{string, unicode};
    use datafusion::functions_nested::{range, repeat};
    let bounded = |inner: Arc<ScalarUDF>, measure| ScalarUDF::from(Bounded { inner, measure });
    vec![
        bounded(string::repeat(), repeated),
        bounded(unicode::lpad(), padded),
        bounded(unicode::rpad(), padded),
        bounded(string::replace(), replaced),
        bounded(string::levenshtein(), compared),
        bounded(repeat::array_repeat_udf(), repeated),
        bounded(range::range_udf(), series),
    ]
}

/// A function that is measured first.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    measure: Measure,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let bytes = (self.measure)(&args.args, rows)?;
        if bytes > MOST {
            let name = self.inner.name();
            return Err(Error::new(
                SqlState::ProgramLimitExceeded,
                format!("requested length too large for {name}"),
            )
            .detail(format!("{rows} rows would take {bytes} bytes."))
            .into());
        }
        if matches!(self.inner.name(), "lpad" | "rpad") {
            not_negative(&mut args.args[1])?;
        }
        self.inner.invoke_with_args(args)
    }
}

/// A text cannot be shorter than empty; DataFusion takes a negative length for a huge one.
fn not_negative(length: &mut ColumnarValue) -> Result<()> {
    let least = |array: &ArrayRef| -> Result<ArrayRef> {
        let numbers = cast(array, &DataType::Int64)?;
        let least: Int64Array = numbers.as_primitive::<Int64Type>().unary(|n: i64| n.max(0));
        Ok(cast(&least, array.data_type())?)
    };
    match length {
        ColumnarValue::Array(array) => *array = least(array)?,
        ColumnarValue::Scalar(scalar) => {
            *scalar = ScalarValue::try_from_array(&least(&scalar.to_array()?)?, 0)?;
        }
    }
    Ok(())
}

/// repeat(text, n), array_repeat(element, n)
fn repeated(args: &[ColumnarValue], rows: usize) -> Result<i128> {
    let [what, count, ..] = args else { return Ok(0) };
    let (lengths, counts) = (Numbers::lengths(what, rows)?, Numbers::of(count, rows)?);
    Ok((0..rows).map(|row| lengths.at(row) * counts.at(row).max(0)).sum())
}

/// lpad(text, n, fill), rpad(text, n, fill)
fn padded(args: &[ColumnarValue], rows: usize) -> Result<i128> {
    let [_, length, ..] = args else { return Ok(0) };
    let lengths = Numbers::of(length, rows)?;
    Ok((0..rows).map(|row| lengths.at(row).max(0)).sum())
}

/// replace(text, from, to): counted only where it might be much.
fn replaced(args: &[ColumnarValue], rows: usize) -> Result<i128> {
    let [text, from, to] = args else { return Ok(0) };
    let lengths = [text, from, to].map(|a| Numbers::lengths(a, rows));
    let [texts, froms, tos] = lengths;
    let (texts, froms, tos) = (texts?, froms?, tos?);
    let at_most = |row| texts.at(row) * (1 + tos.at(row) / froms.at(row).max(1));
    let most: i128 = (0..rows).map(at_most).sum();
    if most <= MOST {
        return Ok(most);
    }
    let strings = |a: &ColumnarValue| cast(&a.clone().into_array(rows)?, &DataType::LargeUtf8);
    let (text, from) = (strings(text)?, strings(from)?);
    let (text, from) = (text.as_string::<i64>(), from.as_string::<i64>());
    let counted = text.iter().zip(from).enumerate().map(|(row, pair)| match pair {
        (Some(text), Some(from)) if !from.is_empty() => {
            texts.at(row) + tos.at(row) * text.matches(from).count() as i128
        }
        _ => texts.at(row),
    });
    Ok(counted.sum())
}

/// levenshtein(a, b) makes nothing, but compares each character with each other one.
fn compared(args: &[ColumnarValue], rows: usize) -> Result<i128> {
    let [a, b, ..] = args else { return Ok(0) };
    let (a, b) = (Numbers::lengths(a, rows)?, Numbers::lengths(b, rows)?);
    Ok((0..rows).map(|row| a.at(row) * b.at(row)).sum())
}

/// range(stop) and range(start, stop, step), over numbers and times.
fn series(args: &[ColumnarValue], rows: usize) -> Result<i128> {
    let first = match args {
        [_] => Numbers::One(0),
        [first, ..] => Numbers::of(first, rows)?,
        [] => return Ok(0),
    };
    let last = Numbers::of(args.get(1).unwrap_or(&args[0]), rows)?;
    let step = match args.get(2) {
        Some(step) => Numbers::of(step, rows)?,
        None => Numbers::One(1),
    };
    let count = |row| (last.at(row) - first.at(row)) / step.at(row).abs().max(1);
    Ok((0..rows).map(|row: usize| WORD * i128::abs(count(row))).sum())
}

/// One number for each row; NULL counts as nothing.
enum Numbers {
    One(i128),
    Many(Int64Array),
}

impl Numbers {
    fn at(&self, row: usize) -> i128 {
        match self {
            Numbers::One(number) => *number,
            Numbers::Many(numbers) if numbers.is_valid(row) => numbers.value(row).into(),
            Numbers::Many(_) => 0,
        }
    }

    /// The values themselves, times in microseconds.
    fn of(value: &ColumnarValue, rows: usize) -> Result<Self> {
        Self::made(value, rows, |array| {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
            let array = match array.data_type() {
                DataType::Interval(_) => {
                    let mdn = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
                    Arc::new(interval_micros(cast(array, &mdn)?.as_primitive()))
                }
                t if t.is_temporal() => cast(array, &micros)?,
                _ => array.clone(),
            };
            Ok(cast(&array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        })
    }

    /// The lengths of texts in bytes; of other values, what one takes.
    fn lengths(value: &ColumnarValue, rows: usize) -> Result<Self> {
        if !value.data_type().is_string() {
            return Ok(Numbers::One(WORD));
        }
        Self::made(value, rows, |array| {
            let lengths = arrow::compute::kernels::length::length(array.as_ref())?;
            Ok(cast(&lengths, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        })
    }

    fn made(
        value: &ColumnarValue,
        rows: usize,
        make: impl FnOnce(&ArrayRef) -> Result<Int64Array>,
    ) -> Result<Self> {
        match value {
            ColumnarValue::Array(array) => Ok(Numbers::Many(make(array)?)),
            ColumnarValue::Scalar(scalar) => {
                let one = Numbers::Many(make(&scalar.to_array_of_size(rows.min(1))?)?);
                Ok(Numbers::One(if rows == 0 { 0 } else { one.at(0) }))
            }
        }
    }
}

fn interval_micros(intervals: &IntervalMonthDayNanoArray) -> Int64Array {
    intervals.unary(|interval| {
        let (months, days, nanos) = IntervalMonthDayNanoType::to_parts(interval);
        const DAY: i64 = 86_400_000_000;
        // More than a timestamp holds, and what stands below a NULL, ends at the limit.
        let days = i64::from(months) * 28 + i64::from(days);
        days.saturating_mul(DAY).saturating_add(nanos / 1000)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(text))
    }

    fn number(number: i64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(number))
    }

    #[test]
    fn sizes_are_known_before_anything_is_made() {
        assert_eq!(repeated(&[text("ab"), number(1_000_000_000)], 1).unwrap(), 2_000_000_000);
        assert_eq!(repeated(&[text("ab"), number(-5)], 1).unwrap(), 0);
        assert_eq!(repeated(&[number(7), number(10)], 1).unwrap(), 80);
        assert_eq!(padded(&[text(""), number(500), text("-")], 3).unwrap(), 1500);
        assert_eq!(series(&[number(1), number(1001), number(-10)], 1).unwrap(), 800);
        let (least, most) = (number(i64::MIN), number(i64::MAX));
        assert_eq!(series(&[least, most], 2).unwrap(), 16 * (i128::from(u64::MAX)));
        let texts: ArrayRef =
            Arc::new(arrow::array::StringViewArray::from(vec![Some("a"), None, Some("bcd")]));
        assert_eq!(repeated(&[ColumnarValue::Array(texts), number(4)], 3).unwrap(), 16);
    }

    #[test]
    fn a_replacement_is_counted_where_it_might_be_much() {
        let long = text(&"y".repeat(100_000));
        let same = [text(&"x".repeat(100_000)), text("x"), long.clone()];
        assert_eq!(replaced(&same, 1).unwrap(), 100_000 + 10_000_000_000);
        let rare = [text(&format!("{}x", "-".repeat(99_999))), text("x"), long];
        assert_eq!(replaced(&rare, 1).unwrap(), 200_000);
        assert_eq!(replaced(&[text("abc"), text(""), text("d")], 2).unwrap(), 12);
    }

    #[test]
    fn series_of_times_count_their_steps() {
        let day = |day| ColumnarValue::Scalar(ScalarValue::Date32(Some(day)));
        let step = ColumnarValue::Scalar(ScalarValue::new_interval_mdn(0, 0, 1000));
        let bytes = series(&[day(0), day(1), step], 1).unwrap();
        assert_eq!(bytes, 8 * 86_400_000_000);
    }
}
