//! Checkpoints of the log: the folded state in one checksummed file, only to start faster.
//!
//! A checkpoint that is damaged, or of a newer format, is passed over: an older one, or the log from
//! its first record, says the same.

use super::envelope;
use super::fold::{Body, Fold, Point, TableLog};
use super::log::{Log, read};
use super::record::{FORMAT, Quarantine, check_format};
use super::tables::TableCache;
use crate::catalog::{CatalogParts, CatalogState, TableId};
use crate::delta::actions::{Metadata, Protocol};
use crate::error::Result;
use imbl::OrdMap;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

const FOLDER: &str = "_cenote/checkpoint";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    needs: Vec<String>,
    warehouse: String,
    seq: u64,
    record: String,
    record_checksum: String,
    time: i64,
    catalog: CatalogParts,
    tables: BTreeMap<TableId, Part>,
    dropped: BTreeMap<TableId, Part>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    path: String,
    head: i64,
    watermark: i64,
    /// The bodies above the watermark.
    bodies: BTreeMap<i64, String>,
    protocol: Protocol,
    metadata: Metadata,
    first: Point,
    last: Point,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quarantine: Option<Quarantine>,
}

impl Part {
    fn of(log: &TableLog, watermark: i64) -> Part {
        let above = log.bodies.iter().filter(|(v, _)| **v > watermark);
        Part {
            path: log.path.clone(),
            head: log.head,
            watermark,
            bodies: above.map(|(v, body)| (*v, body.text.clone())).collect(),
            protocol: (*log.protocol).clone(),
            metadata: (*log.metadata).clone(),
            first: log.first,
            last: log.last,
            quarantine: log.quarantine.clone(),
        }
    }

    fn into_log(self) -> TableLog {
        let bodies = self.bodies.into_iter().map(|(v, text)| (v, Arc::new(Body::new(text))));
        TableLog {
            path: self.path,
            head: self.head,
            protocol: Arc::new(self.protocol),
            metadata: Arc::new(self.metadata),
            bodies: bodies.collect(),
            first: self.first,
            last: self.last,
            quarantine: self.quarantine,
        }
    }
}

fn key(seq: u64) -> Path {
    Path::from(format!("{FOLDER}/{seq:020}.json"))
}

/// Writes a checkpoint of a fold; another process may have been faster.
pub(super) async fn write(log: &Log, fold: &Fold, tables: &TableCache) -> Result<()> {
    let parts = |map: &OrdMap<TableId, Arc<TableLog>>| -> BTreeMap<TableId, Part> {
        // A watermark that rose since only means that the file holds less than it could.
        map.iter()
            .map(|(id, log)| (id.clone(), Part::of(log, tables.watermark(id).min(log.head))))
            .collect()
    };
    let file = File {
        format: FORMAT,
        needs: Vec::new(),
        warehouse: fold.warehouse.clone(),
        seq: fold.seq,
        record: fold.record.clone(),
        record_checksum: fold.checksum.clone(),
        time: fold.time,
        catalog: fold.catalog.to_parts(),
        tables: parts(&fold.tables),
        dropped: parts(&fold.dropped),
    };
    let (bytes, _) = envelope::seal(&file);
    match log.store.put_opts(&key(fold.seq), bytes.into(), PutMode::Create.into()).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// The newest valid checkpoint not above `limit`, and the watermarks that it knew.
pub(super) async fn newest(log: &Log, limit: u64) -> Result<Option<(Fold, Vec<(TableId, i64)>)>> {
    let listed = log.store.list_with_delimiter(Some(&Path::from(FOLDER))).await?;
    let mut seqs: Vec<u64> = listed
        .objects
        .iter()
        .filter_map(|o| o.location.filename()?.strip_suffix(".json")?.parse().ok())
        .filter(|seq| *seq <= limit)
        .collect();
    seqs.sort_unstable();
    for seq in seqs.into_iter().rev() {
        if let Some(found) = load(log, seq).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn load(log: &Log, seq: u64) -> Result<Option<(Fold, Vec<(TableId, i64)>)>> {
    let Some(bytes) = read(log.store.as_ref(), &key(seq)).await? else { return Ok(None) };
    let passed_over = |why: &str| {
        tracing::warn!("checkpoint {seq} of the warehouse log is passed over: {why}");
        Ok(None)
    };
    let Some((json, _)) = envelope::open(&bytes) else { return passed_over("damaged") };
    if let Err(e) = check_format(&json, "a checkpoint") {
        return passed_over(e.message());
    }
    match serde_json::from_slice::<File>(&json) {
        Ok(file) if file.seq == seq => Ok(Some(unfold(file))),
        Ok(_) => passed_over("in another's place"),
        Err(e) => passed_over(&e.to_string()),
    }
}

fn unfold(file: File) -> (Fold, Vec<(TableId, i64)>) {
    let all = file.tables.iter().chain(&file.dropped);
    let watermarks = all.map(|(id, part)| (id.clone(), part.watermark)).collect();
    let logs = |parts: BTreeMap<TableId, Part>| -> OrdMap<TableId, Arc<TableLog>> {
        parts.into_iter().map(|(id, part)| (id, Arc::new(part.into_log()))).collect()
    };
    let fold = Fold {
        warehouse: file.warehouse,
        seq: file.seq,
        record: file.record,
        time: file.time,
        checksum: file.record_checksum,
        catalog: Arc::new(CatalogState::from_parts(file.catalog)),
        tables: logs(file.tables),
        written: Arc::default(),
        dropped: logs(file.dropped),
    };
    (fold, watermarks)
}
