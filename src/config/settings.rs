//! The values of a session's settings.

use super::{Kind, SETTINGS, Setting, find};
use crate::error::{Error, Result};
use crate::format::{ByteaOutput, DateOrder, EncodeSettings, SessionZone};
use crate::sqlstate::SqlState;
use crate::suggest;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The setting that holds for one transaction only.
const READ_ONLY: &str = "transaction_read_only";

/// A session's settings: the defaults, and what was set over them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// What RESET goes back to, where the start of the connection said so.
    startup: BTreeMap<&'static str, String>,
    values: BTreeMap<&'static str, String>,
    /// What SET LOCAL covered: the values to go back to at the end of the transaction.
    covered: BTreeMap<&'static str, Option<String>>,
}

impl Settings {
    /// The setting of a name.
    ///
    /// # Errors
    /// 42704 with the nearest name.
    pub fn known(name: &str) -> Result<&'static Setting> {
        find(name).ok_or_else(|| {
            let names: Vec<&str> = SETTINGS.iter().map(|s| s.name).collect();
            Error::new(
                SqlState::UndefinedObject,
                format!("unrecognized configuration parameter \"{name}\""),
            )
            .maybe_hint(suggest::hint("parameter", name, &names))
        })
    }

    /// A setting's value.
    ///
    /// # Errors
    /// 42704.
    pub fn get(&self, name: &str) -> Result<&str> {
        Ok(self.value(Self::known(name)?))
    }

    /// A known setting's value.
    pub fn value(&self, setting: &'static Setting) -> &str {
        if setting.name == READ_ONLY && !self.values.contains_key(READ_ONLY) {
            return self.of("default_transaction_read_only");
        }
        self.values
            .get(setting.name)
            .or_else(|| self.startup.get(setting.name))
            .map_or(setting.default, String::as_str)
    }

    fn of(&self, name: &str) -> &str {
        find(name).map_or("", |setting| self.value(setting))
    }

    /// Sets a value.
    ///
    /// # Errors
    /// 42704, 22023 for a value it cannot take, 55P02 for one that never changes.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = Self::known(name)?;
        let value = check(setting, value)?;
        self.values.insert(setting.name, value);
        Ok(())
    }

    /// Sets a value until the transaction ends.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn set_local(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = Self::known(name)?;
        let before = self.values.get(setting.name).cloned();
        self.set(name, value)?;
        self.covered.entry(setting.name).or_insert(before);
        Ok(())
    }

    /// BEGIN, with the mode that it named.
    pub fn begin_transaction(&mut self, read_only: Option<bool>) {
        let read_only = read_only.unwrap_or_else(|| self.read_only());
        self.values.insert(READ_ONLY, if read_only { "on" } else { "off" }.to_owned());
        self.covered.insert(READ_ONLY, None);
    }

    /// Takes back what SET LOCAL did.
    pub fn end_transaction(&mut self) {
        for (name, before) in std::mem::take(&mut self.covered) {
            match before {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(name),
            };
        }
    }

    /// Sets a value that RESET goes back to: what the client's startup message said.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn set_at_startup(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = Self::known(name)?;
        let value = check(setting, value)?;
        self.startup.insert(setting.name, value);
        Ok(())
    }

    /// Sets what the connection itself decides, such as the role.
    pub fn fix(&mut self, name: &'static str, value: &str) {
        self.startup.insert(name, value.to_owned());
    }

    /// RESET of one setting.
    ///
    /// # Errors
    /// 42704, 55P02 for what belongs to one transaction.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        let setting = Self::known(name)?;
        if setting.name == READ_ONLY {
            return Err(Error::new(
                SqlState::CantChangeRuntimeParam,
                format!("parameter \"{READ_ONLY}\" cannot be reset"),
            ));
        }
        self.values.remove(setting.name);
        Ok(())
    }

    /// RESET ALL. What a transaction may do stays as its BEGIN said.
    pub fn reset_all(&mut self) {
        self.values.retain(|name, _| *name == READ_ONLY);
    }

    /// All settings with their values, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&'static Setting, &str)> {
        SETTINGS.iter().map(|s| (s, self.value(s)))
    }

    /// The values that clients are told about.
    pub fn reported(&self) -> Vec<(String, String)> {
        self.all()
            .filter(|(s, _)| s.reported)
            .map(|(s, v)| (s.name.to_owned(), v.to_owned()))
            .collect()
    }

    /// The schemas that bare names are looked up in, those of `$user` filled in.
    pub fn search_path(&self, role: &str) -> Vec<String> {
        split_list(self.of("search_path"))
            .into_iter()
            .map(|s| if s == "$user" { role.to_owned() } else { s })
            .collect()
    }

    /// How values are printed and read.
    pub fn encode(&self) -> EncodeSettings {
        EncodeSettings {
            time_zone: SessionZone::parse(self.time_zone()).unwrap_or_else(SessionZone::utc),
            extra_float_digits: self.of("extra_float_digits").parse().unwrap_or(1),
            bytea_output: match self.of("bytea_output") {
                "escape" => ByteaOutput::Escape,
                _ => ByteaOutput::Hex,
            },
            date_order: date_order(self.of("DateStyle")).unwrap_or(DateOrder::Mdy),
        }
    }

    /// The session's time zone.
    pub fn time_zone(&self) -> &str {
        self.of("TimeZone")
    }

    /// The bound of a statement's time, if there is one.
    pub fn statement_timeout(&self) -> Option<Duration> {
        let ms = milliseconds(self.of("statement_timeout")).filter(|ms| *ms > 0)?;
        Some(Duration::from_millis(ms))
    }

    /// The folder that relative file names start at, if not the process's own.
    pub fn file_search_path(&self) -> Option<PathBuf> {
        let path = self.of("file_search_path");
        (!path.is_empty()).then(|| PathBuf::from(path))
    }

    /// The number of partitions of a plan, if not the default.
    pub fn target_partitions(&self) -> Option<usize> {
        self.of("target_partitions").parse().ok().filter(|n| *n > 0)
    }

    /// True if the transaction, or outside of a block the next one, writes nothing.
    pub fn read_only(&self) -> bool {
        self.of(READ_ONLY) == "on"
    }
}

fn invalid(setting: &Setting, value: &str) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("invalid value for parameter \"{}\": \"{value}\"", setting.name),
    )
}

fn check(setting: &Setting, value: &str) -> Result<String> {
    match setting.kind {
        Kind::Text if setting.name == "DateStyle" => date_style(setting, value),
        Kind::Text => Ok(value.to_owned()),
        Kind::Schemas => {
            Ok(split_list(value)
                .iter()
                .map(|s| {
                    if s == "$user" {
                        "\"$user\"".to_owned()
                    } else {
                        crate::parser::quote_ident(s)
                    }
                })
                .collect::<Vec<_>>()
                .join(", "))
        }
        Kind::Bool => match value.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".into()),
            "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".into()),
            _ => Err(invalid(setting, value).hint("The value is on or off.")),
        },
        Kind::Int(low, high) => match value.trim().parse::<i64>() {
            Ok(n) if (low..=high).contains(&n) => Ok(n.to_string()),
            Ok(n) => Err(Error::new(
                SqlState::InvalidParameterValue,
                format!(
                    "{n} is outside the valid range for parameter \"{}\" ({low} .. {high})",
                    setting.name
                ),
            )),
            Err(_) => Err(invalid(setting, value)),
        },
        Kind::Milliseconds => {
            let ms = milliseconds(value).ok_or_else(|| {
                invalid(setting, value).hint(
                    "Valid units for this parameter are \"ms\", \"s\", \"min\", \"h\", and \"d\".",
                )
            })?;
            if ms > 0 && setting.name == "idle_in_transaction_session_timeout" {
                return Err(Error::unsupported(setting.name, "Leave it at 0."));
            }
            Ok(show_milliseconds(ms))
        }
        Kind::Choice(words) => words
            .iter()
            .find(|w| match setting.name {
                // PostgreSQL looks at letters and digits alone.
                "client_encoding" => alphanumeric(w) == alphanumeric(value),
                _ => w.eq_ignore_ascii_case(value),
            })
            .map(|w| {
                if setting.name == "client_encoding" { "UTF8".to_owned() } else { (*w).to_owned() }
            })
            .ok_or_else(|| choice(setting, value, words)),
        Kind::Zone => {
            let zone = SessionZone::parse(value).ok_or_else(|| invalid(setting, value))?;
            Ok(zone.name().to_owned())
        }
        Kind::Fixed => Err(Error::new(
            SqlState::CantChangeRuntimeParam,
            format!("parameter \"{}\" cannot be changed", setting.name),
        )),
    }
}

fn alphanumeric(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn choice(setting: &Setting, value: &str, words: &[&str]) -> Error {
    if setting.name.ends_with("isolation") && value.eq_ignore_ascii_case("serializable") {
        return Error::unsupported(
            "isolation level SERIALIZABLE",
            "Use REPEATABLE READ: snapshot isolation, with the reads of UPDATE, DELETE and MERGE validated.",
        );
    }
    let available = format!("Available values: {}.", words.join(", "));
    if is_elsewhere(setting, value) {
        return Error::unsupported(format_args!("{} {value}", setting.name), available);
    }
    invalid(setting, value).hint(available)
}

/// The families of PostgreSQL's encodings, letters and digits alone.
const ENCODINGS: &[&str] = &[
    "big5",
    "euc",
    "gb",
    "iso8859",
    "johab",
    "koi8",
    "latin",
    "mskanji",
    "muleinternal",
    "shiftjis",
    "sjis",
    "sqlascii",
    "uhc",
    "win",
];

/// Whether PostgreSQL takes a value that is not taken here.
fn is_elsewhere(setting: &Setting, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    match setting.name {
        "IntervalStyle" => {
            matches!(value.as_str(), "postgres_verbose" | "sql_standard" | "iso_8601")
        }
        "standard_conforming_strings" => matches!(value.as_str(), "off" | "false" | "no" | "0"),
        "client_encoding" => {
            let value = alphanumeric(&value);
            ENCODINGS.iter().any(|family| value.starts_with(family))
        }
        _ => false,
    }
}

fn date_style(setting: &Setting, value: &str) -> Result<String> {
    let mut order = "MDY";
    for word in value.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        match word.to_ascii_uppercase().as_str() {
            "ISO" | "DEFAULT" => {}
            "MDY" | "US" | "NONEURO" | "NONEUROPEAN" => order = "MDY",
            "DMY" | "EURO" | "EUROPEAN" => order = "DMY",
            "YMD" => order = "YMD",
            "SQL" | "POSTGRES" | "GERMAN" => {
                return Err(Error::unsupported(
                    format_args!("DateStyle {word}"),
                    "Dates are printed in ISO style.",
                ));
            }
            _ => return Err(invalid(setting, value)),
        }
    }
    Ok(format!("ISO, {order}"))
}

fn date_order(style: &str) -> Option<DateOrder> {
    Some(match style.rsplit(", ").next()? {
        "DMY" => DateOrder::Dmy,
        "YMD" => DateOrder::Ymd,
        _ => DateOrder::Mdy,
    })
}

fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor).filter(|ms| *ms <= i32::MAX as u64)
}

fn show_milliseconds(ms: u64) -> String {
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)] {
        if ms > 0 && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    if ms == 0 { "0".to_owned() } else { format!("{ms}ms") }
}

/// The names of a list such as `"$user", public`.
fn split_list(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut was_quoted = false;
    let mut push = |word: &mut String, was_quoted: &mut bool| {
        let name = if *was_quoted { word.clone() } else { word.trim().to_lowercase() };
        if !name.is_empty() {
            out.push(name);
        }
        word.clear();
        *was_quoted = false;
    };
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                if quoted {
                    word.clear();
                    was_quoted = true;
                }
            }
            ',' if !quoted => push(&mut word, &mut was_quoted),
            c if !quoted && was_quoted && c.is_whitespace() => {}
            c => word.push(c),
        }
    }
    push(&mut word, &mut was_quoted);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_shown_as_postgresql_shows_them() {
        let mut s = Settings::default();
        s.set("statement_timeout", "1500").expect("a number");
        assert_eq!(s.get("statement_timeout").expect("known"), "1500ms");
        s.set("STATEMENT_TIMEOUT", "2min").expect("a unit");
        assert_eq!(s.get("statement_timeout").expect("known"), "2min");
        s.set("search_path", "Gold, \"Odd Name\"").expect("a list");
        assert_eq!(s.get("search_path").expect("known"), "gold, \"Odd Name\"");
        assert_eq!(s.search_path("cenote"), ["gold", "Odd Name"]);
        s.reset("search_path").expect("known");
        assert_eq!(s.search_path("cenote"), ["cenote", "public"]);
        assert_eq!(
            s.set("serch_path", "x").expect_err("unknown").code(),
            SqlState::UndefinedObject
        );
        assert_eq!(
            s.set("TimeZone", "Mars/Base").expect_err("none").code(),
            SqlState::InvalidParameterValue
        );
    }

    #[test]
    fn what_only_postgresql_can_do_is_told_from_what_is_wrong() {
        let mut s = Settings::default();
        for (name, value, code) in [
            ("IntervalStyle", "iso_8601", SqlState::FeatureNotSupported),
            ("IntervalStyle", "long", SqlState::InvalidParameterValue),
            ("client_encoding", "ISO-8859-1", SqlState::FeatureNotSupported),
            ("client_encoding", "utf9", SqlState::InvalidParameterValue),
            ("DateStyle", "German", SqlState::FeatureNotSupported),
            ("standard_conforming_strings", "off", SqlState::FeatureNotSupported),
        ] {
            let error = s.set(name, value).expect_err("refused");
            assert_eq!(error.code(), code, "{name} {value}");
        }
        assert_eq!(s, Settings::default());
    }
}
