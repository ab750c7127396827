//! `avg` by the rules of PostgreSQL: exact numeric averages of integers and numerics.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, PrimitiveArray, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use crate::distinct::{DistinctAccumulator, Finish, distinct_state_type};
use crate::groups::{for_each_valid, valid_rows};
use crate::interval_avg::{self, IntervalAvg};
use crate::mean::{Mean, with_mean};
use crate::numeric_sum::SlidingFloats;
use crate::summation::SlidingSum;
use crate::summed_types::{input, primitive, state_type, summed_as};
use crate::total::Native;

/// The digits after the point that an average of integers has.
const SCALE: i8 = 16;

/// `avg(x)`, to be registered over DataFusion's own; also `mean`:
///
/// | x | result |
/// |---|---|
/// | smallint, integer, bigint | numeric(38, 16) |
/// | numeric(p, s) | numeric(38, t), t = max(s, 16), less where p − s digits need the room |
/// | real, double precision | double precision |
/// | Arrow durations, intervals | the same |
///
/// Numeric averages are exact and rounded once, half away from zero, as PostgreSQL rounds
/// (which shows as many digits as make 16 significant ones). NULL without rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NumericAvg {
    signature: Signature,
    aliases: Vec<String>,
}

impl NumericAvg {
    /// The function.
    pub fn new() -> Self {
        Self {
            signature: Signature::variadic_any(Volatility::Immutable),
            aliases: vec!["mean".to_owned()],
        }
    }
}

impl Default for NumericAvg {
    fn default() -> Self {
        Self::new()
    }
}

/// The type as which the one argument is summed.
fn argument(types: &[DataType]) -> Result<DataType> {
    let [data_type] = types else {
        return plan_err!("avg takes one argument, not {}", types.len());
    };
    match summed_as(data_type) {
        Some(DataType::Decimal256(precision, scale)) => {
            plan_err!("avg takes a numeric of up to 38 digits, not numeric({precision}, {scale})")
        }
        None => plan_err!("avg takes a number, not {data_type}"),
        Some(summed_as) => Ok(summed_as),
    }
}

fn argument_of(fields: &[FieldRef]) -> Result<DataType> {
    let types: Vec<DataType> = fields.iter().map(|f| f.data_type().clone()).collect();
    argument(&types)
}

/// The result's scale for a numeric: 16 digits after the point or the argument's own, but
/// no more than the digits before the point leave of 38.
fn average_scale(precision: u8, scale: i8) -> i8 {
    let before_point = i16::from(precision) - i16::from(scale);
    let room = (38 - before_point).clamp(i16::from(i8::MIN), 38);
    i16::from(scale.max(SCALE)).min(room) as i8
}

/// The digits by which a sum's scale must grow to the result's.
fn shift(summed_as: &DataType, result: &DataType) -> u32 {
    let scale = |data_type: &DataType| match data_type {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    };
    u32::from(scale(result).abs_diff(scale(summed_as)))
}

impl AggregateUDFImpl for NumericAvg {
    fn name(&self) -> &str {
        "avg"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(match argument(arg_types)? {
            DataType::Float32 | DataType::Float64 => DataType::Float64,
            DataType::Decimal128(precision, scale) => {
                DataType::Decimal128(38, average_scale(precision, scale))
            }
            span @ (DataType::Duration(_) | DataType::Interval(_)) => span,
            _ => DataType::Decimal128(38, SCALE),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let summed_as = argument_of(args.input_fields)?;
        if matches!(summed_as, DataType::Interval(_)) {
            return match args.is_distinct {
                true => plan_err!("avg(DISTINCT …) takes a number, not an interval"),
                false => Ok(interval_avg::state_fields(args.name)),
            };
        }
        let field = |name: &str, data_type: DataType| -> FieldRef {
            let name = format_state_name(args.name, name);
            Arc::new(Field::new(name, data_type, true))
        };
        Ok(match args.is_distinct {
            true => vec![field("avg distinct", distinct_state_type(&summed_as))],
            false => vec![field("count", DataType::UInt64), field("sum", state_type(&summed_as))],
        })
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let summed_as = argument_of(args.expr_fields)?;
        if matches!(summed_as, DataType::Interval(_)) {
            return Ok(Box::new(IntervalAvg::default()));
        }
        let average = Average::new(&summed_as, args.return_type());
        with_mean!(&summed_as, T => Ok(if args.is_distinct {
            Box::new(DistinctAccumulator::<T, _>::new(summed_as, average))
        } else {
            Box::new(AvgAccumulator::<T>::new(summed_as, average))
        }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match argument_of(args.expr_fields)? {
            DataType::Float32 | DataType::Float64 if !args.is_distinct => {
                Ok(Box::new(SlidingFloats {
                    sum: SlidingSum::default(),
                    result: args.return_type().clone(),
                    average: true,
                }))
            }
            _ => self.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        let interval =
            args.expr_fields.iter().any(|f| matches!(f.data_type(), DataType::Interval(_)));
        !args.is_distinct && !interval
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let summed_as = argument_of(args.expr_fields)?;
        let average = Average::new(&summed_as, args.return_type());
        with_mean!(&summed_as, T => Ok(Box::new(GroupedAvgs::<T>::new(summed_as, average))))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// How the averages of one call are made from sums.
#[derive(Debug, Clone)]
struct Average {
    result: DataType,
    shift: u32,
}

impl Average {
    fn new(summed_as: &DataType, result: &DataType) -> Self {
        Self { result: result.clone(), shift: shift(summed_as, result) }
    }
}

impl<T: Mean> Finish<T> for Average {
    fn finish(&self, sum: Native<T::State>, count: u64) -> Result<ScalarValue> {
        let average = match count {
            0 => None,
            count => Some(T::mean(sum, count, self.shift)?),
        };
        ScalarValue::new_primitive::<T::Average>(average, &self.result)
    }
}

/// The average of one group; rows can leave it, where the addition is exact.
#[derive(Debug)]
struct AvgAccumulator<T: Mean> {
    summed_as: DataType,
    average: Average,
    sum: Native<T::State>,
    count: u64,
}

impl<T: Mean> AvgAccumulator<T> {
    fn new(summed_as: DataType, average: Average) -> Self {
        Self { summed_as, average, sum: Native::<T::State>::default(), count: 0 }
    }

    fn add(&mut self, (sum, overflow): (Native<T::State>, bool), count: u64) -> Result<()> {
        let (sum, overflows) = T::add(self.sum, sum);
        if overflow || overflows {
            return Err(T::overflow());
        }
        self.sum = sum;
        self.count += count;
        Ok(())
    }
}

impl<T: Mean> Accumulator for AvgAccumulator<T> {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        self.add(T::sum(&values), (values.len() - values.null_count()) as u64)
    }

    fn retract_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        let (sum, overflow) = T::sum(&values);
        let (sum, overflows) = T::sub(self.sum, sum);
        if overflow || overflows {
            return Err(T::overflow());
        }
        self.sum = sum;
        self.count -= (values.len() - values.null_count()) as u64;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = primitive::<UInt64Type>(&states[0])?;
        let sums = primitive::<T::State>(&states[1])?;
        for (count, sum) in counts.iter().zip(sums.iter()) {
            if let (Some(count), Some(sum)) = (count, sum) {
                self.add((sum, false), count)?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state_type = state_type(&self.summed_as);
        Ok(vec![
            ScalarValue::UInt64(Some(self.count)),
            ScalarValue::new_primitive::<T::State>(Some(self.sum), &state_type)?,
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Finish::<T>::finish(&self.average, self.sum, self.count)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The averages of many groups.
#[derive(Debug)]
struct GroupedAvgs<T: Mean> {
    summed_as: DataType,
    average: Average,
    sums: Vec<Native<T::State>>,
    counts: Vec<u64>,
}

impl<T: Mean> GroupedAvgs<T> {
    fn new(summed_as: DataType, average: Average) -> Self {
        Self { summed_as, average, sums: Vec::new(), counts: Vec::new() }
    }

    fn grow(&mut self, total_groups: usize) {
        self.sums.resize(total_groups, Native::<T::State>::default());
        self.counts.resize(total_groups, 0);
    }
}

impl<T: Mean> GroupsAccumulator for GroupedAvgs<T> {
    fn update_batch(
        &mut self,
        batch: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        self.grow(total_num_groups);
        let valid = valid_rows(values.nulls(), opt_filter);
        let (sums, counts) = (self.sums.as_mut_slice(), self.counts.as_mut_slice());
        let overflow = for_each_valid(group_indices, &values, valid.as_ref(), |group, value| {
            let (sum, overflows) = T::add_value(sums[group], value);
            sums[group] = sum;
            counts[group] += 1;
            overflows
        });
        match overflow {
            true => Err(T::overflow()),
            false => Ok(()),
        }
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        let partial_counts = primitive::<UInt64Type>(&states[0])?;
        let partial_sums = primitive::<T::State>(&states[1])?;
        self.grow(total_num_groups);
        let valid = valid_rows(partial_sums.nulls(), None);
        let (sums, counts) = (self.sums.as_mut_slice(), self.counts.as_mut_slice());
        let overflow =
            for_each_valid(group_indices, &partial_sums, valid.as_ref(), |group, other| {
                let (sum, overflows) = T::add(sums[group], other);
                sums[group] = sum;
                overflows
            });
        for_each_valid(group_indices, &partial_counts, valid.as_ref(), |group, count| {
            counts[group] += count;
            false
        });
        match overflow {
            true => Err(T::overflow()),
            false => Ok(()),
        }
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let counts = emit_to.take_needed(&mut self.counts);
        let mut averages = PrimitiveArray::<T::Average>::builder(sums.len());
        for (sum, count) in sums.into_iter().zip(counts) {
            match count {
                0 => averages.append_null(),
                count => averages.append_value(T::mean(sum, count, self.average.shift)?),
            }
        }
        let averages = averages.finish();
        Ok(Arc::new(averages.with_data_type(self.average.result.clone())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let counts = emit_to.take_needed(&mut self.counts);
        let sums = emit_to.take_needed(&mut self.sums);
        let sums = PrimitiveArray::<T::State>::from_iter_values(sums);
        Ok(vec![
            Arc::new(UInt64Array::from(counts)),
            Arc::new(sums.with_data_type(state_type(&self.summed_as))),
        ])
    }

    fn convert_to_state(
        &self,
        batch: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        let valid = valid_rows(values.nulls(), opt_filter);
        let sums: Vec<Native<T::State>> = values.values().iter().map(|v| T::lift(*v)).collect();
        let sums = PrimitiveArray::<T::State>::try_new(sums.into(), valid.clone())?;
        Ok(vec![
            Arc::new(UInt64Array::try_new(vec![1; values.len()].into(), valid)?),
            Arc::new(sums.with_data_type(state_type(&self.summed_as))),
        ])
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.sums.capacity() * size_of::<Native<T::State>>()
            + self.counts.capacity() * size_of::<u64>()
    }
}
