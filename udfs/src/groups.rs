//! What group-wise sums share: which rows count, and which groups have seen one.

use arrow::array::{Array, BooleanArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::ArrowPrimitiveType;
use datafusion_expr::EmitTo;

/// The rows that are not NULL and pass the filter; `None` if all are and do.
pub(crate) fn valid_rows(
    nulls: Option<&NullBuffer>,
    filter: Option<&BooleanArray>,
) -> Option<NullBuffer> {
    let passes = filter.map(|filter| {
        NullBuffer::new(match filter.nulls() {
            None => filter.values().clone(),
            Some(nulls) => filter.values() & nulls.inner(),
        })
    });
    NullBuffer::union(nulls, passes.as_ref()).filter(|valid| valid.null_count() > 0)
}

/// Calls `add(group, value)` for each row that counts, and tells whether any call told of
/// an overflow. The flag is returned and not captured, so that it stays in a register.
#[inline]
pub(crate) fn for_each_valid<T: ArrowPrimitiveType>(
    group_indices: &[usize],
    values: &PrimitiveArray<T>,
    valid: Option<&NullBuffer>,
    mut add: impl FnMut(usize, T::Native) -> bool,
) -> bool {
    let mut overflow = false;
    let rows = group_indices.iter().zip(values.values().iter());
    let Some(valid) = valid else {
        for (group, value) in rows {
            overflow |= add(*group, *value);
        }
        return overflow;
    };
    let chunks = valid.inner().bit_chunks();
    let groups = group_indices.chunks(64);
    let values = values.values().chunks(64);
    for ((groups, values), mut mask) in groups.zip(values).zip(chunks.iter_padded()) {
        for (group, value) in groups.iter().zip(values) {
            if mask & 1 == 1 {
                overflow |= add(*group, *value);
            }
            mask >>= 1;
        }
    }
    overflow
}

/// Which groups have seen a row that counts. While every row counts, no marks are kept:
/// DataFusion passes only groups that have rows.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    groups: usize,
    marks: Option<Vec<bool>>,
}

impl Seen {
    /// The marks to set for the rows of a batch that count; `None` while all rows do.
    pub(crate) fn marks(&mut self, all_count: bool, total_groups: usize) -> Option<&mut [bool]> {
        let groups = std::mem::replace(&mut self.groups, total_groups);
        if self.marks.is_none() && all_count {
            return None;
        }
        let marks = self.marks.get_or_insert_with(|| vec![true; groups]);
        marks.resize(total_groups, false);
        Some(marks)
    }

    /// The NULLs among the groups that are given out, which are forgotten.
    pub(crate) fn take(&mut self, emit_to: EmitTo) -> Option<NullBuffer> {
        let marks = match emit_to {
            EmitTo::All => std::mem::take(self).marks,
            EmitTo::First(n) => {
                self.groups = self.groups.saturating_sub(n);
                self.marks.as_mut().map(|marks| marks.drain(..n.min(marks.len())).collect())
            }
        };
        marks.map(NullBuffer::from)
    }

    /// Bytes in use.
    pub(crate) fn size(&self) -> usize {
        self.marks.as_ref().map_or(0, Vec::capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    #[test]
    fn groups_without_rows_are_null() {
        let mut seen = Seen::default();
        assert_eq!(seen.marks(true, 2), None);
        assert_eq!(seen.size(), 0);
        seen.marks(false, 4).unwrap()[3] = true;
        let first = seen.take(EmitTo::First(3)).unwrap();
        assert_eq!(first.iter().collect::<Vec<_>>(), [true, true, false]);
        seen.marks(true, 2).unwrap()[1] = true;
        let rest = seen.take(EmitTo::All).unwrap();
        assert_eq!(rest.iter().collect::<Vec<_>>(), [true, true]);
        assert_eq!(seen.take(EmitTo::All), None);
    }

    #[test]
    fn only_rows_that_count_are_visited() {
        let values = Int64Array::from_iter_values(0..150);
        let groups: Vec<usize> = (0..150).map(|row| row % 3).collect();
        let valid: NullBuffer = (0..150).map(|row| row % 50 == 7).collect::<Vec<_>>().into();
        let mut visited = Vec::new();
        let overflow = for_each_valid(&groups, &values, Some(&valid), |group, value| {
            visited.push((group, value));
            value == 107
        });
        assert_eq!(visited, [(1, 7), (0, 57), (2, 107)]);
        assert!(overflow);
        assert!(!for_each_valid(&groups, &values, None, |_, _| false));
    }

    #[test]
    fn a_null_in_the_filter_does_not_pass() {
        let filter = BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]);
        let nulls = NullBuffer::from(vec![true, true, true, false]);
        let valid = valid_rows(Some(&nulls), Some(&filter)).unwrap();
        assert_eq!(valid.valid_indices().collect::<Vec<_>>(), [0]);
        assert_eq!(valid_rows(None, None), None);
    }
}
