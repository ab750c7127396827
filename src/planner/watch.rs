//! Plans that let go of their thread, and stop when they are told to.
//!
//! DataFusion's scans give their thread back now and then, but a join makes any number of rows from
//! one batch of its inputs before it asks for the next, and one whose filter refuses every pair does
//! not even come up for air. So each operator that multiplies rows yields as scans do, and the filters
//! of joins look at the canceller and hand the other tasks of their thread to another one.

use super::Canceller;
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Handle, RuntimeFlavor};

/// So many batches of pairs go by before a join lets the other tasks of its thread move on: some
/// milliseconds of work, beside which the move costs nothing.
const PATIENCE: usize = 64;

/// The same plan, stoppable wherever it multiplies rows.
pub fn watched(
    plan: Arc<dyn ExecutionPlan>,
    canceller: &Canceller,
) -> Result<Arc<dyn ExecutionPlan>> {
    let changed = plan.transform_up(|node| {
        let multiplies = node.is::<CrossJoinExec>()
            || node.is::<NestedLoopJoinExec>()
            || node.is::<HashJoinExec>()
            || node.is::<SortMergeJoinExec>()
            || node.is::<UnnestExec>();
        if let Some(sliced) = super::slices::sliced(&node)? {
            return Ok(Transformed::yes(sliced));
        }
        if !multiplies {
            return Ok(Transformed::no(node));
        }
        let node = watched_filter(node, canceller)?;
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(changed.data)
}

fn watched_filter(
    node: Arc<dyn ExecutionPlan>,
    canceller: &Canceller,
) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let filter = Watched::filter(filter, canceller);
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(Some(filter)).build()?;
        return Ok(Arc::new(join));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        let filter = Watched::filter(filter, canceller);
        return join.builder().with_filter(Some(filter)).build_exec();
    }
    Ok(node)
}

/// A join's filter that fails when the statement is cancelled.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn PhysicalExpr>,
    canceller: Canceller,
    evaluations: AtomicUsize,
}

impl Watched {
    fn filter(filter: &JoinFilter, canceller: &Canceller) -> JoinFilter {
        let watched = Self::new(filter.expression().clone(), canceller.clone());
        let columns = filter.column_indices().to_vec();
        JoinFilter::new(Arc::new(watched), columns, filter.schema().clone())
    }

    fn new(inner: Arc<dyn PhysicalExpr>, canceller: Canceller) -> Self {
        Self { inner, canceller, evaluations: AtomicUsize::new(0) }
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.inner.as_ref() == other.inner.as_ref()
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl Display for Watched {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Watched {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.canceller.check()?;
        let turn = self.evaluations.fetch_add(1, Ordering::Relaxed) % PATIENCE == PATIENCE - 1;
        let moves = |handle: Handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread;
        if turn && Handle::try_current().is_ok_and(moves) {
            return tokio::task::block_in_place(|| self.inner.evaluate(batch));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.pop().unwrap_or_else(|| self.inner.clone());
        Ok(Arc::new(Self::new(inner, self.canceller.clone())))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
