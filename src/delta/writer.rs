//! Writes rows as the Parquet files of a Delta table and describes them as add actions.
//!
//! Rows keep their order. Columns are encoded side by side on blocking threads, while the next
//! rows are fetched; a file is uploaded in parts as its row groups are done, so memory holds at
//! most a row group per open file. A small result is encoded in place and put at once.

mod file;
mod row_group;

pub(crate) use file::{Chunk, FileWriter, Pages};
pub(crate) use row_group::{ColumnEncoder, RowGroup};

use super::actions::{Add, PartitionValues};
use super::location::object_path;
use super::new_files::NewFiles;
use super::text;
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::basic::{Compression, ZstdLevel};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The table property that names the compression of new files.
pub const COMPRESSION_PROPERTY: &str = "delta.parquet.compression.codec";

/// The table property that says how large files should become, in bytes.
pub const FILE_SIZE_PROPERTY: &str = "delta.targetFileSize";

const FILE_SIZE: u64 = 256 * 1024 * 1024;
const ROW_GROUP_ROWS: usize = 1024 * 1024;

/// Rows are handed to the encoders in portions of about this many.
const CHUNK_ROWS: usize = 64 * 1024;

/// A portion of wide rows ends at this many bytes.
const CHUNK_BYTES: usize = 32 * 1024 * 1024;

/// Rows that wait for their partition's encoder, over all partitions, in bytes.
const PENDING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Encoded pages that open files may hold together, in bytes; beyond it the largest is finished.
const OPEN_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Encoders that work side by side; asking the system takes longer than encoding a row.
static THREADS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// Where and how the files of a table are written.
#[derive(Debug, Clone)]
pub struct WriteTarget {
    /// The table's columns in order, hidden ones included.
    pub schema: SchemaRef,
    /// The columns that stand in folder names instead of files.
    pub partition_by: Vec<String>,
    /// The table's folder within the store.
    pub prefix: Path,
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Compression of the pages.
    pub compression: Compression,
    /// A file that has reached this many bytes is finished.
    pub file_size: u64,
    /// Rows in a row group.
    pub row_group_rows: usize,
    /// Threads that encode one write.
    pub threads: usize,
    /// Where files are noted before they appear.
    pub new_files: NewFiles,
}

impl WriteTarget {
    /// The target for a catalog table in the folder `prefix` of `store`.
    ///
    /// # Errors
    /// 22023 for a table property with a value that it cannot have.
    pub fn new(table: &Table, store: Arc<dyn ObjectStore>, prefix: Path) -> Result<Self> {
        let property = |name: &str| table.properties.get(name).map(String::as_str);
        let file_size = match property(FILE_SIZE_PROPERTY) {
            Some(text) => bytes(text).ok_or_else(|| invalid_property(FILE_SIZE_PROPERTY, text))?,
            None => FILE_SIZE,
        };
        Ok(Self {
            schema: table.schema(),
            partition_by: table.partition_by.clone(),
            prefix,
            store,
            compression: compression(property(COMPRESSION_PROPERTY).unwrap_or("snappy"))?,
            file_size,
            row_group_rows: ROW_GROUP_ROWS,
            threads: *THREADS,
            new_files: NewFiles::default(),
        })
    }

    /// The columns that stand in the files: all but the partition columns, without metadata.
    pub fn file_schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .schema
            .fields()
            .iter()
            .filter(|f| !self.partition_by.contains(f.name()))
            .map(|f| Field::new(f.name(), f.data_type().clone(), f.is_nullable()))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// Removes files that no commit names: what a failed statement had written. Best effort; what
    /// remains is an orphan for VACUUM.
    pub async fn discard(&self, adds: &[Add]) {
        for add in adds {
            let deleted = match object_path(&self.prefix, &add.path) {
                Ok(path) => self.store.delete(&path).await.map_err(Error::from),
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                tracing::warn!(path = add.path, %error, "an unused data file was left behind");
            }
        }
    }
}

/// The compression that a name means, as Spark and DuckDB spell them.
///
/// # Errors
/// 22023 for any other name.
pub fn compression(name: &str) -> Result<Compression> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "snappy" => Compression::SNAPPY,
        "zstd" => Compression::ZSTD(ZstdLevel::default()),
        "lz4" | "lz4_raw" => Compression::LZ4_RAW,
        "none" | "uncompressed" => Compression::UNCOMPRESSED,
        _ => return Err(invalid_property(COMPRESSION_PROPERTY, name)),
    })
}

fn invalid_property(name: &str, value: &str) -> Error {
    let error = Error::new(
        SqlState::InvalidParameterValue,
        format!("invalid value for table property \"{name}\": \"{value}\""),
    );
    if name == COMPRESSION_PROPERTY {
        return error.hint("Use snappy, zstd, lz4_raw or uncompressed.");
    }
    error.hint("Give a number of bytes, or one with a unit such as 128mb.")
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return None,
    };
    number.checked_shl(shift).filter(|n| *n > 0)
}

/// Writes all rows of `stream`, whose columns are those of the target's schema in the same order,
/// and describes the files. No rows, no file.
///
/// If it fails, the files that it had written are removed. If it is dropped, they are among the target's
/// new files.
///
/// # Errors
/// What the stream fails with; 23502 for NULL in a required column; 0A000 for a partition value
/// that no folder can hold; errors of the store.
pub async fn write(stream: SendableRecordBatchStream, target: &WriteTarget) -> Result<Vec<Add>> {
    let mut files = FileSet::new(target)?;
    let outcome = match files.consume(stream).await {
        Ok(()) => files.finish_all().await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => Ok(files.done),
        Err(error) => {
            files.abandon().await;
            Err(error)
        }
    }
}

/// The files that one write has open or has finished.
struct FileSet<'a> {
    target: &'a WriteTarget,
    file_schema: SchemaRef,
    /// Places of the partition columns and of the others in the target's schema.
    keys: Vec<usize>,
    values: Vec<usize>,
    converter: Option<RowConverter>,
    open: HashMap<Option<OwnedRow>, Slot>,
    written: usize,
    done: Vec<Add>,
}

/// One partition: its open file, if any, and the rows that wait for it.
struct Slot {
    partition: PartitionValues,
    file: Option<FileWriter>,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    pending_bytes: usize,
}

impl<'a> FileSet<'a> {
    fn new(target: &'a WriteTarget) -> Result<Self> {
        let fields = target.schema.fields();
        let keys: Vec<usize> = target
            .partition_by
            .iter()
            .map(|name| target.schema.index_of(name))
            .collect::<Result<_, _>>()?;
        let values = (0..fields.len()).filter(|i| !keys.contains(i)).collect();
        let converter = match keys.as_slice() {
            [] => None,
            keys => Some(RowConverter::new(
                keys.iter().map(|i| SortField::new(fields[*i].data_type().clone())).collect(),
            )?),
        };
        Ok(Self {
            target,
            file_schema: target.file_schema(),
            keys,
            values,
            converter,
            open: HashMap::new(),
            written: 0,
            done: vec![],
        })
    }

    async fn consume(&mut self, mut stream: SendableRecordBatchStream) -> Result<()> {
        let mut next = next_chunk(&mut stream).await?;
        while !next.is_empty() {
            for batch in std::mem::take(&mut next) {
                self.route(&batch)?;
            }
            let (encoded, fetched) = tokio::join!(self.encode_ready(), next_chunk(&mut stream));
            encoded?;
            next = fetched?;
        }
        Ok(())
    }

    /// Puts the rows of a batch behind their partitions' waiting rows.
    fn route(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.target.schema)?;
        let content = batch.project(&self.values)?;
        let content = RecordBatch::try_new_with_options(
            Arc::clone(&self.file_schema),
            content.columns().to_vec(),
            &arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
        )?;
        let Some(converter) = &self.converter else {
            let slot = self.open.entry(None).or_insert_with(|| Slot::new(PartitionValues::new()));
            slot.push(content);
            return Ok(());
        };
        let keys: Vec<ArrayRef> = self.keys.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        let rows = converter.convert_columns(&keys)?;
        let mut groups: HashMap<_, Vec<u32>> = HashMap::new();
        for (i, row) in rows.iter().enumerate() {
            groups.entry(row).or_default().push(u32::try_from(i).unwrap_or(u32::MAX));
        }
        for (row, indices) in groups {
            let key = Some(row.owned());
            if !self.open.contains_key(&key) {
                let first = indices[0] as usize;
                let partition = partition_values(&self.target.partition_by, &keys, first)?;
                self.open.insert(key.clone(), Slot::new(partition));
            }
            let slot = self.open.get_mut(&key).expect("it was put there");
            let part = if indices.len() == content.num_rows() {
                content.clone()
            } else {
                take_record_batch(&content, &UInt32Array::from(indices))?
            };
            slot.push(part);
        }
        Ok(())
    }

    /// Encodes what is worth it, and finishes files that are full or hold too much memory.
    async fn encode_ready(&mut self) -> Result<()> {
        let mut pending: usize = self.open.values().map(|s| s.pending_bytes).sum();
        let single = self.converter.is_none();
        for slot in self.open.values_mut() {
            if single || slot.pending_rows >= CHUNK_ROWS || pending > PENDING_BYTES_MAX {
                pending -= slot.pending_bytes;
                slot.encode(self.target, &self.file_schema, &mut self.written).await?;
            }
            if let Some(file) = slot.file.take_if(|f| f.size() >= self.target.file_size) {
                self.done.push(file.finish(&slot.partition).await?);
            }
        }
        loop {
            let held: usize = self.open.values().map(Slot::open_bytes).sum();
            let largest = self.open.values_mut().max_by_key(|s| s.open_bytes());
            match largest {
                Some(slot) if held > OPEN_BYTES_MAX => {
                    let Some(file) = slot.file.take() else { return Ok(()) };
                    self.done.push(file.finish(&slot.partition).await?);
                }
                _ => return Ok(()),
            }
        }
    }

    async fn finish_all(&mut self) -> Result<()> {
        for slot in self.open.values_mut() {
            slot.encode(self.target, &self.file_schema, &mut self.written).await?;
            if let Some(file) = slot.file.take() {
                self.done.push(file.finish(&slot.partition).await?);
            }
        }
        self.done.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    async fn abandon(self) {
        for slot in self.open.into_values() {
            if let Some(file) = slot.file {
                file.abort().await;
            }
        }
        self.target.discard(&self.done).await;
    }
}

impl Slot {
    fn new(partition: PartitionValues) -> Self {
        Self { partition, file: None, pending: vec![], pending_rows: 0, pending_bytes: 0 }
    }

    fn push(&mut self, batch: RecordBatch) {
        self.pending_rows += batch.num_rows();
        self.pending_bytes += batch.get_array_memory_size();
        self.pending.push(batch);
    }

    fn open_bytes(&self) -> usize {
        self.file.as_ref().map_or(0, FileWriter::memory)
    }

    async fn encode(
        &mut self,
        target: &WriteTarget,
        file_schema: &SchemaRef,
        written: &mut usize,
    ) -> Result<()> {
        if self.pending_rows == 0 {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                let file = FileWriter::new(target, file_schema, &self.partition, *written)?;
                *written += 1;
                empty.insert(file)
            }
        };
        self.pending_rows = 0;
        self.pending_bytes = 0;
        file.write(std::mem::take(&mut self.pending)).await
    }
}

/// The next rows, about [`CHUNK_ROWS`] of them; nothing at the end.
async fn next_chunk(stream: &mut SendableRecordBatchStream) -> Result<Vec<RecordBatch>> {
    let mut chunk = vec![];
    let (mut rows, mut bytes) = (0, 0);
    while rows < CHUNK_ROWS && bytes < CHUNK_BYTES {
        let Some(batch) = stream.next().await else { break };
        let batch = batch?;
        if batch.num_rows() > 0 {
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            chunk.push(batch);
        }
    }
    Ok(chunk)
}

/// The batch with exactly the schema's types; NULL in a required column is refused.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::internal(format!(
            "rows of {} columns are written to a table of {}",
            batch.num_columns(),
            schema.fields().len()
        )));
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(array, field)| {
            if !field.is_nullable() && array.null_count() > 0 {
                let message = format!(
                    "null value in column \"{}\" violates not-null constraint",
                    field.name()
                );
                return Err(Error::new(SqlState::NotNullViolation, message).column(field.name()));
            }
            if array.data_type() == field.data_type() {
                return Ok(Arc::clone(array));
            }
            Ok(cast_with_options(array, field.data_type(), &strict)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn partition_values(names: &[String], keys: &[ArrayRef], row: usize) -> Result<PartitionValues> {
    names
        .iter()
        .zip(keys)
        .map(|(name, array)| {
            let value = ScalarValue::try_from_array(array, row)?;
            if value.is_null() {
                return Ok((name.clone(), None));
            }
            match text::partition_text(&value) {
                Some(text) => Ok((name.clone(), Some(text))),
                None => Err(Error::unsupported(
                    format_args!("the value \"{value}\" in partition column \"{name}\""),
                    "Delta tables keep partition values as text, where an empty one means NULL.",
                )
                .column(name)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
