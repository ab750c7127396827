//! Writing to feature tables: a row replaces the one of its key, and replaced rows are kept.
//!
//! 1. The new rows are checked and collected; a key may stand among them once.
//! 2. A join with the table finds the rows that they replace.
//! 3. These go to the history, with the time of their commit written out.
//! 4. One change set takes them out of the table and puts the new rows in.
//!
//! All of it is one statement of one transaction, so history and table never disagree.

use super::keys::{KeySet, key_places};
use crate::catalog::{FeatureSpec, Table};
use crate::delta::actions::{Action, Add};
use crate::delta::changes::{
    ChangeKind, ChangeOutcome, ChangeSpec, DELETE, DuplicatePolicy, INSERT, KIND_COLUMN,
    Materialize, UPDATE, apply_changes,
};
use crate::delta::scan::{DeltaTableScan, FILE_COLUMN, ROW_COLUMN, ScanOptions};
use crate::error::{Error, Result};
use crate::features::{COMMITTED_AT, commit_time};
use crate::planner::{Canceller, Environment, Planned, Planner, Reads};
use crate::sqlstate::SqlState;
use crate::statements::Execution;
use crate::statements::table::rows;
use crate::warehouse::{ReadSet, TableChange, Transaction};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int8Array, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{
    DataType, Field, Int8Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, JoinType};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Upserts rows: all columns in the table's order, `_committed_at` NULL. Gives their number.
///
/// # Errors
/// 21000 for a key that stands twice among the rows, 23502 and 23514 for broken constraints.
pub async fn upsert(
    cx: &Execution<'_>,
    table: &Arc<Table>,
    rows: SendableRecordBatchStream,
) -> Result<u64> {
    Writer::of(cx).upsert(table, rows).await
}

/// [`upsert`] for COPY, which has no statement any more when its last row has come.
///
/// # Errors
/// As [`upsert`].
pub async fn upsert_in(
    environment: &Environment,
    transaction: &Transaction,
    table: &Arc<Table>,
    rows: SendableRecordBatchStream,
) -> Result<u64> {
    let canceller = Canceller::default();
    Writer { environment, transaction, canceller: &canceller }.upsert(table, rows).await
}

/// Moves rows of a feature table into its history: those that a statement is about to change.
///
/// `changed` has `__file` and `__row` as its first two columns; rows with NULLs there are new ones
/// and are skipped, as are rows that this transaction wrote itself, which nobody else ever saw.
///
/// # Errors
/// What reading and writing answer with.
pub async fn keep_history(
    cx: &Execution<'_>,
    table: &Arc<Table>,
    scan: &Arc<DeltaTableScan>,
    changed: &[RecordBatch],
) -> Result<()> {
    Writer::of(cx).keep_history(table, scan, changed).await
}

/// Sees that the rows which a MERGE writes leave every key of a feature table there once. `changes` has `__file`,
/// `__row`, `__kind` and the table's columns.
///
/// # Errors
/// 21000 for a key that the new rows have twice, 23505 for one of a row that the MERGE does not change.
pub async fn check_keys(
    cx: &Execution<'_>,
    table: &Arc<Table>,
    scan: &Arc<DeltaTableScan>,
    changes: &[RecordBatch],
) -> Result<()> {
    let mut keys = KeySet::new(table, cx.services().memory_pool())?;
    let mut incoming = Vec::new();
    for batch in changes {
        let new = new_rows(table, batch)?;
        keys.insert(&new)?;
        incoming.push(new);
    }
    let changed: Vec<RecordBatch> =
        changes.iter().map(|b| Ok(b.project(&[0, 1])?)).collect::<Result<_>>()?;
    let changed = places(&changed)?;
    let found = places(&Writer::of(cx).find(table, scan, &incoming).await?)?;
    if found.is_subset(&changed) {
        return Ok(());
    }
    let key = table.feature.as_ref().map(FeatureSpec::key).unwrap_or_default().join(", ");
    Err(Error::new(
        SqlState::UniqueViolation,
        format!("duplicate key value violates the key of feature table \"{}\"", table.name.name),
    )
    .table(&table.name.name)
    .detail(format!("A new row has the key ({key}) of a row that MERGE does not change."))
    .hint("Join the source ON the key columns, so that rows that are there are matched."))
}

/// The rows that a change set writes, key columns in the table's types.
fn new_rows(table: &Table, batch: &RecordBatch) -> Result<RecordBatch> {
    let kinds = batch.column(2).as_primitive::<Int8Type>();
    let is_new: BooleanArray =
        kinds.iter().map(|kind| Some(matches!(kind, Some(UPDATE | INSERT)))).collect();
    let keys = key_places(table)?;
    let values = (0..table.columns.len())
        .map(|i| {
            let column = batch.column(3 + i);
            Ok(match keys.contains(&i) {
                true => cast(column, &table.columns[i].sql_type.arrow())?,
                false => column.clone(),
            })
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let named = table.columns.iter().map(|c| &c.name).zip(values);
    let rows = RecordBatch::try_from_iter_with_nullable(named.map(|(n, v)| (n, v, true)))?;
    Ok(filter_record_batch(&rows, &is_new)?)
}

/// What writing needs of a session.
struct Writer<'a> {
    environment: &'a Environment,
    transaction: &'a Transaction,
    canceller: &'a Canceller,
}

/// New rows, checked, and the memory that they take.
struct Incoming {
    batches: Vec<RecordBatch>,
    rows: u64,
    _memory: MemoryReservation,
}

impl<'a> Writer<'a> {
    fn of(cx: &'a Execution<'_>) -> Self {
        Self { environment: cx.environment, transaction: cx.transaction, canceller: cx.canceller }
    }

    async fn upsert(&self, table: &Arc<Table>, rows: SendableRecordBatchStream) -> Result<u64> {
        let incoming = self.collect(table, rows).await?;
        if incoming.rows == 0 {
            return Ok(0);
        }
        let state = self.transaction.table(&table.id).await?;
        let scan = DeltaTableScan::new(
            &state,
            &table.schema(),
            &table.partition_by,
            self.environment.services.warehouse.location(table)?,
            ScanOptions { row_ids: true },
        )?;
        let replaced = self.find(table, &scan, &incoming.batches).await?;
        self.keep_history(table, &scan, &replaced).await?;
        let changes = changes(table, &replaced, &incoming.batches)?;
        let outcome = self.apply(table, &scan, changes).await?;
        self.transaction.change(&table.id, table_change(outcome))?;
        Ok(incoming.rows)
    }

    /// Casts and checks the new rows, and sees that no key stands twice among them.
    async fn collect(&self, table: &Table, rows: SendableRecordBatchStream) -> Result<Incoming> {
        let services = &self.environment.services;
        let pool = services.memory_pool().clone();
        let checks = rows::checks(&self.planner(), table).await?;
        let mut keys = KeySet::new(table, &pool)?;
        let work = services.run(async move {
            let memory = MemoryConsumer::new("upsert").register(&pool);
            let mut stream = checks.stream(rows);
            let mut batches = Vec::new();
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                memory.try_grow(batch.get_array_memory_size())?;
                keys.insert(&batch)?;
                batches.push(batch);
            }
            let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
            Ok(Incoming { batches, rows, _memory: memory })
        });
        self.canceller.guard(work).await
    }

    /// `__file` and `__row` of the rows that have the key of a new one.
    async fn find(
        &self,
        table: &Table,
        scan: &Arc<DeltaTableScan>,
        incoming: &[RecordBatch],
    ) -> Result<Vec<RecordBatch>> {
        if scan.files().is_empty() {
            return Ok(Vec::new());
        }
        let places = key_places(table)?;
        let names: Vec<&str> = places.iter().map(|i| table.columns[*i].name.as_str()).collect();
        let batches =
            incoming.iter().map(|batch| Ok(batch.project(&places)?)).collect::<Result<Vec<_>>>()?;
        let plan =
            joined(scan, batches, &names)?.project([old(FILE_COLUMN), old(ROW_COLUMN)])?.build()?;
        let stream = self.stream(plan).await?;
        let found = async { Ok(stream.try_collect().await?) };
        self.canceller.guard(found).await
    }

    fn planner(&self) -> Planner<'_> {
        Planner::new(self.environment, self.transaction)
    }

    async fn stream(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let services = &self.environment.services;
        let state = services.base().clone();
        Planned::new(plan, state, Reads::default()).stream(services, self.canceller).await
    }

    async fn keep_history(
        &self,
        table: &Arc<Table>,
        scan: &Arc<DeltaTableScan>,
        changed: &[RecordBatch],
    ) -> Result<()> {
        let Some(places) = distinct_places(changed)? else { return Ok(()) };
        let history = self.history(table)?;
        let plan = joined(scan, vec![places], &[FILE_COLUMN, ROW_COLUMN])?;
        let columns = table.columns.iter().map(|c| old(&c.name)).chain([old(FILE_COLUMN)]);
        let stream = self.stream(plan.project(columns)?.build()?).await?;
        let stream = as_history(stream, scan.files().to_vec(), &history);
        let adds =
            rows::write(self.environment, self.transaction, self.canceller, &history, stream)
                .await?;
        rows::append(self.transaction, &history, adds, "Append")?;
        Ok(())
    }

    fn history(&self, table: &Table) -> Result<Arc<Table>> {
        let FeatureSpec { history, .. } = table
            .feature
            .as_ref()
            .ok_or_else(|| Error::internal(format!("table {} has no history", table.name)))?;
        self.transaction
            .catalog()
            .table(history)
            .cloned()
            .ok_or_else(|| Error::internal(format!("the history of {} is missing", table.name)))
    }

    async fn apply(
        &self,
        table: &Table,
        scan: &Arc<DeltaTableScan>,
        changes: SendableRecordBatchStream,
    ) -> Result<ChangeOutcome> {
        let services = &self.environment.services;
        let target = rows::target(services, self.transaction, table)?;
        let spec = ChangeSpec {
            checks: rows::checks(&self.planner(), table).await?,
            target,
            kind: ChangeKind::Merge,
            duplicates: DuplicatePolicy::Ignore,
            materialize: Some(Materialize { column: COMMITTED_AT.to_owned(), value: commit_time }),
            pool: services.memory_pool().clone(),
            now_ms: self.environment.now.timestamp_millis(),
        };
        let files = scan.files().to_vec();
        let work = services.run(async move { apply_changes(&files, changes, &spec).await });
        self.canceller.guard(work).await
    }
}

/// A column of the scanned table.
fn old(name: &str) -> Expr {
    Expr::Column(Column::new(Some("old"), name))
}

/// The rows of the table whose columns `names` are equal to a row of `batches`.
fn joined(
    scan: &Arc<DeltaTableScan>,
    batches: Vec<RecordBatch>,
    names: &[&str],
) -> Result<LogicalPlanBuilder> {
    let types: Vec<DataType> = names
        .iter()
        .map(|name| Ok(scan.schema().field_with_name(name)?.data_type().clone()))
        .collect::<Result<_>>()?;
    let wanted: Vec<String> = (0..names.len()).map(|i| format!("k{i}")).collect();
    let fields: Vec<Field> =
        wanted.iter().zip(types).map(|(name, t)| Field::new(name, t, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batches = batches
        .into_iter()
        .map(|batch| Ok(RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?))
        .collect::<Result<Vec<_>>>()?;
    let new = MemTable::try_new(schema, vec![batches])?;
    let new = LogicalPlanBuilder::scan("new", provider_as_source(Arc::new(new)), None)?.build()?;
    let scan: Arc<dyn TableProvider> = scan.clone();
    let left = names.iter().map(|name| Column::new(Some("old"), *name)).collect::<Vec<_>>();
    let right = wanted.iter().map(|name| Column::new(Some("new"), name)).collect::<Vec<_>>();
    Ok(LogicalPlanBuilder::scan("old", provider_as_source(scan), None)?.join(
        new,
        JoinType::Inner,
        (left, right),
        None,
    )?)
}

/// The places that changes name, each once; none if they name none.
fn distinct_places(changed: &[RecordBatch]) -> Result<Option<RecordBatch>> {
    let places = places(changed)?;
    if places.is_empty() {
        return Ok(None);
    }
    let (files, rows): (Vec<i32>, Vec<i64>) = places.into_iter().unzip();
    let columns: [(&str, ArrayRef); 2] = [
        (FILE_COLUMN, Arc::new(Int32Array::from(files))),
        (ROW_COLUMN, Arc::new(Int64Array::from(rows))),
    ];
    Ok(Some(RecordBatch::try_from_iter(columns)?))
}

/// `__file` and `__row` of the rows that changes name.
fn places(changed: &[RecordBatch]) -> Result<BTreeSet<(i32, i64)>> {
    let mut places = BTreeSet::new();
    for batch in changed {
        let file = batch.column(0).as_primitive_opt::<Int32Type>();
        let row = batch.column(1).as_primitive_opt::<Int64Type>();
        let (Some(file), Some(row)) = (file, row) else {
            return Err(Error::internal("changes do not begin with __file and __row"));
        };
        let there = (0..batch.num_rows()).filter(|i| file.is_valid(*i) && row.is_valid(*i));
        places.extend(there.map(|i| (file.value(i), row.value(i))));
    }
    Ok(places)
}

/// Rows of a feature table, each with its `__file`, as rows of its history.
fn as_history(
    stream: SendableRecordBatchStream,
    files: Vec<Arc<Add>>,
    history: &Arc<Table>,
) -> SendableRecordBatchStream {
    let history = history.clone();
    let schema = history.schema();
    let rows = stream.map(move |batch| Ok(history_rows(&batch?, &files, &history)?));
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

fn history_rows(batch: &RecordBatch, files: &[Arc<Add>], history: &Table) -> Result<RecordBatch> {
    let find = |name: &str| {
        batch
            .column_by_name(name)
            .ok_or_else(|| Error::internal(format!("a replaced row has no column {name}")))
    };
    let stored = find(COMMITTED_AT)?.as_primitive::<TimestampMicrosecondType>();
    let file = find(FILE_COLUMN)?.as_primitive::<Int32Type>();
    let times: TimestampMicrosecondArray = (0..batch.num_rows())
        .map(|row| match stored.is_valid(row) {
            true => Some(stored.value(row)),
            false => commit_time(files.get(usize::try_from(file.value(row)).ok()?)?),
        })
        .collect();
    let committed: BooleanArray = (0..times.len()).map(|row| Some(times.is_valid(row))).collect();
    let times: ArrayRef = Arc::new(times.with_timezone("UTC"));
    let schema = history.schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            COMMITTED_AT => Ok(times.clone()),
            name => match batch.column_by_name(name) {
                Some(column) => Ok(column.clone()),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            },
        })
        .collect::<Result<Vec<_>>>()?;
    let rows = RecordBatch::try_new(schema, columns)?;
    Ok(filter_record_batch(&rows, &committed)?)
}

/// The change set: the replaced rows go, the new ones come.
fn changes(
    table: &Table,
    replaced: &[RecordBatch],
    incoming: &[RecordBatch],
) -> Result<SendableRecordBatchStream> {
    let mut fields = vec![
        Field::new(FILE_COLUMN, DataType::Int32, true),
        Field::new(ROW_COLUMN, DataType::Int64, true),
        Field::new(KIND_COLUMN, DataType::Int8, true),
    ];
    let values = table.schema();
    fields.extend(values.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)));
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batch = |mut ids: Vec<ArrayRef>, kind: i8, values: Vec<ArrayRef>, rows: usize| {
        ids.push(Arc::new(Int8Array::from(vec![kind; rows])));
        ids.extend(values);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema.clone(), ids, &options)
    };
    let mut batches = Vec::new();
    for gone in replaced {
        let n = gone.num_rows();
        let nulls = values.fields().iter().map(|f| new_null_array(f.data_type(), n)).collect();
        batches.push(batch(gone.columns().to_vec(), DELETE, nulls, n));
    }
    for new in incoming {
        let n = new.num_rows();
        let ids = vec![new_null_array(&DataType::Int32, n), new_null_array(&DataType::Int64, n)];
        batches.push(batch(ids, INSERT, new.columns().to_vec(), n));
    }
    let batches = batches.into_iter().map(|b| Ok(b?));
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        schema.clone(),
        futures::stream::iter(batches.collect::<Vec<_>>()),
    )))
}

/// What the log says of an upsert. It read all keys: another commit to the table may hold the same.
fn table_change(outcome: ChangeOutcome) -> TableChange {
    let removed = outcome.actions.iter().filter(|a| matches!(a, Action::Remove(_))).count();
    let metrics = rows::object(&[
        ("numTargetRowsDeleted", json!(outcome.deleted.to_string())),
        ("numTargetRowsInserted", json!(outcome.inserted.to_string())),
        ("numTargetFilesRemoved", json!(removed.to_string())),
        ("numTargetFilesAdded", json!(outcome.written().count().to_string())),
        ("numOutputRows", json!(outcome.inserted.to_string())),
    ]);
    TableChange {
        operation: if outcome.deleted == 0 { "WRITE" } else { "MERGE" }.to_owned(),
        parameters: rows::object(&[("mode", json!("Upsert"))]),
        metrics,
        actions: outcome.actions,
        reads: ReadSet::Everything,
        exclusive: false,
    }
}
