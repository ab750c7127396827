//! `sum` by the rules of PostgreSQL: wider result types, and an error on overflow.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
    udaf_default_display_name, udaf_default_human_display, udaf_default_schema_name,
    udaf_default_window_function_display_name, udaf_default_window_function_schema_name,
};

use crate::distinct::{DistinctAccumulator, Finish, distinct_state_type};
use crate::groups::{Seen, for_each_valid, valid_rows};
use crate::summation::SlidingSum;
use crate::summed_types::{input, primitive, state_type, summed_as, with_total};
use crate::total::{Native, Total};

/// `sum(x)`, to be registered over DataFusion's own:
///
/// | x | result |
/// |---|---|
/// | smallint, integer | bigint; beyond it the error "bigint out of range" |
/// | bigint | numeric(38, 0) |
/// | numeric(p, s) | numeric(38, s); beyond it the error "numeric field overflow" |
/// | real | real, summed in double precision |
/// | double precision | double precision |
/// | interval (and Arrow durations) | the same; beyond it "interval out of range" |
///
/// Unsigned integers count as the next wider signed type. NULL without rows.
///
/// # The name
///
/// The function is named `SUM` and has the alias `sum`, by which SQL finds it; columns and
/// plans show `sum`. DataFusion's rule `single_distinct_aggregation_to_group_by` rewrites
/// what is named `sum` exactly into a sum of sums, which would turn the bigint of
/// `SELECT count(DISTINCT a), sum(b)` into a numeric and end in a schema error.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NumericSum {
    signature: Signature,
    aliases: Vec<String>,
}

impl NumericSum {
    /// The function.
    pub fn new() -> Self {
        Self {
            signature: Signature::variadic_any(Volatility::Immutable),
            aliases: vec!["sum".to_owned()],
        }
    }
}

impl Default for NumericSum {
    fn default() -> Self {
        Self::new()
    }
}

/// The type as which the one argument is summed.
fn argument(types: &[DataType]) -> Result<DataType> {
    let [data_type] = types else {
        return plan_err!("sum takes one argument, not {}", types.len());
    };
    match summed_as(data_type) {
        Some(summed_as) => Ok(summed_as),
        None => plan_err!("sum takes a number or an interval, not {data_type}"),
    }
}

fn argument_of(fields: &[FieldRef]) -> Result<DataType> {
    let types: Vec<DataType> = fields.iter().map(|f| f.data_type().clone()).collect();
    argument(&types)
}

/// A derived name with the function as users write it.
fn lowercase(name: String) -> String {
    name.replacen("SUM(", "sum(", 1)
}

impl AggregateUDFImpl for NumericSum {
    fn name(&self) -> &str {
        "SUM"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        udaf_default_schema_name(self, params).map(lowercase)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        udaf_default_human_display(self, params).map(lowercase)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        udaf_default_display_name(self, params).map(lowercase)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        udaf_default_window_function_schema_name(self, params).map(lowercase)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        udaf_default_window_function_display_name(self, params).map(lowercase)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(match argument(arg_types)? {
            DataType::Float32 => DataType::Float32,
            other => state_type(&other),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let summed_as = argument_of(args.input_fields)?;
        let (name, data_type) = match args.is_distinct {
            true => ("sum distinct", distinct_state_type(&summed_as)),
            false => ("sum", state_type(&summed_as)),
        };
        let name = format_state_name(args.name, name);
        Ok(vec![Arc::new(Field::new(name, data_type, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let summed_as = argument_of(args.expr_fields)?;
        let result = args.return_type().clone();
        with_total!(&summed_as, T => Ok(if args.is_distinct {
            Box::new(DistinctAccumulator::<T, _>::new(summed_as, AsSum { result }))
        } else {
            Box::new(SumAccumulator::<T>::new(summed_as, result))
        }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match argument_of(args.expr_fields)? {
            DataType::Float32 | DataType::Float64 if !args.is_distinct => {
                Ok(Box::new(SlidingFloats {
                    sum: SlidingSum::default(),
                    result: args.return_type().clone(),
                    average: false,
                }))
            }
            _ => self.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let summed_as = argument_of(args.expr_fields)?;
        let result = args.return_type().clone();
        with_total!(&summed_as, T => Ok(Box::new(GroupedSums::<T>::new(summed_as, result))))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Sums, as the result of a sum over different values.
#[derive(Debug)]
struct AsSum {
    result: DataType,
}

impl<T: Total> Finish<T> for AsSum {
    fn finish(&self, sum: Native<T::State>, count: u64) -> Result<ScalarValue> {
        result::<T>((count > 0).then_some(sum), &self.result)
    }
}

/// A sum as a scalar of the result's type.
fn result<T: Total>(sum: Option<Native<T::State>>, result: &DataType) -> Result<ScalarValue> {
    let sum = sum.map(|sum| T::output(sum).ok_or_else(T::overflow)).transpose()?;
    ScalarValue::new_primitive::<T::Output>(sum, result)
}

/// The sum of one group; rows can leave it, where the addition is exact.
#[derive(Debug)]
struct SumAccumulator<T: Total> {
    summed_as: DataType,
    result: DataType,
    sum: Native<T::State>,
    rows: usize,
}

impl<T: Total> SumAccumulator<T> {
    fn new(summed_as: DataType, result: DataType) -> Self {
        Self { summed_as, result, sum: Native::<T::State>::default(), rows: 0 }
    }

    fn add(&mut self, (sum, overflow): (Native<T::State>, bool), rows: usize) -> Result<()> {
        let (sum, overflows) = T::add(self.sum, sum);
        if overflow || overflows {
            return Err(T::overflow());
        }
        self.sum = sum;
        self.rows += rows;
        Ok(())
    }
}

impl<T: Total> Accumulator for SumAccumulator<T> {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        self.add(T::sum(&values), values.len() - values.null_count())
    }

    fn retract_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        let (sum, overflow) = T::sum(&values);
        let (sum, overflows) = T::sub(self.sum, sum);
        if overflow || overflows {
            return Err(T::overflow());
        }
        self.sum = sum;
        self.rows -= values.len() - values.null_count();
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for sum in primitive::<T::State>(&states[0])?.iter().flatten() {
            self.add((sum, false), 1)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = (self.rows > 0).then_some(self.sum);
        let state = ScalarValue::new_primitive::<T::State>(sum, &state_type(&self.summed_as))?;
        Ok(vec![state])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        result::<T>((self.rows > 0).then_some(self.sum), &self.result)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sum or average of floats in a sliding window frame.
#[derive(Debug)]
pub(crate) struct SlidingFloats {
    pub(crate) sum: SlidingSum,
    pub(crate) result: DataType,
    pub(crate) average: bool,
}

impl SlidingFloats {
    fn values(batch: &[ArrayRef]) -> Result<PrimitiveArray<Float64Type>> {
        let values = arrow::compute::cast(&batch[0], &DataType::Float64)?;
        primitive(&values)
    }
}

impl Accumulator for SlidingFloats {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let values = Self::values(batch)?;
        values.iter().flatten().for_each(|value| self.sum.add(value));
        Ok(())
    }

    fn retract_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let values = Self::values(batch)?;
        values.iter().flatten().for_each(|value| self.sum.remove(value));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        datafusion_common::internal_err!("a sliding window frame is not merged")
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        datafusion_common::internal_err!("a sliding window frame has no partial state")
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.sum.value().map(|sum| match self.average {
            true => sum / self.sum.rows() as f64,
            false => sum,
        });
        match self.result {
            DataType::Float32 => result::<crate::total::Reals>(value, &self.result),
            _ => ScalarValue::new_primitive::<Float64Type>(value, &self.result),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sums of many groups.
#[derive(Debug)]
struct GroupedSums<T: Total> {
    summed_as: DataType,
    result: DataType,
    sums: Vec<Native<T::State>>,
    seen: Seen,
}

impl<T: Total> GroupedSums<T> {
    fn new(summed_as: DataType, result: DataType) -> Self {
        Self { summed_as, result, sums: Vec::new(), seen: Seen::default() }
    }

    fn add<I: arrow::datatypes::ArrowPrimitiveType>(
        &mut self,
        values: &PrimitiveArray<I>,
        add: impl Fn(Native<T::State>, I::Native) -> (Native<T::State>, bool),
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        self.sums.resize(total_groups, Native::<T::State>::default());
        let valid = valid_rows(values.nulls(), filter);
        let all_count = valid.is_none() && filter.is_none();
        let marks = self.seen.marks(all_count, total_groups);
        let sums = self.sums.as_mut_slice();
        let mut add_to = |group: usize, value| {
            let (sum, overflows) = add(sums[group], value);
            sums[group] = sum;
            overflows
        };
        let overflow = match marks {
            None => for_each_valid(group_indices, values, None, add_to),
            Some(marks) => for_each_valid(group_indices, values, valid.as_ref(), |group, value| {
                marks[group] = true;
                add_to(group, value)
            }),
        };
        match overflow {
            true => Err(T::overflow()),
            false => Ok(()),
        }
    }
}

impl<T: Total> GroupsAccumulator for GroupedSums<T> {
    fn update_batch(
        &mut self,
        batch: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        self.add(&values, T::add_value, group_indices, opt_filter, total_num_groups)
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        let sums = primitive::<T::State>(&states[0])?;
        self.add(&sums, T::add, group_indices, None, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let nulls = self.seen.take(emit_to);
        let sums: Option<Vec<Native<T::Output>>> = sums.into_iter().map(T::output).collect();
        let sums = sums.ok_or_else(T::overflow)?;
        let sums = PrimitiveArray::<T::Output>::try_new(sums.into(), nulls)?;
        Ok(Arc::new(sums.with_data_type(self.result.clone())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = emit_to.take_needed(&mut self.sums);
        let nulls = self.seen.take(emit_to);
        let sums = PrimitiveArray::<T::State>::try_new(sums.into(), nulls)?;
        Ok(vec![Arc::new(sums.with_data_type(state_type(&self.summed_as)))])
    }

    fn convert_to_state(
        &self,
        batch: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        let valid = valid_rows(values.nulls(), opt_filter);
        let sums: Vec<Native<T::State>> = values.values().iter().map(|v| T::lift(*v)).collect();
        let sums = PrimitiveArray::<T::State>::try_new(sums.into(), valid)?;
        Ok(vec![Arc::new(sums.with_data_type(state_type(&self.summed_as)))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.capacity() * size_of::<Native<T::State>>() + self.seen.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::total::SmallInts;
    use arrow::array::{Decimal128Array, Int32Array, Int64Array};
    use arrow::datatypes::Int32Type;

    fn states(sums: &[i64]) -> [ArrayRef; 1] {
        [Arc::new(Int64Array::from(sums.to_vec()))]
    }

    /// No table that a test can make overflows a sum of integers, but partial sums do.
    #[test]
    fn a_sum_beyond_bigint_is_an_error() {
        let mut sum = SumAccumulator::<SmallInts<Int32Type>>::new(DataType::Int32, DataType::Int64);
        sum.merge_batch(&states(&[i64::MAX])).unwrap();
        let error = sum.merge_batch(&states(&[1])).unwrap_err();
        assert_eq!(error.strip_backtrace(), "Execution error: bigint out of range");
        let one: [ArrayRef; 1] = [Arc::new(Int32Array::from(vec![1]))];
        assert!(sum.update_batch(&one).is_err());
        assert_eq!(sum.evaluate().unwrap(), ScalarValue::Int64(Some(i64::MAX)));

        let mut sums = GroupedSums::<SmallInts<Int32Type>>::new(DataType::Int32, DataType::Int64);
        sums.merge_batch(&states(&[i64::MAX, 1]), &[0, 1], 2).unwrap();
        let error = sums.update_batch(&one, &[0], None, 2).unwrap_err();
        assert_eq!(error.strip_backtrace(), "Execution error: bigint out of range");
    }

    #[test]
    fn groups_are_given_out_in_parts() {
        let decimal = DataType::Decimal128(10, 2);
        let result = DataType::Decimal128(38, 2);
        let mut sums = GroupedSums::<crate::total::Decimals>::new(decimal.clone(), result.clone());
        let values = Decimal128Array::from(vec![Some(1), None, Some(3), Some(4)]);
        let batch: [ArrayRef; 1] = [Arc::new(values.with_data_type(decimal))];
        sums.update_batch(&batch, &[0, 1, 2, 0], None, 3).unwrap();
        let first = sums.evaluate(EmitTo::First(2)).unwrap();
        let want = Decimal128Array::from(vec![Some(5), None]).with_data_type(result.clone());
        assert_eq!(first.as_ref(), &want as &dyn Array);
        let rest = sums.state(EmitTo::All).unwrap();
        let want = Decimal128Array::from(vec![Some(3)]).with_data_type(result);
        assert_eq!(rest[0].as_ref(), &want as &dyn Array);
    }
}
