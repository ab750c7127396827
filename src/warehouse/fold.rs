//! The warehouse after a record: the fold of the log. Immutable, and cheap to clone.

use super::log::Entry;
use super::record::{DeltaCommit, Quarantine, Record, TxnRecord};
use crate::catalog::{CatalogOp, CatalogState, OpContext, TableId};
use crate::delta::actions::{self, Action, Metadata, Protocol};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use imbl::OrdMap;
use object_store::path::Path;
use std::sync::{Arc, OnceLock};

/// Bodies that stay in memory although they are published: older cached states advance by them.
const BODIES_KEPT: i64 = 64;

/// Everything that the log says up to one record.
#[derive(Debug, Clone, Default)]
pub(super) struct Fold {
    pub(super) warehouse: String,
    pub(super) seq: u64,
    /// The record's own random id.
    pub(super) record: String,
    pub(super) time: i64,
    pub(super) checksum: String,
    pub(super) catalog: Arc<CatalogState>,
    pub(super) tables: OrdMap<TableId, Arc<TableLog>>,
    /// The tables that the last record has written.
    pub(super) written: Arc<Vec<TableId>>,
    /// Dropped tables that may have commits to publish.
    pub(super) dropped: OrdMap<TableId, Arc<TableLog>>,
}

/// A record's number and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    pub(super) seq: u64,
    pub(super) time: i64,
}

/// What the log says of one table.
#[derive(Debug, Clone)]
pub(super) struct TableLog {
    /// Its folder, relative to the warehouse.
    pub(super) path: String,
    pub(super) head: i64,
    pub(super) protocol: Arc<Protocol>,
    pub(super) metadata: Arc<Metadata>,
    /// Commit bodies by version: all above the watermark, and some below.
    pub(super) bodies: OrdMap<i64, Arc<Body>>,
    /// The record of version 0.
    pub(super) first: Point,
    /// The record of the head.
    pub(super) last: Point,
    pub(super) quarantine: Option<Quarantine>,
}

/// A Delta commit's exact text, and its actions once someone asked for them.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) text: String,
    actions: OnceLock<Vec<Action>>,
}

impl Body {
    pub(super) fn new(text: String) -> Self {
        Self { text, actions: OnceLock::new() }
    }

    pub(super) fn actions(&self) -> Result<&[Action]> {
        if let Some(actions) = self.actions.get() {
            return Ok(actions);
        }
        let parsed = actions::from_bytes(self.text.as_bytes())?;
        Ok(self.actions.get_or_init(|| parsed))
    }
}

impl Fold {
    /// The fold after one more record. `watermark` says up to which version a table is published.
    pub(super) fn next(&self, entry: &Entry, watermark: &dyn Fn(&str) -> i64) -> Result<Fold> {
        let record = &entry.record;
        self.check_link(record)?;
        let mut next = self.clone();
        next.warehouse.clone_from(&record.warehouse);
        next.seq = record.seq;
        next.record.clone_from(&record.record);
        next.time = record.time;
        next.checksum.clone_from(&entry.checksum);
        let mut catalog = CatalogState::clone(&self.catalog);
        for txn in &record.txns {
            next.apply(txn, &mut catalog, watermark).map_err(|e| {
                let message =
                    format!("record {} of the warehouse log contradicts itself", next.seq);
                Error::new(SqlState::DataCorrupted, message).detail(format!("{}.", e.message()))
            })?;
        }
        next.catalog = Arc::new(catalog);
        let written = record.txns.iter().flat_map(|t| t.tables.keys());
        next.written = Arc::new(written.cloned().collect());
        let done: Vec<TableId> = next
            .dropped
            .iter()
            .filter(|(id, log)| watermark(id) >= log.head || log.quarantine.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        for id in done {
            next.dropped.remove(&id);
        }
        Ok(next)
    }

    /// The record must be the next one of this very log.
    fn check_link(&self, record: &Record) -> Result<()> {
        let first = self.seq == 0;
        let linked = record.seq == self.seq + 1
            && record.previous == self.checksum
            && (first || record.warehouse == self.warehouse)
            && (first || record.time > self.time);
        if linked {
            return Ok(());
        }
        Err(Error::new(
            SqlState::DataCorrupted,
            format!("record {} does not follow record {} of this warehouse", record.seq, self.seq),
        )
        .hint("Files of another warehouse may have been copied into this one."))
    }

    fn apply(
        &mut self,
        txn: &TxnRecord,
        catalog: &mut CatalogState,
        watermark: &dyn Fn(&str) -> i64,
    ) -> Result<()> {
        let context = OpContext { seq: self.seq, time: self.time };
        for op in &txn.ops {
            catalog.apply(op, context)?;
            if let CatalogOp::DropTable { id } = op
                && let Some(log) = self.tables.remove(id)
            {
                self.dropped.insert(id.clone(), log);
            }
        }
        let point = Point { seq: self.seq, time: self.time };
        for (id, commits) in &txn.tables {
            for commit in commits {
                catalog.advance_head(id, commit.version)?;
                let path = catalog.table(id).map(|t| t.path.clone()).ok_or_else(|| {
                    Error::internal(format!("table {id} is written but does not exist"))
                })?;
                let log = TableLog::next(self.tables.get(id), path, commit, point, watermark(id))?;
                self.tables.insert(id.clone(), Arc::new(log));
            }
        }
        for (id, quarantine) in &txn.quarantine {
            for tables in [&mut self.tables, &mut self.dropped] {
                if let Some(log) = tables.get_mut(id) {
                    Arc::make_mut(log).quarantine = Some(quarantine.clone());
                }
            }
        }
        Ok(())
    }
}

impl TableLog {
    fn next(
        before: Option<&Arc<TableLog>>,
        path: String,
        commit: &DeltaCommit,
        point: Point,
        watermark: i64,
    ) -> Result<TableLog> {
        let body = Body::new(commit.body.clone());
        let (mut protocol, mut metadata) = (None, None);
        for action in body.actions()? {
            match action {
                Action::Protocol(p) => protocol = Some(Arc::new(p.clone())),
                Action::MetaData(m) => metadata = Some(Arc::new(m.clone())),
                _ => {}
            }
        }
        let protocol = protocol.or_else(|| before.map(|b| b.protocol.clone()));
        let metadata = metadata.or_else(|| before.map(|b| b.metadata.clone()));
        let (Some(protocol), Some(metadata)) = (protocol, metadata) else {
            return Err(Error::internal("the first commit of a table lacks protocol or metadata"));
        };
        let mut bodies = before.map(|b| b.bodies.clone()).unwrap_or_default();
        bodies.insert(commit.version, Arc::new(body));
        let keep_from = (commit.version - BODIES_KEPT).min(watermark + 1);
        while let Some((oldest, _)) = bodies.get_min().filter(|(v, _)| *v < keep_from) {
            let oldest = *oldest;
            bodies.remove(&oldest);
        }
        Ok(TableLog {
            path,
            head: commit.version,
            protocol,
            metadata,
            bodies,
            first: before.map_or(point, |b| b.first),
            last: point,
            quarantine: before.and_then(|b| b.quarantine.clone()),
        })
    }

    /// The table's folder in the warehouse's store.
    pub(super) fn folder(&self) -> Result<Path> {
        Path::parse(&self.path)
            .map_err(|e| Error::internal(format!("the path of a table cannot be used: {e}")))
    }

    /// The folder of its Delta log.
    pub(super) fn log_folder(&self) -> Result<Path> {
        Ok(self.folder()?.join("_delta_log"))
    }

    /// The path of a Delta commit.
    pub(super) fn commit_file(&self, version: i64) -> Result<Path> {
        Ok(self.log_folder()?.join(format!("{version:020}.json")))
    }
}
