//! `sum(DISTINCT x)` and `avg(DISTINCT x)`: a sum over the different values.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion_common::{Result, ScalarValue, internal_datafusion_err};
use datafusion_expr::Accumulator;

use crate::summed_types::{input, primitive};
use crate::total::{Native, Total};

/// Turns a sum and the number of values in it into the result.
pub(crate) trait Finish<T: Total>: Debug + Send + Sync {
    fn finish(&self, sum: Native<T::State>, count: u64) -> Result<ScalarValue>;
}

/// The type of the partial state: a list of the different values.
pub(crate) fn distinct_state_type(summed_as: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(summed_as.clone(), true)))
}

/// Keeps each value with how often it is in the frame, so that rows can leave it.
#[derive(Debug)]
pub(crate) struct DistinctAccumulator<T: Total, F> {
    summed_as: DataType,
    finish: F,
    counts: HashMap<T::Key, u64>,
}

impl<T: Total, F: Finish<T>> DistinctAccumulator<T, F> {
    pub(crate) fn new(summed_as: DataType, finish: F) -> Self {
        Self { summed_as, finish, counts: HashMap::new() }
    }

    /// The values in their order, so that sums of doubles do not depend on the map's.
    fn values(&self) -> Vec<Native<T::Input>> {
        let mut keys: Vec<T::Key> = self.counts.keys().copied().collect();
        keys.sort_unstable();
        keys.into_iter().map(T::from_key).collect()
    }

    fn insert(&mut self, values: &PrimitiveArray<T::Input>) {
        for value in values.iter().flatten() {
            *self.counts.entry(T::key(value)).or_default() += 1;
        }
    }
}

impl<T: Total, F: Finish<T> + 'static> Accumulator for DistinctAccumulator<T, F> {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        let values = input::<T>(&batch[0], &self.summed_as)?;
        self.insert(&values);
        Ok(())
    }

    fn retract_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        for value in input::<T>(&batch[0], &self.summed_as)?.iter().flatten() {
            let key = T::key(value);
            match self.counts.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    self.counts.remove(&key);
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states[0]
            .as_list_opt::<i32>()
            .ok_or_else(|| internal_datafusion_err!("a distinct state is not a list"))?;
        for values in lists.iter().flatten() {
            self.insert(&primitive::<T::Input>(&values)?);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = PrimitiveArray::<T::Input>::from_iter_values(self.values())
            .with_data_type(self.summed_as.clone());
        let field = Arc::new(Field::new_list_field(self.summed_as.clone(), true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let list = ListArray::try_new(field, offsets, Arc::new(values), None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let values = PrimitiveArray::<T::Input>::from_iter_values(self.values());
        let (sum, overflow) = T::sum(&values);
        if overflow {
            return Err(T::overflow());
        }
        self.finish.finish(sum, values.len() as u64)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<(T::Key, u64)>()
    }
}
