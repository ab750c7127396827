//! Reading intervals: `1 year 2 mons 04:05:06`, `@ 1 minute ago`, `1-2` and `P1Y2M3DT4H5M6S`.

use super::number::trim;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::datatypes::IntervalMonthDayNano;

const SECOND: i128 = 1_000_000;
const HOUR: i128 = 3600 * SECOND;
const DAY: f64 = 86_400.0 * 1e6;

/// Why a text is no interval.
enum Fault {
    Syntax,
    Range,
}

/// Months, days and microseconds, wide enough for every sum on the way.
#[derive(Default, Clone, Copy)]
struct Parts {
    months: i128,
    days: i128,
    micros: i128,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Micros(i128),
    Days(i128),
    Months(i128),
}

/// A number with its fraction apart, so that whole units stay exact.
#[derive(Clone, Copy)]
struct Quantity {
    whole: i128,
    /// Of the same sign as the number, below one in size.
    fraction: f64,
}

impl Quantity {
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
            return None;
        }
        // Beyond 18 digits every unit is out of range anyway.
        let whole = match whole.trim_start_matches('0') {
            "" => 0,
            digits if digits.len() > 18 => 10_i128.pow(18),
            digits => digits.parse().ok()?,
        };
        let fraction = match fraction {
            "" => 0.0,
            digits => format!("0.{digits}").parse().ok()?,
        };
        Some(match negative {
            true => Self { whole: -whole, fraction: -fraction },
            false => Self { whole, fraction },
        })
    }
}

impl Parts {
    fn add(&mut self, quantity: Quantity, unit: Unit) {
        match unit {
            Unit::Micros(size) => {
                self.micros += quantity.whole * size;
                self.micros += (quantity.fraction * size as f64).round_ties_even() as i128;
            }
            Unit::Days(size) => {
                self.days += quantity.whole * size;
                self.add_days(quantity.fraction * size as f64);
            }
            Unit::Months(1) => {
                self.months += quantity.whole;
                self.add_days(quantity.fraction * 30.0);
            }
            Unit::Months(size) => {
                self.months += quantity.whole * size;
                self.months += (quantity.fraction * size as f64).round_ties_even() as i128;
            }
        }
    }

    /// Whole days stay days, the rest becomes time.
    fn add_days(&mut self, days: f64) {
        self.days += days.trunc() as i128;
        self.micros += (days.fract() * DAY).round_ties_even() as i128;
    }

    fn negate(&mut self) {
        *self = Self { months: -self.months, days: -self.days, micros: -self.micros };
    }
}

fn unit_of(word: &str) -> Option<Unit> {
    let lower = word.to_ascii_lowercase();
    Some(match lower.as_str() {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds"
        | "microsecon" => Unit::Micros(1),
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds"
        | "millisecon" => Unit::Micros(1000),
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Micros(SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Micros(60 * SECOND),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Micros(HOUR),
        "d" | "day" | "days" => Unit::Days(1),
        "w" | "week" | "weeks" => Unit::Days(7),
        "mon" | "mons" | "month" | "months" => Unit::Months(1),
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12),
        "dec" | "decs" | "decade" | "decades" => Unit::Months(120),
        "c" | "cent" | "century" | "centuries" => Unit::Months(1200),
        "mil" | "mils" | "millennium" | "millennia" => Unit::Months(12_000),
        _ => return None,
    })
}

/// `[-]HH:MM[:SS[.f]]` as microseconds.
fn parse_clock(text: &str) -> Result<i128, Fault> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let fields: Vec<&str> = rest.split(':').collect();
    let plain = |field: &str| match field.bytes().all(|b| b.is_ascii_digit()) {
        true if !field.is_empty() => Quantity::parse(field).ok_or(Fault::Syntax),
        _ => Err(Fault::Syntax),
    };
    let seconds = |field: &str| match field.as_bytes().first() {
        Some(b'0'..=b'9' | b'.') => Quantity::parse(field).ok_or(Fault::Syntax),
        _ => Err(Fault::Syntax),
    };
    // Two fields are minutes and seconds if the last has a fraction.
    let (h, m, s) = match fields.as_slice() {
        [m, s] if s.contains('.') => (plain("0")?, plain(m)?, seconds(s)?),
        [h, m] => (plain(h)?, plain(m)?, plain("0")?),
        [h, m, s] => (plain(h)?, plain(m)?, seconds(s)?),
        _ => return Err(Fault::Syntax),
    };
    if m.whole > 59 || s.whole > 60 {
        return Err(Fault::Range);
    }
    let fraction = (s.fraction * 1e6).round_ties_even() as i128;
    let micros = h.whole * HOUR + m.whole * 60 * SECOND + s.whole * SECOND + fraction;
    Ok(if negative { -micros } else { micros })
}

/// `Y-M`, as the SQL standard writes years and months.
fn parse_year_month(text: &str) -> Option<i128> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (years, months) = rest.split_once('-')?;
    let (years, months) = (years.parse::<u32>().ok()?, months.parse::<u32>().ok()?);
    let total = i128::from(years) * 12 + i128::from(months);
    (months < 12).then_some(if negative { -total } else { total })
}

/// Splits `1day` into its number and its unit.
fn split_number(word: &str) -> (&str, &str) {
    let signed = usize::from(word.starts_with(['-', '+']));
    let end = word[signed..]
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .map_or(word.len(), |at| at + signed);
    word.split_at(end)
}

/// Words with one space between them; a sign that stands alone belongs to the number behind it.
fn with_signs(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for word in text.split_ascii_whitespace() {
        joined.push_str(word);
        if !matches!(word, "+" | "-") {
            joined.push(' ');
        }
    }
    joined
}

fn parse_words(text: &str) -> Result<Parts, Fault> {
    let text = with_signs(text);
    let mut parts = Parts::default();
    let mut seen = Vec::new();
    let mut any = false;
    let mut words = text.split_ascii_whitespace().peekable();
    while let Some(word) = words.next() {
        if word == "@" && !any {
            continue;
        }
        if word.eq_ignore_ascii_case("ago") && any && words.peek().is_none() {
            parts.negate();
            break;
        }
        any = true;
        if word.contains(':') {
            parts.micros += parse_clock(word)?;
            continue;
        }
        if let Some(months) = parse_year_month(word) {
            parts.months += months;
            continue;
        }
        let (number, rest) = split_number(word);
        let quantity = Quantity::parse(number).ok_or(Fault::Syntax)?;
        let unit = if rest.is_empty() {
            match words.peek() {
                // A number right before the clock counts days.
                Some(next) if next.contains(':') => Unit::Days(1),
                Some(next) if !next.eq_ignore_ascii_case("ago") => {
                    let unit = unit_of(next).ok_or(Fault::Syntax)?;
                    words.next();
                    unit
                }
                _ => Unit::Micros(SECOND),
            }
        } else {
            unit_of(rest).ok_or(Fault::Syntax)?
        };
        if seen.contains(&unit) {
            return Err(Fault::Syntax);
        }
        seen.push(unit);
        parts.add(quantity, unit);
    }
    if any { Ok(parts) } else { Err(Fault::Syntax) }
}

fn parse_iso(text: &str) -> Result<Parts, Fault> {
    let mut parts = Parts::default();
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return Err(Fault::Syntax),
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    // The alternative form `P0001-02-03T04:05:06`.
    if let [years, months, days] = date.split('-').collect::<Vec<_>>()[..]
        && !years.is_empty()
    {
        let read = |t: &str| t.parse::<u32>().map(i128::from).map_err(|_| Fault::Syntax);
        parts.months = read(years)? * 12 + read(months)?;
        parts.days = read(days)?;
        if !time.is_empty() {
            parts.micros = parse_clock(time)?;
        }
        return Ok(parts);
    }
    for (mut rest, in_time) in [(date, false), (time, true)] {
        while !rest.is_empty() {
            let (number, tail) = split_number(rest);
            let quantity = Quantity::parse(number).ok_or(Fault::Syntax)?;
            let unit = match (tail.as_bytes().first(), in_time) {
                (Some(b'Y'), false) => Unit::Months(12),
                (Some(b'M'), false) => Unit::Months(1),
                (Some(b'W'), false) => Unit::Days(7),
                (Some(b'D'), false) => Unit::Days(1),
                (Some(b'H'), true) => Unit::Micros(HOUR),
                (Some(b'M'), true) => Unit::Micros(60 * SECOND),
                (Some(b'S'), true) => Unit::Micros(SECOND),
                _ => return Err(Fault::Syntax),
            };
            parts.add(quantity, unit);
            rest = &tail[1..];
        }
    }
    if date.is_empty() && time.is_empty() { Err(Fault::Syntax) } else { Ok(parts) }
}

/// An interval, whose microseconds must fit Arrow's nanoseconds.
pub(super) fn parse_interval(text: &str) -> Result<IntervalMonthDayNano> {
    let word = trim(text);
    let parts = match word.strip_prefix('P') {
        Some(iso) => parse_iso(iso),
        None => parse_words(word),
    };
    let narrow = |parts: Parts| {
        Ok(IntervalMonthDayNano::new(
            i32::try_from(parts.months).map_err(|_| Fault::Range)?,
            i32::try_from(parts.days).map_err(|_| Fault::Range)?,
            i64::try_from(parts.micros * 1000).map_err(|_| Fault::Range)?,
        ))
    };
    parts.and_then(narrow).map_err(|fault| match fault {
        Fault::Syntax => Error::new(
            SqlState::InvalidDatetimeFormat,
            format!("invalid input syntax for type interval: \"{text}\""),
        ),
        Fault::Range => Error::new(
            SqlState::DatetimeFieldOverflow,
            format!("interval field value out of range: \"{text}\""),
        ),
    })
}
