//! Reading dates, times and timestamps in the spellings that PostgreSQL takes.
//!
//! ISO 8601 is read in one pass over the bytes; everything else goes through a list of words, of
//! which each is recognised by its look: `Jan`, `05/06/2020`, `04:05`, `PM`, `+02`, `Asia/Tokyo`.

use super::number::trim;
use super::words::parse_words;
use crate::error::{Error, Result};
use crate::format::datetime::{DAY_MICROS, days_from_civil, days_in_month};
use crate::format::settings::{DateOrder, EncodeSettings, SessionZone};
use crate::sqlstate::SqlState;

/// Year (0 is 1 BC), month, day.
type Civil = (i64, u32, u32);

/// What a date/time text says.
#[derive(Debug, Default)]
pub(super) struct Moment {
    pub(super) date: Option<Civil>,
    /// Microseconds since midnight, up to and including 24:00.
    pub(super) time: Option<i64>,
    pub(super) zone: Option<Zone>,
    /// `now`, whose zone is the session's.
    pub(super) now: bool,
}

/// The zone named in a text.
#[derive(Debug)]
pub(super) enum Zone {
    /// Seconds east of UTC.
    Offset(i32),
    Named(SessionZone),
}

/// Why a text is not a date or time.
#[derive(Debug)]
pub(super) enum Fault {
    Syntax,
    Range,
    /// A month or day that another order of fields might fit.
    MonthOrDay,
    /// An offset beyond 16 hours.
    Displacement,
    UnknownZone(String),
    /// `infinity`, which these types do not hold.
    Infinite,
}

impl Fault {
    fn into_error(self, type_name: &str, text: &str) -> Error {
        match self {
            Self::Syntax => Error::new(
                SqlState::InvalidDatetimeFormat,
                format!("invalid input syntax for type {type_name}: \"{text}\""),
            ),
            Self::Range => field_out_of_range(text),
            Self::MonthOrDay => {
                field_out_of_range(text).hint("Perhaps you need a different \"datestyle\" setting.")
            }
            Self::Displacement => Error::new(
                SqlState::DatetimeFieldOverflow,
                format!("time zone displacement out of range: \"{text}\""),
            ),
            Self::UnknownZone(zone) => Error::new(
                SqlState::InvalidParameterValue,
                format!("time zone \"{zone}\" not recognized"),
            ),
            Self::Infinite => Error::unsupported(
                format_args!("an infinite value of type {type_name}"),
                "Use NULL for an end that is open, or a time far away such as 9999-12-31.",
            ),
        }
    }
}

fn field_out_of_range(text: &str) -> Error {
    Error::new(
        SqlState::DatetimeFieldOverflow,
        format!("date/time field value out of range: \"{text}\""),
    )
}

fn out_of_range(what: &str, text: &str) -> Error {
    Error::new(SqlState::DatetimeFieldOverflow, format!("{what} out of range: \"{text}\""))
}

/// Checks a date and gives its day since 1970.
pub(super) fn checked_days(year: i64, month: u32, day: u32) -> Result<i64, Fault> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Fault::MonthOrDay);
    }
    if day > days_in_month(year, month) {
        return Err(Fault::Range);
    }
    Ok(days_from_civil(year, month, day))
}

/// Reads digits at a fixed place.
fn number(bytes: &[u8]) -> Option<u32> {
    let mut value = 0;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u32::from(digit);
    }
    Some(value)
}

/// `YYYY-MM-DD` with exactly these digits, and what follows it.
fn iso_date(bytes: &[u8]) -> Option<(Civil, &[u8])> {
    let (date, rest) = bytes.split_at_checked(10)?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    // Year 0 is the general reader's to refuse.
    (year > 0).then_some(((i64::from(year), month, day), rest))
}

/// `HH:MM[:SS[.ffffff]]` and what follows it.
fn iso_time(bytes: &[u8]) -> Option<(Result<i64, Fault>, &[u8])> {
    if bytes.len() < 5 || bytes[2] != b':' {
        return None;
    }
    let (hour, minute) = (number(&bytes[..2])?, number(&bytes[3..5])?);
    let mut rest = &bytes[5..];
    let (mut second, mut fraction) = (0, 0);
    if rest.first() == Some(&b':') {
        second = number(rest.get(1..3)?)?;
        rest = &rest[3..];
        if rest.first() == Some(&b'.') {
            let digits = rest[1..].iter().take_while(|b| b.is_ascii_digit()).count();
            fraction = fraction_micros(&rest[1..1 + digits]);
            rest = &rest[1 + digits..];
        }
    }
    Some((time_micros(hour, minute, second, fraction), rest))
}

/// Microseconds of the digits after the point, rounded half up.
pub(super) fn fraction_micros(digits: &[u8]) -> i64 {
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0'));
    }
    micros + i64::from(digits.get(6).is_some_and(|digit| *digit >= b'5'))
}

/// Checks a time of day: 24:00:00 and a second 60 are allowed.
pub(super) fn time_micros(
    hour: u32,
    minute: u32,
    second: u32,
    fraction: i64,
) -> Result<i64, Fault> {
    if hour > 24 || minute > 59 || second > 60 {
        return Err(Fault::Range);
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let micros = seconds * 1_000_000 + fraction;
    if micros > DAY_MICROS { Err(Fault::Range) } else { Ok(micros) }
}

/// `Z`, `+05`, `+05:30`, `+0530` or `+05:30:15`, and nothing after it.
pub(super) fn parse_offset(bytes: &[u8]) -> Option<Result<i32, Fault>> {
    if matches!(bytes, [b'Z' | b'z']) {
        return Some(Ok(0));
    }
    let (sign, digits) = match bytes {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes, seconds) = match digits {
        [_] | [_, _] => (number(digits)?, 0, 0),
        [_, b':', m @ ..] if m.len() == 2 => (number(&digits[..1])?, number(m)?, 0),
        [_, _, b':', m @ ..] if m.len() == 2 => (number(&digits[..2])?, number(m)?, 0),
        [_, _, b':', _, _, b':', s @ ..] if s.len() == 2 => {
            (number(&digits[..2])?, number(&digits[3..5])?, number(s)?)
        }
        [_, _, _] => (number(&digits[..1])?, number(&digits[1..])?, 0),
        [_, _, _, _] => (number(&digits[..2])?, number(&digits[2..])?, 0),
        _ => return None,
    };
    // PostgreSQL's MAX_TZDISP_HOUR is 15.
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Some(Err(Fault::Displacement));
    }
    Some(Ok(sign * (hours * 3600 + minutes * 60 + seconds) as i32))
}

/// The fast path: ISO 8601 with a space or a `T` between date and time.
fn parse_iso(bytes: &[u8]) -> Option<Result<Moment, Fault>> {
    let (date, rest) = iso_date(bytes)?;
    let mut moment = Moment { date: Some(date), ..Moment::default() };
    let rest = match rest {
        [] => return Some(Ok(moment)),
        [b' ' | b'T' | b't', rest @ ..] => rest,
        _ => return None,
    };
    let (time, rest) = iso_time(rest)?;
    match time {
        Ok(micros) => moment.time = Some(micros),
        Err(fault) => return Some(Err(fault)),
    }
    if !rest.is_empty() {
        match parse_offset(rest)? {
            Ok(offset) => moment.zone = Some(Zone::Offset(offset)),
            Err(fault) => return Some(Err(fault)),
        }
    }
    Some(Ok(moment))
}

fn parse_moment(text: &str, order: DateOrder) -> Result<Moment, Fault> {
    match parse_iso(text.as_bytes()) {
        Some(moment) => moment,
        None => parse_words(trim(text), order, false),
    }
}

/// A date as days since 1970; a time of day in the text is left out.
pub(super) fn parse_date(text: &str, settings: &EncodeSettings) -> Result<i32> {
    let read = || -> Result<i64, Fault> {
        let moment = parse_moment(text, settings.date_order)?;
        if moment.now {
            let now = chrono::Utc::now().timestamp();
            let local = now + i64::from(settings.time_zone.offset_at(now));
            let shift = moment.date.map_or(0, |(days, _, _)| days);
            return Ok(local.div_euclid(86_400) + shift);
        }
        let (year, month, day) = moment.date.ok_or(Fault::Syntax)?;
        checked_days(year, month, day)
    };
    let days = read().map_err(|fault| fault.into_error("date", text))?;
    // From 4714-11-24 BC to 5874897-12-31.
    if !(-2_440_588..=2_145_031_948).contains(&days) {
        return Err(out_of_range("date", text));
    }
    Ok(days as i32)
}

/// A time of day in microseconds.
pub(super) fn parse_time(text: &str, settings: &EncodeSettings) -> Result<i64> {
    let read = || match iso_time(text.as_bytes()) {
        Some((time, [])) => time,
        _ => parse_words(trim(text), settings.date_order, true)?.time.ok_or(Fault::Syntax),
    };
    read().map_err(|fault| fault.into_error("time", text))
}

/// A timestamp in microseconds since 1970.
///
/// With `zoned` the result is UTC, and a text without a zone is a local time of the session;
/// otherwise a zone in the text is left out, as PostgreSQL does.
pub(super) fn parse_timestamp(text: &str, zoned: bool, settings: &EncodeSettings) -> Result<i64> {
    let type_name = if zoned { "timestamp with time zone" } else { "timestamp" };
    let moment = parse_moment(text, settings.date_order)
        .map_err(|fault| fault.into_error(type_name, text))?;
    let local = if moment.now {
        let now = chrono::Utc::now();
        let offset = i64::from(settings.time_zone.offset_at(now.timestamp()));
        let local = now.timestamp_micros() + offset * 1_000_000;
        match moment.date {
            // `today` and its neighbours are midnights.
            Some((shift, _, _)) => (local.div_euclid(DAY_MICROS) + shift) * DAY_MICROS,
            None => local,
        }
    } else {
        let (year, month, day) =
            moment.date.ok_or_else(|| Fault::Syntax.into_error(type_name, text))?;
        let days =
            checked_days(year, month, day).map_err(|fault| fault.into_error(type_name, text))?;
        days.checked_mul(DAY_MICROS)
            .and_then(|micros| micros.checked_add(moment.time.unwrap_or(0)))
            .ok_or_else(|| out_of_range("timestamp", text))?
    };
    let seconds = local.div_euclid(1_000_000);
    let offset = match (&moment.zone, zoned) {
        (_, false) => 0,
        (Some(Zone::Offset(offset)), true) => *offset,
        (Some(Zone::Named(zone)), true) => zone.offset_at_local(seconds),
        (None, true) => settings.time_zone.offset_at_local(seconds),
    };
    let micros = local
        .checked_sub(i64::from(offset) * 1_000_000)
        .ok_or_else(|| out_of_range("timestamp", text))?;
    // PostgreSQL begins at 4714-11-24 BC; it ends in 294276, this count in 294247.
    if micros < -210_866_803_200_000_000 {
        return Err(out_of_range("timestamp", text));
    }
    Ok(micros)
}
