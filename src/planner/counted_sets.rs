//! Analyser rule: EXCEPT ALL and INTERSECT ALL count their rows.
//!
//! DataFusion plans both as joins that keep or drop all equal rows at once. Here the n-th of equal
//! rows on one side meets the n-th on the other: `row_number() OVER (PARTITION BY all columns)` is one
//! more column to join on.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::logical_plan::{Join, Window};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, LogicalPlan, Projection, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::Arc;

/// The rule of this file; it runs on plans as SQL made them, where only set operations join so.
#[derive(Debug)]
pub(super) struct CountedSets;

impl AnalyzerRule for CountedSets {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) if is_all(&join) => counted(join).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        })
        .map(|t| t.data)
    }

    fn name(&self) -> &str {
        "counted_sets"
    }
}

/// Without ALL the left side is a DISTINCT, of which each row is one of its kind.
fn is_all(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
        && !join.left.schema().has_column_with_unqualified_name(LEFT)
}

const LEFT: &str = "__cenote_nth_left";
const RIGHT: &str = "__cenote_nth_right";

fn counted(join: Join) -> Result<LogicalPlan> {
    let columns = join.schema.columns().into_iter().map(Expr::Column).collect();
    let mut on = join.on;
    let nth = |name| Expr::Column(Column::new_unqualified(name));
    on.push((nth(LEFT), nth(RIGHT)));
    let joined = Join::try_new(
        Arc::new(numbered(join.left, LEFT)?),
        Arc::new(numbered(join.right, RIGHT)?),
        on,
        None,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let joined = Arc::new(LogicalPlan::Join(joined));
    Ok(LogicalPlan::Projection(Projection::try_new(columns, joined)?))
}

fn numbered(plan: Arc<LogicalPlan>, name: &str) -> Result<LogicalPlan> {
    let function = WindowFunctionDefinition::WindowUDF(row_number_udwf());
    let columns = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let number = Expr::from(WindowFunction::new(function, Vec::new()))
        .partition_by(columns)
        .build()?
        .alias(name);
    Ok(LogicalPlan::Window(Window::try_new(vec![number], plan)?))
}
