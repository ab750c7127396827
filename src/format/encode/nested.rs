//! Arrays: `{1,NULL,"a b"}`, the old vectors `1 2`, and the binary form of both.

use super::column::{Column, Data};
use super::text::TextContext;
use crate::error::{Error, Result};
use crate::format::types::PgType;
use bytes::{BufMut, BytesMut};
use std::ops::Range;

/// More dimensions than this PostgreSQL does not read (MAXDIM).
const DIMENSIONS_MAX: usize = 6;

/// Appends an array as text.
pub(super) fn put_array(
    items: &Column,
    range: Range<usize>,
    context: &TextContext,
    out: &mut BytesMut,
) {
    let nested = matches!(items.data, Data::List(..)) && items.ty.element().is_some();
    let plain = writes_plain(items.ty);
    out.put_u8(b'{');
    for (i, row) in range.enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        if items.is_null(row) {
            out.put_slice(b"NULL");
            continue;
        }
        let start = out.len();
        items.put_text(row, context, out);
        if !nested && !plain {
            quote_element(out, start);
        }
    }
    out.put_u8(b'}');
}

/// Whether no text of the type ever needs quotes in an array.
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
            | PgType::Uuid
            | PgType::Time
    )
}

/// Puts quotes around the element from `start` on, if it needs any.
fn quote_element(out: &mut BytesMut, start: usize) {
    let element = &out[start..];
    let special = |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | 9..=13);
    let needed =
        element.is_empty() || element.eq_ignore_ascii_case(b"null") || element.iter().any(special);
    if !needed {
        return;
    }
    let element = element.to_vec();
    out.truncate(start);
    out.put_u8(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

/// Appends an int2vector or oidvector as text.
pub(super) fn put_vector(
    items: &Column,
    range: Range<usize>,
    context: &TextContext,
    out: &mut BytesMut,
) {
    for (i, row) in range.enumerate() {
        if i > 0 {
            out.put_u8(b' ');
        }
        if !items.is_null(row) {
            items.put_text(row, context, out);
        }
    }
}

/// Appends an array in binary: dimensions, null flag, element OID, then the elements row by row.
pub(super) fn put_array_binary(
    array: &Column,
    items: &Column,
    range: Range<usize>,
    context: &TextContext,
    out: &mut BytesMut,
) -> Result<()> {
    let (element, lower_bound) = match array.ty {
        PgType::Int2Vector => (PgType::Int2, 0),
        PgType::OidVector => (PgType::Oid, 0),
        ty => (ty.element().unwrap_or(PgType::Text), 1_i32),
    };
    let mut sizes = Vec::new();
    let mut shape = Shape { sizes: &mut sizes, has_null: false };
    shape.visit(items, range.clone(), 0)?;
    let has_null = shape.has_null;
    if sizes.contains(&0) {
        sizes.clear();
    }
    out.put_i32(sizes.len() as i32);
    out.put_i32(i32::from(has_null));
    out.put_u32(element.oid());
    for size in &sizes {
        out.put_i32(*size);
        out.put_i32(lower_bound);
    }
    if sizes.is_empty() {
        return Ok(());
    }
    put_elements(items, range, context, out)
}

/// The sizes of an array's dimensions, which must be the same everywhere.
struct Shape<'a> {
    sizes: &'a mut Vec<i32>,
    has_null: bool,
}

impl Shape<'_> {
    fn visit(&mut self, items: &Column, range: Range<usize>, depth: usize) -> Result<()> {
        let size = i32::try_from(range.len()).map_err(|_| ragged())?;
        match self.sizes.get(depth) {
            Some(known) if *known != size => return Err(ragged()),
            Some(_) => {}
            None if depth == DIMENSIONS_MAX => return Err(ragged()),
            None => self.sizes.push(size),
        }
        match &items.data {
            Data::List(inner, ranges) if items.ty.element().is_some() => {
                for row in range {
                    if items.is_null(row) {
                        return Err(ragged());
                    }
                    self.visit(inner, ranges.get(row), depth + 1)?;
                }
            }
            _ => self.has_null |= range.into_iter().any(|row| items.is_null(row)),
        }
        Ok(())
    }
}

fn put_elements(
    items: &Column,
    range: Range<usize>,
    context: &TextContext,
    out: &mut BytesMut,
) -> Result<()> {
    for row in range {
        match &items.data {
            Data::List(inner, ranges) if items.ty.element().is_some() => {
                put_elements(inner, ranges.get(row), context, out)?;
            }
            _ if items.is_null(row) => out.put_i32(-1),
            _ => {
                let at = out.len();
                out.put_u32(0);
                items.put_binary(row, context, out)?;
                super::patch_length(out, at, at + 4)?;
            }
        }
    }
    Ok(())
}

fn ragged() -> Error {
    Error::unsupported(
        "an array whose inner arrays differ in length",
        "Ask for the result in text format, or unnest the array.",
    )
}
