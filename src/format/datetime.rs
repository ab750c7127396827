//! Dates, times and intervals as PostgreSQL's ISO text, by arithmetic alone.

use super::number::{pair, put_i64, put_u64};
use bytes::{BufMut, BytesMut};

/// Days from 1970-01-01, where Arrow counts from, to 2000-01-01, where PostgreSQL does.
pub const PG_EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
pub const PG_EPOCH_MICROS: i64 = PG_EPOCH_DAYS as i64 * DAY_MICROS;
/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// Year (astronomical: 0 is 1 BC), month and day of a day counted from 1970-01-01.
///
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
#[must_use]
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The day, counted from 1970-01-01, of a date in the proleptic Gregorian calendar.
///
/// Source: as [`civil_from_days`], `days_from_civil`.
#[must_use]
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Days of a month.
#[must_use]
pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Writes year, month and day; true if the year is before Christ, which is said at the very end.
fn put_civil(out: &mut BytesMut, days: i64) -> bool {
    let (year, month, day) = civil_from_days(days);
    let (shown, before_christ) = if year > 0 { (year, false) } else { (1 - year, true) };
    let ([m1, m2], [d1, d2]) = (pair(month), pair(day));
    if shown < 10_000 {
        let ([y1, y2], [y3, y4]) = (pair((shown / 100) as u32), pair((shown % 100) as u32));
        out.put_slice(&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]);
    } else {
        put_i64(out, shown);
        out.put_slice(&[b'-', m1, m2, b'-', d1, d2]);
    }
    before_christ
}

/// Writes a date, counted in days from 1970-01-01.
pub fn put_date(out: &mut BytesMut, days: i32) {
    if put_civil(out, i64::from(days)) {
        out.put_slice(b" BC");
    }
}

/// Writes a time of day in microseconds, without trailing zeros of the fraction.
pub fn put_time(out: &mut BytesMut, micros: i64) {
    put_clock(out, micros.unsigned_abs());
}

/// Writes hours, of which there may be many, minutes, seconds and the fraction.
fn put_clock(out: &mut BytesMut, micros: u64) {
    let (seconds, micros) = (micros / 1_000_000, (micros % 1_000_000) as u32);
    let (minutes, second) = (seconds / 60, (seconds % 60) as u32);
    let (hours, minute) = (minutes / 60, (minutes % 60) as u32);
    let ([m1, m2], [s1, s2]) = (pair(minute), pair(second));
    if hours < 100 {
        let [h1, h2] = pair(hours as u32);
        out.put_slice(&[h1, h2, b':', m1, m2, b':', s1, s2]);
    } else {
        put_u64(out, hours);
        out.put_slice(&[b':', m1, m2, b':', s1, s2]);
    }
    if micros > 0 {
        let [[a, b], [c, d], [e, f]] = [pair(micros / 10_000), pair(micros / 100), pair(micros)];
        let digits = [b'.', a, b, c, d, e, f];
        let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
        out.put_slice(&digits[..digits.len() - zeros]);
    }
}

/// Writes a timestamp in microseconds from 1970-01-01, of the zone `offset` seconds east if given.
///
/// `separator` stands between date and time: a space, or `T` in JSON.
pub fn put_timestamp(out: &mut BytesMut, micros: i64, offset: Option<i32>, separator: u8) {
    match micros {
        i64::MAX => return out.put_slice(b"infinity"),
        i64::MIN => return out.put_slice(b"-infinity"),
        _ => {}
    }
    let local = micros.saturating_add(i64::from(offset.unwrap_or(0)) * 1_000_000);
    let before_christ = put_civil(out, local.div_euclid(DAY_MICROS));
    out.put_u8(separator);
    put_time(out, local.rem_euclid(DAY_MICROS));
    if let Some(offset) = offset {
        put_offset(out, offset, separator == b'T');
    }
    if before_christ {
        out.put_slice(b" BC");
    }
}

/// Writes `+00`, `+05:30` or `-04:56:02`; the minutes always, if asked for.
fn put_offset(out: &mut BytesMut, offset: i32, minutes_always: bool) {
    let seconds = offset.unsigned_abs();
    let [h1, h2] = pair(seconds / 3600);
    out.put_slice(&[if offset < 0 { b'-' } else { b'+' }, h1, h2]);
    if minutes_always || !seconds.is_multiple_of(3600) {
        let [m1, m2] = pair(seconds / 60 % 60);
        out.put_slice(&[b':', m1, m2]);
    }
    if !seconds.is_multiple_of(60) {
        let [s1, s2] = pair(seconds % 60);
        out.put_slice(&[b':', s1, s2]);
    }
}

/// Writes an interval in the style `postgres`.
pub fn put_interval(out: &mut BytesMut, months: i32, days: i32, micros: i64) {
    let start = out.len();
    // A positive part after a negative one is given its sign, as EncodeInterval does.
    let mut after_negative = false;
    let parts = [(months / 12, "year"), (months % 12, "mon"), (days, "day")];
    for (value, unit) in parts {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.put_u8(b' ');
        }
        if after_negative && value > 0 {
            out.put_u8(b'+');
        }
        put_i64(out, i64::from(value));
        out.put_u8(b' ');
        out.put_slice(unit.as_bytes());
        if value != 1 {
            out.put_u8(b's');
        }
        after_negative = value < 0;
    }
    if micros == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.put_u8(b' ');
    }
    if micros < 0 {
        out.put_u8(b'-');
    } else if after_negative {
        out.put_u8(b'+');
    }
    put_clock(out, micros.unsigned_abs());
}
