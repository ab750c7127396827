//! A transaction: operations and changes over a snapshot, that only it sees until it commits.

use super::change::{ReadSet, TableChange, on_top};
use super::commit::{CommitInfo, Committed};
use super::draft::Draft;
use super::snapshot::Snapshot;
use super::{genesis, keys};
use crate::catalog::{CatalogOp, CatalogState, OpContext, Table, TableId, random_id};
use crate::delta::TableState;
use crate::delta::actions::Action;
use crate::delta::new_files::NewFiles;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use futures::stream::StreamExt;
use object_store::ObjectStore;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Work that is not committed yet. Dropping it is like [`rollback`](Self::rollback), less the waiting.
#[derive(Debug)]
pub struct Transaction {
    id: String,
    role: String,
    snapshot: Snapshot,
    work: Mutex<Work>,
    new_files: NewFiles,
}

#[derive(Debug, Default)]
pub(super) struct Work {
    /// The catalog after each operation.
    catalogs: Vec<Arc<CatalogState>>,
    pub(super) ops: Vec<CatalogOp>,
    pub(super) keys: Vec<String>,
    pub(super) changes: Vec<(TableId, TableChange)>,
    pub(super) reads: Vec<(TableId, ReadSet)>,
    pub(super) held: Vec<TableId>,
    /// Tables as they were at the beginning, as far as someone looked.
    pub(super) bases: HashMap<TableId, Arc<TableState>>,
    /// Tables with this transaction's changes: how many of these, and the result.
    states: HashMap<TableId, (usize, Arc<TableState>)>,
}

/// A point within a transaction to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    ops: usize,
    keys: usize,
    changes: usize,
    reads: usize,
    held: usize,
}

impl Transaction {
    pub(super) fn new(snapshot: Snapshot, role: String) -> Self {
        let (work, new_files) = (Mutex::default(), NewFiles::default());
        Self { id: random_id(), role, snapshot, work, new_files }
    }

    /// Its random id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The role that runs it.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// What it began on.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What exists for this transaction; OIDs and model versions of its own are provisional.
    pub fn catalog(&self) -> Arc<CatalogState> {
        self.catalog_of(&self.work())
    }

    fn catalog_of(&self, work: &Work) -> Arc<CatalogState> {
        work.catalogs.last().unwrap_or_else(|| self.snapshot.catalog()).clone()
    }

    /// A table with this transaction's changes.
    ///
    /// # Errors
    /// 42P01 if it does not exist, XX001 if its Delta log cannot be read.
    pub async fn table(&self, id: &str) -> Result<Arc<TableState>> {
        let changes: Vec<TableChange> = {
            let work = self.work();
            if self.catalog_of(&work).table(id).is_none() {
                let message = format!("table {id} does not exist");
                return Err(Error::new(SqlState::UndefinedTable, message));
            }
            let mine = work.changes.iter().filter(|(t, _)| t == id);
            let mine: Vec<&TableChange> = mine.map(|(_, c)| c).collect();
            if let Some((count, state)) = work.states.get(id)
                && *count == mine.len()
            {
                return Ok(state.clone());
            }
            mine.into_iter().cloned().collect()
        };
        let base = match self.snapshot.fold.tables.contains_key(id) {
            true => self.snapshot.table(id).await?,
            false => Arc::new(unborn(&changes)?),
        };
        self.work().bases.entry(id.to_owned()).or_insert_with(|| base.clone());
        if changes.is_empty() {
            return Ok(base);
        }
        let state = Arc::new(on_top(&base, &changes)?);
        self.work().states.insert(id.to_owned(), (changes.len(), state.clone()));
        Ok(state)
    }

    /// Applies a catalog operation; nothing changes if it fails.
    ///
    /// # Errors
    /// The SQLSTATE that the statement answers with (42P07, 42P01, 2BP01 …).
    pub fn apply(&self, op: CatalogOp) -> Result<()> {
        let mut work = self.work();
        let before = self.catalog_of(&work);
        let mut catalog = CatalogState::clone(&before);
        let time = self.snapshot.warehouse.options.clock.now_micros();
        catalog.apply(&op, OpContext { seq: self.snapshot.seq() + 1, time })?;
        work.keys.extend(keys::of(&op, &before));
        work.catalogs.push(Arc::new(catalog));
        work.ops.push(op);
        Ok(())
    }

    /// Creates a table: the catalog operation, and what version 0 of it says.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); 42602 if a column has a name that Delta cannot hold.
    pub fn create_table(&self, table: Table) -> Result<TableId> {
        let id = table.id.clone();
        let time = self.snapshot.warehouse.options.clock.now_micros();
        let creation = genesis::creation(&table, time)?;
        let mark = self.statement_mark();
        self.apply(CatalogOp::CreateTable { table: Box::new(table) })?;
        match self.change(&id, creation) {
            Ok(()) => Ok(id),
            Err(error) => {
                self.rollback_to(mark);
                Err(error)
            }
        }
    }

    /// Adds a statement's change of a table.
    ///
    /// # Errors
    /// 42P01 if the table does not exist, 55000 if it is quarantined, 0A000 if it has a change feed.
    pub fn change(&self, id: &str, change: TableChange) -> Result<()> {
        let mut work = self.work();
        let catalog = self.catalog_of(&work);
        let Some(table) = catalog.table(id) else {
            return Err(Error::new(SqlState::UndefinedTable, format!("table {id} does not exist")));
        };
        if let Some(quarantine) = self.snapshot.quarantine(id) {
            return Err(quarantined(&table.name.to_string(), &quarantine.reason));
        }
        let feed = |on: Option<&String>| on.is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if feed(table.properties.get("delta.enableChangeDataFeed")) {
            return Err(Error::unsupported(
                format_args!("writing to table {} with a change data feed", table.name),
                "Set delta.enableChangeDataFeed to false.",
            ));
        }
        if work.held.iter().any(|held| held == id) {
            return Err(Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                format!("table {} was trained on in this transaction", table.name),
            )
            .hint("Commit first: the version that the model was trained on must stay as it is."));
        }
        work.changes.push((id.to_owned(), change));
        Ok(())
    }

    /// Notes rows of a table that the outcome depends on, beyond what changes say: SERIALIZABLE.
    pub fn read_rows(&self, id: &str, rows: ReadSet) {
        self.work().reads.push((id.to_owned(), rows));
    }

    /// From here on nobody else may have written to the table: TRAIN over rows of this transaction.
    pub fn hold_table(&self, id: &str) {
        self.work().held.push(id.to_owned());
    }

    /// Relies on a table as it is defined.
    pub fn rely_on_table(&self, id: &str) {
        self.read_key(&keys::table(id));
    }

    /// Relies on the number that a model's new version has got so far.
    pub fn rely_on_version_number(&self, model: &str) {
        self.read_key(&keys::version_numbers(model));
    }

    /// Relies on a thing of a free name; conflicts with a winner's [`conflict_key`](Self::conflict_key).
    pub fn read_key(&self, thing: &str) {
        self.work().keys.push(keys::read(thing));
    }

    /// Changes a thing of a free name, such as a file that COPY INTO loads; conflicts with any winner
    /// that relies on it or changes it.
    pub fn conflict_key(&self, thing: &str) {
        self.work().keys.push(keys::write(thing));
    }

    /// The tables that it has changed, each once.
    pub fn written_tables(&self) -> Vec<TableId> {
        let work = self.work();
        let changed = work.changes.iter().filter(|(_, c)| !c.actions.is_empty());
        let mut tables: Vec<TableId> = changed.map(|(id, _)| id.clone()).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// Where it stands: before a statement, or at SAVEPOINT.
    pub fn statement_mark(&self) -> Mark {
        let work = self.work();
        Mark {
            ops: work.ops.len(),
            keys: work.keys.len(),
            changes: work.changes.len(),
            reads: work.reads.len(),
            held: work.held.len(),
        }
    }

    /// Undoes all since a mark. Files stay noted, to be deleted by a rollback.
    pub fn rollback_to(&self, mark: Mark) {
        let mut work = self.work();
        work.catalogs.truncate(mark.ops);
        work.ops.truncate(mark.ops);
        work.keys.truncate(mark.keys);
        work.changes.truncate(mark.changes);
        work.reads.truncate(mark.reads);
        work.held.truncate(mark.held);
        work.states.clear();
    }

    /// The files that it writes: a rollback deletes them.
    pub fn new_files(&self) -> &NewFiles {
        &self.new_files
    }

    /// Commits. Work that changes nothing commits without a record.
    ///
    /// The commit runs in a task of its own: dropping this future does not stop it.
    ///
    /// # Errors
    /// 40001 if another transaction is in the way, 42P07 and the like if it took a name, 55000 if a
    /// table is quarantined, 08007 if the outcome is not known; otherwise nothing was committed.
    pub async fn commit(mut self, info: CommitInfo) -> Result<Committed> {
        let (id, role, snapshot) = (self.id.clone(), self.role.clone(), self.snapshot.clone());
        let work = std::mem::take(&mut *self.work());
        let new_files = std::mem::take(&mut self.new_files);
        let catalog = work.catalogs.last().unwrap_or_else(|| snapshot.catalog()).clone();
        let store = snapshot.warehouse.log.store.clone();
        let task = tokio::spawn(async move {
            let outcome = match Draft::new(id, role, snapshot, work, &catalog, info) {
                Ok(draft) => draft.commit().await,
                Err(error) => Err(super::commit::Failed { error, put_tried: false }),
            };
            match outcome {
                Ok(committed) => Ok(committed),
                Err(failed) => {
                    if !failed.put_tried {
                        delete(store.as_ref(), new_files).await;
                    }
                    Err(failed.error)
                }
            }
        });
        task.await.unwrap_or_else(|join| {
            Err(Error::new(
                SqlState::TransactionResolutionUnknown,
                "the outcome of the commit is not known",
            )
            .detail("The task that committed ended early.")
            .hint("Look whether the changes are there before running the transaction again.")
            .source(join))
        })
    }

    /// Gives up, and deletes the files that it noted.
    pub async fn rollback(mut self) {
        let new_files = std::mem::take(&mut self.new_files);
        delete(self.snapshot.warehouse.log.store.as_ref(), new_files).await;
    }
}

impl Drop for Transaction {
    /// A client that went away in the middle leaves no files either.
    fn drop(&mut self) {
        let new_files = std::mem::take(&mut self.new_files);
        if new_files.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let store = self.snapshot.warehouse.log.store.clone();
            runtime.spawn(async move { delete(store.as_ref(), new_files).await });
        }
    }
}

/// Deletes files that nobody else can know of. What cannot be deleted is left to VACUUM.
async fn delete(store: &dyn ObjectStore, new_files: NewFiles) {
    let files = new_files.settled().await;
    if files.is_empty() {
        return;
    }
    let paths = futures::stream::iter(files.into_iter().map(Ok)).boxed();
    let is_left = |deleted: &Result<_, object_store::Error>| matches!(deleted, Err(e) if !matches!(e, object_store::Error::NotFound { .. }));
    let failed = store.delete_stream(paths).filter(|d| futures::future::ready(is_left(d)));
    let failed = failed.count().await;
    if failed > 0 {
        tracing::debug!("{failed} files of a transaction that was rolled back are left");
    }
}

/// The state of a table that this transaction creates, before its first change.
fn unborn(changes: &[TableChange]) -> Result<TableState> {
    let (mut protocol, mut metadata) = (None, None);
    for action in changes.iter().flat_map(|c| &c.actions) {
        match action {
            Action::Protocol(p) if protocol.is_none() => protocol = Some(p.clone()),
            Action::MetaData(m) if metadata.is_none() => metadata = Some(m.clone()),
            _ => {}
        }
    }
    match (protocol, metadata) {
        (Some(protocol), Some(metadata)) => Ok(TableState::empty(protocol, metadata)),
        _ => Err(Error::internal("a new table has no protocol or metadata")),
    }
}

pub(super) fn quarantined(table: &str, reason: &str) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("table \"{table}\" is quarantined and cannot be written to"),
    )
    .detail(reason.to_owned())
    .hint(format!(
        "Its last good version can be read: CREATE TABLE … AS SELECT * FROM {table}, then DROP TABLE {table}."
    ))
}
