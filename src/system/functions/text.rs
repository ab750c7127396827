//! Quoting, sizes and array bounds: small functions that catalog queries lean on.

use super::names::split_name;
use super::{Call, Function, lenient, strict};
use crate::error::{Error, Result};
use crate::parser::quote_ident;
use crate::sqlstate::SqlState;
use crate::system::rows::Cell;
use std::iter::Peekable;
use std::str::Chars;

pub(super) const ALL: &[Function] = &[
    strict("quote_ident", 1..=1, "text", |c| Ok(quote_ident(c.text(0)).into())),
    strict("quote_literal", 1..=1, "text", |c| Ok(quote_literal(c.argument(0)).into())),
    lenient("quote_nullable", 1..=1, "text", |c| Ok(quote_literal(c.argument(0)).into())),
    strict("parse_ident", 1..=2, "_text", |c| Ok(split_name(c.text(0)).into())),
    lenient("format", 1..=100, "text", format),
    lenient("json_build_object", 0..=100, "json", json_object),
    strict("pg_size_pretty", 1..=1, "text", size_pretty),
    strict("array_lower", 2..=2, "int4", |c| Ok(bound(c, |_| 1))),
    strict("array_upper", 2..=2, "int4", |c| Ok(bound(c, |length| length))),
];

fn quote_literal(cell: &Cell) -> String {
    let text = match cell {
        Cell::Null => return "NULL".to_owned(),
        other => printed(other),
    };
    if text.contains('\\') {
        return format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    }
    format!("'{}'", text.replace('\'', "''"))
}

fn printed(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(b) => if *b { "t" } else { "f" }.to_owned(),
        Cell::Int(n) => n.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::List(items) => {
            format!("{{{}}}", items.iter().map(printed).collect::<Vec<_>>().join(","))
        }
    }
}

/// `format` with `%s`, `%I`, `%L` and `%%`, positions such as `%2$s` and widths such as `%-5s`.
fn format(call: &Call<'_>) -> Result<Cell> {
    let Some(template) = call.argument(0).text() else { return Ok(Cell::Null) };
    let mut arguments = Arguments { cells: call.arguments.get(1..).unwrap_or_default(), next: 0 };
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
        } else if chars.next_if_eq(&'%').is_some() {
            out.push('%');
        } else {
            let (width, argument, kind) = specifier(&mut chars, &mut arguments)?;
            let text = match kind {
                's' => printed(argument),
                'I' => quote_ident(&printed(argument)),
                _ => quote_literal(argument),
            };
            let room = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
            let spaces = " ".repeat(room.saturating_sub(text.chars().count()));
            let parts = if width < 0 { [text, spaces] } else { [spaces, text] };
            out.extend(parts);
        }
    }
    Ok(out.into())
}

/// The arguments of `format`, and which of them is next.
struct Arguments<'a> {
    cells: &'a [Cell],
    next: usize,
}

impl<'a> Arguments<'a> {
    /// The argument at a position that counts from 1, or the next one.
    fn take(&mut self, position: Option<usize>) -> Result<&'a Cell> {
        let index = match position {
            None => self.next,
            Some(0) => {
                return Err(wrong_format(
                    "format specifies argument 0, but arguments are numbered from 1",
                ));
            }
            Some(position) => position - 1,
        };
        self.next = index + 1;
        self.cells.get(index).ok_or_else(|| wrong_format("too few arguments for format()"))
    }
}

fn wrong_format(message: impl Into<String>) -> Error {
    Error::new(SqlState::InvalidParameterValue, message)
}

/// Widths above this are refused: a text of one argument would fill the memory.
const WIDTH_MAX: i64 = 1 << 20;

/// What stands behind a percent sign: the width, negative for text on the left, the argument, and the kind.
fn specifier<'a>(
    chars: &mut Peekable<Chars<'_>>,
    arguments: &mut Arguments<'a>,
) -> Result<(i64, &'a Cell, char)> {
    let mut number = whole(chars);
    let mut position = None;
    if number.is_some() && chars.next_if_eq(&'$').is_some() {
        position = number.take().and_then(|n| usize::try_from(n).ok());
    }
    let mut left = false;
    if number.is_none() {
        while chars.next_if_eq(&'-').is_some() {
            left = true;
        }
        number = match chars.next_if_eq(&'*') {
            Some(_) => Some(width_argument(chars, arguments)?),
            None => whole(chars),
        };
    }
    let width = number.unwrap_or(0);
    if width.unsigned_abs() > WIDTH_MAX.unsigned_abs() {
        return Err(wrong_format("number is out of range"));
    }
    let hint = "For a single \"%\" use \"%%\".";
    let kind = chars.next();
    let kind =
        kind.ok_or_else(|| wrong_format("unterminated format() type specifier").hint(hint))?;
    if !matches!(kind, 's' | 'I' | 'L') {
        let message = format!("unrecognized format() type specifier \"{kind}\"");
        return Err(wrong_format(message).hint(hint));
    }
    let argument = arguments.take(position)?;
    Ok((if left { -width.abs() } else { width }, argument, kind))
}

/// The width that an argument gives: behind the star may stand a position.
fn width_argument(chars: &mut Peekable<Chars<'_>>, arguments: &mut Arguments<'_>) -> Result<i64> {
    let position = whole(chars).and_then(|n| usize::try_from(n).ok());
    if position.is_some() && chars.next_if_eq(&'$').is_none() {
        return Err(wrong_format("width argument position must be ended by \"$\""));
    }
    let width = arguments.take(position)?;
    let read = || printed(width).parse().ok();
    Ok(width.int().or_else(read).unwrap_or(0))
}

/// Digits as a number, if the next character is one.
fn whole(chars: &mut Peekable<Chars<'_>>) -> Option<i64> {
    let mut value = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        value = Some(value.unwrap_or(0_i64).saturating_mul(10).saturating_add(i64::from(digit)));
    }
    value
}

/// Names and values by turns, spaced as PostgreSQL spaces them.
fn json_object(call: &Call<'_>) -> Result<Cell> {
    if !call.arguments.len().is_multiple_of(2) {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            "argument list must have even number of elements",
        ));
    }
    let quoted = |text: String| serde_json::Value::String(text).to_string();
    let members = call.arguments.chunks(2).map(|pair| {
        let value = match &pair[1] {
            Cell::Null => "null".to_owned(),
            Cell::Bool(b) => b.to_string(),
            Cell::Int(n) => n.to_string(),
            other => quoted(printed(other)),
        };
        format!("{} : {value}", quoted(printed(&pair[0])))
    });
    Ok(format!("{{{}}}", members.collect::<Vec<_>>().join(", ")).into())
}

/// Bytes in the largest unit that keeps two digits, as PostgreSQL rounds them.
fn size_pretty(call: &Call<'_>) -> Result<Cell> {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    // Wider than the argument, whose least value has no opposite.
    let Some(mut size) = call.argument(0).int().map(i128::from) else { return Ok(Cell::Null) };
    let mut unit = 0;
    // The last bit decides how a half is rounded, so one more is kept until the unit is known.
    while size.abs() >= if unit == 0 { 10240 } else { 20480 - 1 } && unit + 1 < UNITS.len() {
        size = if unit == 0 { size >> 9 } else { size >> 10 };
        unit += 1;
    }
    if unit > 0 {
        size = (size + size.signum()) / 2;
    }
    Ok(format!("{size} {}", UNITS[unit]).into())
}

/// A bound of an array's first dimension; NULL for an empty array or another dimension.
fn bound(call: &Call<'_>, of_length: fn(i64) -> i64) -> Cell {
    match (call.argument(0), call.argument(1).int()) {
        (Cell::List(items), Some(1)) if !items.is_empty() => {
            of_length(i64::try_from(items.len()).unwrap_or(i64::MAX)).into()
        }
        _ => Cell::Null,
    }
}
