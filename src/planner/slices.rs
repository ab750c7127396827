//! Large constants beside many rows: `SELECT repeat('x', 1000000), n FROM t`.
//!
//! A constant is written out for every row of a batch, and batches have thousands of rows. Where that
//! would be much, the batches are cut into slices first, and the result streams as that of any query.

use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt::{self, Formatter};
use std::sync::Arc;

/// What the constants of a batch may take when they are written out.
const MOST: usize = 64 << 20;

/// Batches have no more rows than this anyway.
const ROWS: usize = 8192;

/// The projection over slices of its input, if its constants ask for that.
pub(super) fn sliced(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else { return Ok(None) };
    let bytes: usize = projection.expr().iter().map(|p| constant_bytes(&p.expr)).sum();
    if bytes <= MOST / ROWS {
        return Ok(None);
    }
    let input = projection.input().clone();
    let slices = Arc::new(Slices { input, rows: (MOST / bytes).max(1) });
    replace_children_if_necessary(plan.clone(), vec![slices]).map(Some)
}

fn constant_bytes(expr: &Arc<dyn PhysicalExpr>) -> usize {
    let mut bytes = 0;
    let _ = expr.apply(|expr| {
        bytes += expr.downcast_ref::<Literal>().map_or(0, |literal| literal.value().size());
        Ok(TreeNodeRecursion::Continue)
    });
    bytes
}

/// Cuts batches into smaller ones.
#[derive(Debug)]
struct Slices {
    input: Arc<dyn ExecutionPlan>,
    rows: usize,
}

impl DisplayAs for Slices {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Slices: rows={}", self.rows)
    }
}

impl ExecutionPlan for Slices {
    fn name(&self) -> &str {
        "Slices"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| self.input.clone());
        Ok(Arc::new(Self { input, rows: self.rows }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.rows;
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let slices = input.map_ok(move |batch| stream::iter(cut(&batch, rows)).map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, slices.try_flatten())))
    }
}

fn cut(batch: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(rows);
    starts.map(|at| batch.slice(at, rows.min(batch.num_rows() - at))).collect()
}
