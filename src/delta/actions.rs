//! Delta actions as plain values, and a commit body as a list of them.
//!
//! The JSON is the Delta protocol's: one action a line, tagged by its kind. Everything that this
//! program writes passes through here; logs of other writers are read through delta-rs.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Partition values by column; NULL is `None`.
pub type PartitionValues = BTreeMap<String, Option<String>>;

/// One line of a Delta commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Provenance of the commit.
    CommitInfo(serde_json::Map<String, Value>),
    /// What a reader and a writer must understand.
    Protocol(Protocol),
    /// Schema, partitioning and properties.
    MetaData(Metadata),
    /// A data file that is part of the table from now on.
    Add(Add),
    /// A data file that no longer is.
    Remove(Remove),
    /// An application's own transaction number.
    Txn(Txn),
}

/// Versions and features that readers and writers must support.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Protocol {
    /// 1, or 3 with reader features.
    pub min_reader_version: i32,
    /// 7 for every managed table.
    pub min_writer_version: i32,
    /// Features a reader must know; only with reader version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader_features: Option<Vec<String>>,
    /// Features a writer must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_features: Option<Vec<String>>,
}

/// A table's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The table's id as a UUID.
    pub id: String,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The file format, always Parquet.
    pub format: Format,
    /// The schema as Delta's schema JSON.
    pub schema_string: String,
    /// Partition columns.
    pub partition_columns: Vec<String>,
    /// Table properties.
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

/// The file format of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// `parquet`.
    pub provider: String,
    /// Options of the provider; none.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Default for Format {
    fn default() -> Self {
        Self { provider: "parquet".into(), options: BTreeMap::new() }
    }
}

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Add {
    /// Relative to the table's folder, URL-encoded.
    pub path: String,
    /// The file's partition values.
    pub partition_values: PartitionValues,
    /// Length in bytes.
    pub size: i64,
    /// Milliseconds since 1970.
    pub modification_time: i64,
    /// False if the file only rearranges rows that the table had.
    pub data_change: bool,
    /// Statistics as Delta's JSON; `numRecords` is always there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    /// Tags; `cenote.time` is the record's time in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, Option<String>>>,
    /// A deletion vector, kept as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<Value>,
}

/// A data file that left a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remove {
    /// The path of the add.
    pub path: String,
    /// Milliseconds since 1970; always written, for a missing one counts as expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<i64>,
    /// False if the rows live on in other files.
    pub data_change: bool,
    /// True if the three fields below are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_file_metadata: Option<bool>,
    /// The file's partition values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_values: Option<PartitionValues>,
    /// Length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// A deletion vector, kept as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<Value>,
}

/// An application's transaction number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Txn {
    /// The application.
    pub app_id: String,
    /// Its number.
    pub version: i64,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

impl Add {
    /// The remove that takes this file out of its table at `now_ms` (milliseconds since 1970).
    pub fn remove(&self, now_ms: i64, data_change: bool) -> Remove {
        Remove {
            path: self.path.clone(),
            deletion_timestamp: Some(now_ms),
            data_change,
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values.clone()),
            size: Some(self.size),
            deletion_vector: self.deletion_vector.clone(),
        }
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.as_ref()?.get(key)?.as_deref()
    }

    /// Sets a tag.
    pub fn set_tag(&mut self, key: &str, value: impl Into<String>) {
        self.tags.get_or_insert_default().insert(key.to_owned(), Some(value.into()));
    }
}

/// Writes a commit body: one action a line.
pub fn to_bytes(actions: &[Action]) -> Vec<u8> {
    let mut out = Vec::with_capacity(actions.len() * 256);
    for action in actions {
        serde_json::to_writer(&mut out, action).expect("actions hold only JSON values");
        out.push(b'\n');
    }
    out
}

/// Reads a commit body that this program wrote.
///
/// # Errors
/// XX001 with the line if one is no action that this program knows.
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<Action>> {
    bytes
        .split(|b| *b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
        .map(|(i, line)| {
            serde_json::from_slice(line).map_err(|e| {
                Error::new(
                    SqlState::DataCorrupted,
                    format!("line {} of a Delta commit cannot be read: {e}", i + 1),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_round_trips_in_the_protocols_own_spelling() {
        let text = concat!(
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["appendOnly"]}}"#,
            "\n",
            r#"{"add":{"path":"a.parquet","partitionValues":{"d":null},"size":1,"modificationTime":2,"dataChange":true,"stats":"{\"numRecords\":3}"}}"#,
            "\n",
            r#"{"remove":{"path":"b.parquet","deletionTimestamp":5,"dataChange":true}}"#,
            "\n",
        );
        let actions = from_bytes(text.as_bytes()).expect("valid actions");
        assert_eq!(actions.len(), 3);
        assert_eq!(String::from_utf8(to_bytes(&actions)).expect("utf-8"), text);
        assert!(from_bytes(br#"{"unheard":{}}"#).is_err());
    }
}
