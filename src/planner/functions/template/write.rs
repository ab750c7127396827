//! `to_char` of a time or an interval.

use super::clock::{Fields, JULIAN_EPOCH};
use super::node::{Case, DAYS, Field, MONTHS, Node, ROMAN, ordinal_ending};
use crate::error::Error;
use std::fmt::Write;

/// Writes a time by a template.
pub(super) fn write(nodes: &[Node], at: &Fields, out: &mut String) -> Result<(), Error> {
    for node in nodes {
        match node {
            Node::Text(c, _) => out.push(*c),
            Node::Field { field, case, fill, ordinal, .. } => {
                let start = out.len();
                let is_number = put(*field, *case, *fill, at, out)?;
                if let (Some(ending), true) = (ordinal, is_number && out.len() > start) {
                    let ending = ordinal_ending(&out[start..], *ending);
                    out.push_str(ending);
                }
            }
        }
    }
    Ok(())
}

/// Writes one field; true if it is a number that can take an ordinal's ending.
fn put(field: Field, case: Case, fill: bool, at: &Fields, out: &mut String) -> Result<bool, Error> {
    // A number with zeros in front, one more place where there is a minus.
    let number = |out: &mut String, width: usize, value: i64, negative: bool| {
        let width = if fill { 0 } else { width + usize::from(negative) };
        let _ = write!(out, "{value:0width$}");
        Ok(true)
    };
    let text = |out: &mut String, width: usize, word: &str| {
        let width = if fill { 0 } else { width };
        let _ = write!(out, "{word:<width$}");
        Ok(false)
    };
    let words = |out: &mut String, word: &str| {
        out.push_str(&case.of(word));
        Ok(false)
    };
    match field {
        Field::Exact => Ok(false),
        Field::HalfDay(dots) => {
            let word = match (at.hour % 24 >= 12, dots) {
                (true, true) => "P.M.",
                (true, false) => "PM",
                (false, true) => "A.M.",
                (false, false) => "AM",
            };
            words(out, word)
        }
        Field::Era(dots) => {
            at.of_calendar()?;
            let word = match (at.year <= 0, dots) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            };
            words(out, word)
        }
        Field::Hour12 => {
            let hour = if at.hour % 12 == 0 { 12 } else { at.hour % 12 };
            number(out, 2, hour, at.hour < 0)
        }
        Field::Hour24 => number(out, 2, at.hour, at.hour < 0),
        Field::Minute => number(out, 2, at.minute, at.minute < 0),
        Field::Second => number(out, 2, at.second, at.second < 0),
        Field::Millisecond => padded(out, 3, at.micros / 1000),
        Field::Fraction(digits) => {
            let unit = [1_000_000, 100_000, 10_000, 1000, 100, 10, 1][digits];
            padded(out, digits, at.micros / unit)
        }
        Field::SecondOfDay => padded(out, 0, at.hour * 3600 + at.minute * 60 + at.second),
        Field::ZoneName => {
            at.of_calendar()?;
            if let Some((name, _)) = &at.zone {
                let name = if case == Case::Lower { name.to_lowercase() } else { name.clone() };
                out.push_str(&name);
            }
            Ok(false)
        }
        Field::ZoneHour => {
            at.of_calendar()?;
            let offset = offset(at);
            let _ = write!(out, "{}{:02}", sign(offset), offset.abs() / 3600);
            Ok(false)
        }
        Field::ZoneMinute => {
            at.of_calendar()?;
            let _ = write!(out, "{:02}", offset(at).abs() % 3600 / 60);
            Ok(false)
        }
        Field::Offset => {
            at.of_calendar()?;
            let offset = offset(at);
            let width = if fill { 0 } else { 2 };
            let _ = write!(out, "{}{:0width$}", sign(offset), offset.abs() / 3600);
            if offset % 3600 != 0 {
                let _ = write!(out, ":{:02}", offset.abs() % 3600 / 60);
            }
            Ok(false)
        }
        Field::MonthName | Field::MonthShort => {
            at.of_calendar()?;
            let name = usize::try_from(at.month - 1).ok().and_then(|i| MONTHS.get(i));
            let name = case.of(name.copied().unwrap_or_default());
            match field {
                Field::MonthName => text(out, 9, &name),
                _ => text(out, 0, name.get(..3).unwrap_or_default()),
            }
        }
        Field::Month => number(out, 2, at.month, at.month < 0),
        Field::DayName | Field::DayShort => {
            at.of_calendar()?;
            let name = case.of(DAYS[usize::try_from(at.weekday()).unwrap_or_default()]);
            match field {
                Field::DayName => text(out, 9, &name),
                _ => text(out, 0, &name[..3]),
            }
        }
        Field::DayOfYear => number(out, 3, at.day_of_year, false),
        Field::Day => number(out, 2, at.day, false),
        Field::DayOfWeek => {
            at.of_calendar()?;
            number(out, 0, at.weekday() + 1, false)
        }
        Field::WeekOfYear => number(out, 2, (at.day_of_year - 1) / 7 + 1, false),
        Field::WeekOfMonth => number(out, 0, (at.day - 1) / 7 + 1, false),
        Field::Quarter if at.month == 0 => Ok(false),
        Field::Quarter => number(out, 0, (at.month - 1) / 3 + 1, false),
        Field::Century => {
            let century = if at.is_interval {
                at.year / 100
            } else if at.year > 0 {
                (at.year - 1) / 100 + 1
            } else {
                at.year / 100 - 1
            };
            number(out, 2, century, century < 0)
        }
        Field::YearWithComma => {
            let year = at.shown_year(at.year);
            let _ = write!(out, "{},{:03}", year / 1000, year % 1000);
            Ok(true)
        }
        Field::Year(digits) => {
            let year = at.shown_year(at.year);
            number(out, digits, year % [1, 10, 100, 1000, i64::MAX][digits], year < 0)
        }
        Field::Roman => {
            let month = match (at.month, at.year) {
                (0, 0) => return Ok(false),
                (0, year) if year > 0 => 12,
                (0, _) => 1,
                (month, _) if month < 0 => 13 + month,
                (month, _) => month,
            };
            let numeral = usize::try_from(month - 1).ok().and_then(|i| ROMAN.get(i));
            let numeral = numeral.copied().unwrap_or_default();
            let numeral =
                if case == Case::Lower { numeral.to_lowercase() } else { numeral.to_owned() };
            text(out, 4, &numeral)
        }
        Field::Julian => {
            at.of_calendar()?;
            number(out, 0, at.days + JULIAN_EPOCH, false)
        }
        Field::IsoDayOfYear => {
            at.of_calendar()?;
            number(out, 3, at.iso().2, false)
        }
        Field::IsoDay => {
            at.of_calendar()?;
            number(out, 0, if at.weekday() == 0 { 7 } else { at.weekday() }, false)
        }
        Field::IsoWeek => {
            at.of_calendar()?;
            number(out, 2, at.iso().1, false)
        }
        Field::IsoYear(digits) => {
            at.of_calendar()?;
            let year = at.shown_year(at.iso().0);
            number(out, digits, year % [1, 10, 100, 1000, i64::MAX][digits], false)
        }
    }
}

fn padded(out: &mut String, width: usize, value: i64) -> Result<bool, Error> {
    let _ = write!(out, "{value:0width$}");
    Ok(true)
}

fn offset(at: &Fields) -> i32 {
    at.zone.as_ref().map_or(0, |(_, offset)| *offset)
}

fn sign(offset: i32) -> char {
    if offset < 0 { '-' } else { '+' }
}
