//! Quoting, sizes and array bounds: small functions that catalog queries lean on.

use super::names::split_name;
use super::{Call, Function, lenient, strict};
use crate::error::{Error, Result};
use crate::parser::quote_ident;
use crate::sqlstate::SqlState;
use crate::system::rows::Cell;

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

/// `format` with `%s`, `%I`, `%L` and `%%`; positions and widths are not known here.
fn format(call: &Call<'_>) -> Result<Cell> {
    let Some(template) = call.argument(0).text() else { return Ok(Cell::Null) };
    let mut arguments = call.arguments.iter().skip(1);
    let mut out = String::new();
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let kind = chars.next();
        if kind == Some('%') {
            out.push('%');
            continue;
        }
        let argument = arguments.next().ok_or_else(|| {
            Error::new(SqlState::InvalidParameterValue, "too few arguments for format()")
        })?;
        match kind {
            Some('s') => out.push_str(&printed(argument)),
            Some('I') => out.push_str(&quote_ident(&printed(argument))),
            Some('L') => out.push_str(&quote_literal(argument)),
            other => {
                let shown = other.map(String::from).unwrap_or_default();
                return Err(Error::new(
                    SqlState::InvalidParameterValue,
                    format!("unrecognized format() type specifier \"{shown}\""),
                ));
            }
        }
    }
    Ok(out.into())
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
