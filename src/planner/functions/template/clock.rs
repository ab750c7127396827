//! The calendar's and the clock's fields of a time.

use crate::error::Error;
use crate::format::SessionZone;
use crate::format::datetime::{DAY_MICROS, civil_from_days, days_from_civil};
use crate::sqlstate::SqlState;
use arrow::datatypes::IntervalMonthDayNano;

/// The Julian day of 1970-01-01.
pub(in crate::planner::functions) const JULIAN_EPOCH: i64 = 2_440_588;

/// A time or an interval, by its fields.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    /// 0 is 1 BC; of an interval, its years.
    pub year: i64,
    /// From 1; of an interval from 0, or negative.
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub micros: i64,
    pub day_of_year: i64,
    /// Days since 1970-01-01.
    pub days: i64,
    /// Abbreviation and seconds east of UTC, where there is a zone.
    pub zone: Option<(String, i32)>,
    pub is_interval: bool,
}

impl Fields {
    /// Of a local time, in microseconds since 1970.
    pub(super) fn of_local(local: i64) -> Self {
        let days = local.div_euclid(DAY_MICROS);
        let time = local.rem_euclid(DAY_MICROS);
        let (year, month, day) = civil_from_days(days);
        Self {
            year,
            month: i64::from(month),
            day: i64::from(day),
            hour: time / 3_600_000_000,
            minute: time / 60_000_000 % 60,
            second: time / 1_000_000 % 60,
            micros: time % 1_000_000,
            day_of_year: days - days_from_civil(year, 1, 1) + 1,
            days,
            zone: None,
            is_interval: false,
        }
    }

    /// Of an instant, in microseconds since 1970 in UTC.
    pub(super) fn of_instant(micros: i64, zone: &SessionZone) -> Self {
        let seconds = micros.div_euclid(1_000_000);
        let offset = zone.offset_at(seconds);
        let local = micros.saturating_add(i64::from(offset) * 1_000_000);
        Self { zone: Some((zone.abbreviation_at(seconds), offset)), ..Self::of_local(local) }
    }

    /// Of a date, which begins at midnight in the zone.
    pub(super) fn of_date(days: i32, zone: &SessionZone) -> Self {
        let local = i64::from(days) * DAY_MICROS;
        let offset = zone.offset_at_local(local / 1_000_000);
        Self::of_instant(local - i64::from(offset) * 1_000_000, zone)
    }

    pub(super) fn of_interval(interval: IntervalMonthDayNano) -> Self {
        let micros = interval.nanoseconds / 1000;
        let (year, month) = (i64::from(interval.months / 12), i64::from(interval.months % 12));
        let day = i64::from(interval.days);
        Self {
            year,
            month,
            day,
            hour: micros / 3_600_000_000,
            minute: micros / 60_000_000 % 60,
            second: micros / 1_000_000 % 60,
            micros: micros % 1_000_000,
            day_of_year: (year * 12 + month) * 30 + day,
            days: 0,
            zone: None,
            is_interval: true,
        }
    }

    /// Sunday is 0.
    pub(super) fn weekday(&self) -> i64 {
        (self.days + 4).rem_euclid(7)
    }

    /// ISO's year, week and day of the year.
    pub(super) fn iso(&self) -> (i64, i64, i64) {
        iso_of(self.days)
    }

    /// The year as it is shown: those before Christ count backwards.
    pub(super) fn shown_year(&self, year: i64) -> i64 {
        if self.is_interval || year > 0 { year } else { 1 - year }
    }

    /// 22007 where an interval has no such field.
    pub(super) fn of_calendar(&self) -> Result<(), Error> {
        if self.is_interval {
            let message = "invalid format specification for an interval value";
            return Err(Error::new(SqlState::InvalidDatetimeFormat, message)
                .hint("Intervals are not tied to specific calendar dates."));
        }
        Ok(())
    }
}

/// ISO's year, its week, and the day of that year.
pub(in crate::planner::functions) fn iso_of(days: i64) -> (i64, i64, i64) {
    let (year, ..) = civil_from_days(days);
    let year = [year + 1, year].into_iter().find(|y| iso_year_start(*y) <= days);
    let year = year.unwrap_or_else(|| civil_from_days(days).0 - 1);
    let day = days - iso_year_start(year);
    (year, day / 7 + 1, day + 1)
}

/// The Monday that ISO's year begins with: its week has the year's first Thursday.
pub(super) fn iso_year_start(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (fourth + 3).rem_euclid(7)
}
