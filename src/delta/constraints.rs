//! What a row must satisfy before it is written: types, NOT NULL, CHECK, and the errors that say so.
//!
//! Values are cast as PostgreSQL casts on assignment. Of several faults the one of the first row
//! is reported, NOT NULL before CHECK, CHECK constraints by name: as PostgreSQL does.

mod cast;
mod display;

pub use cast::assign;

use crate::catalog::{Column, Table};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use std::fmt::Write;
use std::sync::Arc;

/// A value in "Failing row contains" is cut after this many characters.
const SHOWN_CHARS_MAX: usize = 64;

/// The columns and constraints of a table, ready to be checked.
#[derive(Debug, Clone)]
pub struct TableChecks {
    relation: String,
    columns: Vec<Column>,
    schema: SchemaRef,
    checks: Vec<(String, Arc<dyn PhysicalExpr>)>,
}

impl TableChecks {
    /// The checks of `table`. Each CHECK constraint comes with its expression, planned over
    /// [`Table::schema`]; NULL passes.
    pub fn new(table: &Table, mut checks: Vec<(String, Arc<dyn PhysicalExpr>)>) -> Self {
        checks.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            relation: table.name.name.clone(),
            columns: table.columns.clone(),
            schema: table.schema(),
            checks,
        }
    }

    /// The schema of checked rows: the table's.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Casts the columns of a batch, which stand in the table's order whatever their names, and
    /// checks every row.
    ///
    /// # Errors
    /// 22001, 22003 and 22P02 for values that the columns cannot hold, 23502 and 23514 for broken
    /// constraints.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::internal(format!(
                "rows of {} columns are written to relation \"{}\" of {}",
                batch.num_columns(),
                self.relation,
                self.columns.len()
            )));
        }
        let arrays = batch
            .columns()
            .iter()
            .zip(&self.columns)
            .map(|(array, column)| {
                assign(array, &column.sql_type)
                    .map_err(|e| e.table(&self.relation).column(&column.name))
            })
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        if let Some((row, column)) = self.first_null(&arrays) {
            // A CHECK that fails in an earlier row comes first.
            let before: Vec<_> = arrays.iter().map(|a| a.slice(0, row)).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(row));
            let before =
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), before, &options);
            if let Ok(before) = before {
                self.check(&before)?;
            }
            return Err(self.null_violation(&arrays, row, column));
        }
        let checked =
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        self.check(&checked)?;
        Ok(checked)
    }

    /// The stream of checked rows; it ends with the first error.
    pub fn stream(self: Arc<Self>, input: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let rows = input.map(move |batch| self.apply(&batch?).map_err(DataFusionError::from));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    /// The first row with NULL in a NOT NULL column, and that column.
    fn first_null(&self, arrays: &[Arc<dyn Array>]) -> Option<(usize, usize)> {
        arrays
            .iter()
            .enumerate()
            .filter(|(i, array)| self.columns[*i].not_null && array.null_count() > 0)
            .filter_map(|(i, array)| Some(((0..array.len()).find(|r| array.is_null(*r))?, i)))
            .min()
    }

    fn null_violation(&self, arrays: &[Arc<dyn Array>], row: usize, column: usize) -> Error {
        let name = &self.columns[column].name;
        let message = format!(
            "null value in column \"{name}\" of relation \"{}\" violates not-null constraint",
            self.relation
        );
        Error::new(SqlState::NotNullViolation, message)
            .detail(self.failing_row(arrays, row))
            .table(&self.relation)
            .column(name)
    }

    fn check(&self, batch: &RecordBatch) -> Result<()> {
        let mut first: Option<(usize, &str)> = None;
        for (name, expression) in &self.checks {
            let answer = expression.evaluate(batch)?.into_array(batch.num_rows())?;
            let answer = arrow::compute::cast(&answer, &DataType::Boolean)?;
            let answer = answer.as_boolean();
            if answer.false_count() == 0 {
                continue;
            }
            let row = answer.iter().position(|v| v == Some(false)).unwrap_or(0);
            if first.is_none_or(|(known, _)| row < known) {
                first = Some((row, name));
            }
        }
        let Some((row, name)) = first else { return Ok(()) };
        let message = format!(
            "new row for relation \"{}\" violates check constraint \"{name}\"",
            self.relation
        );
        Err(Error::new(SqlState::CheckViolation, message)
            .detail(self.failing_row(batch.columns(), row))
            .table(&self.relation)
            .constraint(name))
    }

    fn failing_row(&self, arrays: &[Arc<dyn Array>], row: usize) -> String {
        let mut shown = String::from("Failing row contains (");
        let visible = self.columns.iter().zip(arrays).filter(|(column, _)| !column.hidden);
        for (i, (_, array)) in visible.enumerate() {
            if i > 0 {
                shown.push_str(", ");
            }
            let text = display::text(array.as_ref(), row).unwrap_or_else(|| "null".into());
            match text.char_indices().nth(SHOWN_CHARS_MAX) {
                Some((end, _)) => {
                    let _ = write!(shown, "{}...", &text[..end]);
                }
                None => shown.push_str(&text),
            }
        }
        shown + ")."
    }
}

#[cfg(test)]
mod tests;
