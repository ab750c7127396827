//! Dates and times that are not plain ISO 8601, word by word.

use super::datetime::time_micros;
use super::datetime::{Fault, Moment, Zone, checked_days, fraction_micros, parse_offset};
use crate::format::abbreviations::abbreviation;
use crate::format::settings::{DateOrder, SessionZone};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// Whether the word is the name or its first letters, three at least.
fn names(word: &str, full: &str) -> bool {
    word.len() >= 3
        && full.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        && (word.len() == 3 || word.len() == full.len() || matches!(word.len(), 4 | 5))
}

fn month_of(word: &str) -> Option<u32> {
    MONTHS.iter().position(|month| names(word, month)).map(|at| at as u32 + 1)
}

/// What has been seen so far.
#[derive(Default)]
struct Words {
    moment: Moment,
    /// A month given by name.
    month: Option<u32>,
    /// Plain numbers beside it: day and year.
    numbers: Vec<(i64, usize)>,
    before_christ: bool,
    /// The year had at most two digits.
    short_year: bool,
    /// A time of day is wanted, so that `0405` is one.
    time_only: bool,
    /// Hours that PM adds and AM takes.
    half: Option<bool>,
    hour: u32,
}

/// Reads a text that is not empty at either end.
pub(super) fn parse_words(text: &str, order: DateOrder, time_only: bool) -> Result<Moment, Fault> {
    let mut words = Words { time_only, ..Words::default() };
    let mut any = false;
    for word in text.split([' ', '\t', '\n', ',']).filter(|word| !word.is_empty()) {
        any = true;
        words.take(word, order)?;
    }
    if !any {
        return Err(Fault::Syntax);
    }
    words.finish(order)
}

impl Words {
    fn take(&mut self, word: &str, order: DateOrder) -> Result<(), Fault> {
        let first = word.as_bytes()[0];
        if first.is_ascii_digit() {
            if let Some((date, time)) = split_at_t(word) {
                self.take(date, order)?;
                return self.take_time(time);
            }
            if word.contains(':') {
                return self.take_time(word);
            }
            let digits = word.bytes().take_while(u8::is_ascii_digit).count();
            if digits == word.len() {
                return self.take_number(word);
            }
            if self.moment.date.is_some() && digits == 6 {
                return self.take_time(word);
            }
            if let Some(half) = half_of(&word[digits..]) {
                self.take_time(&word[..digits])?;
                self.half = Some(half);
                return Ok(());
            }
            return self.take_date(word, order);
        }
        if matches!(first, b'+' | b'-') && (self.moment.time.is_some()) {
            return self.take_zone(word);
        }
        self.take_name(word, order)
    }

    fn take_name(&mut self, word: &str, order: DateOrder) -> Result<(), Fault> {
        let lower = word.trim_end_matches('.').to_ascii_lowercase();
        if let Some(half) = half_of(&lower) {
            self.half = Some(half);
            return Ok(());
        }
        let special = |shift| (Some((shift, 0, 0)), true);
        match lower.as_str() {
            "bc" => self.before_christ = true,
            "ad" | "at" | "t" => {}
            "epoch" => {
                self.moment.date = Some((1970, 1, 1));
                self.moment.time = Some(0);
                self.moment.zone = Some(Zone::Offset(0));
            }
            "now" => self.moment.now = true,
            "today" => (self.moment.date, self.moment.now) = special(0),
            "tomorrow" => (self.moment.date, self.moment.now) = special(1),
            "yesterday" => (self.moment.date, self.moment.now) = special(-1),
            "allballs" => {
                self.moment.time = Some(0);
                self.moment.zone = Some(Zone::Offset(0));
            }
            "infinity" | "-infinity" | "+infinity" => return Err(Fault::Infinite),
            _ if self.month.is_none() && month_of(&lower).is_some() => {
                self.month = month_of(&lower);
            }
            _ if DAYS.iter().any(|day| names(&lower, day)) => {}
            _ if word.contains('-') && month_of(word.split('-').next().unwrap_or("")).is_some() => {
                return self.take_date(word, order);
            }
            _ if self.moment.zone.is_none() => return self.take_zone(word),
            _ => return Err(Fault::Syntax),
        }
        Ok(())
    }

    fn take_zone(&mut self, word: &str) -> Result<(), Fault> {
        let zone = match parse_offset(word.as_bytes()) {
            Some(offset) => Zone::Offset(offset?),
            None => match abbreviation(word) {
                Some(seconds) => Zone::Offset(seconds),
                None if word.contains('/') => match SessionZone::parse(word) {
                    Some(zone) => Zone::Named(zone),
                    None => return Err(Fault::UnknownZone(word.to_ascii_lowercase())),
                },
                None => return Err(Fault::Syntax),
            },
        };
        // A zone makes sense only beside a time, and PostgreSQL takes it nowhere else.
        if self.moment.zone.is_some() || self.moment.date.is_none() && self.moment.time.is_none() {
            return Err(Fault::Syntax);
        }
        self.moment.zone = Some(zone);
        Ok(())
    }

    /// `4:05`, `04:05:06.789-08`, `040506` or `04:05PM`.
    fn take_time(&mut self, word: &str) -> Result<(), Fault> {
        if self.moment.time.is_some() {
            return Err(Fault::Syntax);
        }
        let clock = word
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.')))
            .unwrap_or(word.len());
        let (clock, tail) = word.split_at(clock);
        let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let fields: Vec<&str> = if whole.contains(':') {
            whole.split(':').collect()
        } else {
            match whole.len() {
                1 | 2 => vec![whole, "0"],
                4 => vec![&whole[..2], &whole[2..]],
                6 => vec![&whole[..2], &whole[2..4], &whole[4..]],
                _ => return Err(Fault::Syntax),
            }
        };
        let read = |field: &&str| match field.len() {
            1..=9 => field.parse::<u32>().map_err(|_| Fault::Syntax),
            _ => Err(Fault::Syntax),
        };
        let (hour, minute, second) = match fields.as_slice() {
            [h, m] if fraction.is_empty() => (read(h)?, read(m)?, 0),
            [h, m, s] => (read(h)?, read(m)?, read(s)?),
            _ => return Err(Fault::Syntax),
        };
        if !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::Syntax);
        }
        let micros = time_micros(hour, minute, second, fraction_micros(fraction.as_bytes()))?;
        self.hour = hour;
        self.moment.time = Some(micros);
        match half_of(tail) {
            Some(half) => self.half = Some(half),
            None if tail.is_empty() => {}
            None => return self.take_zone(tail),
        }
        Ok(())
    }

    /// A number alone: `20200105`, `200105`, or day and year beside the name of a month.
    fn take_number(&mut self, word: &str) -> Result<(), Fault> {
        let value: i64 = word.parse().map_err(|_| Fault::Range)?;
        let no_date = self.moment.date.is_none() && self.month.is_none();
        if self.time_only && no_date && matches!(word.len(), 4 | 6) {
            return self.take_time(word);
        }
        match word.len() {
            8 if no_date => {
                self.moment.date =
                    Some((value / 10_000, (value / 100 % 100) as u32, (value % 100) as u32));
            }
            6 if no_date => {
                self.short_year = true;
                self.moment.date =
                    Some((value / 10_000, (value / 100 % 100) as u32, (value % 100) as u32));
            }
            6 => return self.take_time(word),
            _ if self.moment.date.is_some() || self.numbers.len() == 2 => {
                return Err(Fault::Syntax);
            }
            _ => self.numbers.push((value, word.len())),
        }
        Ok(())
    }

    /// Three fields between `-`, `/` or `.`.
    fn take_date(&mut self, word: &str, order: DateOrder) -> Result<(), Fault> {
        if self.moment.date.is_some() {
            return Err(Fault::Syntax);
        }
        let word = match word.strip_suffix(['Z', 'z']) {
            Some(date) => {
                self.moment.zone = Some(Zone::Offset(0));
                date
            }
            None => word,
        };
        let fields: Vec<&str> = word.split(['-', '/', '.']).collect();
        let [a, b, c] = fields.as_slice() else { return Err(Fault::Syntax) };
        let read = |field: &str| match field.bytes().all(|b| b.is_ascii_digit()) {
            true if !field.is_empty() => field.parse::<i64>().map_err(|_| Fault::Range),
            _ => Err(Fault::Syntax),
        };
        let mut short_year = false;
        let mut year = |field: &str| {
            short_year = field.len() <= 2;
            read(field)
        };
        // The year stands first if it has three digits or more.
        let (y, m, d) = if let Some(month) = month_of(b) {
            if a.len() > 2 {
                (year(a)?, i64::from(month), read(c)?)
            } else {
                (year(c)?, i64::from(month), read(a)?)
            }
        } else if let Some(month) = month_of(a) {
            (year(c)?, i64::from(month), read(b)?)
        } else if a.len() > 2 {
            (year(a)?, read(b)?, read(c)?)
        } else {
            match order {
                DateOrder::Mdy => (year(c)?, read(a)?, read(b)?),
                DateOrder::Dmy => (year(c)?, read(b)?, read(a)?),
                DateOrder::Ymd => (year(a)?, read(b)?, read(c)?),
            }
        };
        self.short_year = short_year;
        let narrow = |value: i64| u32::try_from(value).map_err(|_| Fault::MonthOrDay);
        self.moment.date = Some((y, narrow(m)?, narrow(d)?));
        Ok(())
    }

    fn finish(mut self, order: DateOrder) -> Result<Moment, Fault> {
        if let Some(month) = self.month {
            let [(a, a_len), (b, b_len)] = self.numbers[..] else { return Err(Fault::Syntax) };
            let year_first = a_len > 2 || (order == DateOrder::Ymd && b_len <= 2);
            let ((day, _), (year, len)) =
                if year_first { ((b, b_len), (a, a_len)) } else { ((a, a_len), (b, b_len)) };
            let day = u32::try_from(day).map_err(|_| Fault::MonthOrDay)?;
            self.short_year = len <= 2;
            self.moment.date = Some((year, month, day));
        } else if !self.numbers.is_empty() {
            return Err(Fault::Syntax);
        }
        if let Some((year, month, day)) = &mut self.moment.date
            && !self.moment.now
        {
            if self.short_year && !self.before_christ {
                *year += if *year < 70 { 2000 } else { 1900 };
            }
            if *year <= 0 {
                return Err(Fault::Range);
            }
            if self.before_christ {
                *year = 1 - *year;
            }
            // Years beyond any calendar are refused before they are multiplied.
            if year.abs() > 99_999_999 {
                return Err(Fault::Range);
            }
            checked_days(*year, *month, *day)?;
        }
        if let (Some(afternoon), Some(time)) = (self.half, &mut self.moment.time) {
            if self.hour > 12 {
                return Err(Fault::Range);
            }
            if afternoon && self.hour < 12 {
                *time += 12 * 3_600_000_000;
            } else if !afternoon && self.hour == 12 {
                *time -= 12 * 3_600_000_000;
            }
        }
        Ok(self.moment)
    }
}

/// Some(true) for PM, Some(false) for AM.
fn half_of(word: &str) -> Option<bool> {
    if word.eq_ignore_ascii_case("pm") {
        Some(true)
    } else {
        word.eq_ignore_ascii_case("am").then_some(false)
    }
}

/// Splits `20200101T040506` and `2020-1-5T4:05`.
fn split_at_t(word: &str) -> Option<(&str, &str)> {
    let at = word.find(['T', 't'])?;
    let (date, time) = (&word[..at], &word[at + 1..]);
    let is_time = time.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let is_date = date.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'/' | b'.'));
    (is_time && is_date && date.len() >= 6).then_some((date, time))
}
