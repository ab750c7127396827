//! The average of intervals: the sum of each part, then a division that carries fractions down.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
};
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::Accumulator;
use datafusion_expr::utils::format_state_name;

const DAY_SECONDS: f64 = 86_400.0;

/// The sums of one group's intervals.
#[derive(Debug, Default)]
pub(crate) struct IntervalAvg {
    months: i64,
    days: i64,
    nanos: i64,
    count: i64,
}

/// What is handed on between two stages.
pub(crate) fn state_fields(name: &str) -> Vec<FieldRef> {
    ["months", "days", "nanos", "count"]
        .map(|part| {
            Arc::new(Field::new(format_state_name(name, part), DataType::Int64, true)) as FieldRef
        })
        .to_vec()
}

impl IntervalAvg {
    fn add(&mut self, months: i64, days: i64, nanos: i64, count: i64) -> Result<()> {
        let Some(nanos) = self.nanos.checked_add(nanos) else {
            return exec_err!("interval out of range");
        };
        self.months += months;
        self.days += days;
        self.nanos = nanos;
        self.count += count;
        Ok(())
    }
}

impl Accumulator for IntervalAvg {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        for value in batch[0].as_primitive::<IntervalMonthDayNanoType>().iter().flatten() {
            self.add(i64::from(value.months), i64::from(value.days), value.nanoseconds, 1)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [months, days, nanos, count] =
            [0, 1, 2, 3].map(|i| states[i].as_primitive::<Int64Type>());
        for row in 0..count.len() {
            self.add(months.value(row), days.value(row), nanos.value(row), count.value(row))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let parts = [self.months, self.days, self.nanos, self.count];
        Ok(parts.map(|part| ScalarValue::Int64(Some(part))).to_vec())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return Ok(ScalarValue::IntervalMonthDayNano(None));
        }
        // As PostgreSQL's interval_div: fractions of months go to days, fractions of days to seconds.
        let micro = |seconds: f64| (seconds * 1e6).round_ties_even() / 1e6;
        let count = self.count as f64;
        let (months, days) = (self.months as f64 / count, self.days as f64 / count);
        let month_days = micro(months.fract() * 30.0);
        let mut seconds = micro((days.fract() + month_days.fract()) * DAY_SECONDS);
        let mut whole_days = days.trunc() + month_days.trunc();
        if seconds.abs() >= DAY_SECONDS {
            whole_days += (seconds / DAY_SECONDS).trunc();
            seconds %= DAY_SECONDS;
        }
        let micros = ((self.nanos / 1000) as f64 / count + seconds * 1e6).round_ties_even();
        Ok(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(
            months as i32,
            whole_days as i32,
            (micros as i64).saturating_mul(1000),
        ))))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
