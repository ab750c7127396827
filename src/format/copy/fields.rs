//! Cutting a line of COPY data into fields.

use super::lines::find;
use super::options::{CopyFormat, CopyOptions};
use crate::error::{Error, Result};
use crate::format::decode::utf8;
use crate::sqlstate::SqlState;

/// The fields of one line. Those without escapes are places in the line, the others are copied.
#[derive(Debug, Default)]
pub(super) struct Fields {
    places: Vec<Place>,
    unescaped: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Null,
    Line { start: usize, end: usize, quoted: bool },
    Unescaped { start: usize, end: usize, quoted: bool },
}

/// A field.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Text {
        text: &'a str,
        /// Whether any of it stood in quotes.
        quoted: bool,
    },
}

impl Fields {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// A field of the line that was split last. Fails with 22021 if escapes broke its characters.
    pub(super) fn get<'a>(&'a self, index: usize, line: &'a str) -> Result<Value<'a>> {
        Ok(match self.places[index] {
            Place::Null => Value::Null,
            Place::Line { start, end, quoted } => {
                // Delimiters are ASCII, so that a cut is always between characters.
                Value::Text { text: line.get(start..end).unwrap_or_default(), quoted }
            }
            Place::Unescaped { start, end, quoted } => {
                Value::Text { text: utf8(&self.unescaped[start..end])?, quoted }
            }
        })
    }

    /// Splits a line. Fails with 22P04 for a quote that is not closed.
    pub(super) fn split(&mut self, line: &str, options: &CopyOptions) -> Result<()> {
        self.places.clear();
        self.unescaped.clear();
        match options.format {
            CopyFormat::Csv => self.split_csv(line.as_bytes(), options),
            _ => {
                self.split_text(line.as_bytes(), options);
                Ok(())
            }
        }
    }

    fn split_text(&mut self, line: &[u8], options: &CopyOptions) {
        let delimiter = options.delimiter;
        let needles = [delimiter, b'\\', delimiter, b'\\'];
        let mut start = 0;
        loop {
            let mut at = find(line, start, needles);
            let place = if line.get(at) == Some(&b'\\') {
                let copied = self.unescaped.len();
                self.unescaped.extend_from_slice(&line[start..at]);
                at = self.unescape(line, at, delimiter);
                Place::Unescaped { start: copied, end: self.unescaped.len(), quoted: false }
            } else {
                Place::Line { start, end: at, quoted: false }
            };
            // NULL is compared before escapes are resolved.
            let is_null = options.nulls.iter().any(|null| null.as_bytes() == &line[start..at]);
            self.places.push(if is_null { Place::Null } else { place });
            if at >= line.len() {
                return;
            }
            start = at + 1;
        }
    }

    /// Copies a field from its first backslash on; returns where it ends.
    fn unescape(&mut self, line: &[u8], from: usize, delimiter: u8) -> usize {
        let mut at = from;
        while at < line.len() && line[at] != delimiter {
            if line[at] != b'\\' {
                self.unescaped.push(line[at]);
                at += 1;
                continue;
            }
            let Some(letter) = line.get(at + 1).copied() else {
                // PostgreSQL drops a backslash at the very end.
                return at + 1;
            };
            at += 2;
            let byte = match letter {
                b'0'..=b'7' => {
                    let mut value = u32::from(letter - b'0');
                    for _ in 0..2 {
                        if let Some(digit @ b'0'..=b'7') = line.get(at) {
                            value = value * 8 + u32::from(digit - b'0');
                            at += 1;
                        }
                    }
                    value as u8
                }
                b'x' => {
                    let mut value = None;
                    for _ in 0..2 {
                        let digit = line.get(at).and_then(|b| char::from(*b).to_digit(16));
                        if let Some(digit) = digit {
                            value = Some(value.unwrap_or(0) * 16 + digit);
                            at += 1;
                        }
                    }
                    value.map_or(b'x', |value| value as u8)
                }
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                other => other,
            };
            self.unescaped.push(byte);
        }
        at
    }

    fn split_csv(&mut self, line: &[u8], options: &CopyOptions) -> Result<()> {
        let (delimiter, quote, escape) = (options.delimiter, options.quote, options.escape);
        let outside = [delimiter, quote, delimiter, quote];
        let mut start = 0;
        loop {
            let mut at = find(line, start, outside);
            if line.get(at) != Some(&quote) {
                let is_null = options.nulls.iter().any(|null| null.as_bytes() == &line[start..at]);
                let place = Place::Line { start, end: at, quoted: false };
                self.places.push(if is_null { Place::Null } else { place });
            } else if let Some(end) = simple_quoted(line, start, at, delimiter, quote, escape) {
                self.places.push(Place::Line { start: at + 1, end: end - 1, quoted: true });
                at = end;
            } else {
                let copied = self.unescaped.len();
                at = self.unquote(line, start, options)?;
                let end = self.unescaped.len();
                self.places.push(Place::Unescaped { start: copied, end, quoted: true });
            }
            if at >= line.len() {
                return Ok(());
            }
            start = at + 1;
        }
    }

    /// Copies a field with quotes anywhere in it; returns where it ends.
    fn unquote(&mut self, line: &[u8], from: usize, options: &CopyOptions) -> Result<usize> {
        let (delimiter, quote, escape) = (options.delimiter, options.quote, options.escape);
        let mut at = from;
        let mut inside = false;
        while let Some(byte) = line.get(at).copied() {
            at += 1;
            if !inside {
                match byte {
                    b if b == delimiter => return Ok(at - 1),
                    b if b == quote => inside = true,
                    b => self.unescaped.push(b),
                }
                continue;
            }
            let next = line.get(at).copied();
            match next {
                Some(next) if byte == escape && (next == escape || next == quote) => {
                    self.unescaped.push(next);
                    at += 1;
                }
                _ if byte == quote => inside = false,
                _ => self.unescaped.push(byte),
            }
        }
        if inside {
            return Err(Error::new(SqlState::BadCopyFileFormat, "unterminated CSV quoted field"));
        }
        Ok(at)
    }
}

/// The end of a field that is one pair of quotes and nothing special between them.
fn simple_quoted(
    line: &[u8],
    start: usize,
    open: usize,
    delimiter: u8,
    quote: u8,
    escape: u8,
) -> Option<usize> {
    if open != start {
        return None;
    }
    let close = find(line, open + 1, [quote, escape, quote, escape]);
    let is_end = line.get(close + 1).is_none_or(|byte| *byte == delimiter);
    (line.get(close) == Some(&quote) && is_end).then_some(close + 1)
}
