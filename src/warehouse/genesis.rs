//! The first record of a warehouse: schema `public`, and the system's own tables.

use super::change::{Net, Stamp, TableChange};
use super::record::{DeltaCommit, FORMAT, Record, TxnRecord};
use crate::catalog::{CatalogOp, Column, QualifiedName, SchemaEntry, SqlType, Table, random_id};
use crate::delta::actions::{self, Action};
use crate::delta::schema::{metadata_for, protocol_for};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// The schema of the system's own tables; no user can create a name that begins like it.
pub const SYSTEM_SCHEMA: &str = "_system";
/// The table of training runs.
pub const RUNS: &str = "runs";
/// The table of the parameters of runs.
pub const RUN_PARAMS: &str = "run_params";
/// The key under which a run's version stands among its parameters: no option has this name.
pub const RUN_VERSION: &str = "__version";
/// The table of the metrics of runs.
pub const RUN_METRICS: &str = "run_metrics";

/// Record 1 of a new warehouse.
///
/// # Errors
/// XX000 only: the tables are known.
pub(super) fn record(warehouse: &str, owner: &str, time: i64) -> Result<Record> {
    let txn = random_id();
    let mut ops: Vec<CatalogOp> = ["public", SYSTEM_SCHEMA].map(|s| schema(s, owner)).to_vec();
    let mut commits = BTreeMap::new();
    for (name, columns) in system_tables() {
        let table = table(name, columns, owner);
        let stamp = Stamp { warehouse, txn: &txn, role: owner, seq: 1, time, base: -1 };
        let body = Net::of([&creation(&table, time)?])?.body(&stamp);
        let body = String::from_utf8(actions::to_bytes(&body))
            .map_err(|_| Error::internal("JSON is not UTF-8"))?;
        let commit = DeltaCommit { version: 0, body, staged: None };
        commits.insert(table.id.clone(), vec![commit]);
        ops.push(CatalogOp::CreateTable { table: Box::new(table) });
    }
    let mut info = serde_json::Map::new();
    info.insert("statement".into(), "CREATE WAREHOUSE".into());
    let txn = TxnRecord {
        id: txn,
        base: 0,
        role: owner.to_owned(),
        keys: Vec::new(),
        ops,
        tables: commits,
        reads: BTreeMap::new(),
        quarantine: BTreeMap::new(),
        info,
    };
    Ok(Record {
        format: FORMAT,
        needs: Vec::new(),
        warehouse: warehouse.to_owned(),
        seq: 1,
        record: random_id(),
        previous: String::new(),
        time,
        txns: vec![txn],
    })
}

/// The change that makes version 0 of a table.
///
/// # Errors
/// 42602 if a column has a name that Delta cannot hold.
pub(super) fn creation(table: &Table, time: i64) -> Result<TableChange> {
    Ok(TableChange {
        actions: vec![
            Action::Protocol(protocol_for(table)),
            Action::MetaData(metadata_for(table, time / 1000)?),
        ],
        operation: "CREATE TABLE".into(),
        ..TableChange::default()
    })
}

fn schema(name: &str, owner: &str) -> CatalogOp {
    CatalogOp::CreateSchema {
        schema: SchemaEntry { name: name.to_owned(), oid: 0, owner: owner.to_owned() },
    }
}

fn table(name: &str, columns: Vec<Column>, owner: &str) -> Table {
    let id = random_id();
    Table {
        path: format!("{SYSTEM_SCHEMA}/{name}-{id}"),
        id,
        oid: 0,
        name: QualifiedName::new(SYSTEM_SCHEMA, name),
        columns,
        checks: Vec::new(),
        partition_by: Vec::new(),
        properties: BTreeMap::new(),
        feature: None,
        internal: true,
        owner: owner.to_owned(),
        comment: None,
    }
}

/// What `ml.runs`, `ml.run_params` and `ml.run_metrics` show, as sql.md says. A run's version is the
/// catalog's, by run id; for the time after the version is dropped it is kept as a parameter, [`RUN_VERSION`].
fn system_tables() -> [(&'static str, Vec<Column>); 3] {
    use SqlType::{BigInt, Double, Text, TimestampTz};
    let id = || Column::new("run_id", Text).required();
    let key = || Column::new("key", Text).required();
    let runs = vec![
        id(),
        Column::new("model", Text),
        Column::new("experiment", Text),
        Column::new("status", Text),
        Column::new("started_at", TimestampTz),
        Column::new("ended_at", TimestampTz),
        Column::new("role", Text),
        Column::new("query", Text),
        Column::new("snapshot", BigInt),
        Column::new("seed", BigInt),
        Column::new("engine_version", Text),
        Column::new("n_rows", BigInt),
        Column::new("artifact_hash", Text),
        Column::new("error", Text),
    ];
    let params = vec![id(), key(), Column::new("value", Text)];
    let metrics = vec![
        id(),
        key(),
        Column::new("value", Double),
        Column::new("step", BigInt),
        Column::new("ts", TimestampTz),
    ];
    [(RUNS, runs), (RUN_PARAMS, params), (RUN_METRICS, metrics)]
}
