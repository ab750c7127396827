//! A row group in the making: its columns are encoded side by side.

use super::super::stats::ColumnCollector;
use crate::error::{Error, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows times columns up to which encoding is done in place: less than handing it over costs.
const INLINE_VALUES_MAX: usize = 16 * 1024;

/// One column of a row group: pages so far, and statistics.
pub(crate) struct ColumnEncoder {
    field: FieldRef,
    writer: ArrowColumnWriter,
    collector: ColumnCollector,
}

/// An encoded column and what was seen of it.
pub(crate) type EncodedColumn = (ArrowColumnChunk, ColumnCollector);

impl ColumnEncoder {
    /// The encoders of a row group's columns.
    ///
    /// # Errors
    /// 0A000 if a column has more than one leaf, which no SQL type has.
    pub(crate) fn for_row_group(
        factory: &ArrowRowGroupWriterFactory,
        schema: &Schema,
        index: usize,
    ) -> Result<Vec<Self>> {
        let writers = factory.create_column_writers(index)?;
        if writers.len() != schema.fields().len() {
            return Err(Error::unsupported("a column of a nested type", "Use plain columns."));
        }
        Ok(writers
            .into_iter()
            .zip(schema.fields())
            .map(|(writer, field)| Self {
                field: Arc::clone(field),
                writer,
                collector: ColumnCollector::new(field.data_type()),
            })
            .collect())
    }

    /// The encoder of one column of a row group.
    ///
    /// # Errors
    /// XX000 if the factory has no such column.
    pub(crate) fn single(
        factory: &ArrowRowGroupWriterFactory,
        field: &Field,
        group: usize,
        column: usize,
    ) -> Result<Self> {
        let mut writers = factory.create_column_writers(group)?;
        if column >= writers.len() {
            return Err(Error::internal("a copied column is not one of its table"));
        }
        Ok(Self {
            field: Arc::new(field.clone()),
            writer: writers.swap_remove(column),
            collector: ColumnCollector::new(field.data_type()),
        })
    }

    /// Encodes an array of the column's type.
    pub(crate) fn write(&mut self, array: &ArrayRef) -> Result<()> {
        for leaf in compute_leaves(&self.field, array)? {
            self.writer.write(&leaf)?;
        }
        self.collector.update(array.as_ref());
        Ok(())
    }

    /// Ends the column.
    pub(crate) fn finish(self) -> Result<EncodedColumn> {
        let mut chunk = self.writer.close()?;
        if self.collector.is_lost() {
            // Parquet's bounds leave NaN out, but NaN counts as the largest number here:
            // a reader that believed them would skip the row group for `x > 1`.
            let close = chunk.close_mut();
            let bare = close.metadata.clone().into_builder().clear_statistics().build()?;
            close.metadata = bare;
            close.column_index = None;
        }
        Ok((chunk, self.collector))
    }

    fn memory(&self) -> usize {
        self.writer.memory_size()
    }
}

/// The columns of a row group that rows are still added to.
pub(crate) struct RowGroup {
    columns: Arc<Vec<Mutex<Option<ColumnEncoder>>>>,
    rows: usize,
    threads: usize,
}

impl RowGroup {
    pub(crate) fn new(columns: Vec<ColumnEncoder>, threads: usize) -> Self {
        let columns = columns.into_iter().map(|c| Mutex::new(Some(c))).collect();
        Self { columns: Arc::new(columns), rows: 0, threads }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that the encoders hold.
    pub(crate) fn memory(&self) -> usize {
        let held = |c: &Mutex<Option<ColumnEncoder>>| {
            c.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map_or(0, ColumnEncoder::memory)
        };
        self.columns.iter().map(held).sum()
    }

    /// Encodes batches of the row group's schema.
    pub(crate) async fn write(&mut self, batches: Vec<RecordBatch>) -> Result<()> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        self.rows += rows;
        let inline = rows * self.columns.len() <= INLINE_VALUES_MAX;
        self.for_each_column(inline, move |index, column| {
            let encoder = column.as_mut().ok_or_else(ended)?;
            batches.iter().try_for_each(|batch| encoder.write(batch.column(index)))
        })
        .await
    }

    /// Ends the row group.
    pub(crate) async fn finish(self) -> Result<Vec<EncodedColumn>> {
        let done: Arc<Vec<Mutex<Option<EncodedColumn>>>> =
            Arc::new(self.columns.iter().map(|_| Mutex::new(None)).collect());
        let inline = self.rows * self.columns.len() <= INLINE_VALUES_MAX;
        let results = Arc::clone(&done);
        self.for_each_column(inline, move |index, column| {
            let encoded = column.take().ok_or_else(ended)?.finish()?;
            *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(encoded);
            Ok(())
        })
        .await?;
        done.iter()
            .map(|c| c.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(ended))
            .collect()
    }

    /// Runs `work` once for every column, on as many threads as are allowed; each thread takes the
    /// next column that nobody has taken, so that a slow one holds up only itself.
    async fn for_each_column<F>(&self, inline: bool, work: F) -> Result<()>
    where
        F: Fn(usize, &mut Option<ColumnEncoder>) -> Result<()> + Send + Sync + 'static,
    {
        let columns = Arc::clone(&self.columns);
        let next = AtomicUsize::new(0);
        let run = move || -> Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(column) = columns.get(index) else { return Ok(()) };
                work(index, &mut column.lock().unwrap_or_else(PoisonError::into_inner))?;
            }
        };
        if inline {
            return run();
        }
        let run = Arc::new(run);
        let tasks: Vec<_> = (0..self.threads.clamp(1, self.columns.len().max(1)))
            .map(|_| {
                let run = Arc::clone(&run);
                tokio::task::spawn_blocking(move || run())
            })
            .collect();
        // All are waited for, also after an error: none may touch the columns later.
        let mut outcome = Ok(());
        for task in tasks {
            let result = task.await.unwrap_or_else(|e| {
                Err(Error::internal(format!("a task that encodes a file ended early: {e}")))
            });
            outcome = outcome.and(result);
        }
        outcome
    }
}

fn ended() -> Error {
    Error::internal("a column of a row group was ended twice")
}
