//! A transaction that is ready to commit, and its record at one attempt.

use super::change::{Net, Stamp, TableChange};
use super::commit::{CommitInfo, Committed, Failed};
use super::conflict::{self, Mine, TableAccess};
use super::fold::Fold;
use super::record::{DeltaCommit, TxnRecord};
use super::snapshot::Snapshot;
use super::transaction::{Work, quarantined};
use crate::catalog::{CatalogOp, CatalogState, Dependency, OpContext, TableId};
use crate::delta::predicate::{Columns, Predicate};
use crate::delta::{TableState, actions};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// See the head of this file.
pub(super) struct Draft {
    pub(super) id: String,
    role: String,
    pub(super) snapshot: Snapshot,
    work: Work,
    nets: BTreeMap<TableId, Net>,
    info: CommitInfo,
}

impl Draft {
    /// Nets the changes. `catalog` is what the transaction sees: tables that it dropped are left out.
    pub(super) fn new(
        id: String,
        role: String,
        snapshot: Snapshot,
        work: Work,
        catalog: &CatalogState,
        info: CommitInfo,
    ) -> Result<Draft> {
        let mut changes: BTreeMap<&TableId, Vec<&TableChange>> = BTreeMap::new();
        for (table, change) in work.changes.iter().filter(|(t, _)| catalog.table(t).is_some()) {
            changes.entry(table).or_default().push(change);
        }
        let mut nets = BTreeMap::new();
        for (table, changes) in changes {
            let net = Net::of(changes)?;
            if !net.is_empty() {
                nets.insert(table.clone(), net);
            }
        }
        Ok(Draft { id, role, snapshot, work, nets, info })
    }

    /// Commits it, unless there is nothing to commit.
    pub(super) async fn commit(self) -> Result<Committed, Failed> {
        if self.work.ops.is_empty() && self.nets.is_empty() {
            let (seq, time) = (self.snapshot.seq(), self.snapshot.time());
            let snapshot = self.snapshot;
            return Ok(Committed { seq, time, snapshot, warnings: Vec::new() });
        }
        let warehouse = self.snapshot.warehouse.clone();
        warehouse.append(self).await
    }

    /// The tables that get a new version.
    pub(super) fn written(&self) -> impl Iterator<Item = &TableId> {
        self.nets.keys()
    }

    /// Checks it against a transaction that committed since it began.
    pub(super) fn check(&self, winner: &TxnRecord, seq: u64) -> Result<()> {
        let access = |id: &TableId| TableAccess {
            changes: self.work.changes.iter().filter(|(t, _)| t == id).map(|(_, c)| c).collect(),
            net: self.nets.get(id),
            reads: self.work.reads.iter().filter(|(t, _)| t == id).map(|(_, r)| r).collect(),
            exclusive: self.work.held.contains(id),
            base: self.base(id),
            columns: self.columns(id),
        };
        let changed = self.work.changes.iter().map(|(t, _)| t);
        let read = self.work.reads.iter().map(|(t, _)| t);
        let tables: BTreeSet<&TableId> = changed.chain(read).chain(&self.work.held).collect();
        let mine = Mine {
            keys: &self.work.keys,
            tables: tables.into_iter().map(|id| (id.clone(), access(id))).collect(),
        };
        conflict::check(&mine, winner, seq, &|id| self.snapshot.table_name(id))
    }

    fn columns(&self, id: &str) -> Option<Columns> {
        let table = self.snapshot.catalog().table(id)?;
        Some(Columns { schema: table.schema(), partition_by: table.partition_by.clone() })
    }

    /// What it read of each table, each predicate once.
    fn reads(&self) -> BTreeMap<TableId, Vec<Predicate>> {
        let mut reads: BTreeMap<TableId, Vec<Predicate>> = BTreeMap::new();
        let by_changes = self.work.changes.iter().map(|(id, change)| (id, &change.reads));
        for (id, read) in by_changes.chain(self.work.reads.iter().map(|(id, read)| (id, read))) {
            let Some(predicate) = read.predicate() else { continue };
            let known = reads.entry(id.clone()).or_default();
            if !known.contains(&predicate) {
                known.push(predicate);
            }
        }
        reads
    }

    fn base(&self, id: &str) -> Option<Arc<TableState>> {
        let version = self.snapshot.catalog().head(id)?;
        let cached = || self.snapshot.warehouse.tables.cached(id, version);
        self.work.bases.get(id).cloned().or_else(cached)
    }

    /// Another transaction took a name that this one creates: PostgreSQL's own code says so, unless
    /// the caller will run the statement again anyway.
    pub(super) fn name_taken(&self, head: &Fold) -> Option<Error> {
        if self.info.retriable {
            return None;
        }
        let error = self.ops_on(head).err()?;
        let taken = matches!(
            error.code(),
            SqlState::DuplicateTable | SqlState::DuplicateSchema | SqlState::DuplicateObject
        );
        taken.then(|| error.detail("A concurrent transaction created it first."))
    }

    /// Its operations on the head's catalog, with the OIDs that the fold will hand out.
    fn ops_on(&self, head: &Fold) -> Result<Vec<CatalogOp>> {
        let base = self.snapshot.catalog().next_oid();
        let shift = head.catalog.next_oid() - base;
        let mut catalog = CatalogState::clone(&head.catalog);
        let mut ops = self.work.ops.clone();
        for op in &mut ops {
            if shift > 0 {
                shift_oids(op, base, shift);
            }
            catalog.apply(op, OpContext { seq: head.seq + 1, time: head.time })?;
        }
        Ok(ops)
    }

    /// Its part of the record that follows `head`, with the bodies stamped.
    ///
    /// # Errors
    /// 40001 if an operation does not fit the head any more, 55000 if a table is quarantined.
    pub(super) fn record(&self, head: &Fold, time: i64) -> Result<TxnRecord> {
        let ops = self.ops_on(head).map_err(|e| {
            Error::new(
                SqlState::SerializationFailure,
                "could not serialize access due to concurrent update",
            )
            .detail(format!("At the head of the log, {}.", e.message()))
            .hint("Run the transaction again.")
        })?;
        let mut tables = BTreeMap::new();
        for (id, net) in &self.nets {
            let log = head.tables.get(id);
            if let Some(quarantine) = log.and_then(|l| l.quarantine.as_ref()) {
                return Err(quarantined(&head.table_name(id), &quarantine.reason));
            }
            let base = log.map_or(-1, |l| l.head);
            let stamp = Stamp {
                warehouse: &head.warehouse,
                txn: &self.id,
                role: &self.role,
                seq: head.seq + 1,
                time,
                base,
            };
            let body = String::from_utf8(actions::to_bytes(&net.body(&stamp)))
                .map_err(|_| Error::internal("JSON is not UTF-8"))?;
            let commit = DeltaCommit { version: base + 1, body, staged: None };
            tables.insert(id.clone(), vec![commit]);
        }
        let mut info = self.info.info.clone();
        if !self.info.statement.is_empty() {
            info.insert("statement".into(), self.info.statement.clone().into());
        }
        let mut keys = self.work.keys.clone();
        keys.sort_unstable();
        keys.dedup();
        Ok(TxnRecord {
            id: self.id.clone(),
            base: self.snapshot.seq(),
            role: self.role.clone(),
            keys,
            ops,
            tables,
            reads: self.reads(),
            quarantine: BTreeMap::new(),
            info,
        })
    }
}

/// Moves references to the transaction's own views to the OIDs that these will have.
fn shift_oids(op: &mut CatalogOp, base: u32, shift: u32) {
    let depends_on = match op {
        CatalogOp::CreateView { view } => &mut view.depends_on,
        CatalogOp::CreateModel { model } => &mut model.spec.depends_on,
        CatalogOp::ReplaceModelSpec { spec, .. } => &mut spec.depends_on,
        _ => return,
    };
    for dependency in depends_on {
        if let Dependency::View(oid) = dependency
            && *oid >= base
        {
            *oid += shift;
        }
    }
}
