//! The keys of a feature table's rows: none may stand twice among the rows of one statement.

use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::row::{OwnedRow, RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use std::collections::HashSet;
use std::sync::Arc;

/// What an entry of the set takes beside its bytes.
const ENTRY_BYTES: usize = 48;

/// The keys that were seen.
pub struct KeySet {
    table: String,
    names: Vec<String>,
    places: Vec<usize>,
    converter: RowConverter,
    seen: HashSet<OwnedRow>,
    reservation: MemoryReservation,
}

impl KeySet {
    /// An empty set for the rows of a feature table, in the table's column order.
    ///
    /// # Errors
    /// XX000 if the table has no key.
    pub fn new(table: &Table, pool: &Arc<dyn MemoryPool>) -> Result<Self> {
        let places = key_places(table)?;
        let columns = places.iter().map(|i| &table.columns[*i]);
        let fields = columns.clone().map(|c| SortField::new(c.sql_type.arrow())).collect();
        Ok(Self {
            table: table.name.name.clone(),
            names: columns.map(|c| c.name.clone()).collect(),
            places,
            converter: RowConverter::new(fields)?,
            seen: HashSet::new(),
            reservation: MemoryConsumer::new("keys").register(pool),
        })
    }

    /// Adds the keys of a batch. Rows with NULL in their key are left to NOT NULL.
    ///
    /// # Errors
    /// 21000 for a key that was there already, 53200 without memory.
    pub fn insert(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns: Vec<ArrayRef> =
            self.places.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        let rows = self.converter.convert_columns(&columns)?;
        self.reservation.try_grow(rows.size() + batch.num_rows() * ENTRY_BYTES)?;
        for (i, row) in rows.iter().enumerate() {
            let has_null = columns.iter().any(|c| c.is_null(i));
            if !has_null && !self.seen.insert(row.owned()) {
                return Err(self.twice(&columns, i));
            }
        }
        Ok(())
    }

    fn twice(&self, columns: &[ArrayRef], row: usize) -> Error {
        let values: Vec<String> = columns
            .iter()
            .map(|c| array_value_to_string(c, row).unwrap_or_else(|_| "?".to_owned()))
            .collect();
        Error::new(
            SqlState::CardinalityViolation,
            format!("a key of feature table \"{}\" stands twice among the rows", self.table),
        )
        .table(&self.table)
        .detail(format!(
            "Key ({})=({}) is there more than once.",
            self.names.join(", "),
            values.join(", ")
        ))
        .hint("Give one row for each key.")
    }
}

/// The places of the key columns, PRIMARY KEY first.
///
/// # Errors
/// XX000 if the table has no key.
pub fn key_places(table: &Table) -> Result<Vec<usize>> {
    let feature = table
        .feature
        .as_ref()
        .ok_or_else(|| Error::internal(format!("table {} has no key", table.name)))?;
    feature
        .key()
        .iter()
        .map(|name| {
            table.columns.iter().position(|c| c.name == *name).ok_or_else(|| {
                Error::internal(format!("table {} has no key column {name}", table.name))
            })
        })
        .collect()
}
