//! Results for eyes and files: psql's aligned table, csv and json.

use super::encode::{Framing, RowEncoder, ValueWriter, put_json_string};
use super::settings::EncodeSettings;
use super::types::pg_type_of;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::BytesMut;
use std::io::Write;

/// How a result is printed.
#[derive(Debug, Clone, Default)]
pub struct PrintOptions {
    /// The settings of the values.
    pub settings: EncodeSettings,
    /// What stands for NULL in a table, as `\pset null`.
    pub null: String,
    /// Only the rows: neither header nor footer, as `\t`.
    pub tuples_only: bool,
    /// One line a value, as `\x`.
    pub expanded: bool,
}

fn io_error(error: std::io::Error) -> Error {
    Error::new(SqlState::IoError, format!("could not write the result: {error}")).source(error)
}

/// A value or name, cut into the lines it is shown on.
struct Cell {
    lines: Vec<String>,
    /// Columns on the screen of the widest line.
    width: usize,
}

impl Cell {
    fn new(text: &str) -> Self {
        let lines: Vec<String> = text.split('\n').map(shown).collect();
        let width = lines.iter().map(|line| width_of(line)).max().unwrap_or(0);
        Self { lines, width }
    }
}

/// Control characters as psql writes them.
fn shown(line: &str) -> String {
    if !line.chars().any(char::is_control) {
        return line.to_string();
    }
    let mut out = String::new();
    for c in line.chars() {
        match c {
            '\r' => out.push_str("\\r"),
            // A tab goes to the next multiple of eight.
            '\t' => (width_of(&out) % 8..8).for_each(|_| out.push(' ')),
            c if c.is_control() && (c as u32) < 0x80 => {
                out.push_str(&format!("\\x{:02X}", c as u32));
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// Columns on the screen: none for combining marks, two for East Asian wide and emoji.
///
/// The ranges are those of Unicode's EastAsianWidth W and F, joined where only unassigned code
/// points lie between them.
fn width_of(text: &str) -> usize {
    text.chars()
        .map(|c| match c as u32 {
            0x20..=0x2ff => 1,
            0x300..=0x36f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f
            | 0x2e80..=0x303e
            | 0x3041..=0xa4cf
            | 0xa960..=0xa97f
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1f64f
            | 0x1f680..=0x1f6ff
            | 0x1f900..=0x1f9ff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// All values of a result as cells, row by row.
fn cells(batches: &[RecordBatch], schema: &Schema, options: &PrintOptions) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let mut out = BytesMut::new();
    for batch in batches {
        let writers = writers(batch, schema, &options.settings)?;
        for row in 0..batch.num_rows() {
            for writer in &writers {
                out.clear();
                cells.push(match writer.put_text(row, &mut out) {
                    true => Cell::new(&String::from_utf8_lossy(&out)),
                    false => Cell::new(&options.null),
                });
            }
        }
    }
    Ok(cells)
}

fn writers(
    batch: &RecordBatch,
    schema: &Schema,
    settings: &EncodeSettings,
) -> Result<Vec<ValueWriter>> {
    schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| ValueWriter::new(field, array, settings))
        .collect()
}

/// Prints a result as psql does in its aligned format with border 1.
pub fn print_table(
    batches: &[RecordBatch],
    schema: &Schema,
    out: &mut impl Write,
    options: &PrintOptions,
) -> Result<()> {
    let cells = cells(batches, schema, options)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let names: Vec<Cell> = schema.fields().iter().map(|field| Cell::new(field.name())).collect();
    if options.expanded {
        return print_expanded(&names, &cells, rows, out, options).map_err(io_error);
    }
    let right: Vec<bool> =
        schema.fields().iter().map(|field| pg_type_of(field).is_numeric()).collect();
    print_aligned(&names, &cells, rows, &right, out, options).map_err(io_error)
}

fn print_aligned(
    names: &[Cell],
    cells: &[Cell],
    rows: usize,
    right: &[bool],
    out: &mut impl Write,
    options: &PrintOptions,
) -> std::io::Result<()> {
    let count = names.len();
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            let values = cells.iter().skip(column).step_by(count).map(|cell| cell.width);
            let name = if options.tuples_only { 0 } else { names[column].width };
            values.max().unwrap_or(0).max(name)
        })
        .collect();
    if !options.tuples_only {
        if count > 0 {
            print_lines(&names.iter().collect::<Vec<_>>(), &widths, Place::Centre, right, out)?;
        }
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(out, "{}", if count == 0 { "--".into() } else { rules.join("+") })?;
    }
    for row in cells.chunks(count.max(1)) {
        print_lines(&row.iter().collect::<Vec<_>>(), &widths, Place::ByType, right, out)?;
    }
    if !options.tuples_only {
        writeln!(out, "({rows} row{})", if rows == 1 { "" } else { "s" })?;
    }
    writeln!(out)
}

/// Where a text stands in its column.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Centre,
    ByType,
}

/// Prints one row, on as many lines as its tallest cell has.
fn print_lines(
    cells: &[&Cell],
    widths: &[usize],
    place: Place,
    right: &[bool],
    out: &mut impl Write,
) -> std::io::Result<()> {
    let height = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(1);
    for line in 0..height {
        for (column, cell) in cells.iter().enumerate() {
            let is_last = column + 1 == cells.len();
            let Some(text) = cell.lines.get(line) else {
                // A cell that is through is blank, and nothing at all at the end of the line.
                if !is_last {
                    write!(out, " {:1$} |", "", widths[column])?;
                } else {
                    write!(out, " ")?;
                }
                continue;
            };
            let space = widths[column] - width_of(text);
            let before = match place {
                Place::Centre => space / 2,
                Place::ByType if right[column] => space,
                Place::ByType => 0,
            };
            let after = space - before;
            let wraps = line + 1 < cell.lines.len();
            // psql pads the last column only in the header, and where it has a mark to set.
            let padding = if is_last && place == Place::ByType && !wraps { 0 } else { after };
            write!(out, " {:before$}{text}{:padding$}", "", "")?;
            match (wraps, is_last) {
                (true, _) => write!(out, "+")?,
                (false, true) if place == Place::ByType => {}
                (false, _) => write!(out, " ")?,
            }
            if !is_last {
                write!(out, "|")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn print_expanded(
    names: &[Cell],
    cells: &[Cell],
    rows: usize,
    out: &mut impl Write,
    options: &PrintOptions,
) -> std::io::Result<()> {
    if rows == 0 {
        return if options.tuples_only { Ok(()) } else { writeln!(out, "(0 rows)\n") };
    }
    let name_width = names.iter().map(|name| name.width).max().unwrap_or(0);
    let value_width = cells.iter().map(|cell| cell.width).max().unwrap_or(0);
    for (row, cells) in cells.chunks(names.len().max(1)).enumerate() {
        if options.tuples_only {
            if row > 0 {
                let rule = |width| "-".repeat(width + 1);
                writeln!(out, "{}+{}", rule(name_width), rule(value_width))?;
            }
        } else {
            let title = format!("-[ RECORD {} ]", row + 1);
            // The line crosses the column between names and values, unless the title lies on it.
            let total = name_width + 3 + value_width;
            let mut rule: Vec<char> = title.chars().collect();
            while rule.len() < total {
                rule.push(if rule.len() == name_width + 1 { '+' } else { '-' });
            }
            writeln!(out, "{}", rule.into_iter().collect::<String>())?;
        }
        for (name, value) in names.iter().zip(cells) {
            for line in 0..name.lines.len().max(value.lines.len()) {
                let label = name.lines.get(line).map_or("", String::as_str);
                let padding = name_width - width_of(label);
                let name_mark = if line + 1 < name.lines.len() { '+' } else { ' ' };
                write!(out, "{label}{:padding$}{name_mark}|", "")?;
                let Some(text) = value.lines.get(line) else {
                    writeln!(out)?;
                    continue;
                };
                write!(out, " {text}")?;
                if line + 1 < value.lines.len() {
                    write!(out, "{:1$}+", "", value_width - width_of(text))?;
                }
                writeln!(out)?;
            }
        }
    }
    writeln!(out)
}

/// Prints a result as csv with a header, as psql's `--csv` does.
pub fn print_csv(
    batches: &[RecordBatch],
    schema: &Schema,
    out: &mut impl Write,
    options: &PrintOptions,
) -> Result<()> {
    let framing = Framing::CopyCsv {
        delimiter: b',',
        quote: b'"',
        escape: b'"',
        null: &options.null,
        force_quote: &[],
    };
    let mut encoder = RowEncoder::new(schema, &[], &options.settings)?;
    encoder.set_copy_messages(false);
    let mut buffer = BytesMut::new();
    if !options.tuples_only {
        encoder.copy_header(framing, &mut buffer)?;
    }
    for batch in batches {
        encoder.encode_batch(batch, 0..batch.num_rows(), framing, &mut buffer)?;
        out.write_all(&buffer).map_err(io_error)?;
        buffer.clear();
    }
    out.write_all(&buffer).map_err(io_error)
}

/// Prints a result as one JSON array of objects.
///
/// Numbers are JSON numbers with all their digits; NaN and the infinities are texts, as by `to_json`.
pub fn print_json(
    batches: &[RecordBatch],
    schema: &Schema,
    out: &mut impl Write,
    options: &PrintOptions,
) -> Result<()> {
    let mut buffer = BytesMut::from(&b"["[..]);
    let mut is_first = true;
    for batch in batches {
        let writers = writers(batch, schema, &options.settings)?;
        for row in 0..batch.num_rows() {
            buffer.extend_from_slice(if is_first { b"{" } else { b",\n {" });
            is_first = false;
            for (index, (field, writer)) in schema.fields().iter().zip(&writers).enumerate() {
                if index > 0 {
                    buffer.extend_from_slice(b",");
                }
                put_json_string(field.name().as_bytes(), &mut buffer);
                buffer.extend_from_slice(b":");
                writer.put_json(row, &mut buffer);
            }
            buffer.extend_from_slice(b"}");
        }
        out.write_all(&buffer).map_err(io_error)?;
        buffer.clear();
    }
    buffer.extend_from_slice(b"]\n");
    out.write_all(&buffer).map_err(io_error)
}
