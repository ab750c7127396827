//! Names and types of a csv file's columns, guessed from its first rows.

use super::fields::{Fields, Value};
use super::lines::LineScanner;
use super::options::{CopyOptions, Header};
use crate::error::Result;
use crate::format::decode::{parse_text, utf8};
use crate::format::settings::EncodeSettings;
use arrow::datatypes::{DataType, TimeUnit};

/// What the values of a column have in common so far.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Guess {
    /// Nothing but NULL.
    Nothing,
    /// `NaN` and `inf`, which are numbers only among numbers.
    NonFinite,
    Bool,
    Int,
    Double,
    Date,
    Timestamp,
    Timestamptz,
    Text,
}

impl Guess {
    fn of(text: &str, settings: &EncodeSettings) -> Self {
        let parses = |data_type: &DataType| parse_text(text, data_type, settings).is_ok();
        let bytes = text.as_bytes();
        let Some(first) = bytes.first() else { return Self::Text };
        if matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.') && !text.contains(' ') {
            let digits = text.trim_start_matches(['+', '-']);
            // A postal code such as 01234 would lose its zero as a number.
            let padded = digits.len() > 1
                && digits.starts_with('0')
                && digits.bytes().all(|b| b.is_ascii_digit());
            if padded {
                return Self::Text;
            }
            if parses(&DataType::Int64) {
                return Self::Int;
            }
            if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
                && parses(&DataType::Float64)
            {
                return Self::Double;
            }
        }
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return Self::Bool;
        }
        let unsigned = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
        if matches!(unsigned.as_str(), "nan" | "inf" | "infinity") {
            return Self::NonFinite;
        }
        let looks_dated = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-';
        if looks_dated && bytes.len() == 10 && parses(&DataType::Date32) {
            return Self::Date;
        }
        let has_time = matches!(bytes.get(10), Some(b' ' | b'T'));
        if looks_dated && has_time && parses(&DataType::Timestamp(TimeUnit::Microsecond, None)) {
            let zone = bytes[11..].iter().any(|b| matches!(b, b'+' | b'-' | b'Z' | b'z'));
            return if zone { Self::Timestamptz } else { Self::Timestamp };
        }
        Self::Text
    }

    /// The narrowest guess that fits both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Nothing, other) | (other, Self::Nothing) => other,
            (
                Self::NonFinite | Self::Int | Self::Double,
                Self::NonFinite | Self::Int | Self::Double,
            ) => Self::Double,
            (Self::Date | Self::Timestamp, Self::Date | Self::Timestamp) => Self::Timestamp,
            _ => Self::Text,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Nothing | Self::NonFinite | Self::Text => DataType::Utf8,
        }
    }
}

/// Names and types of the columns of a csv file whose beginning is `sample`.
///
/// `whole` says that the sample is all of the file; else its last line is left out if it has no
/// newline. Names are those of the header, else `column1`, `column2`, … The types are boolean,
/// bigint, double precision, date, timestamp with or without time zone, and text for all others
/// and for numbers with leading zeros. Fails as the decoder does for data that is no csv.
pub fn infer_csv_schema(
    sample: &[u8],
    whole: bool,
    options: &CopyOptions,
) -> Result<Vec<(String, DataType)>> {
    let mut line = 0;
    infer(sample, whole, options, &mut line).map_err(|e| e.context(format!("line {line}")))
}

/// Counts the lines that it looks at.
fn infer(
    sample: &[u8],
    whole: bool,
    options: &CopyOptions,
    number: &mut u64,
) -> Result<Vec<(String, DataType)>> {
    *number = 1;
    let settings = EncodeSettings::default();
    let mut scanner = LineScanner::new(options);
    let mut fields = Fields::default();
    let mut names: Vec<String> = Vec::new();
    let mut guesses: Vec<Guess> = Vec::new();
    let mut rest = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    let has_newline = rest.contains(&b'\n') || rest.contains(&b'\r');
    while let Some(line) = scanner.next_line(rest, whole || !has_newline)? {
        if line.is_end {
            break;
        }
        let text = utf8(&rest[..line.end])?;
        fields.split(text, options)?;
        let is_header = scanner.is_first_line() && options.header != Header::None;
        scanner.end_line();
        for index in 0..fields.len() {
            let value = fields.get(index, text)?;
            if is_header {
                names.push(match value {
                    Value::Text { text, .. } => text.to_string(),
                    Value::Null => format!("column{}", index + 1),
                });
                continue;
            }
            let guess = match value {
                Value::Null => Guess::Nothing,
                Value::Text { text, .. } => Guess::of(text, &settings),
            };
            match guesses.get_mut(index) {
                Some(known) => *known = known.and(guess),
                None => guesses.push(guess),
            }
        }
        rest = &rest[line.next..];
        *number += 1 + line.embedded_lines;
    }
    let count = if names.is_empty() { guesses.len() } else { names.len() };
    Ok((0..count)
        .map(|index| {
            let name = names.get(index).cloned();
            let guess = guesses.get(index).copied().unwrap_or(Guess::Nothing);
            (name.unwrap_or_else(|| format!("column{}", index + 1)), guess.data_type())
        })
        .collect())
}
