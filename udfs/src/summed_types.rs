//! Which types can be summed, as what they are read, and what their partial sums are.

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType};
use datafusion_common::{Result, internal_datafusion_err};

use crate::total::Total;

/// The type as which an argument of `sum` or `avg` is read; `None` if it cannot be summed.
pub(crate) fn summed_as(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Dictionary(_, values) => summed_as(values)?,
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::Null => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _)
        | DataType::Duration(_)
        | DataType::Interval(_) => data_type.clone(),
        _ => return None,
    })
}

/// The type of a sum's partial state.
pub(crate) fn state_type(summed_as: &DataType) -> DataType {
    match summed_as {
        DataType::Int16 | DataType::Int32 => DataType::Int64,
        DataType::Int64 | DataType::UInt64 => DataType::Decimal128(38, 0),
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        DataType::Decimal256(_, scale) => DataType::Decimal256(76, *scale),
        DataType::Float32 => DataType::Float64,
        other => other.clone(),
    }
}

/// A column as a total's input.
pub(crate) fn input<T: Total>(
    column: &ArrayRef,
    summed_as: &DataType,
) -> Result<PrimitiveArray<T::Input>> {
    let column = match column.data_type() == summed_as {
        true => column.clone(),
        false => cast(column, summed_as)?,
    };
    primitive(&column)
}

/// A column of partial states, or of anything else of a known type.
pub(crate) fn primitive<T: ArrowPrimitiveType>(column: &ArrayRef) -> Result<PrimitiveArray<T>> {
    column
        .as_primitive_opt::<T>()
        .cloned()
        .ok_or_else(|| internal_datafusion_err!("sum met a column of {}", column.data_type()))
}

/// Evaluates an expression with `$total` standing for the [`Total`] of a type that
/// [`summed_as`] has returned.
macro_rules! with_total {
    ($data_type:expr, $total:ident => $body:expr) => {{
        use arrow::datatypes as types;
        use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
        use $crate::total;
        macro_rules! with {
            ($kind:ty) => {{
                type $total = $kind;
                $body
            }};
        }
        match $data_type {
            DataType::Int16 => with!(total::SmallInts<types::Int16Type>),
            DataType::Int32 => with!(total::SmallInts<types::Int32Type>),
            DataType::Int64 => with!(total::BigInts),
            DataType::UInt64 => with!(total::UnsignedInts),
            DataType::Float32 => with!(total::Reals),
            DataType::Float64 => with!(total::Doubles),
            DataType::Decimal128(_, _) => with!(total::Decimals),
            DataType::Decimal256(_, _) => with!(total::WideDecimals),
            DataType::Duration(TimeUnit::Second) => with!(total::Times<types::DurationSecondType>),
            DataType::Duration(TimeUnit::Millisecond) => {
                with!(total::Times<types::DurationMillisecondType>)
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                with!(total::Times<types::DurationMicrosecondType>)
            }
            DataType::Duration(TimeUnit::Nanosecond) => {
                with!(total::Times<types::DurationNanosecondType>)
            }
            DataType::Interval(IntervalUnit::YearMonth) => {
                with!(total::Times<types::IntervalYearMonthType>)
            }
            DataType::Interval(IntervalUnit::DayTime) => {
                with!(total::Times<types::IntervalDayTimeType>)
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                with!(total::Times<types::IntervalMonthDayNanoType>)
            }
            other => datafusion_common::internal_err!("no sum of {other}"),
        }
    }};
}
pub(crate) use with_total;
