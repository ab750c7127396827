//! Values as text.

use super::column::{Column, Data};
use super::{json, nested};
use crate::format::datetime::{put_date, put_interval, put_time, put_timestamp};
use crate::format::number::{put_decimal, put_decimal256, put_f32, put_f64, put_i64, put_u64};
use crate::format::settings::{ByteaOutput, EncodeSettings};
use crate::format::types::PgType;
use arrow::datatypes::TimeUnit;
use bytes::{BufMut, BytesMut};
use std::cell::Cell;

/// The settings, and the offset that was looked up last.
#[derive(Debug)]
pub(super) struct TextContext {
    pub(super) settings: EncodeSettings,
    constant_offset: Option<i32>,
    /// A quarter of an hour since 1970 and the offset in it.
    last_offset: Cell<(i64, i32)>,
}

/// Since then no zone has changed its offset within a quarter of an hour of UTC.
const QUARTERS_SINCE_SECONDS: i64 = 63_072_000 + 31_622_400;

impl TextContext {
    pub(super) fn new(settings: EncodeSettings) -> Self {
        let constant_offset = settings.time_zone.constant();
        Self { settings, constant_offset, last_offset: Cell::new((i64::MIN, 0)) }
    }

    /// The session zone's offset at an instant, which is rarely another than for the row before.
    pub(super) fn offset_at(&self, micros: i64) -> i32 {
        if let Some(offset) = self.constant_offset {
            return offset;
        }
        let seconds = micros.div_euclid(1_000_000);
        if seconds < QUARTERS_SINCE_SECONDS {
            return self.settings.time_zone.offset_at(seconds);
        }
        let quarter = seconds / 900;
        let (last, offset) = self.last_offset.get();
        if last == quarter {
            return offset;
        }
        let offset = self.settings.time_zone.offset_at(seconds);
        self.last_offset.set((quarter, offset));
        offset
    }
}

const DAY_MICROS: i64 = 86_400_000_000;

/// A count of units as microseconds; what does not fit stays at the bound.
pub(super) fn micros(value: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1000),
        TimeUnit::Microsecond => value,
        TimeUnit::Nanosecond => value.div_euclid(1000),
    }
}

/// Days since 1970 of a date in milliseconds.
pub(super) fn date64_days(millis: i64) -> i32 {
    let days = millis.div_euclid(86_400_000);
    days.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

impl Column {
    /// The parts of an interval: months, days, microseconds.
    pub(super) fn interval(&self, row: usize) -> Option<(i32, i32, i64)> {
        Some(match &self.data {
            Data::Months(values) => (values[row], 0, 0),
            Data::DayTime(values) => {
                (0, values[row].days, i64::from(values[row].milliseconds) * 1000)
            }
            Data::MonthDayNano(values) => {
                (values[row].months, values[row].days, values[row].nanoseconds / 1000)
            }
            // A difference of times counts whole days, as PostgreSQL's does.
            Data::Duration(values, unit) => {
                let micros = micros(values[row], *unit);
                let days = i32::try_from(micros / DAY_MICROS).unwrap_or(i32::MAX);
                (0, days, micros - i64::from(days) * DAY_MICROS)
            }
            _ => return None,
        })
    }

    pub(super) fn bytes(&self, row: usize) -> Option<&[u8]> {
        Some(match &self.data {
            Data::Utf8(array) => array.value(row).as_bytes(),
            Data::LargeUtf8(array) => array.value(row).as_bytes(),
            Data::Utf8View(array) => array.value(row).as_bytes(),
            Data::Binary(array) => array.value(row),
            Data::LargeBinary(array) => array.value(row),
            Data::BinaryView(array) => array.value(row),
            Data::FixedBinary(array) => array.value(row),
            _ => return None,
        })
    }

    /// Appends the text of a value that is not NULL.
    pub(super) fn put_text(&self, row: usize, context: &TextContext, out: &mut BytesMut) {
        let extra = context.settings.extra_float_digits;
        match &self.data {
            Data::Null => {}
            Data::Bool(array) => out.put_u8(if array.value(row) { b't' } else { b'f' }),
            Data::Int8(values) => self.put_int(i64::from(values[row]), out),
            Data::Int16(values) => put_i64(out, i64::from(values[row])),
            Data::Int32(values) => put_i64(out, i64::from(values[row])),
            Data::Int64(values) => put_i64(out, values[row]),
            Data::UInt8(values) => self.put_int(i64::from(values[row]), out),
            Data::UInt16(values) => put_u64(out, u64::from(values[row])),
            Data::UInt32(values) => put_u64(out, u64::from(values[row])),
            Data::UInt64(values) => put_u64(out, values[row]),
            Data::Float16(array) => put_f32(out, array.value(row).to_f32(), extra),
            Data::Float32(values) => put_f32(out, values[row], extra),
            Data::Float64(values) => put_f64(out, values[row], extra),
            Data::Decimal32(values, scale) => put_decimal(out, i128::from(values[row]), *scale),
            Data::Decimal64(values, scale) => put_decimal(out, i128::from(values[row]), *scale),
            Data::Decimal128(values, scale) => put_decimal(out, values[row], *scale),
            Data::Decimal256(values, scale) => put_decimal256(out, values[row], *scale),
            Data::Date32(values) => put_date(out, values[row]),
            Data::Date64(values) => put_date(out, date64_days(values[row])),
            Data::Time32(values, unit) => put_time(out, micros(i64::from(values[row]), *unit)),
            Data::Time64(values, unit) => put_time(out, micros(values[row], *unit)),
            Data::Timestamp(values, unit) => {
                put_timestamp(out, micros(values[row], *unit), None, b' ');
            }
            Data::Timestamptz(values, unit) => {
                let micros = micros(values[row], *unit);
                put_timestamp(out, micros, Some(context.offset_at(micros)), b' ');
            }
            Data::Months(_) | Data::DayTime(_) | Data::MonthDayNano(_) | Data::Duration(..) => {
                if let Some((months, days, micros)) = self.interval(row) {
                    put_interval(out, months, days, micros);
                }
            }
            Data::Utf8(array) => out.put_slice(array.value(row).as_bytes()),
            Data::LargeUtf8(array) => out.put_slice(array.value(row).as_bytes()),
            Data::Utf8View(array) => out.put_slice(array.value(row).as_bytes()),
            Data::Binary(_) | Data::LargeBinary(_) | Data::BinaryView(_) | Data::FixedBinary(_) => {
                self.put_bytea(self.bytes(row).unwrap_or_default(), context, out);
            }
            Data::List(items, ranges) => match self.ty {
                PgType::Json => json::put(self, row, context, out),
                PgType::Int2Vector | PgType::OidVector => {
                    nested::put_vector(items, ranges.get(row), context, out);
                }
                _ => nested::put_array(items, ranges.get(row), context, out),
            },
            Data::Struct(_) | Data::Map(..) => {
                json::put(self, row, context, out);
            }
            Data::Dictionary(keys, values) => values.put_text(keys.get(row), context, out),
        }
    }

    fn put_int(&self, value: i64, out: &mut BytesMut) {
        if self.ty == PgType::Char { out.put_u8(value as u8) } else { put_i64(out, value) }
    }

    fn put_bytea(&self, bytes: &[u8], context: &TextContext, out: &mut BytesMut) {
        if self.ty == PgType::Uuid && bytes.len() == 16 {
            return put_uuid(bytes, out);
        }
        if self.ty.is_text() || self.ty == PgType::Jsonb {
            return out.put_slice(bytes);
        }
        match context.settings.bytea_output {
            ByteaOutput::Hex => {
                out.reserve(2 + bytes.len() * 2);
                out.put_slice(b"\\x");
                for byte in bytes {
                    put_hex(*byte, out);
                }
            }
            ByteaOutput::Escape => {
                for byte in bytes {
                    match byte {
                        b'\\' => out.put_slice(b"\\\\"),
                        0x20..=0x7e => out.put_u8(*byte),
                        _ => {
                            out.put_u8(b'\\');
                            out.put_u8(b'0' + (byte >> 6));
                            out.put_u8(b'0' + (byte >> 3 & 7));
                            out.put_u8(b'0' + (byte & 7));
                        }
                    }
                }
            }
        }
    }
}

fn put_hex(byte: u8, out: &mut BytesMut) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.put_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

fn put_uuid(bytes: &[u8], out: &mut BytesMut) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.put_u8(b'-');
        }
        put_hex(*byte, out);
    }
}

/// Appends a control character as JSON's `\u00xx`.
pub(super) fn put_unicode_escape(out: &mut BytesMut, byte: u8) {
    out.put_slice(b"\\u00");
    put_hex(byte, out);
}
