//! Tests of the warehouse as a whole, over real folders. Data files are only named, never written:
//! the warehouse knows actions, not rows. What a table holds is read back with `std::fs` and a few
//! lines of its own, not with the code under test.

mod basics;
mod checkpoints;
mod cleaning;
mod conflicts;
mod crash;
mod opening;
mod publishing;
mod rules;
mod servers;
mod speed;
mod stores;

use super::*;
use crate::catalog::{Column, QualifiedName, SqlType, Table, random_id};
use crate::delta::actions::{Action, Add};
use crate::delta::predicate::{Comparison, Predicate};
use crate::error::Error;
use crate::store::FaultStore;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex};

/// A clock that shows a fixed time, so that record times are 1 µs apart.
const NOW: i64 = 1_700_000_000_000_000;

pub(super) fn options() -> Options {
    Options { clock: Arc::new(ManualClock::new(NOW)), ..Options::default() }
}

pub(super) async fn open(path: &FsPath) -> Arc<Warehouse> {
    Warehouse::open(path, options()).await.expect("the warehouse opens")
}

/// A warehouse whose store fails or waits on demand.
pub(super) async fn held(root: &FsPath) -> (Arc<Warehouse>, Arc<FaultStore>) {
    let slot: Arc<Mutex<Option<Arc<FaultStore>>>> = Arc::default();
    let keep = slot.clone();
    let wrap: WrapStore = Arc::new(move |inner| {
        let store = FaultStore::new(inner);
        *keep.lock().expect("lock") = Some(store.clone());
        store
    });
    let wrapped = Options { wrap_store: Some(wrap), ..options() };
    let warehouse = Warehouse::open(root, wrapped).await.expect("opens");
    let store = slot.lock().expect("lock").clone().expect("the store was wrapped");
    (warehouse, store)
}

pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A table `public.<name>`; column `file` holds the name of the file that a row stands in.
pub(super) fn table(name: &str) -> Table {
    let id = random_id();
    Table {
        path: format!("public/{name}-{id}"),
        id,
        oid: 0,
        name: QualifiedName::new("public", name),
        columns: vec![Column::new("id", SqlType::BigInt), Column::new("file", SqlType::Text)],
        checks: vec![],
        partition_by: vec![],
        properties: BTreeMap::new(),
        feature: None,
        internal: false,
        owner: "ada".into(),
        comment: None,
    }
}

pub(super) fn add(path: &str) -> Action {
    Action::Add(Add {
        path: path.into(),
        partition_values: BTreeMap::new(),
        size: 10,
        modification_time: 0,
        data_change: true,
        stats: Some(format!(
            r#"{{"numRecords":1,"minValues":{{"file":"{path}"}},"maxValues":{{"file":"{path}"}}}}"#
        )),
        tags: None,
        deletion_vector: None,
    })
}

pub(super) fn remove(path: &str) -> Action {
    match add(path) {
        Action::Add(add) => Action::Remove(add.remove(0, true)),
        _ => unreachable!("an add"),
    }
}

/// The same without a change of data: what compaction writes.
pub(super) fn moved(action: Action) -> Action {
    match action {
        Action::Add(add) => Action::Add(Add { data_change: false, ..add }),
        Action::Remove(r) => {
            Action::Remove(crate::delta::actions::Remove { data_change: false, ..r })
        }
        other => other,
    }
}

pub(super) fn change(operation: &str, actions: Vec<Action>, reads: ReadSet) -> TableChange {
    TableChange { actions, operation: operation.into(), reads, ..TableChange::default() }
}

/// An INSERT of one file.
pub(super) fn insert(path: &str) -> TableChange {
    change("WRITE", vec![add(path)], ReadSet::Nothing)
}

/// Reads the files whose names begin like this.
pub(super) fn reading(prefix: &str) -> ReadSet {
    let end = |comparison, value: String| Predicate::Compare("file".into(), comparison, value);
    ReadSet::Matching(Predicate::And(vec![
        end(Comparison::GreaterOrEqual, prefix.into()),
        end(Comparison::Less, format!("{prefix}\u{10FFFF}")),
    ]))
}

pub(super) async fn begin(warehouse: &Arc<Warehouse>) -> Transaction {
    warehouse.begin("ada").await.expect("begins")
}

pub(super) async fn commit(txn: Transaction) -> Result<Committed, Error> {
    txn.commit(CommitInfo::default()).await
}

pub(super) async fn create(warehouse: &Arc<Warehouse>, name: &str) -> Table {
    let txn = begin(warehouse).await;
    let table = table(name);
    txn.create_table(table.clone()).expect("a new table");
    let done = commit(txn).await.expect("commits");
    assert_eq!(done.warnings, []);
    table
}

pub(super) async fn write(
    warehouse: &Arc<Warehouse>,
    table: &Table,
    change: TableChange,
) -> Result<Committed, Error> {
    let txn = begin(warehouse).await;
    txn.change(&table.id, change)?;
    commit(txn).await
}

/// The live files of a table as the warehouse sees them now.
pub(super) async fn files(warehouse: &Arc<Warehouse>, table: &Table) -> BTreeSet<String> {
    let snapshot = warehouse.snapshot().await.expect("a snapshot");
    paths(&snapshot.table(&table.id).await.expect("the table loads"))
}

pub(super) fn paths(state: &crate::delta::TableState) -> BTreeSet<String> {
    state.files().map(|add| add.path.clone()).collect()
}

pub(super) fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

/// What an outside reader sees in a table's `_delta_log`: the number of commits and the live files.
pub(super) fn published(root: &FsPath, table: &Table) -> (usize, BTreeSet<String>) {
    let log = root.join(&table.path).join("_delta_log");
    let (mut live, mut version) = (BTreeSet::new(), 0);
    while let Ok(text) = std::fs::read_to_string(log.join(format!("{version:020}.json"))) {
        for line in text.lines() {
            let json: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            if let Some(path) = json["add"]["path"].as_str() {
                assert!(live.insert(path.to_owned()), "{path} stands twice");
            }
            if let Some(path) = json["remove"]["path"].as_str() {
                assert!(live.remove(path), "{path} is removed but not live");
            }
        }
        version += 1;
    }
    (version, live)
}
