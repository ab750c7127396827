//! Where a line of COPY data ends: quotes, escapes, kinds of newlines, the end marker.

use super::options::{CopyFormat, CopyOptions};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// The newline that the first line ended with; all others must be of its kind.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Newline {
    Unknown,
    Lf,
    Cr,
    CrLf,
}

/// A complete line at the start of the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Where its text ends.
    pub(super) end: usize,
    /// Where the next line begins.
    pub(super) next: usize,
    /// Whether the end marker stands behind it.
    pub(super) is_end: bool,
    /// Newlines inside quotes.
    pub(super) embedded_lines: u64,
}

/// Looks for the ends of lines, going on in a line where it had to stop for want of bytes.
#[derive(Debug)]
pub(super) struct LineScanner {
    csv: bool,
    quote: u8,
    /// 0 if quotes are escaped by themselves, which toggling handles.
    escape: u8,
    newline: Newline,
    first_line: bool,
    /// Bytes of this line that have been looked at.
    at: usize,
    in_quote: bool,
    last_was_escape: bool,
    embedded_lines: u64,
}

impl LineScanner {
    pub(super) fn new(options: &CopyOptions) -> Self {
        Self {
            csv: options.format == CopyFormat::Csv,
            quote: options.quote,
            escape: if options.escape == options.quote { 0 } else { options.escape },
            newline: Newline::Unknown,
            first_line: true,
            at: 0,
            in_quote: false,
            last_was_escape: false,
            embedded_lines: 0,
        }
    }

    pub(super) fn is_first_line(&self) -> bool {
        self.first_line
    }

    pub(super) fn end_line(&mut self) {
        self.first_line = false;
    }

    pub(super) fn embedded_lines(&self) -> u64 {
        self.embedded_lines
    }

    /// The line at the start of `bytes`, none if it is not complete; `last` says that no more come.
    pub(super) fn next_line(&mut self, bytes: &[u8], last: bool) -> Result<Option<Line>> {
        let needles = if self.csv {
            [b'\n', b'\r', self.quote, self.escape]
        } else {
            [b'\n', b'\r', b'\\', 0]
        };
        loop {
            let found = find(bytes, self.at, needles);
            // What lies between is no escape, so that a pending one is over.
            if found > self.at {
                self.last_was_escape = false;
            }
            if self.csv && bytes.starts_with(b"\\") && self.at == 0 {
                match self.csv_end_marker(bytes, last)? {
                    Marker::Wait => return Ok(None),
                    Marker::Ended(next) => return Ok(Some(self.line(0, next, true))),
                    Marker::Data => {}
                }
            }
            self.at = found;
            let Some(byte) = bytes.get(found).copied() else {
                if last && !bytes.is_empty() {
                    return Ok(Some(self.line(bytes.len(), bytes.len(), false)));
                }
                return Ok(None);
            };
            if self.csv {
                self.see_quotes(byte);
            }
            let line = match byte {
                b'\n' if !self.in_quote => Some(self.line_feed()?),
                b'\r' if !self.in_quote => match self.carriage_return(bytes, last)? {
                    Some(length) => Some(length),
                    None => return Ok(None),
                },
                b'\\' if !self.csv => match self.backslash(bytes, last)? {
                    Marker::Wait => return Ok(None),
                    // As PostgreSQL has it, behind other data the marker only ends the line.
                    Marker::Ended(next) => return Ok(Some(self.line(found, next, found == 0))),
                    Marker::Data => continue,
                },
                _ => None,
            };
            match line {
                Some(length) => return Ok(Some(self.line(found, found + length, false))),
                None => self.at += 1,
            }
        }
    }

    fn line(&mut self, end: usize, next: usize, is_end: bool) -> Line {
        let line = Line { end, next, is_end, embedded_lines: self.embedded_lines };
        (self.at, self.in_quote, self.last_was_escape) = (0, false, false);
        self.embedded_lines = 0;
        line
    }

    /// Keeps track of quotes, as CopyReadLineText does.
    fn see_quotes(&mut self, byte: u8) {
        if self.in_quote && byte == self.escape && self.escape != 0 {
            self.last_was_escape = !self.last_was_escape;
        }
        if byte == self.quote && !self.last_was_escape {
            self.in_quote = !self.in_quote;
        }
        if byte != self.escape || self.escape == 0 {
            self.last_was_escape = false;
        }
        let counted = if self.newline == Newline::Lf { b'\n' } else { b'\r' };
        if self.in_quote && byte == counted {
            self.embedded_lines += 1;
        }
    }

    /// How many bytes the newline at hand has.
    fn line_feed(&mut self) -> Result<usize> {
        match self.newline {
            Newline::Cr | Newline::CrLf => Err(self.bad_newline("newline", "\\n")),
            _ => {
                self.newline = Newline::Lf;
                Ok(1)
            }
        }
    }

    fn carriage_return(&mut self, bytes: &[u8], last: bool) -> Result<Option<usize>> {
        if self.newline == Newline::Lf {
            return Err(self.bad_newline("carriage return", "\\r"));
        }
        if self.newline == Newline::Cr {
            return Ok(Some(1));
        }
        match bytes.get(self.at + 1) {
            Some(b'\n') => {
                self.newline = Newline::CrLf;
                Ok(Some(2))
            }
            // The quote state has counted this byte already, but a return outside quotes has none.
            None if !last => Ok(None),
            _ if self.newline == Newline::CrLf => Err(self.bad_newline("carriage return", "\\r")),
            _ => {
                self.newline = Newline::Cr;
                Ok(Some(1))
            }
        }
    }

    fn bad_newline(&self, what: &str, escape: &str) -> Error {
        let (found, hint) = if self.csv {
            ("unquoted", format!("Use quoted CSV field to represent {what}."))
        } else {
            ("literal", format!("Use \"{escape}\" to represent {what}."))
        };
        Error::new(SqlState::BadCopyFileFormat, format!("{found} {what} found in data")).hint(hint)
    }

    /// A backslash of the text format: before a point the end marker, else it hides a character.
    fn backslash(&mut self, bytes: &[u8], last: bool) -> Result<Marker> {
        match bytes.get(self.at + 1) {
            None if !last => Ok(Marker::Wait),
            Some(b'.') => self.end_marker(bytes, self.at + 2, last),
            _ => {
                self.at = (self.at + 2).min(bytes.len());
                Ok(Marker::Data)
            }
        }
    }

    /// The rest of an end marker: a newline of the kind seen before, or the end of the data.
    fn end_marker(&self, bytes: &[u8], at: usize, last: bool) -> Result<Marker> {
        let corrupt = || Error::new(SqlState::BadCopyFileFormat, "end-of-copy marker corrupt");
        let other_style = || {
            Error::new(
                SqlState::BadCopyFileFormat,
                "end-of-copy marker does not match previous newline style",
            )
        };
        match (bytes.get(at), bytes.get(at + 1)) {
            (None, _) if last => Ok(Marker::Ended(at)),
            (None, _) => Ok(Marker::Wait),
            (Some(b'\n'), _) => match self.newline {
                Newline::Cr | Newline::CrLf => Err(other_style()),
                _ => Ok(Marker::Ended(at + 1)),
            },
            (Some(b'\r'), _) if self.newline == Newline::Lf => Err(other_style()),
            (Some(b'\r'), _) if self.newline == Newline::Cr => Ok(Marker::Ended(at + 1)),
            (Some(b'\r'), None) if !last => Ok(Marker::Wait),
            (Some(b'\r'), Some(b'\n')) => Ok(Marker::Ended(at + 2)),
            (Some(b'\r'), _) if self.newline == Newline::CrLf => Err(corrupt()),
            (Some(b'\r'), _) => Ok(Marker::Ended(at + 1)),
            _ => Err(corrupt()),
        }
    }

    /// In csv `\.` ends the data only as a line of its own; any other is data.
    fn csv_end_marker(&self, bytes: &[u8], last: bool) -> Result<Marker> {
        match bytes.get(1) {
            None if !last => Ok(Marker::Wait),
            Some(b'.') => match bytes.get(2) {
                Some(b'\n' | b'\r') => self.end_marker(bytes, 2, last),
                None if last => Ok(Marker::Ended(2)),
                None => Ok(Marker::Wait),
                Some(_) => Ok(Marker::Data),
            },
            _ => Ok(Marker::Data),
        }
    }
}

/// What a backslash turned out to be.
enum Marker {
    /// More bytes are needed to tell.
    Wait,
    /// The end marker; the newline behind it ends at this place.
    Ended(usize),
    Data,
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first of four bytes at or behind `from`, else the length. Eight bytes are looked at a time.
pub(super) fn find(bytes: &[u8], from: usize, needles: [u8; 4]) -> usize {
    let patterns = needles.map(|needle| u64::from(needle) * LOW);
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let mut hits = 0;
        for pattern in patterns {
            // A byte that equals the needle becomes zero, and only then does the borrow set its
            // high bit; a wrong bit can only stand behind a right one.
            let zeroed = word ^ pattern;
            hits |= zeroed.wrapping_sub(LOW) & !zeroed & HIGH;
        }
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < bytes.len() && !needles.contains(&bytes[at]) {
        at += 1;
    }
    at
}
