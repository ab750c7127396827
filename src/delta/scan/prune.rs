//! Which files a scan must read: exact by partition values, careful by statistics.

use super::DeltaTableScan;
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue, Statistics};
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicateBuilder, PruningStatistics};
use std::collections::HashSet;
use std::sync::Arc;

/// True for a filter whose answer is the same for all rows of a file.
pub(super) fn on_partitions_only(filter: &Expr, partition_by: &[String]) -> bool {
    if partition_by.is_empty() {
        return false;
    }
    let mut columns = false;
    let mut fits = true;
    let walked = filter.apply(|expr| {
        match expr {
            Expr::Column(column) => {
                columns = true;
                fits &= partition_by.contains(&column.name);
            }
            Expr::ScalarFunction(call) => {
                fits &= call.func.signature().volatility != Volatility::Volatile;
            }
            Expr::Placeholder(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::ScalarVariable(..) => fits = false,
            _ => {}
        }
        Ok(if fits { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && columns && fits
}

impl DeltaTableScan {
    /// Keeps the files whose partition values satisfy the filters, NULL counting as false.
    pub(super) fn keep_partitions(
        &self,
        state: &dyn Session,
        filters: &[&Expr],
        kept: &mut Vec<usize>,
    ) -> Result<()> {
        let Some(filter) = conjunction(filters.iter().map(|f| (*f).clone())) else {
            return Ok(());
        };
        let batch = self.partition_batch(kept)?;
        let schema = DFSchema::try_from(batch.schema().as_ref().clone())?;
        let filter = state.create_physical_expr(unqualified(filter)?, &schema)?;
        let answers = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
        let answers = arrow::compute::cast(&answers, &DataType::Boolean)?;
        let mut answers = answers.as_boolean().iter();
        kept.retain(|_| answers.next().flatten() == Some(true));
        Ok(())
    }

    /// One row per file with the values of the partition columns.
    fn partition_batch(&self, files: &[usize]) -> Result<RecordBatch> {
        let mut fields = vec![];
        let mut columns: Vec<ArrayRef> = vec![];
        for (i, name) in self.partition_by.iter().enumerate() {
            let field = self.columns.field_with_name(name)?;
            columns.push(if files.is_empty() {
                arrow::array::new_empty_array(field.data_type())
            } else {
                ScalarValue::iter_to_array(
                    files.iter().map(|f| self.partition_values[*f][i].clone()),
                )?
            });
            fields.push(field.clone().with_nullable(true));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
    }

    /// Drops the files that cannot hold a row for which the filters are true.
    pub(super) fn skip_by_statistics(
        &self,
        state: &dyn Session,
        filters: &[&Expr],
        kept: &mut Vec<usize>,
    ) -> Result<()> {
        let Some(filter) = physical(state, filters, &self.schema)? else { return Ok(()) };
        // A filter that statistics cannot decide skips nothing; the scan evaluates it anyway.
        let Ok(predicate) = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(&self.schema))
            .try_build(filter)
        else {
            return Ok(());
        };
        if predicate.always_true() || kept.is_empty() {
            return Ok(());
        }
        let files = kept.iter().map(|i| self.file_statistics[*i].as_ref()).collect();
        let answers = predicate.prune(&FileBounds { files, schema: &self.schema })?;
        let mut answers = answers.into_iter();
        kept.retain(|_| answers.next() == Some(true));
        Ok(())
    }

    /// Keeps so many files that they hold `limit` rows, if their row counts are known.
    pub(super) fn keep_enough(&self, limit: usize, kept: &mut Vec<usize>) {
        let mut rows = 0;
        let mut files = 0;
        for i in kept.iter() {
            if rows >= limit {
                break;
            }
            let Precision::Exact(n) = self.file_statistics[*i].num_rows else { return };
            rows += n;
            files += 1;
        }
        kept.truncate(files);
    }
}

/// The conjunction of filters over a schema; none for no filters.
pub(super) fn physical(
    state: &dyn Session,
    filters: &[&Expr],
    schema: &Schema,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(filter) = conjunction(filters.iter().map(|f| (*f).clone())) else {
        return Ok(None);
    };
    let schema = DFSchema::try_from(schema.clone())?;
    Ok(Some(state.create_physical_expr(unqualified(filter)?, &schema)?))
}

/// Columns of a scan stand alone: the table's name or alias is dropped from them.
fn unqualified(filter: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::Transformed;
    let plain = filter.transform(|expr| {
        Ok(match expr {
            Expr::Column(c) if c.relation.is_some() => {
                Transformed::yes(Expr::Column(Column::new_unqualified(c.name)))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(plain.data)
}

fn scalar(known: &Precision<ScalarValue>, data_type: &DataType) -> Result<ScalarValue> {
    match known.get_value() {
        Some(value) => Ok(value.clone()),
        None => ScalarValue::try_from(data_type),
    }
}

/// The statistics of the files that are still in question.
struct FileBounds<'a> {
    files: Vec<&'a Statistics>,
    schema: &'a Schema,
}

impl FileBounds<'_> {
    fn bounds(
        &self,
        column: &Column,
        of: impl Fn(&Statistics, usize) -> Precision<ScalarValue>,
    ) -> Option<ArrayRef> {
        let index = self.schema.index_of(&column.name).ok()?;
        let data_type = self.schema.field(index).data_type();
        let values = self.files.iter().map(|file| {
            let known = if index < file.column_statistics.len() {
                of(file, index)
            } else {
                Precision::Absent
            };
            scalar(&known, data_type)
        });
        ScalarValue::iter_to_array(values.collect::<Result<Vec<_>>>().ok()?).ok()
    }
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |file, i| file.column_statistics[i].min_value.clone())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |file, i| file.column_statistics[i].max_value.clone())
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let index = self.schema.index_of(&column.name).ok()?;
        let counts = self.files.iter().map(|file| {
            let known = file.column_statistics.get(index)?.null_count.get_value()?;
            Some(*known as u64)
        });
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts = self.files.iter().map(|file| Some(*file.num_rows.get_value()? as u64));
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
