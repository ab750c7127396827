//! A table in memory: protocol, metadata and live files at one version.

use super::actions::{Action, Add, Metadata, Protocol};
use super::stats::StatsCache;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use imbl::OrdMap;
use std::sync::Arc;

/// A live file and its parsed statistics, shared by all states that hold it.
#[derive(Debug)]
struct FileEntry {
    add: Arc<Add>,
    stats: StatsCache,
}

/// A Delta table at one version. Cheap to clone; advancing it copies only what changes.
#[derive(Debug, Clone)]
pub struct TableState {
    version: i64,
    protocol: Arc<Protocol>,
    metadata: Arc<Metadata>,
    files: OrdMap<Arc<str>, Arc<FileEntry>>,
    rows: Option<u64>,
    bytes: u64,
}

impl TableState {
    /// The state before version 0: no files, and the metadata that version 0 will say.
    pub fn empty(protocol: Protocol, metadata: Metadata) -> Self {
        Self {
            version: -1,
            protocol: Arc::new(protocol),
            metadata: Arc::new(metadata),
            files: OrdMap::new(),
            rows: Some(0),
            bytes: 0,
        }
    }

    /// A state as a log reader found it.
    pub fn new(
        version: i64,
        protocol: Protocol,
        metadata: Metadata,
        files: impl IntoIterator<Item = Add>,
    ) -> Self {
        let mut state = Self::empty(protocol, metadata);
        state.version = version;
        for add in files {
            state.insert(Arc::new(add));
        }
        state
    }

    /// The Delta version; -1 before the first commit.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// What readers and writers must support.
    pub fn protocol(&self) -> &Arc<Protocol> {
        &self.protocol
    }

    /// Schema, partitioning and properties.
    pub fn metadata(&self) -> &Arc<Metadata> {
        &self.metadata
    }

    /// The live files, by path.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Arc<Add>> {
        self.files.values().map(|entry| &entry.add)
    }

    /// The live file of this path.
    pub fn file(&self, path: &str) -> Option<&Arc<Add>> {
        self.files.get(path).map(|entry| &entry.add)
    }

    /// The live files with their statistics over the table's columns, by path.
    pub fn file_statistics<'a>(
        &'a self,
        schema: &'a SchemaRef,
        partition_by: &'a [String],
    ) -> impl ExactSizeIterator<Item = (&'a Arc<Add>, Arc<Statistics>)> {
        self.files
            .values()
            .map(move |entry| (&entry.add, entry.stats.get(&entry.add, schema, partition_by)))
    }

    /// The number of rows, if every file says how many it has.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// The size of all live files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Applies a commit body that makes `version` of this table.
    ///
    /// # Errors
    /// XX001 if the version does not follow, or a removed file is not live.
    pub fn commit(&mut self, version: i64, actions: &[Action]) -> Result<()> {
        if version != self.version + 1 {
            return Err(corrupted(format!(
                "version {version} is applied to a table at version {}",
                self.version
            )));
        }
        self.change(actions)?;
        self.version = version;
        Ok(())
    }

    /// Applies actions without a new version: what a transaction has not committed yet.
    ///
    /// # Errors
    /// XX001 if a removed file is not live.
    pub fn change(&mut self, actions: &[Action]) -> Result<()> {
        for action in actions {
            match action {
                Action::Remove(remove) => {
                    if self.take(&remove.path).is_none() {
                        return Err(corrupted(format!(
                            "file {} is removed but not part of the table",
                            remove.path
                        )));
                    }
                }
                Action::MetaData(metadata) => self.metadata = Arc::new(metadata.clone()),
                Action::Protocol(protocol) => self.protocol = Arc::new(protocol.clone()),
                Action::Add(_) | Action::CommitInfo(_) | Action::Txn(_) => {}
            }
        }
        for action in actions {
            if let Action::Add(add) = action {
                self.take(&add.path);
                self.insert(Arc::new(add.clone()));
            }
        }
        Ok(())
    }

    fn insert(&mut self, add: Arc<Add>) {
        self.rows = match (self.rows, super::stats::num_records(&add)) {
            (Some(total), Some(n)) => Some(total + n),
            _ => None,
        };
        self.bytes += u64::try_from(add.size).unwrap_or(0);
        let path = add.path.as_str().into();
        self.files.insert(path, Arc::new(FileEntry { add, stats: StatsCache::default() }));
    }

    fn take(&mut self, path: &str) -> Option<Arc<Add>> {
        let add = Arc::clone(&self.files.remove(path)?.add);
        self.bytes -= u64::try_from(add.size).unwrap_or(0);
        self.rows = match (self.rows, super::stats::num_records(&add)) {
            (Some(total), Some(n)) => total.checked_sub(n),
            _ => None,
        };
        Some(add)
    }
}

fn corrupted(message: String) -> Error {
    Error::new(SqlState::DataCorrupted, message)
}
