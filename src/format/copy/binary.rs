//! The binary format of COPY FROM.

use super::{BINARY_SIGNATURE, CopyDecoder, State};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// Signature, flags, length of the extension.
const HEADER_BYTES: usize = BINARY_SIGNATURE.len() + 8;

/// The flag of rows that carry OIDs, which no server writes any more.
const FLAG_OIDS: u32 = 1 << 16;

impl CopyDecoder {
    pub(super) fn consume_binary(&mut self, bytes: &[u8], last: bool) -> Result<usize> {
        let mut used = 0;
        if self.state == State::Start {
            match header_length(bytes)? {
                Some(length) if bytes.len() >= length => used = length,
                _ if last => return Err(bad_file("COPY file signature not recognized")),
                _ => return Ok(0),
            }
            self.state = State::Rows;
        }
        while self.state == State::Rows {
            let row = &bytes[used..];
            match self.take_binary_row(row)? {
                Some(length) => used += length,
                // PostgreSQL does without the trailer, but not without the end of a row.
                None if last && !row.is_empty() => {
                    let error = bad_file("unexpected EOF in COPY data");
                    return Err(self.at_line(error, self.line + 1));
                }
                None => return Ok(used),
            }
        }
        Ok(bytes.len())
    }

    /// Decodes a row if all of it is there, and returns its length.
    fn take_binary_row(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(count) = bytes.first_chunk().map(|b| i16::from_be_bytes(*b)) else {
            return Ok(None);
        };
        if count == -1 {
            self.state = State::Ended;
            return Ok(Some(2));
        }
        if usize::try_from(count).ok() != Some(self.columns.len()) {
            let expected = self.columns.len();
            let error = bad_file(format!("row field count is {count}, expected {expected}"));
            return Err(self.at_line(error, self.line + 1));
        }
        let Some(length) = self.binary_row_length(bytes)? else { return Ok(None) };
        self.line += 1;
        self.bytes += length;
        let mut at = 2;
        for index in 0..self.columns.len() {
            let size = field_size(bytes, at).unwrap_or(-1);
            at += 4;
            let column = &mut self.columns[index];
            let Ok(size) = usize::try_from(size) else {
                column.parser.append_null();
                continue;
            };
            if let Err(error) = column.parser.append_binary(&bytes[at..at + size]) {
                return Err(self.at_column(error, self.line, index));
            }
            at += size;
        }
        self.row_done()?;
        Ok(Some(length))
    }

    /// The length of the row at the start, none if it is not complete.
    fn binary_row_length(&self, bytes: &[u8]) -> Result<Option<usize>> {
        let mut at = 2_usize;
        for index in 0..self.columns.len() {
            let Some(size) = field_size(bytes, at) else { return Ok(None) };
            at += 4;
            match usize::try_from(size) {
                Ok(size) => at = at.saturating_add(size),
                Err(_) if size == -1 => {}
                Err(_) => {
                    let error = bad_file("invalid field size");
                    return Err(self.at_column(error, self.line + 1, index));
                }
            }
        }
        Ok((bytes.len() >= at).then_some(at))
    }

    fn at_column(&self, error: Error, line: u64, index: usize) -> Error {
        let column = &self.columns[index].name;
        error.context(format!("COPY {}, line {line}, column {column}", self.target))
    }
}

fn bad_file(message: impl Into<String>) -> Error {
    Error::new(SqlState::BadCopyFileFormat, message)
}

fn field_size(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|b| i32::from_be_bytes(*b))
}

/// The length of the header with its extension, none if it is not complete.
fn header_length(bytes: &[u8]) -> Result<Option<usize>> {
    let shown = bytes.len().min(BINARY_SIGNATURE.len());
    if bytes[..shown] != BINARY_SIGNATURE[..shown] {
        return Err(bad_file("COPY file signature not recognized"));
    }
    let Some(rest) = bytes.get(BINARY_SIGNATURE.len()..HEADER_BYTES) else { return Ok(None) };
    let flags = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
    if flags & FLAG_OIDS != 0 {
        return Err(bad_file("invalid COPY file header (WITH OIDS)"));
    }
    if flags >> 16 != 0 {
        return Err(bad_file("unrecognized critical flags in COPY file header"));
    }
    let extension = i32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]);
    let extension = usize::try_from(extension)
        .map_err(|_| bad_file("invalid COPY file header (missing length)"))?;
    Ok(Some(HEADER_BYTES + extension))
}
