//! One Parquet file of a table, uploaded while it is written.

use super::super::actions::{Add, PartitionValues};
use super::super::location::{add_path, object_path, partition_folder};
use super::super::new_files::NewFiles;
use super::super::stats::FileCollector;
use super::row_group::EncodedColumn;
use super::{ColumnEncoder, RowGroup, WriteTarget};
use crate::error::{Error, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::ChunkReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnDescPtr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Files up to this size are put at once; larger ones go up in parts of this size.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Parts that may be on their way at a time.
const PARTS_IN_FLIGHT_MAX: usize = 4;

/// Encoded bytes at which a row group ends early, so that wide rows do not fill memory.
const ROW_GROUP_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A file that rows or whole row groups are added to.
pub(crate) struct FileWriter {
    store: Arc<dyn ObjectStore>,
    relative: String,
    object: Path,
    schema: SchemaRef,
    parquet: SerializedFileWriter<Vec<u8>>,
    factory: Arc<ArrowRowGroupWriterFactory>,
    group: Option<RowGroup>,
    groups: usize,
    row_group_rows: usize,
    threads: usize,
    stats: FileCollector,
    upload: Option<WriteMultipart>,
    new_files: NewFiles,
}

impl FileWriter {
    /// Begins a file of `schema` (the table's file schema) for a partition; `number` goes into its
    /// name.
    pub(crate) fn new(
        target: &WriteTarget,
        schema: &SchemaRef,
        partition: &PartitionValues,
        number: usize,
    ) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(target.compression)
            .set_created_by(concat!("cenote ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let descriptor = ArrowSchemaConverter::new().convert(schema)?;
        let parquet = SerializedFileWriter::new(
            Vec::new(),
            descriptor.root_schema_ptr(),
            Arc::new(properties),
        )?;
        let factory = ArrowRowGroupWriterFactory::new(&parquet, Arc::clone(schema));
        let folder = partition_folder(
            target
                .partition_by
                .iter()
                .map(|name| (name.as_str(), partition.get(name).and_then(Option::as_deref))),
        );
        let id = uuid::Uuid::new_v4();
        let suffix = suffix(target.compression);
        let relative = add_path(&format!("{folder}part-{number:05}-{id}-c000{suffix}.parquet"));
        let object = object_path(&target.prefix, &relative)?;
        target.new_files.note(object.clone());
        Ok(Self {
            store: Arc::clone(&target.store),
            object,
            relative,
            schema: Arc::clone(schema),
            parquet,
            factory: Arc::new(factory),
            group: None,
            groups: 0,
            row_group_rows: target.row_group_rows,
            threads: target.threads,
            stats: FileCollector::new(schema),
            upload: None,
            new_files: target.new_files.clone(),
        })
    }

    /// Makes encoders for a row group that is encoded elsewhere.
    pub(crate) fn factory(&self) -> &Arc<ArrowRowGroupWriterFactory> {
        &self.factory
    }

    /// How the column at `index` stands in the file.
    pub(crate) fn descriptor(&self, index: usize) -> ColumnDescPtr {
        self.parquet.schema_descr().column(index)
    }

    /// Bytes of the file so far, the open row group included.
    pub(crate) fn size(&self) -> u64 {
        self.parquet.bytes_written() as u64 + self.group.as_ref().map_or(0, |g| g.memory() as u64)
    }

    /// Bytes that it holds in memory.
    pub(crate) fn memory(&self) -> usize {
        self.parquet.inner().len() + self.group.as_ref().map_or(0, RowGroup::memory)
    }

    /// Adds rows.
    pub(crate) async fn write(&mut self, batches: Vec<RecordBatch>) -> Result<()> {
        let mut part = vec![];
        let mut rows = self.group.as_ref().map_or(0, RowGroup::rows);
        for mut batch in batches {
            while rows + batch.num_rows() >= self.row_group_rows {
                let fits = self.row_group_rows - rows;
                part.push(batch.slice(0, fits));
                batch = batch.slice(fits, batch.num_rows() - fits);
                self.encode(std::mem::take(&mut part)).await?;
                self.end_row_group().await?;
                rows = 0;
            }
            if batch.num_rows() > 0 {
                rows += batch.num_rows();
                part.push(batch);
            }
        }
        if !part.is_empty() {
            self.encode(part).await?;
        }
        if self.group.as_ref().is_some_and(|g| g.memory() > ROW_GROUP_BYTES_MAX) {
            self.end_row_group().await?;
        }
        Ok(())
    }

    async fn encode(&mut self, batches: Vec<RecordBatch>) -> Result<()> {
        let group = match &mut self.group {
            Some(group) => group,
            empty => {
                let columns =
                    ColumnEncoder::for_row_group(&self.factory, &self.schema, self.groups)?;
                empty.insert(RowGroup::new(columns, self.threads))
            }
        };
        group.write(batches).await
    }

    async fn end_row_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let rows = group.rows() as u64;
        let columns = group.finish().await?;
        let chunks = columns.into_iter().map(|column| Chunk::Encoded(Box::new(column)));
        self.append(rows, chunks).await
    }

    /// Adds a whole row group.
    pub(crate) async fn append(
        &mut self,
        rows: u64,
        chunks: impl Iterator<Item = Chunk>,
    ) -> Result<()> {
        self.stats.add_rows(rows);
        let mut row_group = self.parquet.next_row_group()?;
        for (index, chunk) in chunks.enumerate() {
            match chunk {
                Chunk::Encoded(encoded) => {
                    let (pages, seen) = *encoded;
                    pages.append_to_row_group(&mut row_group)?;
                    self.stats.merge_column(index, &seen);
                }
                Chunk::Copied(source, close, seen) => {
                    row_group.append_column(&source, *close)?;
                    self.stats.merge_column(index, &seen);
                }
            }
        }
        row_group.close()?;
        self.groups += 1;
        self.send(false).await
    }

    /// Hands finished bytes to the store, unless the file is still small enough to be put at once.
    async fn send(&mut self, last: bool) -> Result<()> {
        if self.upload.is_none() && (last || self.parquet.inner().len() < PART_BYTES) {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(self.parquet.inner_mut()));
        let upload = match &mut self.upload {
            Some(upload) => upload,
            empty => {
                let parts = self.store.put_multipart(&self.object).await?;
                empty.insert(WriteMultipart::new_with_chunk_size(parts, PART_BYTES))
            }
        };
        upload.wait_for_capacity(PARTS_IN_FLIGHT_MAX).await?;
        upload.put(bytes);
        Ok(())
    }

    /// Ends the file and describes it.
    pub(crate) async fn finish(mut self, partition: &PartitionValues) -> Result<Add> {
        match self.complete().await {
            Ok(size) => Ok(Add {
                path: self.relative,
                partition_values: partition.clone(),
                size,
                modification_time: now_ms(),
                data_change: true,
                stats: Some(self.stats.to_json()),
                tags: None,
                deletion_vector: None,
            }),
            Err(error) => {
                self.abort().await;
                Err(error)
            }
        }
    }

    async fn complete(&mut self) -> Result<i64> {
        self.end_row_group().await?;
        self.parquet.finish()?;
        self.send(true).await?;
        let size = self.parquet.bytes_written();
        match self.upload.take() {
            Some(upload) => {
                self.new_files.appear(async { Ok(upload.finish().await?) }).await?;
            }
            None => {
                let bytes = Bytes::from(std::mem::take(self.parquet.inner_mut()));
                let (store, object) = (Arc::clone(&self.store), self.object.clone());
                let put = async move { Ok(store.put(&object, bytes.into()).await?) };
                self.new_files.appear(put).await?;
            }
        }
        i64::try_from(size).map_err(|_| Error::internal("a file is larger than 2^63 bytes"))
    }

    /// The number of rows in finished row groups.
    pub(crate) fn rows(&self) -> u64 {
        self.stats.rows()
    }

    /// Gives the file up.
    pub(crate) async fn abort(mut self) {
        if let Some(upload) = self.upload.take()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(path = %self.object, %error, "an upload was left behind");
        }
    }
}

/// A column of a row group on its way into a file.
pub(crate) enum Chunk {
    /// Encoded from rows.
    Encoded(Box<EncodedColumn>),
    /// Taken over as it stands in another file, with what is known of its values.
    Copied(Pages, Box<ColumnCloseResult>, super::super::stats::ColumnCollector),
}

/// The bytes of a part of a file, addressed by their places in the whole.
#[derive(Clone)]
pub(crate) struct Pages {
    /// Where the part begins.
    pub(crate) start: u64,
    /// The part.
    pub(crate) bytes: Bytes,
    /// Length of the whole file.
    pub(crate) file_size: u64,
}

impl parquet::file::reader::Length for Pages {
    fn len(&self) -> u64 {
        self.file_size
    }
}

impl ChunkReader for Pages {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        use bytes::Buf;
        let length = (self.start + self.bytes.len() as u64).saturating_sub(start);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(self.get_bytes(start, length)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let from = start.checked_sub(self.start).and_then(|n| usize::try_from(n).ok());
        let range = from.map(|from| (from, from.saturating_add(length)));
        match range {
            Some((from, to)) if to <= self.bytes.len() => Ok(self.bytes.slice(from..to)),
            _ => Err(parquet::errors::ParquetError::EOF(format!(
                "bytes {start} + {length} lie outside of the part that was read"
            ))),
        }
    }
}

fn suffix(compression: Compression) -> &'static str {
    match compression {
        Compression::SNAPPY => ".snappy",
        Compression::ZSTD(_) => ".zstd",
        Compression::LZ4_RAW => ".lz4raw",
        _ => "",
    }
}

fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
