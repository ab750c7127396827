//! One column of one batch, looked at once: typed arrays, null bitmap, target type.

use crate::error::{Error, Result};
use crate::format::types::{PgType, pg_type_of, pg_type_of_data_type};
use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;

/// A column that can write any of its values.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) ty: PgType,
    pub(super) data: Data,
    nulls: Option<NullBuffer>,
}

/// The values. Arrays share their buffers, so that holding them costs a reference count.
#[derive(Debug)]
pub(super) enum Data {
    Null,
    Bool(BooleanArray),
    Int8(ScalarBuffer<i8>),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    UInt8(ScalarBuffer<u8>),
    UInt16(ScalarBuffer<u16>),
    UInt32(ScalarBuffer<u32>),
    UInt64(ScalarBuffer<u64>),
    Float16(Float16Array),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Decimal32(ScalarBuffer<i32>, i8),
    Decimal64(ScalarBuffer<i64>, i8),
    Decimal128(ScalarBuffer<i128>, i8),
    Decimal256(ScalarBuffer<i256>, i8),
    Date32(ScalarBuffer<i32>),
    Date64(ScalarBuffer<i64>),
    Time32(ScalarBuffer<i32>, TimeUnit),
    Time64(ScalarBuffer<i64>, TimeUnit),
    Timestamp(ScalarBuffer<i64>, TimeUnit),
    Timestamptz(ScalarBuffer<i64>, TimeUnit),
    Months(ScalarBuffer<i32>),
    DayTime(ScalarBuffer<IntervalDayTime>),
    MonthDayNano(ScalarBuffer<IntervalMonthDayNano>),
    Duration(ScalarBuffer<i64>, TimeUnit),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    FixedBinary(FixedSizeBinaryArray),
    List(Box<Column>, Ranges),
    Struct(Vec<(String, Column)>),
    Map(Box<Column>, Box<Column>, OffsetBuffer<i32>),
    Dictionary(Keys, Box<Column>),
}

/// Where in its child each list lies.
#[derive(Debug)]
pub(super) enum Ranges {
    Small(OffsetBuffer<i32>),
    Large(OffsetBuffer<i64>),
    Fixed(usize),
    View(ScalarBuffer<i32>, ScalarBuffer<i32>),
    LargeView(ScalarBuffer<i64>, ScalarBuffer<i64>),
}

impl Ranges {
    pub(super) fn get(&self, row: usize) -> std::ops::Range<usize> {
        match self {
            Self::Small(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Self::Large(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Self::Fixed(size) => row * size..(row + 1) * size,
            Self::View(offsets, sizes) => {
                offsets[row] as usize..(offsets[row] + sizes[row]) as usize
            }
            Self::LargeView(offsets, sizes) => {
                offsets[row] as usize..(offsets[row] + sizes[row]) as usize
            }
        }
    }
}

/// A dictionary's keys.
#[derive(Debug)]
pub(super) enum Keys {
    Int8(ScalarBuffer<i8>),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    UInt8(ScalarBuffer<u8>),
    UInt16(ScalarBuffer<u16>),
    UInt32(ScalarBuffer<u32>),
    UInt64(ScalarBuffer<u64>),
}

impl Keys {
    pub(super) fn get(&self, row: usize) -> usize {
        match self {
            Self::Int8(keys) => keys[row] as usize,
            Self::Int16(keys) => keys[row] as usize,
            Self::Int32(keys) => keys[row] as usize,
            Self::Int64(keys) => keys[row] as usize,
            Self::UInt8(keys) => keys[row] as usize,
            Self::UInt16(keys) => keys[row] as usize,
            Self::UInt32(keys) => keys[row] as usize,
            Self::UInt64(keys) => keys[row] as usize,
        }
    }
}

impl Column {
    /// Looks at an array. Fails with 0A000 for a type that has no text either.
    pub(super) fn new(array: &dyn Array, ty: PgType) -> Result<Self> {
        if let DataType::RunEndEncoded(_, values) = array.data_type() {
            let flat = arrow::compute::cast(array, values.data_type())
                .map_err(|e| Error::internal(e.to_string()))?;
            return Self::new(&flat, ty);
        }
        Ok(Self { ty, data: data_of(array, ty)?, nulls: array.nulls().cloned() })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return true;
        }
        match &self.data {
            Data::Null => true,
            Data::Dictionary(keys, values) => values.is_null(keys.get(row)),
            _ => false,
        }
    }
}

fn data_of(array: &dyn Array, ty: PgType) -> Result<Data> {
    use DataType as T;
    macro_rules! values {
        ($arrow:ty) => {
            array.as_primitive::<$arrow>().values().clone()
        };
    }
    Ok(match array.data_type() {
        T::Null => Data::Null,
        T::Boolean => Data::Bool(array.as_boolean().clone()),
        T::Int8 => Data::Int8(values!(Int8Type)),
        T::Int16 => Data::Int16(values!(Int16Type)),
        T::Int32 => Data::Int32(values!(Int32Type)),
        T::Int64 => Data::Int64(values!(Int64Type)),
        T::UInt8 => Data::UInt8(values!(UInt8Type)),
        T::UInt16 => Data::UInt16(values!(UInt16Type)),
        T::UInt32 => Data::UInt32(values!(UInt32Type)),
        T::UInt64 => Data::UInt64(values!(UInt64Type)),
        T::Float16 => Data::Float16(array.as_primitive().clone()),
        T::Float32 => Data::Float32(values!(Float32Type)),
        T::Float64 => Data::Float64(values!(Float64Type)),
        T::Decimal32(_, scale) => Data::Decimal32(values!(Decimal32Type), *scale),
        T::Decimal64(_, scale) => Data::Decimal64(values!(Decimal64Type), *scale),
        T::Decimal128(_, scale) => Data::Decimal128(values!(Decimal128Type), *scale),
        T::Decimal256(_, scale) => Data::Decimal256(values!(Decimal256Type), *scale),
        T::Date32 => Data::Date32(values!(Date32Type)),
        T::Date64 => Data::Date64(values!(Date64Type)),
        T::Time32(unit) => Data::Time32(
            match unit {
                TimeUnit::Second => values!(Time32SecondType),
                _ => values!(Time32MillisecondType),
            },
            *unit,
        ),
        T::Time64(unit) => Data::Time64(
            match unit {
                TimeUnit::Microsecond => values!(Time64MicrosecondType),
                _ => values!(Time64NanosecondType),
            },
            *unit,
        ),
        T::Timestamp(unit, zone) => {
            let values = match unit {
                TimeUnit::Second => values!(TimestampSecondType),
                TimeUnit::Millisecond => values!(TimestampMillisecondType),
                TimeUnit::Microsecond => values!(TimestampMicrosecondType),
                TimeUnit::Nanosecond => values!(TimestampNanosecondType),
            };
            match zone {
                Some(_) => Data::Timestamptz(values, *unit),
                None => Data::Timestamp(values, *unit),
            }
        }
        T::Interval(IntervalUnit::YearMonth) => Data::Months(values!(IntervalYearMonthType)),
        T::Interval(IntervalUnit::DayTime) => Data::DayTime(values!(IntervalDayTimeType)),
        T::Interval(IntervalUnit::MonthDayNano) => {
            Data::MonthDayNano(values!(IntervalMonthDayNanoType))
        }
        T::Duration(unit) => Data::Duration(
            match unit {
                TimeUnit::Second => values!(DurationSecondType),
                TimeUnit::Millisecond => values!(DurationMillisecondType),
                TimeUnit::Microsecond => values!(DurationMicrosecondType),
                TimeUnit::Nanosecond => values!(DurationNanosecondType),
            },
            *unit,
        ),
        T::Utf8 => Data::Utf8(array.as_string().clone()),
        T::LargeUtf8 => Data::LargeUtf8(array.as_string().clone()),
        T::Utf8View => Data::Utf8View(array.as_string_view().clone()),
        T::Binary => Data::Binary(array.as_binary().clone()),
        T::LargeBinary => Data::LargeBinary(array.as_binary().clone()),
        T::BinaryView => Data::BinaryView(array.as_binary_view().clone()),
        T::FixedSizeBinary(_) => Data::FixedBinary(array.as_fixed_size_binary().clone()),
        T::List(_) => {
            let list = array.as_list::<i32>();
            Data::List(item(list.values(), ty)?, Ranges::Small(list.offsets().clone()))
        }
        T::LargeList(_) => {
            let list = array.as_list::<i64>();
            Data::List(item(list.values(), ty)?, Ranges::Large(list.offsets().clone()))
        }
        T::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            Data::List(item(list.values(), ty)?, Ranges::Fixed(*size as usize))
        }
        T::ListView(_) => {
            let list = array.as_list_view::<i32>();
            let ranges = Ranges::View(list.offsets().clone(), list.sizes().clone());
            Data::List(item(list.values(), ty)?, ranges)
        }
        T::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            let ranges = Ranges::LargeView(list.offsets().clone(), list.sizes().clone());
            Data::List(item(list.values(), ty)?, ranges)
        }
        T::Struct(fields) => Data::Struct(
            fields
                .iter()
                .zip(array.as_struct().columns())
                .map(|(field, column)| {
                    Ok((field.name().clone(), Column::new(column, pg_type_of(field))?))
                })
                .collect::<Result<_>>()?,
        ),
        T::Map(..) => {
            let map = array.as_map();
            let column = |array: &ArrayRef| {
                Column::new(array, pg_type_of_data_type(array.data_type())).map(Box::new)
            };
            Data::Map(column(map.keys())?, column(map.values())?, map.offsets().clone())
        }
        T::Dictionary(key_type, _) => {
            let values = array.as_any_dictionary().values();
            let values = Box::new(Column::new(values, ty)?);
            macro_rules! keys {
                ($variant:ident, $arrow:ty) => {
                    Keys::$variant(array.as_dictionary::<$arrow>().keys().values().clone())
                };
            }
            let keys = match key_type.as_ref() {
                T::Int8 => keys!(Int8, Int8Type),
                T::Int16 => keys!(Int16, Int16Type),
                T::Int32 => keys!(Int32, Int32Type),
                T::Int64 => keys!(Int64, Int64Type),
                T::UInt8 => keys!(UInt8, UInt8Type),
                T::UInt16 => keys!(UInt16, UInt16Type),
                T::UInt32 => keys!(UInt32, UInt32Type),
                T::UInt64 => keys!(UInt64, UInt64Type),
                other => return Err(no_text(other)),
            };
            Data::Dictionary(keys, values)
        }
        other => return Err(no_text(other)),
    })
}

fn no_text(data_type: &DataType) -> Error {
    Error::unsupported(
        format_args!("output of Arrow type {data_type}"),
        "Cast the column to another type in the query.",
    )
}

/// The child of a list; the inner lists of a nested one keep the outer array type.
fn item(values: &ArrayRef, ty: PgType) -> Result<Box<Column>> {
    let nested = matches!(
        values.data_type(),
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
    );
    let element = match ty {
        PgType::Int2Vector => PgType::Int2,
        PgType::OidVector => PgType::Oid,
        _ if nested => ty,
        _ => ty.element().unwrap_or_else(|| pg_type_of_data_type(values.data_type())),
    };
    Column::new(values, element).map(Box::new)
}
