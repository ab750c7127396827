//! `to_date` and `to_timestamp`: text read by a template.

use super::clock::{JULIAN_EPOCH, iso_year_start};
use super::node::{DAYS, Field, Kind, MONTHS, Node, ROMAN, ends_by_itself, is_space};
use crate::error::Error;
use crate::format::datetime::{DAY_MICROS, civil_from_days, days_from_civil, days_in_month};
use crate::sqlstate::SqlState;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Days since 1970-01-01.
    pub days: i64,
    /// Microseconds since midnight.
    pub time: i64,
    /// Seconds east of UTC, where the text says them.
    pub offset: Option<i32>,
}

impl Moment {
    /// Microseconds since 1970, local.
    pub(super) fn local(&self) -> i64 {
        self.days * DAY_MICROS + self.time
    }
}

/// What the fields of a template were given; 0 is nothing, as for PostgreSQL.
#[derive(Debug, Default)]
struct Values {
    half_day_clock: bool,
    iso: Option<bool>,
    hour: i32,
    minute: i32,
    second: i32,
    second_of_day: i32,
    milli: i32,
    micro: i32,
    afternoon: i32,
    before_christ: i32,
    century: i32,
    year: i32,
    year_digits: usize,
    month: i32,
    day: i32,
    day_of_year: i32,
    /// Sunday is 1.
    weekday: i32,
    week: i32,
    week_of_month: i32,
    julian: i32,
    zone_sign: i32,
    zone_hour: i32,
    zone_minute: i32,
}

/// Reads a text.
pub(super) fn read(text: &str, nodes: &[Node]) -> Result<Moment, Error> {
    let mut reader = Reader { rest: text, before: None, values: Values::default() };
    reader.run(nodes)?;
    moment(reader.values, text)
}

fn malformed(message: String) -> Error {
    Error::new(SqlState::InvalidDatetimeFormat, message)
}

/// The text that is left, and what was found.
struct Reader<'a> {
    rest: &'a str,
    /// The character in front of the rest.
    before: Option<char>,
    values: Values,
}

impl Reader<'_> {
    fn skip(&mut self) {
        let mut characters = self.rest.chars();
        self.before = characters.next().or(self.before);
        self.rest = characters.as_str();
    }

    fn skip_spaces(&mut self) -> i32 {
        let mut skipped = 0;
        while self.rest.starts_with(is_space) {
            self.skip();
            skipped += 1;
        }
        skipped
    }

    fn run(&mut self, nodes: &[Node]) -> Result<(), Error> {
        let mut exact = false;
        // Characters that were skipped beyond those that the template asked for.
        let mut extra = 0;
        for (i, node) in nodes.iter().enumerate() {
            if self.rest.is_empty() {
                break;
            }
            let is_field = matches!(node, Node::Field { .. });
            let is_exact = matches!(node, Node::Field { field: Field::Exact, .. });
            if !exact && !is_exact && (is_field || i == 0) {
                extra += self.skip_spaces();
            }
            match node {
                Node::Text(_, Kind::Separator | Kind::Space) if !exact => {
                    extra -= 1;
                    let separates = |c: char| is_space(c) || c.is_ascii_punctuation();
                    if self.rest.starts_with(separates) {
                        self.skip();
                        extra += 1;
                    }
                }
                Node::Text(..) if !exact && extra > 0 => extra -= 1,
                Node::Text(..) => self.skip(),
                Node::Field { field: Field::Exact, .. } => exact = true,
                Node::Field { field, name, case, fill, ordinal } => {
                    if let Some(iso) = field.is_iso()
                        && self.values.iso.replace(iso).is_some_and(|before| before != iso)
                    {
                        let message = "invalid combination of date conventions".to_owned();
                        return Err(malformed(message).hint(
                            "Do not mix Gregorian and ISO week date conventions in a formatting template.",
                        ));
                    }
                    let greedy = *fill || ends_by_itself(nodes, i);
                    self.field(*field, &case.as_written(name), greedy, extra)?;
                    if ordinal.is_some() {
                        self.skip();
                        self.skip();
                    }
                    if !exact {
                        extra = self.skip_spaces();
                    }
                }
            }
        }
        Ok(())
    }

    /// A whole number; with it, the length of its text.
    fn number(&mut self, name: &str, width: usize, greedy: bool) -> Result<(i32, usize), Error> {
        let before = self.rest.len();
        self.skip_spaces();
        let copy = self.rest.get(..width).unwrap_or(self.rest);
        let invalid = || malformed(format!("invalid value \"{copy}\" for \"{name}\""));
        let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        let source = if greedy { self.rest } else { copy };
        if !greedy && self.rest.len() < width {
            return Err(malformed(format!(
                "source string too short for \"{name}\" formatting field"
            ))
            .detail(format!(
                "Field requires {width} characters, but only {} remain.",
                self.rest.len()
            ))
            .hint(hint));
        }
        let digits = integer_length(source);
        if !greedy && digits > 0 && digits < width {
            return Err(invalid()
                .detail(format!(
                    "Field requires {width} characters, but only {digits} could be parsed."
                ))
                .hint(hint));
        }
        if digits == 0 {
            return Err(invalid().detail("Value must be an integer."));
        }
        let value = source[..digits].trim_start().parse::<i32>().map_err(|_| {
            Error::new(
                SqlState::DatetimeFieldOverflow,
                format!("value for \"{name}\" in source string is out of range"),
            )
            .detail(format!(
                "Value must be in the range {} to {}.",
                i32::MIN,
                i32::MAX
            ))
        })?;
        for _ in 0..digits {
            self.skip();
        }
        Ok((value, before - self.rest.len()))
    }

    /// The place of the word that the rest begins with, in any case.
    fn word(&mut self, name: &str, words: &[&str], length: usize) -> Result<i32, Error> {
        let matches = |word: &str| {
            let word = &word[..word.len().min(length)];
            let start = self.rest.get(..word.len())?;
            start.eq_ignore_ascii_case(word).then_some(word.len())
        };
        let found = words.iter().enumerate().find_map(|(i, w)| matches(w).map(|n| (i, n)));
        let Some((at, length)) = found else {
            let shown = self.rest.split(is_space).next().unwrap_or_default();
            return Err(malformed(format!("invalid value \"{shown}\" for \"{name}\"")).detail(
                "The given value did not match any of the allowed values for this field.",
            ));
        };
        for _ in 0..length {
            self.skip();
        }
        Ok(i32::try_from(at).unwrap_or_default())
    }

    fn field(&mut self, field: Field, name: &str, greedy: bool, extra: i32) -> Result<(), Error> {
        let width = match field {
            Field::Hour12 | Field::Hour24 | Field::ZoneHour | Field::ZoneMinute => 2,
            Field::Millisecond | Field::IsoDayOfYear => 3,
            Field::Fraction(digits) => digits,
            Field::IsoDay => 1,
            _ => name.len(),
        };
        match field {
            Field::Exact => {}
            Field::HalfDay(dots) => {
                let words = if dots { ["a.m.", "p.m."] } else { ["am", "pm"] };
                let found = self.word(name, &words, 4)?;
                set(&mut self.values.afternoon, found, name)?;
                self.values.half_day_clock = true;
            }
            Field::Era(dots) => {
                let words = if dots { ["a.d.", "b.c."] } else { ["ad", "bc"] };
                let found = self.word(name, &words, 4)?;
                set(&mut self.values.before_christ, found, name)?;
            }
            Field::MonthName | Field::MonthShort => {
                let length = if field == Field::MonthName { 9 } else { 3 };
                let found = self.word(name, &MONTHS, length)?;
                set(&mut self.values.month, found + 1, name)?;
            }
            Field::DayName | Field::DayShort => {
                let length = if field == Field::DayName { 9 } else { 3 };
                let found = self.word(name, &DAYS, length)?;
                set(&mut self.values.weekday, found + 1, name)?;
            }
            Field::Roman => {
                // The longer first: VIII begins with VII.
                let backwards: Vec<&str> = ROMAN.into_iter().rev().collect();
                let mut by_length = backwards.clone();
                by_length.sort_by_key(|numeral| std::cmp::Reverse(numeral.len()));
                let found = self.word(name, &by_length, 4)?;
                let numeral = by_length.get(usize::try_from(found).unwrap_or_default());
                let month = ROMAN.iter().position(|r| Some(r) == numeral).unwrap_or_default();
                set(&mut self.values.month, i32::try_from(month).unwrap_or_default() + 1, name)?;
            }
            Field::ZoneName | Field::Offset => {
                let message = format!("formatting field \"{name}\" is only supported in to_char");
                return Err(Error::new(SqlState::FeatureNotSupported, message));
            }
            Field::ZoneHour => {
                // A minus may have been taken for a separator.
                self.values.zone_sign = match self.rest.chars().next() {
                    Some('-') => -1,
                    Some('+' | ' ') => 1,
                    _ if extra > 0 && self.before == Some('-') => -1,
                    _ => 1,
                };
                if self.rest.starts_with(['+', '-', ' ']) {
                    self.skip();
                }
                let (value, _) = self.number(name, width, greedy)?;
                set(&mut self.values.zone_hour, value, name)?;
            }
            Field::YearWithComma => {
                let wrong = || {
                    Error::new(
                        SqlState::InvalidTextRepresentation,
                        "invalid input string for \"Y,YYY\"",
                    )
                };
                let length = integer_length(self.rest);
                let thousands: i32 =
                    self.rest[..length].trim_start().parse().map_err(|_| wrong())?;
                let behind = self.rest[length..].strip_prefix(',').ok_or_else(wrong)?;
                let digits = behind.bytes().take(3).take_while(u8::is_ascii_digit).count();
                let years: i32 = behind[..digits].parse().map_err(|_| wrong())?;
                for _ in 0..=length + digits {
                    self.skip();
                }
                let years = thousands.checked_mul(1000).and_then(|t| t.checked_add(years));
                set(&mut self.values.year, years.ok_or_else(wrong)?, name)?;
                self.values.year_digits = 4;
            }
            _ => {
                let (value, length) = self.number(name, width, greedy)?;
                self.numeric_field(field, name, value, length)?;
            }
        }
        Ok(())
    }

    fn numeric_field(
        &mut self,
        field: Field,
        name: &str,
        value: i32,
        length: usize,
    ) -> Result<(), Error> {
        let values = &mut self.values;
        let place = match field {
            Field::Hour12 => {
                values.half_day_clock = true;
                &mut values.hour
            }
            Field::Hour24 => &mut values.hour,
            Field::Minute => &mut values.minute,
            Field::Second => &mut values.second,
            Field::SecondOfDay => &mut values.second_of_day,
            Field::Millisecond => {
                // 25 is a quarter of a second, and so is 250.
                let unit = [100, 100, 10].get(length).copied().unwrap_or(1);
                values.milli = value.saturating_mul(unit);
                return Ok(());
            }
            Field::Fraction(_) => {
                let missing = u32::try_from(6usize.saturating_sub(length)).unwrap_or_default();
                values.micro = value.saturating_mul(10i32.pow(missing));
                return Ok(());
            }
            Field::ZoneMinute => {
                if values.zone_sign == 0 {
                    values.zone_sign = 1;
                }
                &mut values.zone_minute
            }
            Field::Month => &mut values.month,
            Field::DayOfYear | Field::IsoDayOfYear => &mut values.day_of_year,
            Field::Day => &mut values.day,
            Field::DayOfWeek => &mut values.weekday,
            Field::IsoDay => {
                let weekday = if value >= 7 { 1 } else { value + 1 };
                return set(&mut values.weekday, weekday, name);
            }
            Field::WeekOfYear | Field::IsoWeek => &mut values.week,
            Field::WeekOfMonth => &mut values.week_of_month,
            Field::Century => &mut values.century,
            Field::Julian => &mut values.julian,
            Field::Year(digits) | Field::IsoYear(digits) => {
                let year = if digits < 4 && length < 4 { full_year(value) } else { value };
                set(&mut values.year, year, name)?;
                values.year_digits = digits;
                return Ok(());
            }
            // A quarter says less than a month does: it is read, and not used.
            _ => return Ok(()),
        };
        set(place, value, name)
    }
}

/// The bytes of what C's `strtol` reads: spaces, a sign, digits; 0 without digits.
fn integer_length(text: &str) -> usize {
    let unspaced = text.trim_start_matches(is_space);
    let unsigned = unspaced.strip_prefix(['+', '-']).unwrap_or(unspaced);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 { 0 } else { text.len() - unsigned.len() + digits }
}

fn set(place: &mut i32, value: i32, name: &str) -> Result<(), Error> {
    if *place != 0 && *place != value {
        let message = format!("conflicting values for \"{name}\" field in formatting string");
        return Err(malformed(message)
            .detail("This value contradicts a previous setting for the same field type."));
    }
    *place = value;
    Ok(())
}

/// A year of less than four digits is the one nearest to 2020.
fn full_year(year: i32) -> i32 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

fn moment(v: Values, text: &str) -> Result<Moment, Error> {
    let out_of_range = || {
        let message = format!("date/time field value out of range: \"{text}\"");
        Error::new(SqlState::DatetimeFieldOverflow, message)
    };
    let of_day = v.second_of_day;
    let or = |value: i32, other: i32| if value == 0 { other } else { value };
    let mut hour = or(v.hour, of_day / 3600);
    let minute = or(v.minute, of_day % 3600 / 60);
    let second = or(v.second, of_day % 60);
    if v.half_day_clock {
        if !(1..=12).contains(&hour) {
            let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
            return Err(
                malformed(message).hint("Use the 24-hour clock, or give an hour between 1 and 12.")
            );
        }
        hour = hour % 12 + if v.afternoon == 1 { 12 } else { 0 };
    }
    let micros = i64::from(v.milli) * 1000 + i64::from(v.micro);
    let within = (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second)
        && (0..1_000_000).contains(&micros);
    let days = day(&v, &out_of_range)?;
    let zone_within = (0..=15).contains(&v.zone_hour) && (0..60).contains(&v.zone_minute);
    if !within || !zone_within {
        return Err(out_of_range());
    }
    // PostgreSQL's calendar begins in 4714 BC and ends with the year 294276.
    if !(-JULIAN_EPOCH..106_751_992).contains(&days) {
        let message = format!("date out of range: \"{text}\"");
        return Err(Error::new(SqlState::DatetimeFieldOverflow, message));
    }
    let time = i64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + micros;
    let offset =
        (v.zone_sign != 0).then(|| v.zone_sign * (v.zone_hour * 3600 + v.zone_minute * 60));
    Ok(Moment { days, time, offset })
}

/// The year that the fields say, 0 being 1 BC, or none.
fn year_of(v: &Values) -> Option<i64> {
    let before_christ = v.before_christ == 1;
    let century = i64::from(if before_christ { -v.century } else { v.century });
    let year = i64::from(v.year);
    if v.year != 0 && v.century != 0 && v.year_digits <= 2 {
        let short = year % 100;
        return Some(match (short, century >= 0) {
            (0, true) => century * 100,
            (0, false) => century * 100 + 1,
            (_, true) => short + (century - 1) * 100,
            (_, false) => (century + 1) * 100 - short + 1,
        });
    }
    if v.year != 0 {
        let year = if before_christ { -year } else { year };
        return Some(if year < 0 { year + 1 } else { year });
    }
    let first = if century >= 0 { (century - 1) * 100 + 1 } else { century * 100 + 1 };
    (v.century != 0).then_some(first)
}

/// The day, since 1970-01-01.
fn day(v: &Values, out_of_range: &dyn Fn() -> Error) -> Result<i64, Error> {
    let given = year_of(v);
    let (mut year, mut month, mut day) = (given.unwrap_or(0), 1i64, 1i64);
    let mut day_of_year = i64::from(v.day_of_year);
    let civil = |days: i64| {
        let (year, month, day) = civil_from_days(days);
        (year, i64::from(month), i64::from(day))
    };
    if v.julian != 0 {
        (year, month, day) = civil(i64::from(v.julian) - JULIAN_EPOCH);
    }
    if v.week != 0 && v.iso == Some(true) {
        let monday = iso_year_start(year) + (i64::from(v.week) - 1) * 7;
        let behind = match v.weekday {
            0 => 0,
            1 => 6,
            weekday => i64::from(weekday) - 2,
        };
        (year, month, day) = civil(monday + behind);
    } else if v.week != 0 {
        day_of_year = (i64::from(v.week) - 1) * 7 + 1;
    }
    if v.week_of_month != 0 {
        day = (i64::from(v.week_of_month) - 1) * 7 + 1;
    } else if v.day != 0 {
        day = i64::from(v.day);
    }
    if v.month != 0 {
        month = i64::from(v.month);
    }
    if day_of_year != 0 && (month <= 1 || day <= 1) {
        if year == 0 && v.before_christ == 0 {
            let message = "cannot calculate day of year without year information".to_owned();
            return Err(malformed(message));
        }
        if v.iso == Some(true) {
            (year, month, day) = civil(iso_year_start(year) + day_of_year - 1);
        } else {
            let length = days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1);
            if !(1..=length).contains(&day_of_year) {
                return Err(out_of_range());
            }
            let (_, its_month, its_day) = civil(days_from_civil(year, 1, 1) + day_of_year - 1);
            month = if month <= 1 { its_month } else { month };
            day = if day <= 1 { its_day } else { day };
        }
    }
    let (Ok(of_month), Ok(of_day)) = (u32::try_from(month), u32::try_from(day)) else {
        return Err(out_of_range());
    };
    if !(1..=12).contains(&of_month) || of_day == 0 || of_day > days_in_month(year, of_month) {
        return Err(out_of_range());
    }
    Ok(days_from_civil(year, of_month, of_day))
}
