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

/// Calls `add(group, value)` for each row that counts.
pub(crate) fn for_each_valid<T: ArrowPrimitiveType>(
    group_indices: &[usize],
    values: &PrimitiveArray<T>,
    valid: Option<&NullBuffer>,
    mut add: impl FnMut(usize, T::Native),
) {
    match valid {
        None => {
            for (group, value) in group_indices.iter().zip(values.values()) {
                add(*group, *value);
            }
        }
        Some(valid) => {
            for row in valid.valid_indices() {
                add(group_indices[row], values.value(row));
            }
        }
    }
}

/// Which groups have seen a row that counts. While every row counts, no marks are kept:
/// DataFusion passes only groups that have rows.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    groups: usize,
    marks: Option<Vec<bool>>,
}

impl Seen {
    /// The rows of a batch that count, as [`valid_rows`], and marks their groups.
    pub(crate) fn mark(
        &mut self,
        group_indices: &[usize],
        valid: Option<&NullBuffer>,
        total_groups: usize,
        has_filter: bool,
    ) {
        if self.marks.is_none() && valid.is_none() && !has_filter {
            self.groups = total_groups;
            return;
        }
        let groups = self.groups;
        let marks = self.marks.get_or_insert_with(|| vec![true; groups]);
        marks.resize(total_groups, false);
        self.groups = total_groups;
        match valid {
            None => group_indices.iter().for_each(|group| marks[*group] = true),
            Some(valid) => valid.valid_indices().for_each(|row| marks[group_indices[row]] = true),
        }
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

    #[test]
    fn groups_without_rows_are_null() {
        let mut seen = Seen::default();
        seen.mark(&[0, 1], None, 2, false);
        assert_eq!(seen.size(), 0);
        let valid = NullBuffer::from(vec![false, true]);
        seen.mark(&[2, 3], Some(&valid), 4, false);
        let first = seen.take(EmitTo::First(3)).unwrap();
        assert_eq!(first.iter().collect::<Vec<_>>(), [true, true, false]);
        seen.mark(&[1], None, 2, false);
        let rest = seen.take(EmitTo::All).unwrap();
        assert_eq!(rest.iter().collect::<Vec<_>>(), [true, true]);
        assert_eq!(seen.take(EmitTo::All), None);
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
