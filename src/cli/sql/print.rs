//! Results on standard output, as they come.

use crate::error::{Error, Result};
use crate::format::table::{PrintOptions, print_csv, print_json, print_table};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::io::Write;

/// As many rows are looked at to find the widths of a table's columns. A longer result is printed
/// in parts of this size, each with its own widths.
const LOOK_AHEAD: usize = 10_000;

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum OutputFormat {
    /// psql's aligned tables.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// An array of objects.
    Json,
}

/// Prints one result.
pub(super) struct Printer<'a, W: Write> {
    out: &'a mut W,
    format: OutputFormat,
    options: PrintOptions,
    schema: SchemaRef,
    /// Rows of a table whose widths are not known yet.
    held: Vec<RecordBatch>,
    held_rows: usize,
    rows: usize,
    parts: usize,
}

impl<'a, W: Write> Printer<'a, W> {
    pub(super) fn new(
        out: &'a mut W,
        format: OutputFormat,
        options: PrintOptions,
        schema: SchemaRef,
    ) -> Self {
        Self { out, format, options, schema, held: Vec::new(), held_rows: 0, rows: 0, parts: 0 }
    }

    /// Prints a batch, or keeps it until the widths are known.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        match self.format {
            OutputFormat::Table => {
                self.held_rows += batch.num_rows();
                self.held.push(batch);
                if self.held_rows >= LOOK_AHEAD { self.table_part() } else { Ok(()) }
            }
            OutputFormat::Csv => self.csv_part(&[batch]),
            OutputFormat::Json if batch.num_rows() == 0 => Ok(()),
            OutputFormat::Json => self.json_part(&batch),
        }
    }

    /// Prints what is left. Returns the number of rows.
    pub(super) fn finish(mut self) -> Result<usize> {
        match self.format {
            OutputFormat::Table if self.parts == 0 => {
                print_table(&self.held, &self.schema, self.out, &self.options)?;
            }
            OutputFormat::Table => {
                self.table_part()?;
                let footer = if self.options.tuples_only {
                    String::from("\n")
                } else {
                    format!("({} rows)\n\n", self.rows)
                };
                self.write(footer.as_bytes())?;
            }
            OutputFormat::Csv if self.parts == 0 => self.csv_part(&[])?,
            OutputFormat::Csv => {}
            OutputFormat::Json if self.parts == 0 => self.write(b"[]\n")?,
            OutputFormat::Json => self.write(b"]\n")?,
        }
        self.out.flush().map_err(write_error)?;
        Ok(self.rows)
    }

    /// Prints the held rows: the header only for the first part, the footer for none.
    fn table_part(&mut self) -> Result<()> {
        let options = PrintOptions {
            tuples_only: self.options.tuples_only || self.parts > 0,
            ..self.options.clone()
        };
        let mut text = Vec::new();
        print_table(&self.held, &self.schema, &mut text, &options)?;
        let mut lines = if options.tuples_only || options.expanded { 1 } else { 2 };
        // The footer and the empty line after it.
        while lines > 0 {
            text.pop();
            while text.last().is_some_and(|byte| *byte != b'\n') {
                text.pop();
            }
            lines -= 1;
        }
        self.held.clear();
        self.held_rows = 0;
        self.parts += 1;
        self.write(&text)
    }

    fn csv_part(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let options = PrintOptions {
            tuples_only: self.options.tuples_only || self.parts > 0,
            ..self.options.clone()
        };
        self.parts += 1;
        print_csv(batches, &self.schema, self.out, &options)
    }

    /// Joins the arrays of the batches to one.
    fn json_part(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut text = Vec::new();
        print_json(std::slice::from_ref(batch), &self.schema, &mut text, &self.options)?;
        let rows = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]\n"));
        let rows = rows.unwrap_or(&text);
        let before: &[u8] = if self.parts == 0 { b"[" } else { b",\n " };
        self.parts += 1;
        self.write(before)?;
        self.write(rows)
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        self.out.write_all(text).map_err(write_error)
    }
}

/// The error of a standard output that takes no more.
pub(super) fn write_error(error: std::io::Error) -> Error {
    Error::new(crate::sqlstate::SqlState::IoError, format!("could not write the result: {error}"))
        .source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
        let t: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|_| "x")));
        RecordBatch::try_from_iter([("n", n), ("t", t)]).unwrap()
    }

    fn printed(format: OutputFormat, batches: Vec<RecordBatch>) -> String {
        let mut out = Vec::new();
        let schema = batch(0, 0).schema();
        let mut printer = Printer::new(&mut out, format, PrintOptions::default(), schema);
        for batch in batches {
            printer.push(batch).unwrap();
        }
        printer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn parts_read_as_one_result() {
        let two = || vec![batch(1, 1), batch(2, 1)];
        assert_eq!(printed(OutputFormat::Csv, two()), "n,t\n1,x\n2,x\n");
        assert_eq!(
            printed(OutputFormat::Json, two()),
            "[{\"n\":1,\"t\":\"x\"},\n {\"n\":2,\"t\":\"x\"}]\n"
        );
        assert_eq!(
            printed(OutputFormat::Table, two()),
            " n | t \n---+---\n 1 | x\n 2 | x\n(2 rows)\n\n"
        );
        assert_eq!(printed(OutputFormat::Csv, vec![]), "n,t\n");
        assert_eq!(printed(OutputFormat::Json, vec![]), "[]\n");
        assert_eq!(printed(OutputFormat::Table, vec![]), " n | t \n---+---\n(0 rows)\n\n");
    }

    #[test]
    fn a_long_table_has_one_header_and_one_footer() {
        let text =
            printed(OutputFormat::Table, vec![batch(0, 10_000), batch(0, 10_000), batch(7, 1)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2 + 20_001 + 2);
        assert_eq!(lines[lines.len() - 2], "(20001 rows)");
        assert_eq!(lines[lines.len() - 3], " 7 | x");
        assert_eq!(text.matches("-+-").count(), 1);
    }
}
