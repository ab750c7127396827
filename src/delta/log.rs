//! Reading a table's `_delta_log` and writing its checkpoints, both through delta-rs.
//!
//! The store handed to delta-rs is the table's folder alone, so that no path has to be translated.
//! Its checkpoints are written without its log clean-up, which would delete history behind us.

use super::TableState;
use super::actions::{Add, Metadata, PartitionValues, Protocol};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StructArray};
use arrow::datatypes::{Int32Type, Int64Type};
use deltalake::DeltaTableError;
use deltalake::kernel::Snapshot;
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Loads a table at a version that its `_delta_log` holds.
///
/// # Errors
/// 58P01 if that version is not there (any more), XX001 if the log cannot be read.
pub async fn load(store: Arc<dyn ObjectStore>, table: &Path, version: i64) -> Result<TableState> {
    let log = open(store, table)?;
    let wanted = u64::try_from(version).map_err(|_| gone(table, version))?;
    let snapshot = Snapshot::try_new(log.as_ref(), Some(wanted))
        .await
        .map_err(|e| from_delta(e, table, version))?;
    let batches: Vec<RecordBatch> = snapshot
        .files(log.as_ref(), None)
        .try_collect()
        .await
        .map_err(|e| from_delta(e, table, version))?;
    let mut files = Vec::new();
    for batch in &batches {
        read_files(batch, &mut files)?;
    }
    let protocol: Protocol = convert(snapshot.protocol())?;
    let metadata: Metadata = convert(snapshot.metadata())?;
    Ok(TableState::new(version, protocol, metadata, files))
}

/// Writes a checkpoint of a table at a version that its `_delta_log` holds.
///
/// # Errors
/// As [`load`], and what writing answers.
pub async fn write_checkpoint(
    store: Arc<dyn ObjectStore>,
    table: &Path,
    version: i64,
) -> Result<()> {
    let log = open(store, table)?;
    let wanted = u64::try_from(version).map_err(|_| gone(table, version))?;
    let mut delta = deltalake::DeltaTable::new(log);
    delta.load_version(wanted).await.map_err(|e| from_delta(e, table, version))?;
    deltalake::checkpoints::create_checkpoint(&delta, None)
        .await
        .map_err(|e| from_delta(e, table, version))
}

fn open(store: Arc<dyn ObjectStore>, table: &Path) -> Result<LogStoreRef> {
    let folder: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(store, table.clone()));
    // The kernel lists stores of other schemes than `file` without sorting what they answer.
    let url = url::Url::parse("file:///").map_err(|e| Error::internal(e.to_string()))?;
    Ok(default_logstore(folder.clone(), folder, &url, &StorageConfig::default()))
}

/// delta-rs's own types serialise in the protocol's spelling.
fn convert<T: serde::de::DeserializeOwned>(value: &impl serde::Serialize) -> Result<T> {
    serde_json::to_value(value).and_then(serde_json::from_value).map_err(|e| {
        Error::new(SqlState::DataCorrupted, "a Delta table has an unknown protocol or metadata")
            .detail(format!("{e}."))
    })
}

fn read_files(batch: &RecordBatch, files: &mut Vec<Add>) -> Result<()> {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .ok_or_else(|| Error::internal(format!("the log reader gave no column {name}")))
    };
    let (paths, sizes, times) = (column("path")?, column("size")?, column("modificationTime")?);
    let stats = batch.column_by_name("stats");
    let vectors = batch.column_by_name("deletionVector").and_then(|c| c.as_struct_opt());
    let constants = column("fileConstantValues")?.as_struct();
    let partitions = constants.column_by_name("partitionValues");
    let tags = constants.column_by_name("tags");
    for row in 0..batch.num_rows() {
        let tags = tags.and_then(|t| map_at(t, row)).filter(|t| !t.is_empty());
        files.push(Add {
            path: text_at(paths, row).unwrap_or_default(),
            partition_values: partitions.and_then(|p| map_at(p, row)).unwrap_or_default(),
            size: long_at(sizes, row),
            modification_time: long_at(times, row),
            data_change: true,
            stats: stats.and_then(|s| text_at(s, row)),
            tags,
            deletion_vector: vectors.and_then(|v| vector_at(v, row)),
        });
    }
    Ok(())
}

fn long_at(column: &ArrayRef, row: usize) -> i64 {
    match column.as_primitive_opt::<Int64Type>() {
        Some(values) if values.is_valid(row) => values.value(row),
        _ => 0,
    }
}

fn text_at(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let text = if let Some(values) = column.as_string_opt::<i32>() {
        values.value(row)
    } else if let Some(values) = column.as_string_opt::<i64>() {
        values.value(row)
    } else {
        column.as_string_view_opt()?.value(row)
    };
    Some(text.to_owned())
}

fn map_at(column: &ArrayRef, row: usize) -> Option<PartitionValues> {
    let map: &MapArray = column.as_map_opt()?;
    if map.is_null(row) {
        return None;
    }
    let entries = map.value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    Some(
        (0..entries.len())
            .filter_map(|i| Some((text_at(keys, i)?, text_at(values, i))))
            .collect::<BTreeMap<_, _>>(),
    )
}

fn vector_at(column: &StructArray, row: usize) -> Option<serde_json::Value> {
    if column.is_null(row) {
        return None;
    }
    let text = |name| column.column_by_name(name).and_then(|c| text_at(c, row));
    let int = |name| {
        let values = column.column_by_name(name)?.as_primitive_opt::<Int32Type>()?;
        values.is_valid(row).then(|| values.value(row))
    };
    let storage = text("storageType")?;
    let mut vector = json!({
        "storageType": storage,
        "pathOrInlineDv": text("pathOrInlineDv")?,
        "sizeInBytes": int("sizeInBytes")?,
        "cardinality": long_at(column.column_by_name("cardinality")?, row),
    });
    if let Some(offset) = int("offset") {
        vector["offset"] = json!(offset);
    }
    Some(vector)
}

fn gone(table: &Path, version: i64) -> Error {
    Error::new(SqlState::UndefinedFile, format!("version {version} of table {table} is not there"))
        .hint("Its log may have been cleaned; take a newer version.")
}

fn from_delta(error: DeltaTableError, table: &Path, version: i64) -> Error {
    let missing =
        matches!(&error, DeltaTableError::InvalidVersion(_) | DeltaTableError::NotATable(_));
    if missing {
        return gone(table, version).source(error);
    }
    Error::new(
        SqlState::DataCorrupted,
        format!("the Delta log of table {table} cannot be read at version {version}"),
    )
    .detail(format!("{error}."))
    .source(error)
}
