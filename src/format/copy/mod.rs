//! COPY FROM: bytes in pieces of any size become record batches, with PostgreSQL's rules and errors.
//!
//! A line is found first (`lines.rs`), then cut into fields (`fields.rs`), then each field goes to
//! its column's parser; so does PostgreSQL, and with it the order of errors is the same. `read_csv`
//! and COPY from a file use this decoder too.

mod binary;
mod fields;
mod infer;
mod lines;
mod options;

pub use infer::infer_csv_schema;
pub use options::{CopyFormat, CopyOptions, Header};

use super::decode::{ColumnParser, utf8};
use super::settings::EncodeSettings;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use fields::{Fields, Value};
use lines::{Line, LineScanner};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a binary COPY begins with.
pub(crate) const BINARY_SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Rows of a batch; more than this are never held in builders.
const BATCH_ROWS: usize = 8192;

/// A batch ends here too, however few rows it has: long values must not fill the memory, nor reach
/// the 2 GiB that an array of texts can count.
const BATCH_BYTES: usize = 32 << 20;

/// As in PostgreSQL, a line or binary row cannot be longer.
const LINE_BYTES_MAX: usize = 0x3fff_ffff;

/// PostgreSQL shows no more bytes than this of a line or value (MAX_COPY_DATA_DISPLAY).
const SHOWN_BYTES_MAX: usize = 100;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Decodes the data of one COPY FROM.
#[derive(Debug)]
pub struct CopyDecoder {
    target: String,
    columns: Vec<CopyColumn>,
    options: CopyOptions,
    schema: SchemaRef,
    scanner: LineScanner,
    fields: Fields,
    /// Bytes of a line or row that is not complete.
    pending: Vec<u8>,
    ready: VecDeque<RecordBatch>,
    /// Rows in the column parsers.
    rows: usize,
    /// About the bytes that those rows came in.
    bytes: usize,
    /// Lines or binary rows so far, from 1.
    line: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Before a byte order mark or the binary header.
    Start,
    Rows,
    /// Behind the end marker or trailer; what follows is left out.
    Ended,
}

#[derive(Debug)]
struct CopyColumn {
    name: String,
    parser: ColumnParser,
    force_null: bool,
    force_not_null: bool,
}

impl CopyDecoder {
    /// A decoder for the given columns, in the order of the data.
    ///
    /// `target` is the name of the table, for the context of errors. Fails with PostgreSQL's
    /// errors for options that contradict each other.
    pub fn new(
        target: impl Into<String>,
        columns: Vec<(String, DataType)>,
        options: CopyOptions,
        settings: &EncodeSettings,
    ) -> Result<Self> {
        options.check(columns.iter().map(|(name, _)| name.as_str()))?;
        let settings = Arc::new(settings.clone());
        let fields: Vec<Field> =
            columns.iter().map(|(name, ty)| Field::new(name, ty.clone(), true)).collect();
        let columns = columns
            .into_iter()
            .map(|(name, data_type)| {
                Ok(CopyColumn {
                    force_null: options.force_null.contains(&name),
                    force_not_null: options.force_not_null.contains(&name),
                    parser: ColumnParser::with_settings(&data_type, &settings)?,
                    name,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            target: target.into(),
            columns,
            scanner: LineScanner::new(&options),
            options,
            schema: Arc::new(Schema::new(fields)),
            fields: Fields::default(),
            pending: Vec::new(),
            ready: VecDeque::new(),
            rows: 0,
            bytes: 0,
            line: 0,
            state: State::Start,
        })
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes the next bytes, cut anywhere. After an error the decoder is of no more use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.pending.is_empty() {
            let used = self.consume(bytes, false)?;
            self.pending.extend_from_slice(&bytes[used..]);
        } else {
            self.pending.extend_from_slice(bytes);
            let mut pending = std::mem::take(&mut self.pending);
            let used = self.consume(&pending, false)?;
            pending.drain(..used);
            self.pending = pending;
        }
        if self.pending.len() > LINE_BYTES_MAX {
            let error = Error::new(SqlState::ProgramLimitExceeded, "a line is too long")
                .detail(format!("A line cannot have more than {LINE_BYTES_MAX} bytes."));
            return Err(self.at_line(error, self.line + 1));
        }
        Ok(())
    }

    /// A batch of at most `max_rows` rows, if a full one is ready.
    pub fn take_batch(&mut self, max_rows: usize) -> Option<RecordBatch> {
        let batch = self.ready.pop_front()?;
        let max_rows = max_rows.max(1);
        if batch.num_rows() > max_rows {
            self.ready.push_front(batch.slice(max_rows, batch.num_rows() - max_rows));
            return Some(batch.slice(0, max_rows));
        }
        Some(batch)
    }

    /// Takes the end of the data and gives out all rows that are left.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let pending = std::mem::take(&mut self.pending);
        self.consume(&pending, true)?;
        self.cut_batch()?;
        let batches: Vec<RecordBatch> = self.ready.drain(..).collect();
        match batches.len() {
            0 => Ok(None),
            1 => Ok(batches.into_iter().next()),
            _ => arrow::compute::concat_batches(&self.schema, &batches)
                .map(Some)
                .map_err(|e| Error::internal(e.to_string())),
        }
    }

    /// Decodes what is complete and returns how many bytes that was.
    fn consume(&mut self, bytes: &[u8], last: bool) -> Result<usize> {
        if self.options.format == CopyFormat::Binary {
            return self.consume_binary(bytes, last);
        }
        let mut used = 0;
        if self.state == State::Start {
            if bytes.starts_with(BYTE_ORDER_MARK) {
                used = BYTE_ORDER_MARK.len();
            } else if BYTE_ORDER_MARK.starts_with(bytes) && !last {
                return Ok(0);
            }
            self.state = State::Rows;
        }
        while self.state == State::Rows {
            let rest = &bytes[used..];
            let line = match self.scanner.next_line(rest, last) {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    let line = self.line + 1 + self.scanner.embedded_lines();
                    return Err(self.at_line(error, line));
                }
            };
            used += line.next;
            self.take_line(rest, line)?;
        }
        Ok(if self.state == State::Ended { bytes.len() } else { used })
    }

    fn take_line(&mut self, bytes: &[u8], line: Line) -> Result<()> {
        if line.is_end {
            self.state = State::Ended;
            return Ok(());
        }
        self.line += 1 + line.embedded_lines;
        let text = utf8(&bytes[..line.end]).map_err(|error| self.at_line(error, self.line))?;
        let mut fields = std::mem::take(&mut self.fields);
        let taken = match fields.split(text, &self.options) {
            Ok(()) if self.scanner.is_first_line() && self.options.header != Header::None => {
                self.take_header(text, &fields)
            }
            Ok(()) => {
                self.bytes += line.end;
                self.take_row(text, &fields)
            }
            Err(error) => Err(self.with_line(error, text)),
        };
        self.fields = fields;
        self.scanner.end_line();
        taken
    }

    fn take_header(&self, text: &str, fields: &Fields) -> Result<()> {
        if self.options.header != Header::Match {
            return Ok(());
        }
        if fields.len() != self.columns.len() {
            let message = format!(
                "wrong number of fields in header line: got {}, expected {}",
                fields.len(),
                self.columns.len()
            );
            let error = Error::new(SqlState::BadCopyFileFormat, message);
            return Err(self.with_line(error, text));
        }
        for (index, column) in self.columns.iter().enumerate() {
            let message = match fields.get(index, text) {
                Ok(Value::Text { text, .. }) if text == column.name => continue,
                Ok(Value::Text { text, .. }) => format!(
                    "column name mismatch in header line field {}: got \"{text}\", expected \"{}\"",
                    index + 1,
                    column.name
                ),
                Ok(Value::Null) => format!(
                    "column name mismatch in header line field {}: got null value (\"{}\"), \
                     expected \"{}\"",
                    index + 1,
                    self.options.first_null(),
                    column.name
                ),
                Err(error) => return Err(self.with_line(error, text)),
            };
            let error = Error::new(SqlState::BadCopyFileFormat, message);
            return Err(self.with_line(error, text));
        }
        Ok(())
    }

    fn take_row(&mut self, line: &str, fields: &Fields) -> Result<()> {
        if fields.len() > self.columns.len() && !(self.columns.is_empty() && line.is_empty()) {
            let error =
                Error::new(SqlState::BadCopyFileFormat, "extra data after last expected column");
            return Err(self.with_line(error, line));
        }
        for index in 0..self.columns.len() {
            if index >= fields.len() {
                let message = format!("missing data for column \"{}\"", self.columns[index].name);
                let error = Error::new(SqlState::BadCopyFileFormat, message);
                return Err(self.with_line(error, line));
            }
            let value = fields.get(index, line).map_err(|error| self.with_line(error, line))?;
            let column = &mut self.columns[index];
            let text = match value {
                Value::Null if column.force_not_null => Some(self.options.first_null()),
                Value::Text { text, quoted: true }
                    if column.force_null && self.options.nulls.iter().any(|null| null == text) =>
                {
                    None
                }
                Value::Null => None,
                Value::Text { text, .. } => Some(text),
            };
            let Some(text) = text else {
                column.parser.append_null();
                continue;
            };
            if let Err(error) = column.parser.append_text(text) {
                let context = format!(
                    "COPY {}, line {}, column {}: \"{}\"",
                    self.target,
                    self.line,
                    self.columns[index].name,
                    shortened(text)
                );
                return Err(error.context(context));
            }
        }
        self.row_done()
    }

    fn row_done(&mut self) -> Result<()> {
        self.rows += 1;
        if self.rows == BATCH_ROWS || self.bytes >= BATCH_BYTES {
            return self.cut_batch();
        }
        Ok(())
    }

    /// Turns the rows in the parsers into a batch.
    fn cut_batch(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let arrays = self
            .columns
            .iter_mut()
            .map(|column| column.parser.finish())
            .collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|e| Error::internal(e.to_string()))?;
        self.ready.push_back(batch);
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// `COPY t, line 3: "the line"`
    fn with_line(&self, error: Error, text: &str) -> Error {
        let (target, line) = (&self.target, self.line);
        error.context(format!("COPY {target}, line {line}: \"{}\"", shortened(text)))
    }

    /// `COPY t, line 3`
    fn at_line(&self, error: Error, line: u64) -> Error {
        error.context(format!("COPY {}, line {line}", self.target))
    }
}

/// The first hundred bytes of a text, cut between characters.
fn shortened(text: &str) -> String {
    if text.len() <= SHOWN_BYTES_MAX {
        return text.to_string();
    }
    let end = (0..=SHOWN_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}
