//! `max` and `min` of floats, for which NaN is greater than every number, as in PostgreSQL.
//!
//! DataFusion 55.2's accumulator over groups takes whichever of NaN and a number comes last.

use crate::groups::{Seen, for_each_valid, valid_rows};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, FieldRef, Float32Type, Float64Type};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use std::sync::Arc;

/// DataFusion's `max` or `min` with another accumulator over groups of floats.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FloatExtreme {
    inner: Arc<AggregateUDF>,
    greatest: bool,
}

impl FloatExtreme {
    /// `max`, given DataFusion's.
    pub fn greatest(inner: Arc<AggregateUDF>) -> Self {
        Self { inner, greatest: true }
    }

    /// `min`, given DataFusion's.
    pub fn least(inner: Arc<AggregateUDF>) -> Self {
        Self { inner, greatest: false }
    }
}

impl AggregateUDFImpl for FloatExtreme {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.inner().state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match args.return_field.data_type() {
            DataType::Float64 => Ok(Box::new(Extremes::<Float64Type>::new(self.greatest))),
            DataType::Float32 => Ok(Box::new(Extremes::<Float32Type>::new(self.greatest))),
            _ => self.inner.create_groups_accumulator(args),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn value_from_stats(&self, args: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        self.inner.value_from_stats(args)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

/// The greatest or least float of each group.
struct Extremes<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    seen: Seen,
    greatest: bool,
}

/// A float's least and greatest value in PostgreSQL's order, and that order.
trait Float: Copy {
    const LEAST: Self;
    const GREATEST: Self;
    fn below(self, other: Self) -> bool;
}

macro_rules! float {
    ($type:ty) => {
        impl Float for $type {
            const LEAST: Self = <$type>::NEG_INFINITY;
            const GREATEST: Self = <$type>::NAN;

            fn below(self, other: Self) -> bool {
                self < other || (other.is_nan() && !self.is_nan())
            }
        }
    };
}
float!(f32);
float!(f64);

impl<T: ArrowPrimitiveType<Native: Float>> Extremes<T> {
    fn new(greatest: bool) -> Self {
        Self { values: Vec::new(), seen: Seen::default(), greatest }
    }

    fn add(
        &mut self,
        batch: &ArrayRef,
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) {
        let values = batch.as_primitive::<T>();
        let valid = valid_rows(values.nulls(), filter);
        let first = if self.greatest { T::Native::LEAST } else { T::Native::GREATEST };
        self.values.resize(total_num_groups, first);
        if let Some(marks) = self.seen.marks(valid.is_none(), total_num_groups) {
            for_each_valid(group_indices, values, valid.as_ref(), |group, _| {
                marks[group] = true;
                false
            });
        }
        let (kept, greatest) = (&mut self.values, self.greatest);
        for_each_valid(group_indices, values, valid.as_ref(), |group, value| {
            let known = kept[group];
            if if greatest { known.below(value) } else { value.below(known) } {
                kept[group] = value;
            }
            false
        });
    }
}

impl<T: ArrowPrimitiveType<Native: Float>> GroupsAccumulator for Extremes<T> {
    fn update_batch(
        &mut self,
        batch: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.add(&batch[0], group_indices, filter, total_num_groups);
        Ok(())
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.add(&states[0], group_indices, None, total_num_groups);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let values = emit_to.take_needed(&mut self.values);
        let nulls = self.seen.take(emit_to);
        Ok(Arc::new(PrimitiveArray::<T>::try_new(values.into(), nulls)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(
        &self,
        batch: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = batch[0].as_primitive::<T>();
        let valid = valid_rows(values.nulls(), filter);
        Ok(vec![Arc::new(PrimitiveArray::<T>::try_new(values.values().clone(), valid)?)])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<T::Native>() + self.seen.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Float64Array;

    fn extremes(greatest: bool, filter: Option<&BooleanArray>) -> ArrayRef {
        let nan = f64::NAN;
        let values =
            vec![Some(nan), Some(2.0), Some(2.0), Some(-nan), None, Some(nan), Some(f64::INFINITY)];
        let batch: [ArrayRef; 1] = [Arc::new(Float64Array::from(values))];
        let mut extremes = Extremes::<Float64Type>::new(greatest);
        extremes.update_batch(&batch, &[0, 0, 1, 1, 2, 3, 1], filter, 4).unwrap();
        extremes.evaluate(EmitTo::All).unwrap()
    }

    /// `SELECT g, max(f), min(f) … GROUP BY g` of PostgreSQL 15 over the same rows.
    #[test]
    fn nan_is_greater_than_every_number_in_whatever_order() {
        let found = extremes(true, None);
        let found = found.as_primitive::<Float64Type>();
        assert!(found.value(0).is_nan() && found.value(1).is_nan() && found.value(3).is_nan());
        assert!(found.is_null(2));
        let found = extremes(false, None);
        let found = found.as_primitive::<Float64Type>();
        assert_eq!((found.value(0), found.value(1)), (2.0, 2.0));
        assert!(found.is_null(2) && found.value(3).is_nan());
    }

    #[test]
    fn filtered_rows_do_not_count() {
        let filter = BooleanArray::from(vec![false, true, true, false, true, false, false]);
        let found = extremes(true, Some(&filter));
        let found = found.as_primitive::<Float64Type>();
        assert_eq!((found.value(0), found.value(1)), (2.0, 2.0));
        assert!(found.is_null(2) && found.is_null(3));
    }
}
