//! A record of the warehouse log: the transactions that one put made true.

use super::envelope;
use crate::catalog::{CatalogOp, TableId};
use crate::delta::predicate::Predicate;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format that this program writes.
pub const FORMAT: u32 = 1;

/// One record. An unknown field stops the fold, except inside of `info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format's number.
    pub format: u32,
    /// Features that a reader must understand; this program knows none yet.
    pub needs: Vec<String>,
    /// The warehouse's id.
    pub warehouse: String,
    /// Its place in the log, from 1.
    pub seq: u64,
    /// A random id of its own, so that its writer knows it again.
    pub record: String,
    /// The checksum of the record before it; empty for the first one.
    pub previous: String,
    /// Microseconds since 1970, greater than that of the record before.
    pub time: i64,
    /// The transactions, in order.
    pub txns: Vec<TxnRecord>,
}

/// One transaction of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TxnRecord {
    /// Its random id.
    pub id: String,
    /// The record that it began at.
    pub base: u64,
    /// The role that ran it.
    pub role: String,
    /// What it relies on (`r:…`) and what it changes (`w:…`), for the conflict check of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Catalog operations, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<CatalogOp>,
    /// Delta commits by table, ascending.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<TableId, Vec<DeltaCommit>>,
    /// The rows of tables that it read to change them, also if it changed none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<TableId, Vec<Predicate>>,
    /// Tables that a foreign commit has broken into.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quarantine: BTreeMap<TableId, Quarantine>,
    /// What people want to know: the statement and the like.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub info: serde_json::Map<String, serde_json::Value>,
}

/// A Delta commit: its version and its body, here or staged in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaCommit {
    /// The Delta version.
    pub version: i64,
    /// The exact text of `<version>.json`; empty while it has not been fetched from `staged`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The file that holds the body, if it is large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<Staged>,
}

/// A body in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staged {
    /// Path relative to the warehouse.
    pub path: String,
    /// Length in bytes.
    pub length: u64,
    /// BLAKE3 in hexadecimal.
    pub blake3: String,
}

/// Why a table takes no writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// The Delta version that someone else wrote.
    pub version: i64,
    /// What was found, a whole sentence.
    pub reason: String,
}

impl Record {
    /// The bytes of the record's file, and their checksum.
    ///
    /// A body that was staged must be empty here; it is filled in after reading.
    pub fn encode(&self) -> (Vec<u8>, String) {
        envelope::seal(self)
    }

    /// True for bytes that are not a whole record: cut short, or damaged.
    pub fn is_torn(bytes: &[u8]) -> bool {
        envelope::open(bytes).is_none()
    }

    /// Reads a record's file and verifies it; returns the record and its checksum.
    ///
    /// # Errors
    /// XX001 if it is torn or changed, XX001 as well if it needs what this program does not know.
    pub fn decode(bytes: &[u8], seq: u64) -> Result<(Record, String)> {
        let Some((json, checksum)) = envelope::open(bytes) else {
            return Err(torn(seq, bytes.len()));
        };
        check_format(&json, &format!("record {seq}"))?;
        let record: Record = serde_json::from_slice(&json).map_err(|e| {
            unknown(&format!("record {seq}")).detail(format!("Reading it failed: {e}."))
        })?;
        if record.seq != seq {
            return Err(Error::new(
                SqlState::DataCorrupted,
                format!("record {seq} of the warehouse log says that it is record {}", record.seq),
            ));
        }
        Ok((record, checksum))
    }
}

/// Refuses a format or a feature that this program does not know, before it trips over a field.
pub(super) fn check_format(json: &[u8], what: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
        needs: Vec<String>,
    }
    let head: Head = serde_json::from_slice(json)
        .map_err(|e| unknown(what).detail(format!("Reading it failed: {e}.")))?;
    if head.format != FORMAT {
        return Err(unknown(what).detail(format!("Its format is {}.", head.format)));
    }
    if let Some(need) = head.needs.first() {
        return Err(unknown(what).detail(format!("It needs the feature \"{need}\".")));
    }
    Ok(())
}

fn unknown(what: &str) -> Error {
    Error::new(SqlState::DataCorrupted, format!("{what} of the warehouse cannot be understood"))
        .hint("A newer version of cenote may have written it; use that version.")
}

fn torn(seq: u64, length: usize) -> Error {
    Error::new(SqlState::DataCorrupted, format!("record {seq} of the warehouse log is damaged"))
        .detail(format!("Its {length} bytes do not match their checksum; it may be torn."))
        .hint("Stop all that use the warehouse and run \"cenote doctor\"; it can set a torn last record aside.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let commit = DeltaCommit { version: 4, body: "{\"add\":{}}\n".into(), staged: None };
        Record {
            format: FORMAT,
            needs: vec![],
            warehouse: "w".into(),
            seq: 7,
            record: "r".into(),
            previous: "p".into(),
            time: 1_000_001,
            txns: vec![TxnRecord {
                id: "t".into(),
                base: 6,
                role: "ada".into(),
                keys: vec!["w:table:x".into()],
                ops: vec![CatalogOp::DropSchema { name: "s".into() }],
                tables: [("x".to_owned(), vec![commit])].into(),
                reads: [("x".to_owned(), vec![Predicate::IsNull("c".into())])].into(),
                quarantine: BTreeMap::new(),
                info: serde_json::Map::new(),
            }],
        }
    }

    #[test]
    fn a_record_round_trips_and_a_torn_one_is_recognised() {
        let (bytes, checksum) = record().encode();
        assert_eq!(Record::decode(&bytes, 7).expect("whole"), (record(), checksum));
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let error = Record::decode(&bytes[..cut], 7).expect_err("torn");
            assert_eq!(error.code(), SqlState::DataCorrupted);
            assert!(error.get_hint().is_some_and(|h| h.contains("cenote doctor")));
        }
        assert!(Record::decode(&bytes, 8).is_err(), "a record in another's place");
    }

    #[test]
    fn an_unknown_field_stops_the_fold_except_in_info() {
        let mut json = serde_json::to_value(record()).expect("json");
        json["txns"][0]["info"]["anything"] = serde_json::json!({"a": 1});
        let (bytes, _) = envelope::seal(&json);
        Record::decode(&bytes, 7).expect("info is free");
        for place in ["/txns/0", "/txns/0/ops/0", "/txns/0/tables/x/0", ""] {
            let mut changed = json.clone();
            changed.pointer_mut(place).expect("there")["novelty"] = serde_json::json!(1);
            let (bytes, _) = envelope::seal(&changed);
            let error = Record::decode(&bytes, 7).expect_err(place);
            assert!(error.get_hint().is_some_and(|h| h.contains("newer version")), "{place}");
        }
        json["needs"] = serde_json::json!(["time_machine"]);
        let error = Record::decode(&envelope::seal(&json).0, 7).expect_err("a need");
        assert_eq!(error.get_detail(), Some("It needs the feature \"time_machine\"."));
    }
}
