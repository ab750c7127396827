//! Lines of COPY TO in text and csv format.

use super::Framing;
use super::column::Column;
use super::text::TextContext;
use crate::format::types::PgType;
use bytes::{BufMut, BytesMut};

/// The dialect of a COPY, with what it has to look for in each column.
pub(super) struct CopyWriter<'a> {
    framing: Framing<'a>,
    /// Columns whose text can hold nothing that has to be escaped.
    plain: Vec<bool>,
    special: [bool; 256],
    scratch: BytesMut,
}

impl<'a> CopyWriter<'a> {
    pub(super) fn new(framing: Framing<'a>, types: &[PgType]) -> Self {
        let mut special = [false; 256];
        let mut mark = |bytes: &[u8]| {
            for byte in bytes {
                special[usize::from(*byte)] = true;
            }
        };
        let null = match framing {
            Framing::CopyCsv { delimiter, quote, null, .. } => {
                mark(&[delimiter, quote, b'\n', b'\r']);
                null
            }
            Framing::CopyText { delimiter, null } => {
                mark(&[delimiter, b'\\', 8, 9, 10, 11, 12, 13]);
                null
            }
            Framing::DataRow | Framing::CopyBinary => "",
        };
        let used = b"0123456789+-.: aeftnyINBC";
        let clash = used.iter().any(|b| special[usize::from(*b)])
            || (!null.is_empty()
                && null.bytes().all(|b| used.contains(&b) || b.is_ascii_alphanumeric()));
        let plain = types.iter().map(|ty| !clash && writes_plain(*ty)).collect();
        Self { framing, plain, special, scratch: BytesMut::new() }
    }

    /// Appends a row and its end.
    pub(super) fn put_row(
        &mut self,
        columns: &[Column],
        row: usize,
        context: &TextContext,
        out: &mut BytesMut,
    ) {
        for (index, column) in columns.iter().enumerate() {
            self.put_delimiter(index, out);
            if column.is_null(row) {
                out.put_slice(self.null().as_bytes());
            } else if self.plain[index] && !self.is_forced(index) {
                column.put_text(row, context, out);
            } else {
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                column.put_text(row, context, &mut scratch);
                self.put_value(index, &scratch, columns.len() == 1, out);
                self.scratch = scratch;
            }
        }
        out.put_u8(b'\n');
    }

    /// Appends the line of column names; FORCE_QUOTE does not reach it.
    pub(super) fn put_header(&mut self, names: &[String], out: &mut BytesMut) {
        for (index, name) in names.iter().enumerate() {
            self.put_delimiter(index, out);
            self.put_value(usize::MAX, name.as_bytes(), names.len() == 1, out);
        }
        out.put_u8(b'\n');
    }

    fn put_delimiter(&self, index: usize, out: &mut BytesMut) {
        if let (1.., Framing::CopyText { delimiter, .. } | Framing::CopyCsv { delimiter, .. }) =
            (index, self.framing)
        {
            out.put_u8(delimiter);
        }
    }

    fn null(&self) -> &'a str {
        match self.framing {
            Framing::CopyText { null, .. } | Framing::CopyCsv { null, .. } => null,
            Framing::DataRow | Framing::CopyBinary => "",
        }
    }

    fn is_forced(&self, index: usize) -> bool {
        matches!(self.framing, Framing::CopyCsv { force_quote, .. }
            if force_quote.get(index).copied().unwrap_or(false))
    }

    fn put_value(&self, index: usize, value: &[u8], single: bool, out: &mut BytesMut) {
        match self.framing {
            Framing::CopyCsv { quote, escape, null, .. } => {
                let quoted = self.is_forced(index)
                    || value == null.as_bytes()
                    || (single && value == b"\\.")
                    || value.iter().any(|byte| self.special[usize::from(*byte)]);
                if !quoted {
                    return out.put_slice(value);
                }
                out.put_u8(quote);
                for byte in value {
                    if *byte == quote || *byte == escape {
                        out.put_u8(escape);
                    }
                    out.put_u8(*byte);
                }
                out.put_u8(quote);
            }
            _ => self.put_escaped(value, out),
        }
    }

    fn put_escaped(&self, value: &[u8], out: &mut BytesMut) {
        let mut rest = value;
        while let Some(at) = rest.iter().position(|byte| self.special[usize::from(*byte)]) {
            out.put_slice(&rest[..at]);
            let letter = match rest[at] {
                8 => b'b',
                9 => b't',
                10 => b'n',
                11 => b'v',
                12 => b'f',
                13 => b'r',
                other => other,
            };
            out.put_slice(&[b'\\', letter]);
            rest = &rest[at + 1..];
        }
        out.put_slice(rest);
    }
}

/// Types whose text is made of digits, signs, points, colons, spaces and a few letters.
fn writes_plain(ty: PgType) -> bool {
    matches!(
        ty,
        PgType::Bool
            | PgType::Int2
            | PgType::Int4
            | PgType::Int8
            | PgType::Oid
            | PgType::Float4
            | PgType::Float8
            | PgType::Numeric
            | PgType::Date
            | PgType::Time
            | PgType::Timestamp
            | PgType::Timestamptz
    )
}
