//! Rows in the order in which they are written down: branches of UNION ALL, steps of recursive queries, series,
//! sorted subqueries.
//!
//! SQL promises no order without ORDER BY, but whoever writes `SELECT 1 UNION ALL SELECT 2`, or
//! `SELECT array_agg(x) FROM (SELECT x FROM t ORDER BY y)`, expects the one that PostgreSQL gives. DataFusion
//! runs the branches side by side, hands batches out in turn to several threads, and leaves out sorts that no
//! operator asks for. Here the branches whose rows are the result run one after the other, each on all
//! threads; what comes from a series or a recursion stays on one; and aggregates and windows that depend on an
//! order ask for that of the subquery below them.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::work_table::WorkTableExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties, replace_children_if_necessary,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt::{self, Formatter};
use std::sync::Arc;

/// The rule of this file.
#[derive(Debug, Default)]
pub(super) struct WrittenOrder;

impl PhysicalOptimizerRule for WrittenOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(in_turn(plan)?.transform_up(undealt)?.data)
    }

    fn name(&self) -> &str {
        "written_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Runs a union's branches in turn, if its rows are the plan's.
fn in_turn(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(union) = plan.downcast_ref::<UnionExec>() {
        let branches = union.inputs().iter().map(|branch| {
            let branch = in_turn(branch.clone())?;
            Ok(match branch.output_partitioning().partition_count() {
                1 => branch,
                _ => Arc::new(CoalescePartitionsExec::new(branch)),
            })
        });
        let branches = branches.collect::<Result<Vec<_>>>()?;
        return Ok(Arc::new(InTurn::new(plan.schema(), branches)));
    }
    let keeps_rows = plan.is::<CoalescePartitionsExec>() || is_row_by_row(&plan);
    match plan.children().as_slice() {
        [input] if keeps_rows => {
            let input = in_turn((*input).clone())?;
            replace_children_if_necessary(plan, vec![input])
        }
        _ => Ok(plan),
    }
}

fn is_row_by_row(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<UnnestExec>()
}

/// Takes out what deals an ordered source's batches out to threads.
fn undealt(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(dealer) = plan.downcast_ref::<RepartitionExec>() else {
        return Ok(Transformed::no(plan));
    };
    let is_dealt = matches!(dealer.partitioning(), Partitioning::RoundRobinBatch(_));
    if is_dealt && is_ordered(dealer.input()) {
        return Ok(Transformed::yes(dealer.input().clone()));
    }
    Ok(Transformed::no(plan))
}

fn is_ordered(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.is::<RecursiveQueryExec>()
        || plan.is::<WorkTableExec>()
        || plan.is::<LazyMemoryExec>()
        || plan.is::<PlaceholderRowExec>()
        || plan.is::<InTurn>()
        || plan.is::<OrderedExec>()
    {
        return true;
    }
    match plan.children().as_slice() {
        [input] => is_row_by_row(plan) && is_ordered(input),
        _ => false,
    }
}

/// Keeps the sort below an aggregate or a window whose result depends on the order of its rows, and those of the
/// branches of a union.
pub(super) fn kept(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let depends = match &plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.aggr_expr.iter().any(takes_order),
        LogicalPlan::Window(window) => window.window_expr.iter().any(is_unordered),
        LogicalPlan::Union(_) => true,
        _ => false,
    };
    if !depends {
        return Ok(Transformed::no(plan));
    }
    plan.map_children(|child| sorted(child).map(Transformed::yes))
}

/// An aggregate of its rows in their order, which does not say itself which one that is.
fn takes_order(expr: &Expr) -> bool {
    const NAMES: [&str; 5] = ["array_agg", "string_agg", "first_value", "last_value", "nth_value"];
    match expr {
        Expr::Alias(alias) => takes_order(&alias.expr),
        Expr::AggregateFunction(call) => {
            call.params.order_by.is_empty() && NAMES.contains(&call.func.name())
        }
        _ => false,
    }
}

fn is_unordered(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_unordered(&alias.expr),
        Expr::WindowFunction(call) => {
            call.params.order_by.is_empty() && call.params.partition_by.is_empty()
        }
        _ => false,
    }
}

fn sorted(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Sort(_) => {
            Ok(LogicalPlan::Extension(Extension { node: Arc::new(Ordered { input: plan }) }))
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Window(_) => {
            plan.map_children(|child| sorted(child).map(Transformed::yes)).map(|t| t.data)
        }
        _ => Ok(plan),
    }
}

/// A sort whose order counts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Hash)]
struct Ordered {
    input: LogicalPlan,
}

impl UserDefinedLogicalNodeCore for Ordered {
    fn name(&self) -> &str {
        "Ordered"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Ordered")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Self { input: inputs.pop().unwrap_or_else(|| self.input.clone()) })
    }
}

/// Makes the physical plans of this file's nodes.
#[derive(Debug)]
pub(super) struct Orders;

#[async_trait::async_trait]
impl ExtensionPlanner for Orders {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let ([input], true) = (inputs, node.as_any().is::<Ordered>()) else { return Ok(None) };
        let Some(order) = input.output_ordering().cloned() else { return Ok(Some(input.clone())) };
        Ok(Some(Arc::new(OrderedExec { input: input.clone(), order })))
    }
}

/// Passes rows on that arrive in an order.
#[derive(Debug)]
struct OrderedExec {
    input: Arc<dyn ExecutionPlan>,
    order: LexOrdering,
}

impl DisplayAs for OrderedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Ordered")
    }
}

impl ExecutionPlan for OrderedExec {
    fn name(&self) -> &str {
        "Ordered"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![Some(OrderingRequirements::from(self.order.clone()))]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        Ok(Arc::new(Self { input, order: self.order.clone() }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}

/// Rows of one branch after the other.
#[derive(Debug)]
struct InTurn {
    branches: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl InTurn {
    /// Branches of one partition each, whose columns have the types of `schema`.
    fn new(schema: SchemaRef, branches: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { branches, properties: Arc::new(properties) }
    }
}

impl DisplayAs for InTurn {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("InTurn")
    }
}

impl ExecutionPlan for InTurn {
    fn name(&self) -> &str {
        "InTurn"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.branches.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.schema(), children)))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let to = schema.clone();
        let rows = stream::iter(self.branches.clone())
            .map(move |branch| branch.execute(0, context.clone()))
            .try_flatten()
            .map(move |batch| Ok(RecordBatch::try_new(to.clone(), batch?.columns().to_vec())?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
