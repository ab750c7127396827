//! The session settings that change how a value is written or read.

use super::abbreviations::abbreviation;
use super::datetime::days_from_civil;
use chrono::{DateTime, Datelike, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{OffsetName, Tz};

/// What the text of a value depends on besides the value.
///
/// DateStyle is always ISO and IntervalStyle always postgres.
#[derive(Debug, Clone)]
pub struct EncodeSettings {
    /// TimeZone.
    pub time_zone: SessionZone,
    /// extra_float_digits: above 0 the shortest text that reads back the same, else fewer digits.
    pub extra_float_digits: i32,
    /// bytea_output.
    pub bytea_output: ByteaOutput,
    /// The order that DateStyle gives for input such as `01/02/2020`.
    pub date_order: DateOrder,
}

impl Default for EncodeSettings {
    fn default() -> Self {
        Self {
            time_zone: SessionZone::utc(),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::Hex,
            date_order: DateOrder::Mdy,
        }
    }
}

/// bytea_output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteaOutput {
    /// `\x6162`
    Hex,
    /// `ab\000`
    Escape,
}

/// The order of day, month and year in ambiguous input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateOrder {
    /// Month, day, year.
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

/// A time zone of a session, with the name that SHOW answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionZone {
    name: String,
    rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Named(Tz),
    /// Seconds east of UTC.
    Fixed(i32),
}

impl SessionZone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".into(), rule: Rule::Fixed(0) }
    }

    /// A zone of the time zone database.
    #[must_use]
    pub fn named(tz: Tz) -> Self {
        match tz {
            Tz::UTC | Tz::Etc__UTC | Tz::GMT | Tz::Etc__GMT => {
                Self { name: tz.name().into(), rule: Rule::Fixed(0) }
            }
            _ => Self { name: tz.name().into(), rule: Rule::Named(tz) },
        }
    }

    /// A constant distance, in seconds east of UTC, named as PostgreSQL names it: `<+05:30>-05:30`.
    #[must_use]
    pub fn fixed(seconds_east: i32) -> Self {
        let name = |seconds: i32| {
            let (sign, abs) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
            match (abs / 60 % 60, abs % 60) {
                (0, 0) => format!("{sign}{:02}", abs / 3600),
                (m, 0) => format!("{sign}{:02}:{m:02}", abs / 3600),
                (m, s) => format!("{sign}{:02}:{m:02}:{s:02}", abs / 3600),
            }
        };
        // The second half is POSIX, where west is positive.
        let posix = match seconds_east {
            0 => "-00".to_owned(),
            east => name(-east),
        };
        Self { name: format!("<{}>{posix}", name(seconds_east)), rule: Rule::Fixed(seconds_east) }
    }

    /// Reads what SET TIME ZONE takes: a name in any case, a number of hours east of UTC, or letters and hours
    /// west of it, as POSIX has them: `UTC+3`, `+03:00`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(hours) = text.parse::<f64>() {
            let within = hours.is_finite() && hours.abs() < 100.0;
            return within.then(|| Self::fixed((hours * 3600.0).round() as i32));
        }
        if let Some((_, posix)) = text.strip_prefix('<').and_then(|t| t.split_once('>')) {
            return Self::from_posix(posix).map(Self::fixed);
        }
        if text.eq_ignore_ascii_case("utc") {
            return Some(Self::utc());
        }
        if ["z", "zulu"].iter().any(|z| text.eq_ignore_ascii_case(z)) {
            return Some(Self { name: text.into(), rule: Rule::Fixed(0) });
        }
        if let Ok(tz) = text.parse::<Tz>() {
            return Some(Self::named(tz));
        }
        let same = |tz: &&Tz| tz.name().eq_ignore_ascii_case(text);
        match chrono_tz::TZ_VARIANTS.iter().find(same) {
            Some(tz) => Some(Self::named(*tz)),
            None => Self::posix(text),
        }
    }

    /// Reads the zone of AT TIME ZONE: there abbreviations such as `PST` have a meaning too, and a number alone is
    /// west of UTC, as in POSIX.
    #[must_use]
    pub fn at(text: &str) -> Option<Self> {
        if let Some(seconds) = abbreviation(text) {
            return Some(if seconds == 0 { Self::utc() } else { Self::fixed(seconds) });
        }
        if let Some(zone) = Self::posix(text) {
            return Some(zone);
        }
        // A number that is no POSIX offset would be taken for hours east of UTC.
        if text.trim().parse::<f64>().is_ok() { None } else { Self::parse(text) }
    }

    /// Letters, if any, and a constant distance west of UTC: `UTC+3`, `-05:30`.
    fn posix(text: &str) -> Option<Self> {
        let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
        let seconds = Self::from_posix(&text[letters..])?;
        if letters == 0 {
            // Others would read such a name as east of UTC.
            return Some(Self::fixed(seconds));
        }
        Some(Self { name: text.to_ascii_uppercase(), rule: Rule::Fixed(seconds) })
    }

    /// Seconds east of UTC from `[+|-]hours[:minutes[:seconds]]` west of it.
    fn from_posix(text: &str) -> Option<i32> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (1, digits),
            None => (-1, text.strip_prefix('+').unwrap_or(text)),
        };
        let number = |part: &str| match part.bytes().all(|b| b.is_ascii_digit()) {
            true => part.parse::<i32>().ok(),
            false => None,
        };
        let parts = digits.split(':').map(number).collect::<Option<Vec<i32>>>()?;
        // As many hours as a week has, as in PostgreSQL.
        let [hours, rest @ ..] = parts.as_slice() else { return None };
        if !(0..168).contains(hours) || rest.iter().any(|part| !(0..60).contains(part)) {
            return None;
        }
        let seconds = match parts.as_slice() {
            [h] => h * 3600,
            [h, m] => h * 3600 + m * 60,
            [h, m, s] => h * 3600 + m * 60 + s,
            _ => return None,
        };
        Some(sign * seconds)
    }

    /// The name that SHOW TimeZone answers.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The constant offset in seconds, if the zone has no rules.
    pub(crate) fn constant(&self) -> Option<i32> {
        match self.rule {
            Rule::Fixed(seconds) => Some(seconds),
            Rule::Named(_) => None,
        }
    }

    /// Seconds east of UTC at an instant, in seconds since 1970.
    #[must_use]
    pub fn offset_at(&self, utc_seconds: i64) -> i32 {
        match self.rule {
            Rule::Fixed(seconds) => seconds,
            Rule::Named(tz) => {
                let utc = clamped(utc_seconds);
                let utc = utc.checked_add_signed(into_rules(utc.year())).unwrap_or(utc);
                tz.offset_from_utc_datetime(&utc).fix().local_minus_utc()
            }
        }
    }

    /// What the zone is called at an instant, in seconds since 1970: `CEST`, or `+05:30`.
    #[must_use]
    pub fn abbreviation_at(&self, utc_seconds: i64) -> String {
        match self.rule {
            Rule::Fixed(_) => match self.name.strip_prefix('<').and_then(|n| n.split_once('>')) {
                Some((name, _)) => name.to_owned(),
                None => {
                    let name = self.name.rsplit('/').next().unwrap_or_default();
                    let letters = name.find(|c: char| !c.is_ascii_alphabetic());
                    name[..letters.unwrap_or(name.len())].to_owned()
                }
            },
            Rule::Named(tz) => {
                let utc = clamped(utc_seconds);
                let utc = utc.checked_add_signed(into_rules(utc.year())).unwrap_or(utc);
                let offset = tz.offset_from_utc_datetime(&utc);
                offset.abbreviation().map_or_else(|| offset.to_string(), str::to_owned)
            }
        }
    }

    /// Seconds east of UTC at a local time, in seconds since 1970-01-01 00:00 local.
    ///
    /// As PostgreSQL has it, a time that the clocks skip counts from before the change, one that
    /// they show twice from after it.
    #[must_use]
    pub fn offset_at_local(&self, local_seconds: i64) -> i32 {
        match self.rule {
            Rule::Fixed(seconds) => seconds,
            Rule::Named(tz) => {
                let local = clamped(local_seconds);
                let local = local.checked_add_signed(into_rules(local.year())).unwrap_or(local);
                match tz.offset_from_local_datetime(&local) {
                    LocalResult::Single(offset) | LocalResult::Ambiguous(_, offset) => {
                        offset.fix().local_minus_utc()
                    }
                    LocalResult::None => self.offset_at(local_seconds - 86_400),
                }
            }
        }
    }
}

/// The last year for which chrono-tz has each change of the clocks.
const RULES_LAST_YEAR: i32 = 2099;

/// How far a year beyond the rules is from the last one that begins on the same day of the week and
/// is as long: there the clocks change at the same times, as the last rules of a zone go on.
fn into_rules(year: i32) -> TimeDelta {
    if year <= RULES_LAST_YEAR {
        return TimeDelta::zero();
    }
    let first_day = |year: i32| days_from_civil(i64::from(year), 1, 1);
    let length = |year: i32| first_day(year + 1) - first_day(year);
    let like = (RULES_LAST_YEAR - 27..=RULES_LAST_YEAR)
        .rev()
        .find(|known| {
            length(*known) == length(year) && (first_day(year) - first_day(*known)) % 7 == 0
        })
        .unwrap_or(RULES_LAST_YEAR);
    TimeDelta::days(first_day(like) - first_day(year))
}

/// A point in time that chrono can hold, at its own bounds for what lies beyond.
fn clamped(seconds: i64) -> NaiveDateTime {
    let bound = if seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp(seconds, 0).unwrap_or(bound).naive_utc()
}
