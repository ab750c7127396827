//! Copies of files without the rows that are gone.
//!
//! The work is split into columns of row groups, so that a single large file keeps every core busy.
//! A column of a row group that loses nothing is taken over as bytes, with its pages and indexes;
//! any other is decoded with a row selection and encoded again. Columns arrive in order, so a file
//! grows row group by row group and memory holds only what is under way.

use super::super::actions::Add;
use super::super::location::object_path;
use super::super::stats::ColumnCollector;
use super::super::writer::{Chunk, ColumnEncoder, FileWriter, Pages};
use super::gone::GoneRows;
use super::{ChangeSpec, Materialize};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimestampMicrosecondType};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::sync::Arc;

/// Rows that are decoded and encoded at a time.
const BATCH_ROWS: usize = 32 * 1024;

/// Bytes at the end of a file that are fetched for its footer.
const FOOTER_BYTES: u64 = 256 * 1024;

/// Footers that are fetched at a time.
const FOOTERS_IN_FLIGHT: usize = 8;

/// Copies the files, each to one file of its partition, without the rows that are gone; a file of
/// which nothing is left has no copy.
///
/// # Errors
/// XX000 if rows do not add up; errors of the store. Nothing is left of the copies then.
pub(super) async fn copy_files(
    files: Vec<(usize, Arc<Add>)>,
    gone: Arc<GoneRows>,
    spec: &ChangeSpec,
) -> Result<Vec<Add>> {
    let schema = spec.target.file_schema();
    let openings: Vec<_> = files
        .into_iter()
        .map(|(index, add)| Source::open(index, add, &schema, &gone, spec).boxed())
        .collect();
    let sources: Vec<Arc<Source>> =
        futures::stream::iter(openings).buffered(FOOTERS_IN_FLIGHT).try_collect().await?;
    let mut done = vec![];
    let outcome = copy_all(&sources, &schema, spec, &mut done).await;
    match outcome {
        Ok(()) => Ok(done),
        Err(error) => {
            spec.target.discard(&done).await;
            Err(error)
        }
    }
}

async fn copy_all(
    sources: &[Arc<Source>],
    schema: &SchemaRef,
    spec: &ChangeSpec,
    done: &mut Vec<Add>,
) -> Result<()> {
    let units = sources.iter().flat_map(|source| {
        let columns = 0..schema.fields().len();
        let groups = source.groups.iter().enumerate().filter(|(_, group)| group.kept > 0);
        groups.flat_map(move |(group, _)| {
            let source = Arc::clone(source);
            columns.clone().map(move |column| (Arc::clone(&source), group, column))
        })
    });
    // Boxed and collected, for the compiler cannot see that borrowed iterators may change threads.
    let units: Vec<BoxFuture<'static, Result<Chunk>>> = units
        .map(|(source, group, column)| Source::column(source, group, column).boxed())
        .collect();
    // One more than there are threads, so that the next column's bytes are there in time.
    let mut chunks = futures::stream::iter(units).buffered(spec.target.threads + 1);
    for (number, source) in sources.iter().enumerate() {
        if source.kept == 0 {
            continue;
        }
        let partition = &source.add.partition_values;
        let mut file = FileWriter::new(&spec.target, schema, partition, number)?;
        for group in source.groups.iter().filter(|group| group.kept > 0) {
            let mut columns = Vec::with_capacity(schema.fields().len());
            while columns.len() < schema.fields().len() {
                match chunks.next().await {
                    Some(Ok(chunk)) => columns.push(chunk),
                    Some(Err(error)) => {
                        file.abort().await;
                        return Err(error);
                    }
                    None => return Err(Error::internal("a column of a copied file is missing")),
                }
            }
            if let Err(error) = file.append(group.kept, columns.into_iter()).await {
                file.abort().await;
                return Err(error);
            }
        }
        if file.rows() != source.kept {
            file.abort().await;
            return Err(source.mismatch());
        }
        done.push(file.finish(partition).await?);
    }
    Ok(())
}

/// A file that is copied.
struct Source {
    add: Arc<Add>,
    store: Arc<dyn ObjectStore>,
    object: Path,
    size: u64,
    metadata: ArrowReaderMetadata,
    groups: Vec<Group>,
    /// Rows that stay.
    kept: u64,
    columns: Vec<ColumnPlan>,
    factory: Arc<ArrowRowGroupWriterFactory>,
    target: SchemaRef,
}

/// A row group of such a file.
struct Group {
    /// Rows that stay.
    kept: u64,
    /// Which rows those are; `None` for all.
    selection: Option<Vec<RowSelector>>,
}

/// What happens to a column on its way into the copy.
struct ColumnPlan {
    /// The column's place in the source file, if it has it.
    leaf: Option<usize>,
    /// NULL becomes this time.
    fill: Option<i64>,
    /// The source holds it just as the copy would.
    same: bool,
}

impl Source {
    async fn open(
        index: usize,
        add: Arc<Add>,
        schema: &SchemaRef,
        gone: &GoneRows,
        spec: &ChangeSpec,
    ) -> Result<Arc<Self>> {
        let store = Arc::clone(&spec.target.store);
        let object = object_path(&spec.target.prefix, &add.path)?;
        let size = u64::try_from(add.size).unwrap_or(0);
        let metadata = read_footer(store.as_ref(), &object, size).await?;
        let metadata = with_views(metadata)?;
        let groups = groups_of(metadata.metadata(), index, gone);
        let kept = groups.iter().map(|g| g.kept).sum();
        // Never written to: it only knows how the columns of the copy are encoded.
        let model = FileWriter::new(&spec.target, schema, &add.partition_values, 0)?;
        let columns = plan_columns(&metadata, schema, &model, &add, spec.materialize.as_ref());
        let factory = Arc::clone(model.factory());
        let target = Arc::clone(schema);
        let source =
            Self { add, store, object, size, metadata, groups, kept, columns, factory, target };
        let rows = u64::try_from(source.metadata.metadata().file_metadata().num_rows());
        if rows != Ok(source.kept + gone.count(index)) {
            return Err(source.mismatch());
        }
        Ok(Arc::new(source))
    }

    fn mismatch(&self) -> Error {
        Error::internal(format!(
            "the rows that stay and go of file {} do not add up to its rows",
            self.add.path
        ))
    }

    /// A column of a row group of the copy.
    async fn column(source: Arc<Self>, group: usize, column: usize) -> Result<Chunk> {
        let plan = &source.columns[column];
        let bytes = match plan.leaf {
            Some(leaf) => {
                let chunk = source.metadata.metadata().row_group(group).column(leaf);
                let (start, length) = chunk.byte_range();
                let bytes = source.store.get_range(&source.object, start..start + length).await?;
                Some(Pages { start, bytes, file_size: source.size })
            }
            None => None,
        };
        if let (Some(leaf), Some(pages), true) = (plan.leaf, &bytes, plan.same)
            && source.groups[group].selection.is_none()
            && let Some(seen) = source.seen(group, column, leaf)?
        {
            let close = source.close_result(group, leaf);
            return Ok(Chunk::Copied(pages.clone(), Box::new(close), seen));
        }
        let encode = move || source.encode(group, column, bytes);
        tokio::task::spawn_blocking(encode).await.unwrap_or_else(|e| {
            Err(Error::internal(format!("a task that copies a file ended early: {e}")))
        })
    }

    /// Decodes the rows that stay and encodes them again.
    fn encode(&self, group: usize, column: usize, pages: Option<Pages>) -> Result<Chunk> {
        let field = self.target.field(column);
        let mut encoder = ColumnEncoder::single(&self.factory, field, group, column)?;
        let kept = usize::try_from(self.groups[group].kept).unwrap_or(usize::MAX);
        let fill = self.columns[column].fill;
        let mut rows = 0;
        if let (Some(leaf), Some(pages)) = (self.columns[column].leaf, pages) {
            let mask = ProjectionMask::leaves(self.metadata.parquet_schema(), [leaf]);
            let mut reader =
                ParquetRecordBatchReaderBuilder::new_with_metadata(pages, self.metadata.clone())
                    .with_row_groups(vec![group])
                    .with_projection(mask)
                    .with_batch_size(BATCH_ROWS);
            if let Some(selection) = &self.groups[group].selection {
                reader = reader.with_row_selection(RowSelection::from(selection.clone()));
            }
            for batch in reader.build()? {
                let array = convert(batch?.column(0), field.data_type())?;
                let array = match fill {
                    Some(value) => fill_nulls(&array, value),
                    None => array,
                };
                require(&array, field)?;
                rows += array.len();
                encoder.write(&array)?;
            }
        } else {
            while rows < kept {
                let n = BATCH_ROWS.min(kept - rows);
                let array = new_null_array(field.data_type(), n);
                let array = fill.map_or(Arc::clone(&array), |value| fill_nulls(&array, value));
                require(&array, field)?;
                rows += n;
                encoder.write(&array)?;
            }
        }
        if rows != kept {
            return Err(self.mismatch());
        }
        Ok(Chunk::Encoded(Box::new(encoder.finish()?)))
    }

    /// What is known of a column's values without decoding them; `None` if it is not enough.
    ///
    /// Floats never are: Parquet's bounds do not tell whether there is a NaN.
    fn seen(&self, group: usize, column: usize, leaf: usize) -> Result<Option<ColumnCollector>> {
        let field = self.target.field(column);
        let mut seen = ColumnCollector::new(field.data_type());
        if field.data_type().is_floating() {
            return Ok(None);
        }
        let row_group = self.metadata.metadata().row_group(group);
        let Some(statistics) = row_group.column(leaf).statistics() else { return Ok(None) };
        let Some(nulls) = statistics.null_count_opt() else { return Ok(None) };
        let all_null = i64::try_from(nulls) == Ok(row_group.num_rows());
        let bounds = statistics.min_bytes_opt().is_some() && statistics.max_bytes_opt().is_some();
        if !all_null && !bounds && seen.has_bounds() {
            return Ok(None);
        }
        if !seen.has_bounds() {
            seen.add_nulls(nulls);
            return Ok(Some(seen));
        }
        let schema = self.metadata.schema();
        let converter =
            StatisticsConverter::try_new(field.name(), schema, self.metadata.parquet_schema())?;
        let mins = converter.row_group_mins([row_group])?;
        let maxes = converter.row_group_maxes([row_group])?;
        seen.update_from(mins.as_ref(), maxes.as_ref(), nulls);
        Ok(Some(seen))
    }

    fn close_result(&self, group: usize, leaf: usize) -> ColumnCloseResult {
        let metadata = self.metadata.metadata();
        let row_group = metadata.row_group(group);
        let chunk = row_group.column(leaf).clone();
        ColumnCloseResult {
            bytes_written: u64::try_from(chunk.compressed_size()).unwrap_or(0),
            rows_written: u64::try_from(row_group.num_rows()).unwrap_or(0),
            metadata: chunk,
            bloom_filter: None,
            column_index: metadata.column_index().map(|index| index[group][leaf].clone()),
            offset_index: metadata.offset_index().map(|index| index[group][leaf].clone()),
        }
    }
}

fn groups_of(metadata: &ParquetMetaData, file: usize, gone: &GoneRows) -> Vec<Group> {
    let mut start = 0;
    metadata
        .row_groups()
        .iter()
        .map(|group| {
            let end = start + u64::try_from(group.num_rows()).unwrap_or(0);
            let selection = gone.selection(file, &(start..end));
            let kept = match &selection {
                Some(runs) => {
                    runs.iter().filter(|r| !r.skip).map(|r| r.row_count as u64).sum::<u64>()
                }
                None => end - start,
            };
            start = end;
            Group { kept, selection }
        })
        .collect()
}

fn plan_columns(
    source: &ArrowReaderMetadata,
    target: &Schema,
    model: &FileWriter,
    add: &Add,
    materialize: Option<&Materialize>,
) -> Vec<ColumnPlan> {
    let leaves = source.parquet_schema();
    target
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let leaf = (0..leaves.num_columns())
                .find(|i| leaves.get_column_root(*i).name() == field.name());
            let fill =
                materialize.filter(|m| m.column == *field.name()).and_then(|m| (m.value)(add));
            let same = fill.is_none()
                && leaf.is_some_and(|leaf| leaves.column(leaf) == model.descriptor(index));
            ColumnPlan { leaf, fill, same }
        })
        .collect()
}

/// The footer of a file with its page indexes.
async fn read_footer(store: &dyn ObjectStore, object: &Path, size: u64) -> Result<ParquetMetaData> {
    let mut wanted = FOOTER_BYTES;
    loop {
        let bytes: Bytes = store.get_range(object, size.saturating_sub(wanted)..size).await?;
        let mut reader =
            ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        match reader.try_parse_sized(&bytes, size) {
            Ok(()) => return Ok(reader.finish()?),
            Err(ParquetError::NeedMoreData(more)) if wanted < size => {
                wanted = (more as u64).max(wanted + 1);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads texts and bytes as views, which share their pages instead of copying them. The Arrow
/// schema that other writers leave in a file is ignored: the Parquet types decide.
fn with_views(metadata: ParquetMetaData) -> Result<ArrowReaderMetadata> {
    let metadata = Arc::new(metadata);
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options())?;
    let fields: Vec<FieldRef> = plain
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let view = match field.data_type() {
                DataType::Utf8 => DataType::Utf8View,
                DataType::Binary => DataType::BinaryView,
                _ => return Arc::clone(field),
            };
            Arc::new(field.as_ref().clone().with_data_type(view))
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    Ok(ArrowReaderMetadata::try_new(metadata, options().with_schema(schema))?)
}

fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(array, to, &strict)?)
}

fn fill_nulls(array: &ArrayRef, value: i64) -> ArrayRef {
    if array.null_count() == 0 {
        return Arc::clone(array);
    }
    let times = array.as_primitive::<TimestampMicrosecondType>();
    let filled: TimestampMicrosecondArray = times.iter().map(|t| t.or(Some(value))).collect();
    Arc::new(filled.with_data_type(array.data_type().clone()))
}

/// A NOT NULL column without a value in an old file is damage, not the user's fault.
fn require(array: &ArrayRef, field: &Field) -> Result<()> {
    if !field.is_nullable() && array.null_count() > 0 {
        return Err(Error::new(
            crate::sqlstate::SqlState::DataCorrupted,
            format!("a file has NULL in the NOT NULL column \"{}\"", field.name()),
        ));
    }
    Ok(())
}
