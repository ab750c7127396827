//! The scan of a Delta table: one provider for queries, DML, training and maintenance.
//!
//! The files come from a [`TableState`], never from a listing, and carry exact row counts and
//! column statistics to the planner. For DML the scan tells where each row stands: `__file`, the
//! index of its file, and `__row`, its number within the file.

mod prune;

use super::actions::Add;
use super::location::{TableLocation, object_path};
use super::state::TableState;
use super::stats;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use object_store::path::Path;
use parquet::arrow::RowNumber;
use std::sync::{Arc, OnceLock};

/// The column that says in which file a row stands: an index into [`DeltaTableScan::files`].
pub const FILE_COLUMN: &str = "__file";

/// The column that says at which place of its file a row stands, from 0.
pub const ROW_COLUMN: &str = "__row";

/// Bytes at the end of a file to fetch at once: the footer of all but very wide files.
const FOOTER_BYTES: usize = 64 * 1024;

/// How a table is scanned.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScanOptions {
    /// Adds the columns `__file` and `__row` behind the table's own.
    pub row_ids: bool,
}

/// A Delta table at one state, as DataFusion sees it.
#[derive(Debug)]
pub struct DeltaTableScan {
    schema: SchemaRef,
    columns: SchemaRef,
    partition_by: Vec<String>,
    layout: Layout,
    location: TableLocation,
    files: Vec<Arc<Add>>,
    file_statistics: Vec<Arc<Statistics>>,
    /// Per file the values of the partition columns, in the order of `partition_by`.
    partition_values: Vec<Vec<ScalarValue>>,
    statistics: OnceLock<Statistics>,
    row_ids: bool,
}

/// How the provider's columns stand in a file scan: columns of the files, then values per file,
/// then the row number.
#[derive(Debug)]
struct Layout {
    table_schema: TableSchema,
    /// For each column of the provider its place in the file scan.
    place: Vec<usize>,
}

impl DeltaTableScan {
    /// A scan of `state`, whose rows have the columns `schema` (the catalog's, hidden ones
    /// included).
    ///
    /// # Errors
    /// 0A000 if the table has deletion vectors or column mapping, XX001 if a partition value
    /// cannot be read.
    pub fn new(
        state: &TableState,
        schema: &SchemaRef,
        partition_by: &[String],
        location: TableLocation,
        options: ScanOptions,
    ) -> Result<Arc<Self>> {
        refuse_unknown_features(state)?;
        let columns = without_field_ids(schema);
        let (files, file_statistics): (Vec<Arc<Add>>, _) = state
            .file_statistics(&columns, partition_by)
            .map(|(add, statistics)| (Arc::clone(add), statistics))
            .unzip();
        let partition_values = files
            .iter()
            .map(|add| partition_values(add, &columns, partition_by))
            .collect::<Result<Vec<_>>>()?;
        let schema = if options.row_ids { with_row_ids(&columns) } else { Arc::clone(&columns) };
        Ok(Arc::new(Self {
            layout: Layout::new(&columns, partition_by, options.row_ids),
            schema,
            columns,
            partition_by: partition_by.to_vec(),
            location,
            files,
            file_statistics,
            partition_values,
            statistics: OnceLock::new(),
            row_ids: options.row_ids,
        }))
    }

    /// The live files; `__file` is an index into them.
    pub fn files(&self) -> &[Arc<Add>] {
        &self.files
    }

    /// Where the table stands in its store.
    pub fn prefix(&self) -> &Path {
        &self.location.prefix
    }

    /// The files of these indices as the scan reads them, with statistics.
    fn partitioned_file(&self, index: usize) -> Result<PartitionedFile> {
        let add = &self.files[index];
        let mut file = PartitionedFile::new_from_meta(ObjectMeta {
            location: object_path(&self.location.prefix, &add.path)?,
            last_modified: DateTime::from_timestamp_millis(add.modification_time)
                .unwrap_or_default(),
            size: u64::try_from(add.size).unwrap_or(0),
            e_tag: None,
            version: None,
        });
        file.partition_values.clone_from(&self.partition_values[index]);
        if self.row_ids {
            let index = i32::try_from(index)
                .map_err(|_| Error::internal("a table has more than 2^31 files"))?;
            file.partition_values.push(ScalarValue::Int32(Some(index)));
        }
        // Set as a whole: `with_statistics` would call a NULL partition value "not null".
        file.statistics = Some(self.layout.arrange_shared(&self.file_statistics[index]));
        Ok(file)
    }

    /// The files as groups, one per partition of the plan, with their statistics.
    fn groups(&self, kept: &[usize], partitions: usize) -> Result<Vec<FileGroup>> {
        let per_group = kept.len().div_ceil(partitions.max(1)).max(1);
        kept.chunks(per_group)
            .map(|indices| {
                let files = indices
                    .iter()
                    .map(|i| self.partitioned_file(*i))
                    .collect::<Result<Vec<_>>>()?;
                let statistics = self.layout.arrange(&self.merged(indices));
                Ok(FileGroup::new(files).with_statistics(Arc::new(statistics)))
            })
            .collect()
    }

    fn merged(&self, indices: &[usize]) -> Statistics {
        let files = indices.iter().map(|i| self.file_statistics[*i].as_ref());
        stats::merge(files, self.columns.fields().len())
    }

    fn all(&self) -> &Statistics {
        self.statistics.get_or_init(|| {
            let indices: Vec<usize> = (0..self.files.len()).collect();
            self.merged(&indices)
        })
    }
}

#[async_trait]
impl TableProvider for DeltaTableScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let (by_partition, others): (Vec<&Expr>, Vec<&Expr>) =
            filters.iter().partition(|f| prune::on_partitions_only(f, &self.partition_by));
        let mut kept: Vec<usize> = (0..self.files.len()).collect();
        self.keep_partitions(state, &by_partition, &mut kept)?;
        self.skip_by_statistics(state, &others, &mut kept)?;
        if let (Some(limit), true) = (limit, others.is_empty()) {
            self.keep_enough(limit, &mut kept);
        }
        if kept.is_empty() {
            let schema = match projection {
                Some(indices) => Arc::new(self.schema.project(indices)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let whole = kept.len() == self.files.len();
        let statistics = if whole { self.all().clone() } else { self.merged(&kept) };
        let groups = self.groups(&kept, state.config().target_partitions())?;

        let url = self.location.object_store_url.clone();
        let store = state.runtime_env().object_store(&url)?;
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let mut options = state.table_options().parquet.clone();
        options.global = state.config_options().execution.parquet.clone();
        let mut source = ParquetSource::new(self.layout.table_schema.clone())
            .with_table_parquet_options(options)
            .with_metadata_size_hint(FOOTER_BYTES)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(
                store, cache,
            )));
        // Row groups and pages are skipped by it; which rows pass is decided above the scan.
        let schema = self.layout.table_schema.table_schema();
        let in_files =
            |f: &&&Expr| f.column_refs().iter().all(|c| self.columns.index_of(&c.name).is_ok());
        let others: Vec<&Expr> = others.iter().filter(in_files).copied().collect();
        if let Some(predicate) = prune::physical(state, &others, schema)? {
            source = source.with_predicate(predicate);
        }
        let places = match projection {
            Some(indices) => indices.iter().map(|i| self.layout.place[*i]).collect(),
            None => self.layout.place.clone(),
        };
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(self.layout.arrange(&statistics))
            .with_projection_indices(Some(places))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                if prune::on_partitions_only(filter, &self.partition_by) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Inexact
                }
            })
            .collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = self.all().clone();
        let unknown = ColumnStatistics::new_unknown();
        statistics.column_statistics.resize(self.schema.fields().len(), unknown);
        Some(statistics)
    }
}

impl Layout {
    fn new(columns: &Schema, partition_by: &[String], row_ids: bool) -> Self {
        let is_value = |f: &FieldRef| partition_by.contains(f.name());
        let in_files: Vec<FieldRef> =
            columns.fields().iter().filter(|f| !is_value(f)).cloned().collect();
        let mut per_file: Vec<FieldRef> = partition_by
            .iter()
            .filter_map(|name| columns.fields().iter().find(|f| f.name() == name).cloned())
            .collect();
        let mut virtual_columns: Vec<FieldRef> = vec![];
        if row_ids {
            per_file.push(Arc::new(file_field()));
            virtual_columns.push(Arc::new(row_field().with_extension_type(RowNumber)));
        }
        let table_schema = TableSchema::builder(Arc::new(Schema::new(in_files)))
            .with_table_partition_cols(per_file)
            .with_virtual_columns(virtual_columns)
            .build();
        let scanned = table_schema.table_schema();
        let place = columns
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .chain(row_ids.then_some([FILE_COLUMN, ROW_COLUMN]).into_iter().flatten())
            .map(|name| scanned.index_of(name).expect("the layout holds every column"))
            .collect();
        Self { table_schema, place }
    }

    /// The same statistics if they stand in the file scan's order anyway, as they mostly do.
    fn arrange_shared(&self, statistics: &Arc<Statistics>) -> Arc<Statistics> {
        let columns = self.table_schema.table_schema().fields().len();
        let as_is = statistics.column_statistics.len() == columns
            && self.place.iter().enumerate().all(|(i, place)| i == *place);
        if as_is { Arc::clone(statistics) } else { Arc::new(self.arrange(statistics)) }
    }

    /// Statistics over the table's columns, arranged as the file scan wants them.
    fn arrange(&self, statistics: &Statistics) -> Statistics {
        let mut arranged =
            vec![ColumnStatistics::new_unknown(); self.table_schema.table_schema().fields().len()];
        for (place, column) in self.place.iter().zip(&statistics.column_statistics) {
            arranged[*place] = column.clone();
        }
        Statistics {
            num_rows: statistics.num_rows,
            total_byte_size: statistics.total_byte_size,
            column_statistics: arranged,
        }
    }
}

fn partition_values(
    add: &Add,
    columns: &Schema,
    partition_by: &[String],
) -> Result<Vec<ScalarValue>> {
    partition_by
        .iter()
        .map(|name| {
            let field = columns.field_with_name(name)?;
            let text = add.partition_values.get(name).and_then(Option::as_deref);
            stats::partition_value(text, field.data_type()).ok_or_else(|| {
                let text = text.unwrap_or_default();
                Error::new(
                    SqlState::DataCorrupted,
                    format!("partition value \"{text}\" of column \"{name}\" cannot be read"),
                )
            })
        })
        .collect()
}

fn file_field() -> Field {
    Field::new(FILE_COLUMN, DataType::Int32, false)
}

fn row_field() -> Field {
    Field::new(ROW_COLUMN, DataType::Int64, false)
}

fn with_row_ids(columns: &Schema) -> SchemaRef {
    let own = columns.fields().iter().cloned();
    let row = row_field().with_extension_type(RowNumber);
    let added = [Arc::new(file_field()), Arc::new(row)];
    Arc::new(Schema::new(own.chain(added).collect::<Vec<_>>()))
}

/// The schema without field ids of other writers: DataFusion and other readers match by name.
fn without_field_ids(schema: &SchemaRef) -> SchemaRef {
    const FIELD_ID: &str = "PARQUET:field_id";
    if !schema.fields().iter().any(|f| f.metadata().contains_key(FIELD_ID)) {
        return Arc::clone(schema);
    }
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let mut metadata = field.metadata().clone();
            metadata.remove(FIELD_ID);
            field.as_ref().clone().with_metadata(metadata)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn refuse_unknown_features(state: &TableState) -> Result<()> {
    let mapping = state.metadata().configuration.get("delta.columnMapping.mode");
    if mapping.is_some_and(|mode| mode != "none") {
        return Err(Error::unsupported(
            "a Delta table with column mapping",
            "Write a copy of the table without column mapping.",
        ));
    }
    if state.files().any(|add| add.deletion_vector.is_some()) {
        return Err(Error::unsupported(
            "a Delta table with deletion vectors",
            "Let its writer purge the deletion vectors (REORG TABLE … APPLY (PURGE)).",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
