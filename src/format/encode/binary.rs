//! Values in PostgreSQL's binary formats (the `typsend` functions).

use super::column::{Column, Data};
use super::nested;
use super::text::{TextContext, date64_days, micros};
use crate::error::{Error, Result};
use crate::format::datetime::{PG_EPOCH_DAYS, PG_EPOCH_MICROS};
use crate::format::number::{put_numeric_binary, put_numeric256_binary};
use crate::format::types::PgType;
use crate::sqlstate::SqlState;
use bytes::{BufMut, BytesMut};

/// Version byte before the text of a binary jsonb.
const JSONB_VERSION: u8 = 1;

impl Column {
    /// Appends the binary form of a value that is not NULL.
    pub(super) fn put_binary(
        &self,
        row: usize,
        context: &TextContext,
        out: &mut BytesMut,
    ) -> Result<()> {
        match &self.data {
            Data::Null => {}
            Data::Bool(array) => out.put_u8(u8::from(array.value(row))),
            Data::Int8(values) => self.put_int_binary(i128::from(values[row]), out)?,
            Data::Int16(values) => self.put_int_binary(i128::from(values[row]), out)?,
            Data::Int32(values) => self.put_int_binary(i128::from(values[row]), out)?,
            Data::Int64(values) => match self.ty {
                PgType::Int8 => out.put_i64(values[row]),
                _ => self.put_int_binary(i128::from(values[row]), out)?,
            },
            Data::UInt8(values) => self.put_int_binary(i128::from(values[row]), out)?,
            Data::UInt16(values) => self.put_int_binary(i128::from(values[row]), out)?,
            Data::UInt32(values) => self.put_int_binary(i128::from(values[row]), out)?,
            Data::UInt64(values) => self.put_int_binary(i128::from(values[row]), out)?,
            Data::Float16(array) => self.put_float_binary(f64::from(array.value(row)), out)?,
            Data::Float32(values) => self.put_float_binary(f64::from(values[row]), out)?,
            Data::Float64(values) => self.put_float_binary(values[row], out)?,
            Data::Decimal32(values, scale) => {
                self.put_decimal_binary(i128::from(values[row]), *scale, out)?;
            }
            Data::Decimal64(values, scale) => {
                self.put_decimal_binary(i128::from(values[row]), *scale, out)?;
            }
            Data::Decimal128(values, scale) => {
                self.put_decimal_binary(values[row], *scale, out)?;
            }
            Data::Decimal256(values, scale) => {
                self.expect(PgType::Numeric)?;
                put_numeric256_binary(out, values[row], *scale);
            }
            Data::Date32(values) => self.put_date_binary(values[row], out)?,
            Data::Date64(values) => self.put_date_binary(date64_days(values[row]), out)?,
            Data::Time32(values, unit) => {
                self.expect(PgType::Time)?;
                out.put_i64(micros(i64::from(values[row]), *unit));
            }
            Data::Time64(values, unit) => {
                self.expect(PgType::Time)?;
                out.put_i64(micros(values[row], *unit));
            }
            Data::Timestamp(values, unit) | Data::Timestamptz(values, unit) => {
                if self.ty != PgType::Timestamp {
                    self.expect(PgType::Timestamptz)?;
                }
                put_timestamp_binary(micros(values[row], *unit), out)?;
            }
            Data::Months(_) | Data::DayTime(_) | Data::MonthDayNano(_) | Data::Duration(..) => {
                self.expect(PgType::Interval)?;
                let (months, days, micros) = self.interval(row).unwrap_or_default();
                out.put_i64(micros);
                out.put_i32(days);
                out.put_i32(months);
            }
            Data::Utf8(_)
            | Data::LargeUtf8(_)
            | Data::Utf8View(_)
            | Data::Binary(_)
            | Data::LargeBinary(_)
            | Data::BinaryView(_)
            | Data::FixedBinary(_) => {
                self.put_bytes_binary(self.bytes(row).unwrap_or_default(), out)?;
            }
            Data::List(items, ranges) if self.ty != PgType::Json => {
                nested::put_array_binary(self, items, ranges.get(row), context, out)?;
            }
            // The binary form of json is its text.
            Data::List(..) | Data::Struct(_) | Data::Map(..) => match self.ty {
                PgType::Json => self.put_text(row, context, out),
                PgType::Jsonb => {
                    out.put_u8(JSONB_VERSION);
                    self.put_text(row, context, out);
                }
                _ => return Err(self.no_binary()),
            },
            Data::Dictionary(keys, values) => values.put_binary(keys.get(row), context, out)?,
        }
        Ok(())
    }

    fn put_int_binary(&self, value: i128, out: &mut BytesMut) -> Result<()> {
        let too_large = |_| {
            Error::new(
                SqlState::NumericValueOutOfRange,
                format!("value \"{value}\" is out of range for type {}", self.ty.name()),
            )
        };
        match self.ty {
            PgType::Int2 => out.put_i16(i16::try_from(value).map_err(too_large)?),
            PgType::Int4 => out.put_i32(i32::try_from(value).map_err(too_large)?),
            PgType::Int8 => out.put_i64(i64::try_from(value).map_err(too_large)?),
            PgType::Numeric => put_numeric_binary(out, value, 0),
            PgType::Char => out.put_u8(value as u8),
            PgType::Float4 => out.put_f32(value as f32),
            PgType::Float8 => out.put_f64(value as f64),
            ty if ty.is_oid() => out.put_u32(u32::try_from(value).map_err(too_large)?),
            ty if ty.is_text() => out.put_slice(value.to_string().as_bytes()),
            _ => return Err(self.no_binary()),
        }
        Ok(())
    }

    fn put_float_binary(&self, value: f64, out: &mut BytesMut) -> Result<()> {
        match self.ty {
            PgType::Float4 => out.put_f32(value as f32),
            PgType::Float8 => out.put_f64(value),
            _ => return Err(self.no_binary()),
        }
        Ok(())
    }

    fn put_decimal_binary(&self, value: i128, scale: i8, out: &mut BytesMut) -> Result<()> {
        match self.ty {
            PgType::Numeric => put_numeric_binary(out, value, scale),
            _ if scale == 0 => self.put_int_binary(value, out)?,
            _ => return Err(self.no_binary()),
        }
        Ok(())
    }

    fn put_date_binary(&self, days: i32, out: &mut BytesMut) -> Result<()> {
        self.expect(PgType::Date)?;
        let days = days.checked_sub(PG_EPOCH_DAYS);
        out.put_i32(days.ok_or_else(|| out_of_range("date"))?);
        Ok(())
    }

    fn put_bytes_binary(&self, bytes: &[u8], out: &mut BytesMut) -> Result<()> {
        match self.ty {
            PgType::Bytea => out.put_slice(bytes),
            PgType::Jsonb => {
                out.put_u8(JSONB_VERSION);
                out.put_slice(bytes);
            }
            PgType::Uuid if bytes.len() == 16 => out.put_slice(bytes),
            PgType::Uuid => {
                let uuid = std::str::from_utf8(bytes).ok().and_then(|t| t.parse().ok());
                let uuid: uuid::Uuid = uuid.ok_or_else(|| self.no_binary())?;
                out.put_slice(uuid.as_bytes());
            }
            PgType::Int2Vector | PgType::OidVector => self.put_vector_binary(bytes, out)?,
            ty if ty.is_text() => out.put_slice(bytes),
            ty if ty.is_oid() => {
                let oid = std::str::from_utf8(bytes).ok().and_then(|t| t.parse().ok());
                out.put_u32(oid.ok_or_else(|| self.no_binary())?);
            }
            _ => return Err(self.no_binary()),
        }
        Ok(())
    }

    /// A vector whose values are the text `1 2 3`.
    fn put_vector_binary(&self, bytes: &[u8], out: &mut BytesMut) -> Result<()> {
        let text = std::str::from_utf8(bytes).map_err(|_| self.no_binary())?;
        let numbers = text
            .split_ascii_whitespace()
            .map(|word| word.parse::<u32>().map_err(|_| self.no_binary()))
            .collect::<Result<Vec<_>>>()?;
        let is_oid = self.ty == PgType::OidVector;
        out.put_i32(i32::from(!numbers.is_empty()));
        out.put_i32(0);
        out.put_u32(if is_oid { PgType::Oid.oid() } else { PgType::Int2.oid() });
        if !numbers.is_empty() {
            out.put_i32(numbers.len() as i32);
            out.put_i32(0);
        }
        for number in numbers {
            if is_oid {
                out.put_i32(4);
                out.put_u32(number);
            } else {
                out.put_i32(2);
                out.put_u16(u16::try_from(number).map_err(|_| self.no_binary())?);
            }
        }
        Ok(())
    }

    fn expect(&self, ty: PgType) -> Result<()> {
        if self.ty == ty { Ok(()) } else { Err(self.no_binary()) }
    }

    fn no_binary(&self) -> Error {
        Error::unsupported(
            format_args!("binary output of this value as type {}", self.ty.name()),
            "Ask for the column in text format.",
        )
    }
}

fn put_timestamp_binary(micros: i64, out: &mut BytesMut) -> Result<()> {
    // The bounds stand for infinity on both sides.
    let value = match micros {
        i64::MAX | i64::MIN => Some(micros),
        _ => micros.checked_sub(PG_EPOCH_MICROS),
    };
    out.put_i64(value.ok_or_else(|| out_of_range("timestamp"))?);
    Ok(())
}

fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::DatetimeFieldOverflow, format!("{what} out of range"))
}
