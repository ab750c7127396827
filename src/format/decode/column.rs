//! Text and binary values appended to an Arrow builder, one column at a time.

use super::array::{Item, parse_array};
use super::binary::{BinaryArray, Bytes, bad_binary, numeric_text, whole};
use super::datetime::{parse_date, parse_time, parse_timestamp};
use super::interval::parse_interval;
use super::number::{parse_bool, parse_bytea, parse_decimal, parse_f32, parse_f64, parse_int};
use super::utf8;
use crate::error::{Error, Result};
use crate::format::datetime::{DAY_MICROS, PG_EPOCH_DAYS, PG_EPOCH_MICROS};
use crate::format::settings::EncodeSettings;
use crate::format::types::{PgType, pg_type_of_data_type};
use crate::sqlstate::SqlState;
use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use std::sync::Arc;

/// A column under construction from PostgreSQL's text or binary values.
#[derive(Debug)]
pub struct ColumnParser {
    data_type: DataType,
    builder: Builder,
    settings: Arc<EncodeSettings>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
enum Builder {
    Bool(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Utf8(StringBuilder),
    LargeUtf8(LargeStringBuilder),
    Utf8View(StringViewBuilder),
    Binary(BinaryBuilder),
    LargeBinary(LargeBinaryBuilder),
    BinaryView(BinaryViewBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    /// The counts of a timestamp in any unit; true with a zone.
    Timestamp(Int64Builder, TimeUnit, bool),
    Interval(IntervalMonthDayNanoBuilder),
    List {
        item: Box<ColumnParser>,
        field: FieldRef,
        offsets: Vec<i32>,
        valid: BooleanBufferBuilder,
    },
}

impl ColumnParser {
    /// A parser for values of an Arrow type; 0A000 for a type that text cannot be read into.
    pub fn new(data_type: &DataType, settings: &EncodeSettings) -> Result<Self> {
        Self::with_settings(data_type, &Arc::new(settings.clone()))
    }

    pub(crate) fn with_settings(
        data_type: &DataType,
        settings: &Arc<EncodeSettings>,
    ) -> Result<Self> {
        let builder = match data_type {
            DataType::Boolean => Builder::Bool(BooleanBuilder::new()),
            DataType::Int8 => Builder::Int8(Int8Builder::new()),
            DataType::Int16 => Builder::Int16(Int16Builder::new()),
            DataType::Int32 => Builder::Int32(Int32Builder::new()),
            DataType::Int64 => Builder::Int64(Int64Builder::new()),
            DataType::Float32 => Builder::Float32(Float32Builder::new()),
            DataType::Float64 => Builder::Float64(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => {
                Builder::Decimal(Decimal128Builder::new(), *precision, *scale)
            }
            DataType::Utf8 => Builder::Utf8(StringBuilder::new()),
            DataType::LargeUtf8 => Builder::LargeUtf8(LargeStringBuilder::new()),
            DataType::Utf8View => Builder::Utf8View(StringViewBuilder::new()),
            DataType::Binary => Builder::Binary(BinaryBuilder::new()),
            DataType::LargeBinary => Builder::LargeBinary(LargeBinaryBuilder::new()),
            DataType::BinaryView => Builder::BinaryView(BinaryViewBuilder::new()),
            DataType::Date32 => Builder::Date(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => {
                Builder::Time(Time64MicrosecondBuilder::new())
            }
            DataType::Timestamp(unit, zone) => {
                Builder::Timestamp(Int64Builder::new(), *unit, zone.is_some())
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Builder::Interval(IntervalMonthDayNanoBuilder::new())
            }
            DataType::List(field) => Builder::List {
                item: Box::new(Self::with_settings(field.data_type(), settings)?),
                field: Arc::clone(field),
                offsets: vec![0],
                valid: BooleanBufferBuilder::new(0),
            },
            other => {
                return Err(Error::unsupported(
                    format_args!("input of Arrow type {other}"),
                    "Read the value as text and cast it in a query.",
                ));
            }
        };
        Ok(Self {
            data_type: data_type.clone(),
            builder,
            settings: Arc::clone(settings),
            scratch: Vec::new(),
        })
    }

    /// The Arrow type of the column.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Appends a value from its text. On an error nothing is appended, except inside a list.
    pub fn append_text(&mut self, text: &str) -> Result<()> {
        let settings = &self.settings;
        match &mut self.builder {
            Builder::Bool(builder) => builder.append_value(parse_bool(text)?),
            Builder::Int8(builder) => {
                let value = parse_int(text, i8::MIN.into(), i8::MAX.into(), "smallint")?;
                builder.append_value(value as i8);
            }
            Builder::Int16(builder) => {
                let value = parse_int(text, i16::MIN.into(), i16::MAX.into(), "smallint")?;
                builder.append_value(value as i16);
            }
            Builder::Int32(builder) => {
                let value = parse_int(text, i32::MIN.into(), i32::MAX.into(), "integer")?;
                builder.append_value(value as i32);
            }
            Builder::Int64(builder) => {
                builder.append_value(parse_int(text, i64::MIN, i64::MAX, "bigint")?);
            }
            Builder::Float32(builder) => builder.append_value(parse_f32(text)?),
            Builder::Float64(builder) => builder.append_value(parse_f64(text)?),
            Builder::Decimal(builder, precision, scale) => {
                builder.append_value(parse_decimal(text, *precision, *scale)?);
            }
            Builder::Utf8(builder) => builder.append_value(text),
            Builder::LargeUtf8(builder) => builder.append_value(text),
            Builder::Utf8View(builder) => builder.append_value(text),
            Builder::Binary(builder) => builder.append_value(bytea(text, &mut self.scratch)?),
            Builder::LargeBinary(builder) => builder.append_value(bytea(text, &mut self.scratch)?),
            Builder::BinaryView(builder) => builder.append_value(bytea(text, &mut self.scratch)?),
            Builder::Date(builder) => builder.append_value(parse_date(text, settings)?),
            Builder::Time(builder) => builder.append_value(parse_time(text, settings)?),
            Builder::Timestamp(builder, unit, zoned) => {
                let micros = parse_timestamp(text, *zoned, settings)?;
                builder.append_value(in_unit(micros, *unit)?);
            }
            Builder::Interval(builder) => builder.append_value(parse_interval(text)?),
            Builder::List { .. } => {
                let items = parse_array(text)?;
                self.append_items(&items, text)?;
            }
        }
        Ok(())
    }

    fn append_items(&mut self, items: &[Item], text: &str) -> Result<()> {
        let Builder::List { item, offsets, valid, .. } = &mut self.builder else {
            return Err(dimensions(text));
        };
        for element in items {
            match element {
                Item::Null => item.append_null(),
                Item::Text(_) if matches!(item.builder, Builder::List { .. }) => {
                    return Err(dimensions(text));
                }
                Item::Text(text) => item.append_text(text)?,
                Item::List(items) => item.append_items(items, text)?,
            }
        }
        offsets.push(i32::try_from(item.len()).map_err(|_| too_many_elements())?);
        valid.append(true);
        Ok(())
    }

    /// Appends a value from its binary form. On an error nothing is appended, except inside a list.
    pub fn append_binary(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.builder {
            Builder::Bool(builder) => match whole::<1>(bytes, "boolean")? {
                [byte] => builder.append_value(byte != 0),
            },
            Builder::Int8(builder) => {
                let value = i16::from_be_bytes(whole(bytes, "smallint")?);
                builder.append_value(i8::try_from(value).map_err(|_| {
                    Error::new(
                        SqlState::NumericValueOutOfRange,
                        format!("value \"{value}\" is out of range for type smallint"),
                    )
                })?);
            }
            Builder::Int16(builder) => {
                builder.append_value(i16::from_be_bytes(whole(bytes, "smallint")?));
            }
            Builder::Int32(builder) => {
                builder.append_value(i32::from_be_bytes(whole(bytes, "integer")?));
            }
            Builder::Int64(builder) => {
                builder.append_value(i64::from_be_bytes(whole(bytes, "bigint")?));
            }
            Builder::Float32(builder) => {
                builder.append_value(f32::from_be_bytes(whole(bytes, "real")?));
            }
            Builder::Float64(builder) => {
                builder.append_value(f64::from_be_bytes(whole(bytes, "double precision")?));
            }
            Builder::Decimal(builder, precision, scale) => {
                let text = numeric_text(bytes)?;
                builder.append_value(parse_decimal(&text, *precision, *scale)?);
            }
            Builder::Utf8(builder) => builder.append_value(utf8(bytes)?),
            Builder::LargeUtf8(builder) => builder.append_value(utf8(bytes)?),
            Builder::Utf8View(builder) => builder.append_value(utf8(bytes)?),
            Builder::Binary(builder) => builder.append_value(bytes),
            Builder::LargeBinary(builder) => builder.append_value(bytes),
            Builder::BinaryView(builder) => builder.append_value(bytes),
            Builder::Date(builder) => {
                let days = i32::from_be_bytes(whole(bytes, "date")?).checked_add(PG_EPOCH_DAYS);
                builder.append_value(days.ok_or_else(|| out_of_range("date"))?);
            }
            Builder::Time(builder) => {
                let micros = i64::from_be_bytes(whole(bytes, "time")?);
                if !(0..=DAY_MICROS).contains(&micros) {
                    return Err(out_of_range("time"));
                }
                builder.append_value(micros);
            }
            Builder::Timestamp(builder, unit, _) => {
                let micros = i64::from_be_bytes(whole(bytes, "timestamp")?);
                let micros = micros.checked_add(PG_EPOCH_MICROS);
                let micros =
                    micros.filter(|_| bytes[0] != 0x80 || bytes[1..].iter().any(|b| *b != 0));
                let micros = micros.ok_or_else(|| out_of_range("timestamp"))?;
                builder.append_value(in_unit(micros, *unit)?);
            }
            Builder::Interval(builder) => {
                let mut reader = Bytes::new(bytes, "interval");
                let (micros, days, months) = (reader.i64()?, reader.i32()?, reader.i32()?);
                reader.end()?;
                let nanos = micros.checked_mul(1000).ok_or_else(|| out_of_range("interval"))?;
                builder.append_value(IntervalMonthDayNano::new(months, days, nanos));
            }
            Builder::List { .. } => {
                let array = BinaryArray::new(bytes)?;
                self.check_element(array.element)?;
                self.append_binary_items(&array.sizes, &array.items)?;
            }
        }
        Ok(())
    }

    /// Refuses an array of another type than the one at the bottom of this list.
    fn check_element(&self, element: u32) -> Result<()> {
        let expected = pg_type_of_data_type(&self.data_type).element().unwrap_or(PgType::Text);
        let actual = PgType::from_oid(element);
        let both_text = expected.is_text() && actual.is_some_and(PgType::is_text);
        let both_numbers = expected == PgType::Int8 && actual.is_some_and(PgType::is_oid);
        if actual == Some(expected) || both_text || both_numbers {
            return Ok(());
        }
        Err(Error::new(SqlState::DatatypeMismatch, "wrong element type"))
    }

    fn append_binary_items(&mut self, sizes: &[usize], items: &[Option<&[u8]>]) -> Result<()> {
        let Builder::List { item, offsets, valid, .. } = &mut self.builder else {
            return Err(bad_binary("array"));
        };
        match sizes {
            [] | [_] => {
                if !sizes.is_empty() && matches!(item.builder, Builder::List { .. }) {
                    return Err(bad_binary("array"));
                }
                for element in items {
                    match (element, &item.builder) {
                        (None, _) => item.append_null(),
                        // Object ids are kept in eight bytes and sent in four.
                        (Some([a, b, c, d]), Builder::Int64(_)) => {
                            item.append_binary(&[0, 0, 0, 0, *a, *b, *c, *d])?;
                        }
                        (Some(bytes), _) => item.append_binary(bytes)?,
                    }
                }
            }
            [_, inner @ ..] => {
                let chunk: usize = inner.iter().product();
                if chunk > 0 {
                    for part in items.chunks(chunk) {
                        item.append_binary_items(inner, part)?;
                    }
                }
            }
        }
        offsets.push(i32::try_from(item.len()).map_err(|_| too_many_elements())?);
        valid.append(true);
        Ok(())
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        match &mut self.builder {
            Builder::Bool(builder) => builder.append_null(),
            Builder::Int8(builder) => builder.append_null(),
            Builder::Int16(builder) => builder.append_null(),
            Builder::Int32(builder) => builder.append_null(),
            Builder::Int64(builder) => builder.append_null(),
            Builder::Float32(builder) => builder.append_null(),
            Builder::Float64(builder) => builder.append_null(),
            Builder::Decimal(builder, ..) => builder.append_null(),
            Builder::Utf8(builder) => builder.append_null(),
            Builder::LargeUtf8(builder) => builder.append_null(),
            Builder::Utf8View(builder) => builder.append_null(),
            Builder::Binary(builder) => builder.append_null(),
            Builder::LargeBinary(builder) => builder.append_null(),
            Builder::BinaryView(builder) => builder.append_null(),
            Builder::Date(builder) => builder.append_null(),
            Builder::Time(builder) => builder.append_null(),
            Builder::Timestamp(builder, ..) => builder.append_null(),
            Builder::Interval(builder) => builder.append_null(),
            Builder::List { offsets, valid, .. } => {
                offsets.push(offsets.last().copied().unwrap_or(0));
                valid.append(false);
            }
        }
    }

    /// How many values have been appended since the last `finish`.
    pub fn len(&self) -> usize {
        match &self.builder {
            Builder::Bool(builder) => builder.len(),
            Builder::Int8(builder) => builder.len(),
            Builder::Int16(builder) => builder.len(),
            Builder::Int32(builder) => builder.len(),
            Builder::Int64(builder) => builder.len(),
            Builder::Float32(builder) => builder.len(),
            Builder::Float64(builder) => builder.len(),
            Builder::Decimal(builder, ..) => builder.len(),
            Builder::Utf8(builder) => builder.len(),
            Builder::LargeUtf8(builder) => builder.len(),
            Builder::Utf8View(builder) => builder.len(),
            Builder::Binary(builder) => builder.len(),
            Builder::LargeBinary(builder) => builder.len(),
            Builder::BinaryView(builder) => builder.len(),
            Builder::Date(builder) => builder.len(),
            Builder::Time(builder) => builder.len(),
            Builder::Timestamp(builder, ..) => builder.len(),
            Builder::Interval(builder) => builder.len(),
            Builder::List { valid, .. } => valid.len(),
        }
    }

    /// Whether nothing has been appended since the last `finish`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives out what has been appended and starts anew.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match &mut self.builder {
            Builder::Bool(builder) => Arc::new(builder.finish()),
            Builder::Int8(builder) => Arc::new(builder.finish()),
            Builder::Int16(builder) => Arc::new(builder.finish()),
            Builder::Int32(builder) => Arc::new(builder.finish()),
            Builder::Int64(builder) => Arc::new(builder.finish()),
            Builder::Float32(builder) => Arc::new(builder.finish()),
            Builder::Float64(builder) => Arc::new(builder.finish()),
            Builder::Decimal(builder, precision, scale) => Arc::new(
                builder
                    .finish()
                    .with_precision_and_scale(*precision, *scale)
                    .map_err(|e| Error::internal(e.to_string()))?,
            ),
            Builder::Utf8(builder) => Arc::new(builder.finish()),
            Builder::LargeUtf8(builder) => Arc::new(builder.finish()),
            Builder::Utf8View(builder) => Arc::new(builder.finish()),
            Builder::Binary(builder) => Arc::new(builder.finish()),
            Builder::LargeBinary(builder) => Arc::new(builder.finish()),
            Builder::BinaryView(builder) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
            Builder::Timestamp(builder, ..) => {
                let counts = builder.finish().into_data().into_builder();
                let data = counts.data_type(self.data_type.clone()).build();
                make_array(data.map_err(|e| Error::internal(e.to_string()))?)
            }
            Builder::Interval(builder) => Arc::new(builder.finish()),
            Builder::List { item, field, offsets, valid } => {
                let offsets = std::mem::replace(offsets, vec![0]);
                let nulls = arrow::buffer::NullBuffer::new(valid.finish());
                let list = ListArray::try_new(
                    Arc::clone(field),
                    OffsetBuffer::new(offsets.into()),
                    item.finish()?,
                    (nulls.null_count() > 0).then_some(nulls),
                );
                Arc::new(list.map_err(|e| Error::internal(e.to_string()))?)
            }
        })
    }
}

fn bytea<'a>(text: &str, scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
    scratch.clear();
    parse_bytea(text, scratch)?;
    Ok(scratch)
}

/// Microseconds in the unit of a column.
fn in_unit(micros: i64, unit: TimeUnit) -> Result<i64> {
    match unit {
        TimeUnit::Second => Ok(micros.div_euclid(1_000_000)),
        TimeUnit::Millisecond => Ok(micros.div_euclid(1000)),
        TimeUnit::Microsecond => Ok(micros),
        TimeUnit::Nanosecond => micros.checked_mul(1000).ok_or_else(|| out_of_range("timestamp")),
    }
}

fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::DatetimeFieldOverflow, format!("{what} out of range"))
}

fn too_many_elements() -> Error {
    Error::new(SqlState::StatementTooComplex, "a column's arrays have over 2147483647 elements")
}

fn dimensions(text: &str) -> Error {
    Error::new(SqlState::InvalidTextRepresentation, format!("malformed array literal: \"{text}\""))
        .detail("The array has another number of dimensions than the type.")
}
