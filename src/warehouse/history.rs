//! What happened: commits of the warehouse, versions of a table, and the way from times to both.

use super::fold::TableLog;
use super::log::read;
use super::open::Warehouse;
use super::snapshot::Snapshot;
use crate::catalog::TableId;
use crate::delta::actions::Action;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use chrono::{DateTime, SecondsFormat};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Map, Value};
use std::sync::Arc;

const READS_AT_ONCE: usize = 16;

/// A transaction that committed.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitEntry {
    /// The record's number.
    pub seq: u64,
    /// The record's time: microseconds since 1970, UTC.
    pub time: i64,
    /// The transaction's id.
    pub txn: String,
    /// The role that ran it.
    pub role: String,
    /// The record that it began at.
    pub base: u64,
    /// The statement, if one was given.
    pub statement: Option<String>,
    /// The tables that it changed, and the versions that it made.
    pub tables: Vec<(TableId, i64)>,
    /// All that the record says beside.
    pub info: Map<String, Value>,
}

/// A version of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// The Delta version.
    pub version: i64,
    /// Microseconds since 1970, UTC.
    pub time: i64,
    /// Delta's name of the operation.
    pub operation: String,
    /// The operation's parameters.
    pub parameters: Map<String, Value>,
    /// The operation's metrics.
    pub metrics: Map<String, Value>,
    /// The role that ran it.
    pub role: Option<String>,
    /// The transaction's id.
    pub txn: Option<String>,
    /// The number of the warehouse record.
    pub seq: Option<u64>,
}

impl Warehouse {
    /// The transactions of the newest records, newest first.
    ///
    /// # Errors
    /// XX001 if a record is damaged.
    pub async fn commits(self: &Arc<Self>, limit: Option<usize>) -> Result<Vec<CommitEntry>> {
        self.snapshot().await?.commits(limit).await
    }

    /// The number of the last record that is not later than a time; 0 if all are later.
    async fn seq_at(&self, upto: u64, micros: i64) -> Result<u64> {
        let (mut low, mut high) = (self.log.floor().await?.max(1), upto + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(middle).await?.ok_or_else(|| super::log::missing(middle))?;
            match entry.record.time <= micros {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low - 1)
    }
}

impl Snapshot {
    /// The transactions up to this snapshot, newest first.
    ///
    /// # Errors
    /// XX001 if a record is damaged.
    pub async fn commits(&self, limit: Option<usize>) -> Result<Vec<CommitEntry>> {
        let limit = limit.unwrap_or(usize::MAX);
        let first = self.warehouse.log.floor().await?.max(1);
        let entries = stream::iter((first..=self.seq()).rev())
            .map(|seq| self.warehouse.entry(seq))
            .buffered(READS_AT_ONCE);
        let mut commits = Vec::new();
        futures::pin_mut!(entries);
        while commits.len() < limit
            && let Some(entry) = entries.try_next().await?
        {
            let Some(entry) = entry else { break };
            for txn in entry.record.txns.iter().rev() {
                let last = txn.tables.iter().filter_map(|(id, c)| Some((id, c.last()?)));
                commits.push(CommitEntry {
                    seq: entry.record.seq,
                    time: entry.record.time,
                    txn: txn.id.clone(),
                    role: txn.role.clone(),
                    base: txn.base,
                    statement: txn.info.get("statement").and_then(Value::as_str).map(Into::into),
                    tables: last.map(|(id, commit)| (id.clone(), commit.version)).collect(),
                    info: txn.info.clone(),
                });
            }
        }
        commits.truncate(limit);
        Ok(commits)
    }

    /// The version that a table had at a time (microseconds since 1970, UTC): that of the last record
    /// not later than it.
    ///
    /// # Errors
    /// 22023 if the table did not exist yet, with the range in the hint.
    pub async fn version_at_time(&self, id: &str, micros: i64) -> Result<i64> {
        let log = self.table_log(id)?;
        if micros >= log.last.time {
            return Ok(log.head);
        }
        if micros < log.first.time {
            return Err(self.too_early(id, log, micros));
        }
        let seq = self.warehouse.seq_at(self.seq(), micros).await?;
        let fold = self.warehouse.fold_at(seq.max(log.first.seq)).await?;
        fold.catalog.head(id).ok_or_else(|| self.too_early(id, log, micros))
    }

    fn too_early(&self, id: &str, log: &TableLog, micros: i64) -> Error {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("table {} did not exist at {}", self.table_name(id), show(micros)),
        )
        .hint(format!(
            "Its first version is of {}, its last of {}.",
            show(log.first.time),
            show(log.last.time)
        ))
    }

    /// The newest versions of a table up to this snapshot, newest first. Versions whose commit others
    /// have cleaned away are left out.
    ///
    /// # Errors
    /// 42P01 if the table does not exist here, XX001 if a commit cannot be read.
    pub async fn history(&self, id: &str, limit: Option<usize>) -> Result<Vec<HistoryEntry>> {
        let log = self.table_log(id)?;
        let found: Vec<Option<HistoryEntry>> = stream::iter((0..=log.head).rev())
            .take(limit.unwrap_or(usize::MAX))
            .map(|version| self.version_entry(log, version))
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn version_entry(&self, log: &TableLog, version: i64) -> Result<Option<HistoryEntry>> {
        if let Some(body) = log.bodies.get(&version) {
            return Ok(Some(describe(version, commit_info(&body.text))));
        }
        let path = log.commit_file(version)?;
        let bytes = read(self.warehouse.log.store.as_ref(), &path).await?;
        Ok(bytes.map(|b| describe(version, commit_info(&String::from_utf8_lossy(&b)))))
    }
}

/// The commitInfo of a body; others may have put it in any line, or left it out.
fn commit_info(body: &str) -> Map<String, Value> {
    let infos = body.lines().filter(|line| line.starts_with("{\"commitInfo\""));
    infos
        .filter_map(|line| match serde_json::from_str(line) {
            Ok(Action::CommitInfo(info)) => Some(info),
            _ => None,
        })
        .next()
        .unwrap_or_default()
}

fn describe(version: i64, mut info: Map<String, Value>) -> HistoryEntry {
    let ours = info.remove("cenote").unwrap_or_default();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let map = |value: Option<Value>| match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let millis = info.get("timestamp").and_then(Value::as_i64).unwrap_or(0);
    HistoryEntry {
        version,
        time: ours["time"].as_i64().unwrap_or(millis * 1000),
        operation: text(info.get("operation")).unwrap_or_default(),
        role: text(info.get("userName")),
        txn: text(ours.get("txn")),
        seq: ours["seq"].as_u64(),
        parameters: map(info.remove("operationParameters")),
        metrics: map(info.remove("operationMetrics")),
    }
}

fn show(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Micros, true),
        None => format!("{micros} microseconds since 1970"),
    }
}
