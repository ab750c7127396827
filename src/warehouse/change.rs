//! What a transaction does to a table, and the netting of several changes to one commit body.

use crate::delta::TableState;
use crate::delta::actions::{Action, Add, Metadata, Protocol, Remove, Txn};
use crate::delta::predicate::{Columns, Predicate};
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The rows of a table that a statement's outcome depends on.
#[derive(Debug, Clone, Default)]
pub enum ReadSet {
    /// None: an INSERT of given rows.
    #[default]
    Nothing,
    /// Those that a predicate means.
    Matching(Predicate),
    /// All.
    Everything,
}

impl ReadSet {
    /// True if rows of this file may be among them; always, if the columns are not known.
    pub fn covers(&self, add: &Add, columns: Option<&Columns>) -> bool {
        match (self, columns) {
            (ReadSet::Nothing, _) => false,
            (ReadSet::Matching(predicate), Some(columns)) => predicate.may_match(add, columns),
            (ReadSet::Matching(_), None) | (ReadSet::Everything, _) => true,
        }
    }

    /// As it stands in a record; nothing if nothing was read.
    pub(super) fn predicate(&self) -> Option<Predicate> {
        match self {
            ReadSet::Nothing => None,
            ReadSet::Matching(predicate) => Some(predicate.clone()),
            ReadSet::Everything => Some(Predicate::True),
        }
    }
}

/// One statement's change of one table.
#[derive(Debug, Clone, Default)]
pub struct TableChange {
    /// Add, Remove, MetaData, Protocol and Txn actions; none if nothing matched.
    pub actions: Vec<Action>,
    /// Delta's name of the operation: `WRITE`, `DELETE`, `UPDATE`, `MERGE` …
    pub operation: String,
    /// Delta's operation parameters.
    pub parameters: Map<String, Value>,
    /// Delta's operation metrics.
    pub metrics: Map<String, Value>,
    /// What the statement read of this table.
    pub reads: ReadSet,
    /// Any other commit to the table conflicts: TRUNCATE, replacing, changes of metadata.
    pub exclusive: bool,
}

/// Several changes of one table as one: adds are final − base, removes are base − final.
#[derive(Debug, Clone, Default)]
pub(super) struct Net {
    adds: BTreeMap<String, Add>,
    removes: BTreeMap<String, Remove>,
    metadata: Option<Metadata>,
    protocol: Option<Protocol>,
    txns: BTreeMap<String, Txn>,
    operations: Vec<String>,
    parameters: Map<String, Value>,
    metrics: Map<String, Value>,
    reads_nothing: bool,
}

/// What is written into a body at each attempt.
pub(super) struct Stamp<'a> {
    pub(super) warehouse: &'a str,
    pub(super) txn: &'a str,
    pub(super) role: &'a str,
    pub(super) seq: u64,
    /// The record's time in microseconds.
    pub(super) time: i64,
    /// The version that the body follows; -1 for a new table.
    pub(super) base: i64,
}

impl Net {
    /// Nets the changes of one table, in order.
    ///
    /// # Errors
    /// XX000 if a file is removed twice or added twice.
    pub(super) fn of<'a>(changes: impl IntoIterator<Item = &'a TableChange>) -> Result<Net> {
        let mut net = Net { reads_nothing: true, ..Net::default() };
        for change in changes {
            for action in &change.actions {
                net.take(action)?;
            }
            net.describe(change);
        }
        Ok(net)
    }

    fn take(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Add(add) => {
                let removed = self.removes.get(&add.path);
                if removed.is_some_and(|r| r.deletion_vector == add.deletion_vector) {
                    self.removes.remove(&add.path);
                } else if self.adds.insert(add.path.clone(), add.clone()).is_some() {
                    return Err(Error::internal(format!("file {} is added twice", add.path)));
                }
            }
            Action::Remove(remove) => {
                if self.adds.remove(&remove.path).is_none()
                    && self.removes.insert(remove.path.clone(), remove.clone()).is_some()
                {
                    return Err(Error::internal(format!("file {} is removed twice", remove.path)));
                }
            }
            Action::MetaData(metadata) => self.metadata = Some(metadata.clone()),
            Action::Protocol(protocol) => self.protocol = Some(protocol.clone()),
            Action::Txn(txn) => {
                self.txns.insert(txn.app_id.clone(), txn.clone());
            }
            Action::CommitInfo(_) => {}
        }
        Ok(())
    }

    fn describe(&mut self, change: &TableChange) {
        if change.actions.is_empty() {
            return;
        }
        if !self.operations.contains(&change.operation) {
            self.operations.push(change.operation.clone());
        }
        self.parameters.extend(change.parameters.clone());
        for (name, value) in &change.metrics {
            let sum = match (number(self.metrics.get(name)), number(Some(value))) {
                (Some(a), Some(b)) => json!((a + b).to_string()),
                _ => value.clone(),
            };
            self.metrics.insert(name.clone(), sum);
        }
        self.reads_nothing &= matches!(change.reads, ReadSet::Nothing);
    }

    /// True if nothing is left: the table keeps its version.
    pub(super) fn is_empty(&self) -> bool {
        self.adds.is_empty()
            && self.removes.is_empty()
            && self.metadata.is_none()
            && self.protocol.is_none()
            && self.txns.is_empty()
    }

    /// The files of the base that go.
    pub(super) fn removed(&self) -> impl Iterator<Item = &str> {
        self.removes.keys().map(String::as_str)
    }

    /// Applications whose transaction numbers this sets.
    pub(super) fn apps(&self) -> impl Iterator<Item = &str> {
        self.txns.keys().map(String::as_str)
    }

    /// True if metadata or protocol change.
    pub(super) fn alters(&self) -> bool {
        self.metadata.is_some() || self.protocol.is_some()
    }

    /// The commit body for one attempt.
    pub(super) fn body(&self, stamp: &Stamp<'_>) -> Vec<Action> {
        let mut actions = vec![Action::CommitInfo(self.commit_info(stamp))];
        actions.extend(self.protocol.clone().map(Action::Protocol));
        actions.extend(self.metadata.clone().map(Action::MetaData));
        actions.extend(self.txns.values().cloned().map(Action::Txn));
        actions.extend(self.removes.values().map(|remove| {
            Action::Remove(Remove { deletion_timestamp: Some(stamp.time / 1000), ..remove.clone() })
        }));
        actions.extend(self.adds.values().map(|add| {
            let mut add = add.clone();
            // A file that is added again (RESTORE) keeps the time at which its rows came.
            if add.tag(TIME_TAG).is_none() {
                add.set_tag(TIME_TAG, stamp.time.to_string());
            }
            Action::Add(add)
        }));
        actions
    }

    fn commit_info(&self, stamp: &Stamp<'_>) -> Map<String, Value> {
        let blind = self.reads_nothing && self.removes.is_empty() && !self.alters();
        let info = json!({
            "timestamp": stamp.time / 1000,
            "userName": stamp.role,
            "operation": self.operation(),
            "operationParameters": self.parameters,
            "operationMetrics": self.metrics,
            "readVersion": stamp.base,
            "isolationLevel": "SnapshotIsolation",
            "isBlindAppend": blind,
            "engineInfo": concat!("cenote/", env!("CARGO_PKG_VERSION")),
            "txnId": stamp.txn,
            "cenote": {
                "warehouse": stamp.warehouse,
                "txn": stamp.txn,
                "seq": stamp.seq,
                "index": 0,
                "time": stamp.time,
            },
        });
        match info {
            Value::Object(mut map) => {
                if stamp.base < 0 {
                    map.remove("readVersion");
                }
                map
            }
            _ => Map::new(),
        }
    }

    /// One name for all: CREATE TABLE gives way to CREATE TABLE AS SELECT and the like.
    fn operation(&self) -> String {
        let all = &self.operations;
        let longer = |name: &str| all.iter().any(|o| o != name && o.starts_with(name));
        let names: Vec<&str> = all.iter().map(String::as_str).filter(|n| !longer(n)).collect();
        names.join(", ")
    }
}

/// The tag that holds the time of a file's record, in microseconds.
pub const TIME_TAG: &str = "cenote.time";

fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => s.parse().ok(),
        _ => None,
    }
}

/// A base with changes on top: what the transaction itself sees.
pub(super) fn on_top<'a>(
    base: &TableState,
    changes: impl IntoIterator<Item = &'a TableChange>,
) -> Result<TableState> {
    let mut state = base.clone();
    for change in changes {
        state.change(&change.actions)?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(path: &str) -> Action {
        Action::Add(Add {
            path: path.into(),
            partition_values: BTreeMap::new(),
            size: 1,
            modification_time: 0,
            data_change: true,
            stats: Some("{\"numRecords\":1}".into()),
            tags: None,
            deletion_vector: None,
        })
    }

    fn remove(path: &str) -> Action {
        let Action::Add(add) = add(path) else { unreachable!() };
        Action::Remove(add.remove(5, true))
    }

    fn change(operation: &str, actions: Vec<Action>, rows: i64) -> TableChange {
        let mut metrics = Map::new();
        metrics.insert("numOutputRows".into(), json!(rows.to_string()));
        TableChange { actions, operation: operation.into(), metrics, ..TableChange::default() }
    }

    fn net(changes: &[TableChange]) -> (Vec<String>, Vec<String>) {
        let net = Net::of(changes).expect("nets");
        (net.adds.keys().cloned().collect(), net.removed().map(str::to_owned).collect())
    }

    #[test]
    fn what_a_transaction_added_and_removed_itself_is_gone() {
        let insert = change("WRITE", vec![add("new")], 1);
        let update = change("UPDATE", vec![remove("new"), remove("old"), add("newer")], 2);
        assert_eq!(net(&[insert.clone(), update]), (vec!["newer".into()], vec!["old".into()]));
        let delete = change("DELETE", vec![remove("new")], 1);
        assert!(Net::of([&insert, &delete]).expect("nets").is_empty());
        let back = change("RESTORE", vec![add("old")], 1);
        let gone = change("DELETE", vec![remove("old")], 1);
        assert_eq!(net(&[gone.clone(), back]), (vec![], vec![]), "removed and added again");
        assert!(Net::of([&gone, &gone]).is_err(), "one file cannot go twice");
    }

    #[test]
    fn a_body_is_stamped_and_describes_itself() {
        let changes = [
            change("CREATE TABLE", vec![], 0),
            change("WRITE", vec![add("a")], 2),
            change("WRITE", vec![add("b"), remove("old")], 3),
        ];
        let net = Net::of(&changes).expect("nets");
        let stamp = Stamp {
            warehouse: "w",
            txn: "t",
            role: "ada",
            seq: 9,
            time: 1_700_000_000_123_456,
            base: 3,
        };
        let body = net.body(&stamp);
        let Action::CommitInfo(info) = &body[0] else { panic!("commitInfo comes first") };
        assert_eq!(info["operation"], "WRITE");
        assert_eq!(info["operationMetrics"]["numOutputRows"], "5");
        assert_eq!(info["timestamp"], 1_700_000_000_123_i64);
        assert_eq!(info["isBlindAppend"], false);
        assert_eq!(info["cenote"]["seq"], 9);
        let Action::Remove(remove) = &body[1] else { panic!("removes before adds") };
        assert_eq!(remove.deletion_timestamp, Some(1_700_000_000_123));
        let Action::Add(a) = &body[2] else { panic!("an add") };
        assert_eq!(a.tag(TIME_TAG), Some("1700000000123456"));
    }

    #[test]
    fn a_file_that_is_added_again_keeps_the_time_at_which_its_rows_came() {
        let Action::Add(mut old) = add("old") else { unreachable!() };
        old.set_tag(TIME_TAG, "5");
        let net = Net::of(&[change("RESTORE", vec![Action::Add(old)], 1)]).expect("nets");
        let stamp = Stamp { warehouse: "w", txn: "t", role: "ada", seq: 9, time: 1_700, base: 3 };
        let body = net.body(&stamp);
        let Action::Add(again) = &body[1] else { panic!("an add") };
        assert_eq!(again.tag(TIME_TAG), Some("5"));
    }

    #[test]
    fn creating_and_filling_a_table_is_one_operation() {
        let names = |changes: &[&str]| {
            let changes: Vec<_> =
                changes.iter().map(|n| change(n, vec![add(&format!("f-{n}"))], 0)).collect();
            Net::of(&changes).expect("nets").operation()
        };
        assert_eq!(names(&["CREATE TABLE", "CREATE TABLE AS SELECT"]), "CREATE TABLE AS SELECT");
        assert_eq!(names(&["WRITE", "DELETE"]), "WRITE, DELETE");
    }
}
