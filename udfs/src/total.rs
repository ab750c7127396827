//! How each numeric type is summed: in which type, and how overflow shows.

use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use arrow::array::{Array, ArrowNativeTypeOp, PrimitiveArray};
use arrow::datatypes::{
    ArrowNumericType, ArrowPrimitiveType, Decimal128Type, Decimal256Type, DecimalType, Float32Type,
    Float64Type, Int64Type, UInt64Type, i256,
};
use datafusion_common::DataFusionError;

/// The native type of an Arrow type.
pub(crate) type Native<T> = <T as ArrowPrimitiveType>::Native;

/// The addition of one input type. Errors of overflow are flags and not results, so that
/// the loops over rows have no branch.
pub(crate) trait Total: Debug + Send + Sync + 'static {
    /// What is summed.
    type Input: ArrowPrimitiveType + Debug + Send;
    /// What it is summed in; also the partial state.
    type State: ArrowPrimitiveType + Debug + Send;
    /// What a sum is returned as.
    type Output: ArrowPrimitiveType + Debug + Send;
    /// A value in a form that can be compared for equality and ordered.
    type Key: Copy + Debug + Eq + Ord + Hash + Send + Sync;

    /// PostgreSQL's message for a sum outside of its type.
    const OVERFLOW: &'static str;

    fn lift(value: Native<Self::Input>) -> Native<Self::State>;
    /// The sum, and whether it is out of range.
    fn add(sum: Native<Self::State>, other: Native<Self::State>) -> (Native<Self::State>, bool);
    /// The same with one value; types that no number of rows can overflow do not look.
    fn add_value(
        sum: Native<Self::State>,
        value: Native<Self::Input>,
    ) -> (Native<Self::State>, bool) {
        Self::add(sum, Self::lift(value))
    }
    /// The difference, and whether it is out of range.
    fn sub(sum: Native<Self::State>, other: Native<Self::State>) -> (Native<Self::State>, bool);
    /// The sum as the result; `None` if it is out of range.
    fn output(sum: Native<Self::State>) -> Option<Native<Self::Output>>;
    fn key(value: Native<Self::Input>) -> Self::Key;
    fn from_key(key: Self::Key) -> Native<Self::Input>;

    /// The sum of a batch's values that are not NULL, and whether it is out of range.
    fn sum(values: &PrimitiveArray<Self::Input>) -> (Native<Self::State>, bool) {
        let mut sum = Native::<Self::State>::default();
        let mut overflow = false;
        for_each_or_zero(values, |value| {
            let (next, overflows) = Self::add_value(sum, value);
            sum = next;
            overflow |= overflows;
        });
        (sum, overflow)
    }

    /// The error of a sum outside of its type.
    fn overflow() -> DataFusionError {
        DataFusionError::Execution(Self::OVERFLOW.to_owned())
    }
}

/// smallint and integer: summed in, and returned as, bigint.
#[derive(Debug)]
pub(crate) struct SmallInts<T>(PhantomData<T>);

impl<T> Total for SmallInts<T>
where
    T: ArrowPrimitiveType + Debug + Send + Sync,
    T::Native: Into<i64> + TryFrom<i64> + Ord + Hash,
{
    type Input = T;
    type State = Int64Type;
    type Output = Int64Type;
    type Key = T::Native;
    const OVERFLOW: &'static str = "bigint out of range";

    fn lift(value: T::Native) -> i64 {
        value.into()
    }
    fn add(sum: i64, other: i64) -> (i64, bool) {
        sum.overflowing_add(other)
    }
    fn sub(sum: i64, other: i64) -> (i64, bool) {
        sum.overflowing_sub(other)
    }
    fn output(sum: i64) -> Option<i64> {
        Some(sum)
    }
    fn key(value: T::Native) -> T::Native {
        value
    }
    fn from_key(key: T::Native) -> T::Native {
        key
    }

    /// A batch has fewer than 2³¹ rows of at most 2³¹, so that bigint is wide enough.
    fn sum(values: &PrimitiveArray<T>) -> (i64, bool) {
        let mut sum = 0i64;
        for_each_or_zero(values, |value| sum += value.into());
        (sum, false)
    }
}

/// bigint: summed in, and returned as, numeric.
#[derive(Debug)]
pub(crate) struct BigInts;

impl Total for BigInts {
    type Input = Int64Type;
    type State = Decimal128Type;
    type Output = Decimal128Type;
    type Key = i64;
    const OVERFLOW: &'static str = NUMERIC_OVERFLOW;

    fn lift(value: i64) -> i128 {
        i128::from(value)
    }
    fn add(sum: i128, other: i128) -> (i128, bool) {
        sum.overflowing_add(other)
    }
    /// It would take 2⁶³ rows.
    fn add_value(sum: i128, value: i64) -> (i128, bool) {
        (sum.wrapping_add(i128::from(value)), false)
    }
    fn sub(sum: i128, other: i128) -> (i128, bool) {
        sum.overflowing_sub(other)
    }
    fn output(sum: i128) -> Option<i128> {
        numeric(sum)
    }
    fn key(value: i64) -> i64 {
        value
    }
    fn from_key(key: i64) -> i64 {
        key
    }

    /// The halves of the values are summed on their own, in 64 bits each, which the
    /// compiler turns into vector instructions; a batch has fewer than 2³¹ rows.
    fn sum(values: &PrimitiveArray<Int64Type>) -> (i128, bool) {
        let (mut high, mut low) = (0i64, 0u64);
        for_each_or_zero(values, |value| {
            high += value >> 32;
            low += u64::from(value.cast_unsigned() as u32);
        });
        ((i128::from(high) << 32) + i128::from(low), false)
    }
}

/// Unsigned 64-bit integers, which PostgreSQL lacks: as bigint.
#[derive(Debug)]
pub(crate) struct UnsignedInts;

impl Total for UnsignedInts {
    type Input = UInt64Type;
    type State = Decimal128Type;
    type Output = Decimal128Type;
    type Key = u64;
    const OVERFLOW: &'static str = NUMERIC_OVERFLOW;

    fn lift(value: u64) -> i128 {
        i128::from(value)
    }
    fn add(sum: i128, other: i128) -> (i128, bool) {
        sum.overflowing_add(other)
    }
    /// It would take 2⁶³ rows.
    fn add_value(sum: i128, value: u64) -> (i128, bool) {
        (sum.wrapping_add(i128::from(value)), false)
    }
    fn sub(sum: i128, other: i128) -> (i128, bool) {
        sum.overflowing_sub(other)
    }
    fn output(sum: i128) -> Option<i128> {
        numeric(sum)
    }
    fn key(value: u64) -> u64 {
        value
    }
    fn from_key(key: u64) -> u64 {
        key
    }
}

/// numeric of up to 38 digits.
#[derive(Debug)]
pub(crate) struct Decimals;

impl Total for Decimals {
    type Input = Decimal128Type;
    type State = Decimal128Type;
    type Output = Decimal128Type;
    type Key = i128;
    const OVERFLOW: &'static str = NUMERIC_OVERFLOW;

    fn lift(value: i128) -> i128 {
        value
    }
    fn add(sum: i128, other: i128) -> (i128, bool) {
        sum.overflowing_add(other)
    }
    fn sub(sum: i128, other: i128) -> (i128, bool) {
        sum.overflowing_sub(other)
    }
    fn output(sum: i128) -> Option<i128> {
        numeric(sum)
    }
    fn key(value: i128) -> i128 {
        value
    }
    fn from_key(key: i128) -> i128 {
        key
    }
}

/// numeric of up to 76 digits.
#[derive(Debug)]
pub(crate) struct WideDecimals;

impl Total for WideDecimals {
    type Input = Decimal256Type;
    type State = Decimal256Type;
    type Output = Decimal256Type;
    type Key = i256;
    const OVERFLOW: &'static str = NUMERIC_OVERFLOW;

    fn lift(value: i256) -> i256 {
        value
    }
    fn add(sum: i256, other: i256) -> (i256, bool) {
        sum.overflowing_add(other)
    }
    fn sub(sum: i256, other: i256) -> (i256, bool) {
        sum.overflowing_sub(other)
    }
    fn output(sum: i256) -> Option<i256> {
        Decimal256Type::is_valid_decimal_precision(sum, Decimal256Type::MAX_PRECISION)
            .then_some(sum)
    }
    fn key(value: i256) -> i256 {
        value
    }
    fn from_key(key: i256) -> i256 {
        key
    }
}

/// real: summed in double precision, returned as real.
#[derive(Debug)]
pub(crate) struct Reals;

impl Total for Reals {
    type Input = Float32Type;
    type State = Float64Type;
    type Output = Float32Type;
    type Key = i64;
    const OVERFLOW: &'static str = FLOAT_OVERFLOW;

    fn lift(value: f32) -> f64 {
        f64::from(value)
    }
    fn add(sum: f64, other: f64) -> (f64, bool) {
        (sum + other, false)
    }
    fn sub(sum: f64, other: f64) -> (f64, bool) {
        (sum - other, false)
    }
    fn output(sum: f64) -> Option<f32> {
        let real = sum as f32;
        (real.is_finite() || !sum.is_finite()).then_some(real)
    }
    fn key(value: f32) -> i64 {
        float_key(f64::from(value))
    }
    fn from_key(key: i64) -> f32 {
        key_float(key) as f32
    }
}

/// double precision.
#[derive(Debug)]
pub(crate) struct Doubles;

impl Total for Doubles {
    type Input = Float64Type;
    type State = Float64Type;
    type Output = Float64Type;
    type Key = i64;
    const OVERFLOW: &'static str = FLOAT_OVERFLOW;

    fn lift(value: f64) -> f64 {
        value
    }
    fn add(sum: f64, other: f64) -> (f64, bool) {
        (sum + other, false)
    }
    fn sub(sum: f64, other: f64) -> (f64, bool) {
        (sum - other, false)
    }
    fn output(sum: f64) -> Option<f64> {
        Some(sum)
    }
    fn key(value: f64) -> i64 {
        float_key(value)
    }
    fn from_key(key: i64) -> f64 {
        key_float(key)
    }
    fn sum(values: &PrimitiveArray<Float64Type>) -> (f64, bool) {
        (arrow::compute::sum(values).unwrap_or_default(), false)
    }
}

/// Durations and intervals: summed in their own type.
#[derive(Debug)]
pub(crate) struct Times<T>(PhantomData<T>);

impl<T> Total for Times<T>
where
    T: ArrowNumericType + Debug + Send + Sync,
    T::Native: ArrowNativeTypeOp + Ord + Hash,
{
    type Input = T;
    type State = T;
    type Output = T;
    type Key = T::Native;
    const OVERFLOW: &'static str = "interval out of range";

    fn lift(value: T::Native) -> T::Native {
        value
    }
    fn add(sum: T::Native, other: T::Native) -> (T::Native, bool) {
        sum.add_checked(other).map_or((sum, true), |sum| (sum, false))
    }
    fn sub(sum: T::Native, other: T::Native) -> (T::Native, bool) {
        sum.sub_checked(other).map_or((sum, true), |sum| (sum, false))
    }
    fn output(sum: T::Native) -> Option<T::Native> {
        Some(sum)
    }
    fn key(value: T::Native) -> T::Native {
        value
    }
    fn from_key(key: T::Native) -> T::Native {
        key
    }
}

const NUMERIC_OVERFLOW: &str = "numeric field overflow";
const FLOAT_OVERFLOW: &str = "value out of range: overflow";

/// A number of at most 38 digits, what `Decimal128` holds.
pub(crate) fn numeric(value: i128) -> Option<i128> {
    Decimal128Type::is_valid_decimal_precision(value, Decimal128Type::MAX_PRECISION)
        .then_some(value)
}

/// The error of a numeric of more than 38 digits.
pub(crate) fn numeric_overflow() -> DataFusionError {
    DataFusionError::Execution(NUMERIC_OVERFLOW.to_owned())
}

/// A number that sorts as the double does (IEEE 754's total order); one for −0 and 0, and
/// one for every NaN.
pub(crate) fn float_key(value: f64) -> i64 {
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    flip(value.to_bits().cast_signed())
}

/// The double of a [`float_key`].
fn key_float(key: i64) -> f64 {
    f64::from_bits(flip(key).cast_unsigned())
}

/// Negative doubles sort backwards by their bits; this turns them round, and back.
fn flip(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// Calls `add` for each value of a batch, with 0 in the place of NULL: without a branch,
/// so that the compiler can add several values at once.
#[inline]
fn for_each_or_zero<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    mut add: impl FnMut(T::Native),
) {
    let Some(nulls) = values.nulls().filter(|nulls| nulls.null_count() > 0) else {
        values.values().iter().for_each(|value| add(*value));
        return;
    };
    let masks = nulls.inner().bit_chunks();
    for (values, mut mask) in values.values().chunks(64).zip(masks.iter_padded()) {
        for value in values {
            let is_valid = mask & 1 == 1;
            add(if is_valid { *value } else { T::Native::default() });
            mask >>= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int16Array, Int64Array};
    use arrow::datatypes::Int16Type;

    #[test]
    fn halves_of_bigints_add_up() {
        let values = Int64Array::from(vec![i64::MIN, -1, 1, i64::MAX, i64::MAX, -(1 << 40)]);
        let want: i128 = values.values().iter().map(|value| i128::from(*value)).sum();
        assert_eq!(BigInts::sum(&values), (want, false));
        let with_null = Int64Array::from(vec![Some(i64::MIN), None, Some(-5)]);
        assert_eq!(BigInts::sum(&with_null).0, i128::from(i64::MIN) - 5);
        let small = Int16Array::from(vec![Some(-7), None, Some(i16::MAX)]);
        assert_eq!(SmallInts::<Int16Type>::sum(&small).0, 32760);
    }

    #[test]
    fn keys_keep_the_order_of_doubles() {
        let ordered = [f64::NEG_INFINITY, -2.5, -1e-300, 0.0, 1e-300, 2.5, f64::INFINITY, f64::NAN];
        assert!(ordered.map(float_key).is_sorted());
        assert_eq!(float_key(-0.0), float_key(0.0));
        assert_eq!(float_key(-f64::NAN), float_key(f64::NAN));
        assert_eq!(key_float(float_key(-2.5)), -2.5);
    }
}
