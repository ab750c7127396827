//! UPDATE, DELETE and MERGE as change sets: which rows go, and which come.
//!
//! A query over a scan with row ids yields the changes. The rows that go are kept as bitmaps, one
//! bit per row of a touched file; the rows that come are checked and written while the query runs.
//! Then every touched file is copied without the rows that went ([`copy`]). A file that loses all
//! of its rows is only removed.

mod copy;
mod gone;

use super::actions::{Action, Add};
use super::constraints::TableChecks;
use super::scan::{FILE_COLUMN, ROW_COLUMN};
use super::stats::num_records;
use super::writer::{WriteTarget, write};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::array::{Array, AsArray, Int8Array, Int32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Int8Type, Int32Type, Int64Type};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use gone::GoneRows;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The column that says what a row of a MERGE's changes is: [`DELETE`], [`UPDATE`] or [`INSERT`].
pub const KIND_COLUMN: &str = "__kind";

/// The row goes.
pub const DELETE: i8 = 0;
/// The row goes and a new one comes.
pub const UPDATE: i8 = 1;
/// A new row comes.
pub const INSERT: i8 = 2;

/// Which columns the changes of a statement have.
///
/// `__file` (Int32) and `__row` (Int64) are found by name; the others follow in the table's order,
/// then those of RETURNING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// No new rows.
    Delete,
    /// A new row for each that goes.
    Update,
    /// `__kind` (Int8) says which; `__file` and `__row` are NULL for inserts.
    Merge,
}

/// What it means that a query names a row a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicatePolicy {
    /// An error: MERGE.
    Error21000,
    /// The first change counts: UPDATE … FROM, DELETE … USING.
    FirstWins,
    /// The same as the first, since there is no new row: DELETE.
    Ignore,
}

/// Fills a hidden column when rows move to a new file, where NULL would change its meaning.
#[derive(Debug, Clone)]
pub struct Materialize {
    /// A timestamptz column, such as `_committed_at`.
    pub column: String,
    /// What NULL means in a file, in microseconds; `None` for a file that is not committed yet.
    pub value: fn(&Add) -> Option<i64>,
}

/// How changes become actions.
#[derive(Debug, Clone)]
pub struct ChangeSpec {
    /// Casts and checks the new rows.
    pub checks: Arc<TableChecks>,
    /// Where files are written, and where the touched ones are read.
    pub target: WriteTarget,
    /// The columns of the changes.
    pub kind: ChangeKind,
    /// What a second change of a row means.
    pub duplicates: DuplicatePolicy,
    /// Hidden column to fill in copied rows.
    pub materialize: Option<Materialize>,
    /// Where the memory of the change set is reserved.
    pub pool: Arc<dyn MemoryPool>,
    /// Milliseconds since 1970, for the removes.
    pub now_ms: i64,
}

/// What a statement changed.
#[derive(Debug)]
pub struct ChangeOutcome {
    /// Removes, then adds.
    pub actions: Vec<Action>,
    /// Rows that are gone.
    pub deleted: u64,
    /// Rows with new values.
    pub updated: u64,
    /// Rows that are new.
    pub inserted: u64,
    /// The columns behind the table's own, of the changes that took effect.
    pub returning: Vec<RecordBatch>,
}

impl ChangeOutcome {
    /// The files that were written, to be discarded if the statement is undone.
    pub fn written(&self) -> impl Iterator<Item = &Add> {
        self.actions.iter().filter_map(|action| match action {
            Action::Add(add) => Some(add),
            _ => None,
        })
    }
}

/// Applies the changes that a query yields to the files that it scanned
/// ([`super::scan::DeltaTableScan::files`]).
///
/// If it fails, nothing is left of what it wrote.
///
/// # Errors
/// What the query and the checks fail with; 21000 for a second change of a row in a MERGE; 53200 if
/// the change set does not fit the memory; XX000 if rows of a copied file do not add up.
pub async fn apply_changes(
    files: &[Arc<Add>],
    stream: SendableRecordBatchStream,
    spec: &ChangeSpec,
) -> Result<ChangeOutcome> {
    let (sender, receiver) = mpsc::channel(2);
    let rows = received(Arc::clone(spec.checks.schema()), receiver);
    let mut changes = Changes::new(files.len(), spec);
    let (collected, written) =
        tokio::join!(changes.collect(stream, sender), write(rows, &spec.target));
    let new_files = match (collected, written) {
        (Ok(()), Ok(adds)) => adds,
        // A reader that fails tells the writer, which then fails with the same error.
        (_, Err(error)) => return Err(error),
        (Err(error), Ok(adds)) => {
            spec.target.discard(&adds).await;
            return Err(error);
        }
    };
    let Changes { gone, counts, returning, .. } = changes;
    match replace_files(files, Arc::new(gone), spec).await {
        Ok(mut actions) => {
            actions.extend(new_files.into_iter().map(Action::Add));
            let [deleted, updated, inserted] = counts;
            Ok(ChangeOutcome { actions, deleted, updated, inserted, returning })
        }
        Err(error) => {
            spec.target.discard(&new_files).await;
            Err(error)
        }
    }
}

/// Removes of the touched files and adds of their copies.
async fn replace_files(
    files: &[Arc<Add>],
    gone: Arc<GoneRows>,
    spec: &ChangeSpec,
) -> Result<Vec<Action>> {
    let mut actions = vec![];
    let mut copied = vec![];
    for index in gone.files() {
        let add = &files[index];
        actions.push(Action::Remove(add.remove(spec.now_ms, true)));
        if num_records(add) != Some(gone.count(index)) {
            copied.push((index, Arc::clone(add)));
        }
    }
    let copies = copy::copy_files(copied, gone, spec).await?;
    actions.extend(copies.into_iter().map(Action::Add));
    Ok(actions)
}

/// The changes as they are read from the query.
struct Changes<'a> {
    spec: &'a ChangeSpec,
    files: usize,
    gone: GoneRows,
    counts: [u64; 3],
    returning: Vec<RecordBatch>,
    reservation: MemoryReservation,
}

impl<'a> Changes<'a> {
    fn new(files: usize, spec: &'a ChangeSpec) -> Self {
        Self {
            spec,
            files,
            gone: GoneRows::new(MemoryConsumer::new("changed rows").register(&spec.pool)),
            counts: [0; 3],
            returning: vec![],
            reservation: MemoryConsumer::new("RETURNING").register(&spec.pool),
        }
    }

    /// Reads all changes and passes the new rows on, checked.
    async fn collect(
        &mut self,
        mut stream: SendableRecordBatchStream,
        writer: mpsc::Sender<Result<RecordBatch, DataFusionError>>,
    ) -> Result<()> {
        while let Some(batch) = stream.next().await {
            let rows = match batch.map_err(Error::from).and_then(|batch| self.take(&batch)) {
                Ok(rows) => rows,
                Err(error) => {
                    let _ = writer.send(Err(error.clone().into())).await;
                    return Err(error);
                }
            };
            if let Some(rows) = rows
                && writer.send(Ok(rows)).await.is_err()
            {
                // The writer has failed and says why.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Notes which rows of a batch go; returns the checked rows that come.
    fn take(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let columns = ChangeColumns::of(batch, self.spec)?;
        let mut effective = Vec::with_capacity(batch.num_rows());
        let mut coming = vec![];
        for row in 0..batch.num_rows() {
            let kind = columns.kind(row, self.spec.kind)?;
            if kind != INSERT && !self.mark(&columns, row)? {
                continue;
            }
            let place = u32::try_from(row).map_err(|_| Error::internal("a batch is too long"))?;
            effective.push(place);
            if kind != DELETE {
                coming.push(place);
            }
            self.counts[usize::try_from(kind).unwrap_or(0)] += 1;
        }
        if !columns.returning.is_empty() && !effective.is_empty() {
            let rows = pick(&batch.project(&columns.returning)?, effective)?;
            self.reservation.try_grow(rows.get_array_memory_size())?;
            self.returning.push(rows);
        }
        if coming.is_empty() {
            return Ok(None);
        }
        let rows = pick(&batch.project(&columns.values)?, coming)?;
        self.spec.checks.apply(&rows).map(Some)
    }

    /// Marks a row as gone; false if it was and this change does not count.
    fn mark(&mut self, columns: &ChangeColumns, row: usize) -> Result<bool> {
        let (Some(file), Some(number)) = (columns.file(row), columns.row(row)) else {
            return Err(Error::internal("a change does not say which row it is of"));
        };
        if file >= self.files {
            return Err(Error::internal(format!("a change is of file {file}, which is unknown")));
        }
        if self.gone.insert(file, number)? {
            return Ok(true);
        }
        match self.spec.duplicates {
            DuplicatePolicy::FirstWins | DuplicatePolicy::Ignore => Ok(false),
            DuplicatePolicy::Error21000 => Err(Error::new(
                SqlState::CardinalityViolation,
                "MERGE command cannot affect row a second time",
            )
            .hint("Ensure that not more than one source row matches any one target row.")),
        }
    }
}

/// Where the parts of a change stand in a batch.
struct ChangeColumns {
    files: Int32Array,
    rows: Int64Array,
    kinds: Option<Int8Array>,
    values: Vec<usize>,
    returning: Vec<usize>,
}

impl ChangeColumns {
    fn of(batch: &RecordBatch, spec: &ChangeSpec) -> Result<Self> {
        let schema = batch.schema();
        let find = |name: &str, data_type: &DataType| {
            let index = schema.index_of(name).map_err(|_| missing(name))?;
            let array = batch.column(index);
            if array.data_type() == data_type { Ok(index) } else { Err(missing(name)) }
        };
        let file = find(FILE_COLUMN, &DataType::Int32)?;
        let row = find(ROW_COLUMN, &DataType::Int64)?;
        let kind = match spec.kind {
            ChangeKind::Merge => Some(find(KIND_COLUMN, &DataType::Int8)?),
            _ => None,
        };
        let mut others: Vec<usize> = (0..batch.num_columns())
            .filter(|i| *i != file && *i != row && Some(*i) != kind)
            .collect();
        let new = match spec.kind {
            ChangeKind::Delete => 0,
            _ => spec.checks.schema().fields().len(),
        };
        if others.len() < new {
            return Err(Error::internal("a change has too few columns for a row of its table"));
        }
        let returning = others.split_off(new);
        Ok(Self {
            files: batch.column(file).as_primitive::<Int32Type>().clone(),
            rows: batch.column(row).as_primitive::<Int64Type>().clone(),
            kinds: kind.map(|i| batch.column(i).as_primitive::<Int8Type>().clone()),
            values: others,
            returning,
        })
    }

    fn kind(&self, row: usize, statement: ChangeKind) -> Result<i8> {
        match (statement, &self.kinds) {
            (ChangeKind::Delete, _) => Ok(DELETE),
            (ChangeKind::Update, _) => Ok(UPDATE),
            (ChangeKind::Merge, Some(kinds))
                if kinds.is_valid(row) && (DELETE..=INSERT).contains(&kinds.value(row)) =>
            {
                Ok(kinds.value(row))
            }
            _ => Err(Error::internal("a change does not say of which kind it is")),
        }
    }

    fn file(&self, row: usize) -> Option<usize> {
        self.files.is_valid(row).then(|| self.files.value(row))?.try_into().ok()
    }

    fn row(&self, row: usize) -> Option<u64> {
        self.rows.is_valid(row).then(|| self.rows.value(row))?.try_into().ok()
    }
}

fn missing(name: &str) -> Error {
    Error::internal(format!("changes have no column {name} of the right type"))
}

fn pick(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch> {
    if rows.len() == batch.num_rows() {
        return Ok(batch.clone());
    }
    Ok(take_record_batch(batch, &UInt32Array::from(rows))?)
}

/// The rows that arrive through a channel, as a stream.
fn received(
    schema: arrow::datatypes::SchemaRef,
    receiver: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
) -> SendableRecordBatchStream {
    let rows = futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|rows| (rows, receiver))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

#[cfg(test)]
mod tests;
