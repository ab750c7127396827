//! Rows on their way out: DataRow and COPY frames, straight from Arrow arrays into one buffer.
//!
//! A [`RowEncoder`] stands for a result. For each batch it looks once at each column (`column.rs`)
//! and then walks the rows, writing each value where it will be sent from and going back for the
//! lengths. No value is allocated for, none is looked up by name.

mod binary;
mod column;
mod copy;
mod json;
mod nested;
mod text;

use super::settings::EncodeSettings;
use super::types::{PgType, pg_type_of};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::array::{Array, RecordBatch, StringViewArray, StringViewBuilder};
use arrow::datatypes::{Field, Schema};
use bytes::{BufMut, BytesMut};
use column::Column;
use std::ops::Range;
use text::TextContext;

pub(crate) use json::put_json_string;

/// The two forms of a value on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Format code 0.
    Text,
    /// Format code 1.
    Binary,
}

/// What stands around the values of a row.
#[derive(Debug, Clone, Copy)]
pub enum Framing<'a> {
    /// A DataRow message.
    DataRow,
    /// COPY (FORMAT text).
    CopyText {
        /// Between two values, usually a tab.
        delimiter: u8,
        /// What stands for NULL, usually `\N`.
        null: &'a str,
    },
    /// COPY (FORMAT csv).
    CopyCsv {
        /// Between two values, usually a comma.
        delimiter: u8,
        /// Around a value that holds anything special.
        quote: u8,
        /// Before a quote inside quotes; usually the quote itself.
        escape: u8,
        /// What stands for NULL, usually nothing.
        null: &'a str,
        /// Whether to quote a column's values always; columns beyond the end are not forced.
        force_quote: &'a [bool],
    },
    /// COPY (FORMAT binary).
    CopyBinary,
}

/// Encodes the rows of one result.
#[derive(Debug)]
pub struct RowEncoder {
    names: Vec<String>,
    types: Vec<PgType>,
    formats: Vec<Format>,
    context: TextContext,
    copy_messages: bool,
    /// Whether the header of binary COPY is out.
    copy_started: bool,
}

impl RowEncoder {
    /// An encoder for rows of this schema.
    ///
    /// `formats` are those of Bind: none for all text, one for all columns, or one a column. A
    /// COPY ignores them. Fails with 08P01 on another number of formats.
    pub fn new(schema: &Schema, formats: &[Format], settings: &EncodeSettings) -> Result<Self> {
        let columns = schema.fields().len();
        if u16::try_from(columns).is_err() {
            return Err(Error::new(
                SqlState::TooManyColumns,
                format!("target lists can have at most {} entries", u16::MAX),
            ));
        }
        let formats = match formats {
            [] => vec![Format::Text; columns],
            [one] => vec![*one; columns],
            many if many.len() == columns => many.to_vec(),
            many => {
                return Err(Error::new(
                    SqlState::ProtocolViolation,
                    format!(
                        "bind message has {} result formats but query has {columns} columns",
                        many.len()
                    ),
                ));
            }
        };
        Ok(Self {
            names: schema.fields().iter().map(|field| field.name().clone()).collect(),
            types: schema.fields().iter().map(|field| pg_type_of(field)).collect(),
            formats,
            context: TextContext::new(settings.clone()),
            copy_messages: true,
            copy_started: false,
        })
    }

    /// Whether COPY rows become CopyData messages (the default) or bare lines, as for a file.
    pub fn set_copy_messages(&mut self, messages: bool) {
        self.copy_messages = messages;
    }

    /// Appends the given rows of a batch.
    ///
    /// Fails with 0A000 for a value that has no binary form and with XX000 for a batch of another
    /// width; `out` then ends with a cut row, so nothing of this call may be sent.
    pub fn encode_batch(
        &mut self,
        batch: &RecordBatch,
        rows: Range<usize>,
        framing: Framing<'_>,
        out: &mut BytesMut,
    ) -> Result<()> {
        self.encode_upto(batch, rows, framing, usize::MAX, out).map(|_| ())
    }

    /// Appends rows until `out` holds `enough` bytes, and returns the first row not written.
    pub fn encode_upto(
        &mut self,
        batch: &RecordBatch,
        rows: Range<usize>,
        framing: Framing<'_>,
        enough: usize,
        out: &mut BytesMut,
    ) -> Result<usize> {
        if batch.num_columns() != self.types.len() {
            return Err(Error::internal(format!(
                "a batch has {} columns where the result has {}",
                batch.num_columns(),
                self.types.len()
            )));
        }
        let end = rows.end.min(batch.num_rows());
        let first = rows.start.min(end);
        let columns = batch
            .columns()
            .iter()
            .zip(&self.types)
            .map(|(array, ty)| Column::new(&array.slice(first, end - first), *ty))
            .collect::<Result<Vec<_>>>()?;
        let mut row = 0;
        match framing {
            Framing::DataRow => {
                while first + row < end && out.len() < enough {
                    self.put_data_row(&columns, row, out)?;
                    row += 1;
                }
            }
            Framing::CopyBinary => {
                while first + row < end && out.len() < enough {
                    self.put_copy_binary(&columns, row, out)?;
                    row += 1;
                }
            }
            Framing::CopyText { .. } | Framing::CopyCsv { .. } => {
                let mut writer = copy::CopyWriter::new(framing, &self.types);
                while first + row < end && out.len() < enough {
                    let start = self.open_copy(out);
                    writer.put_row(&columns, row, &self.context, out);
                    self.close_copy(start, out)?;
                    row += 1;
                }
            }
        }
        Ok(first + row)
    }

    fn put_data_row(&self, columns: &[Column], row: usize, out: &mut BytesMut) -> Result<()> {
        let start = out.len();
        out.put_slice(b"D\0\0\0\0");
        out.put_u16(columns.len() as u16);
        for (column, format) in columns.iter().zip(&self.formats) {
            if column.is_null(row) {
                out.put_i32(-1);
                continue;
            }
            let at = out.len();
            out.put_u32(0);
            match format {
                Format::Text => column.put_text(row, &self.context, out),
                Format::Binary => column.put_binary(row, &self.context, out)?,
            }
            patch_length(out, at, at + 4)?;
        }
        patch_length(out, start + 1, start + 1)
    }

    fn put_copy_binary(
        &mut self,
        columns: &[Column],
        row: usize,
        out: &mut BytesMut,
    ) -> Result<()> {
        let start = self.open_copy(out);
        self.put_binary_header(out);
        out.put_u16(columns.len() as u16);
        for column in columns {
            if column.is_null(row) {
                out.put_i32(-1);
                continue;
            }
            let at = out.len();
            out.put_u32(0);
            column.put_binary(row, &self.context, out)?;
            patch_length(out, at, at + 4)?;
        }
        self.close_copy(start, out)
    }

    /// The first message of a binary COPY holds the file's header too, as PostgreSQL's does.
    fn put_binary_header(&mut self, out: &mut BytesMut) {
        if !self.copy_started {
            out.put_slice(super::copy::BINARY_SIGNATURE);
            out.put_u64(0);
            self.copy_started = true;
        }
    }

    fn open_copy(&self, out: &mut BytesMut) -> usize {
        let start = out.len();
        if self.copy_messages {
            out.put_slice(b"d\0\0\0\0");
        }
        start
    }

    fn close_copy(&self, start: usize, out: &mut BytesMut) -> Result<()> {
        if self.copy_messages { patch_length(out, start + 1, start + 1) } else { Ok(()) }
    }

    /// Appends the line of column names that HEADER asks for; nothing in a binary COPY.
    pub fn copy_header(&self, framing: Framing<'_>, out: &mut BytesMut) -> Result<()> {
        if matches!(framing, Framing::DataRow | Framing::CopyBinary) {
            return Ok(());
        }
        let start = self.open_copy(out);
        copy::CopyWriter::new(framing, &self.types).put_header(&self.names, out);
        self.close_copy(start, out)
    }

    /// Appends what ends a COPY: the trailer of the binary format, else nothing.
    pub fn finish_copy(&mut self, framing: Framing<'_>, out: &mut BytesMut) -> Result<()> {
        if !matches!(framing, Framing::CopyBinary) {
            return Ok(());
        }
        let start = self.open_copy(out);
        self.put_binary_header(out);
        out.put_i16(-1);
        self.close_copy(start, out)
    }
}

/// Writes at `at` how many bytes follow from `from` on.
fn patch_length(out: &mut BytesMut, at: usize, from: usize) -> Result<()> {
    let length = i32::try_from(out.len() - from).map_err(|_| {
        Error::new(SqlState::StatementTooComplex, "a value or row is longer than 2147483647 bytes")
    })?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Encodes arrays of one type value by value, for output other than the wire.
#[derive(Debug)]
pub(crate) struct ValueWriter {
    column: Column,
    context: TextContext,
}

impl ValueWriter {
    pub(crate) fn new(field: &Field, array: &dyn Array, settings: &EncodeSettings) -> Result<Self> {
        let column = Column::new(&array.slice(0, array.len()), pg_type_of(field))?;
        Ok(Self { column, context: TextContext::new(settings.clone()) })
    }

    /// Appends the text of a value; false and nothing for NULL.
    pub(crate) fn put_text(&self, row: usize, out: &mut BytesMut) -> bool {
        let there = !self.column.is_null(row);
        if there {
            self.column.put_text(row, &self.context, out);
        }
        there
    }

    /// Appends the JSON of a value, `null` for NULL.
    pub(crate) fn put_json(&self, row: usize, out: &mut BytesMut) {
        json::put(&self.column, row, &self.context, out);
    }
}

/// The texts of a column's values, as [`text_value`] gives them one by one.
///
/// # Errors
/// For types that have no text.
pub fn text_column(array: &dyn Array, settings: &EncodeSettings) -> Result<StringViewArray> {
    let field = Field::new("", array.data_type().clone(), true);
    let writer = ValueWriter::new(&field, array, settings)?;
    let mut texts = StringViewBuilder::with_capacity(array.len());
    let mut out = BytesMut::new();
    for row in 0..array.len() {
        out.clear();
        match writer.put_text(row, &mut out) {
            true => texts.append_value(String::from_utf8_lossy(&out)),
            false => texts.append_null(),
        }
    }
    Ok(texts.finish())
}

/// The text of one value as psql would show it; none for NULL and for a row beyond the end.
///
/// Each call looks at the array's type anew, so whole results are better given to `RowEncoder`.
pub fn text_value(array: &dyn Array, row: usize, settings: &EncodeSettings) -> Option<String> {
    if row >= array.len() {
        return None;
    }
    let field = Field::new("", array.data_type().clone(), true);
    let writer = ValueWriter::new(&field, &array.slice(row, 1), settings).ok()?;
    let mut out = BytesMut::new();
    writer.put_text(0, &mut out).then(|| String::from_utf8_lossy(&out).into_owned())
}
