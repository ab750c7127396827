//! Structs, maps and lists as JSON, in the words of PostgreSQL's `to_json`.

use super::column::{Column, Data};
use super::text::{TextContext, micros, put_unicode_escape};
use crate::format::datetime::put_timestamp;
use crate::format::types::PgType;
use bytes::{BufMut, BytesMut};

/// Appends a value, `null` for NULL.
pub(super) fn put(column: &Column, row: usize, context: &TextContext, out: &mut BytesMut) {
    if column.is_null(row) {
        return out.put_slice(b"null");
    }
    match &column.data {
        Data::Dictionary(keys, values) => put(values, keys.get(row), context, out),
        Data::Bool(array) => {
            out.put_slice(if array.value(row) { b"true" } else { b"false" });
        }
        Data::List(items, ranges) => {
            out.put_u8(b'[');
            for (i, row) in ranges.get(row).enumerate() {
                if i > 0 {
                    out.put_u8(b',');
                }
                put(items, row, context, out);
            }
            out.put_u8(b']');
        }
        Data::Struct(fields) => {
            out.put_u8(b'{');
            for (i, (name, field)) in fields.iter().enumerate() {
                if i > 0 {
                    out.put_u8(b',');
                }
                put_json_string(name.as_bytes(), out);
                out.put_u8(b':');
                put(field, row, context, out);
            }
            out.put_u8(b'}');
        }
        Data::Map(keys, values, offsets) => {
            out.put_u8(b'{');
            let range = offsets[row] as usize..offsets[row + 1] as usize;
            for (i, entry) in range.enumerate() {
                if i > 0 {
                    out.put_u8(b',');
                }
                let mut key = BytesMut::new();
                if !keys.is_null(entry) {
                    keys.put_text(entry, context, &mut key);
                }
                put_json_string(&key, out);
                out.put_u8(b':');
                put(values, entry, context, out);
            }
            out.put_u8(b'}');
        }
        Data::Timestamp(values, unit) => {
            out.put_u8(b'"');
            put_timestamp(out, micros(values[row], *unit), None, b'T');
            out.put_u8(b'"');
        }
        Data::Timestamptz(values, unit) => {
            let micros = micros(values[row], *unit);
            out.put_u8(b'"');
            put_timestamp(out, micros, Some(context.offset_at(micros)), b'T');
            out.put_u8(b'"');
        }
        _ => put_scalar(column, row, context, out),
    }
}

fn put_scalar(column: &Column, row: usize, context: &TextContext, out: &mut BytesMut) {
    let is_json = matches!(column.ty, PgType::Json | PgType::Jsonb);
    if is_json && column.bytes(row).is_some() {
        return column.put_text(row, context, out);
    }
    // JSON has no number for NaN and the infinities: PostgreSQL writes their text.
    let is_finite = match &column.data {
        Data::Float16(array) => array.value(row).is_finite(),
        Data::Float32(values) => values[row].is_finite(),
        Data::Float64(values) => values[row].is_finite(),
        _ => true,
    };
    if column.ty.is_numeric() && is_finite {
        return column.put_text(row, context, out);
    }
    match &column.data {
        Data::Utf8(array) => put_json_string(array.value(row).as_bytes(), out),
        Data::LargeUtf8(array) => put_json_string(array.value(row).as_bytes(), out),
        Data::Utf8View(array) => put_json_string(array.value(row).as_bytes(), out),
        _ => {
            let mut text = BytesMut::new();
            column.put_text(row, context, &mut text);
            put_json_string(&text, out);
        }
    }
}

/// Appends a JSON string.
pub(crate) fn put_json_string(text: &[u8], out: &mut BytesMut) {
    out.reserve(text.len() + 2);
    out.put_u8(b'"');
    for byte in text {
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            8 => out.put_slice(b"\\b"),
            12 => out.put_slice(b"\\f"),
            0..=31 => put_unicode_escape(out, *byte),
            _ => out.put_u8(*byte),
        }
    }
    out.put_u8(b'"');
}
