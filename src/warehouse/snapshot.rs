//! The warehouse after one record.

use super::fold::{Fold, TableLog};
use super::open::Warehouse;
use super::record::Quarantine;
use crate::catalog::CatalogState;
use crate::delta::TableState;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use std::sync::Arc;

/// One state of the whole warehouse; it never changes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) warehouse: Arc<Warehouse>,
    pub(super) fold: Arc<Fold>,
}

impl Snapshot {
    pub(super) fn new(warehouse: Arc<Warehouse>, fold: Arc<Fold>) -> Self {
        Self { warehouse, fold }
    }

    /// The record's number.
    pub fn seq(&self) -> u64 {
        self.fold.seq
    }

    /// The record's time: microseconds since 1970, UTC.
    pub fn time(&self) -> i64 {
        self.fold.time
    }

    /// What exists.
    pub fn catalog(&self) -> &Arc<CatalogState> {
        &self.fold.catalog
    }

    /// The warehouse that this is a snapshot of.
    pub fn warehouse(&self) -> &Arc<Warehouse> {
        &self.warehouse
    }

    /// A table's files as of this snapshot.
    ///
    /// # Errors
    /// 42P01 if the table does not exist here, XX001 if its Delta log cannot be read.
    pub async fn table(&self, id: &str) -> Result<Arc<TableState>> {
        let log = self.table_log(id)?;
        self.state(id, log, log.head).await
    }

    /// A table's files at an earlier Delta version.
    ///
    /// # Errors
    /// 22023 if this snapshot has no such version of it, with the range in the hint; 58P01 if others
    /// cleaned it away.
    pub async fn table_at(&self, id: &str, version: i64) -> Result<Arc<TableState>> {
        let log = self.table_log(id)?;
        if !(0..=log.head).contains(&version) {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("version {version} of table {} does not exist", self.table_name(id)),
            )
            .hint(format!("It has versions 0 to {}.", log.head)));
        }
        self.state(id, log, version).await
    }

    /// Why a table takes no writes, if it does not.
    pub fn quarantine(&self, id: &str) -> Option<&Quarantine> {
        self.fold.tables.get(id)?.quarantine.as_ref()
    }

    pub(super) fn table_log(&self, id: &str) -> Result<&Arc<TableLog>> {
        self.fold.tables.get(id).ok_or_else(|| {
            Error::new(
                SqlState::UndefinedTable,
                format!("table {id} does not exist in snapshot {}", self.fold.seq),
            )
        })
    }

    /// A table's name for messages.
    pub(super) fn table_name(&self, id: &str) -> String {
        self.fold.table_name(id)
    }

    async fn state(&self, id: &str, log: &TableLog, version: i64) -> Result<Arc<TableState>> {
        self.warehouse.tables.state(&self.warehouse.log.store, id, log, version).await
    }
}

impl Fold {
    /// A table's name for messages; its id if it does not exist here.
    pub(super) fn table_name(&self, id: &str) -> String {
        self.catalog.table(id).map_or_else(|| id.to_owned(), |t| t.name.to_string())
    }
}
