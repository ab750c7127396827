//! Conditions in the order in which they are written: what may fail runs only for rows that the
//! conditions before it leave.
//!
//! DataFusion turns `CASE WHEN x <> 0 THEN 100 / x > 5 END` into `x <> 0 AND 100 / x > 5` and evaluates both
//! sides for all rows. After its optimiser, [`Guarded`] takes the conjuncts of a filter that cannot
//! fail first, the others one by one behind them, and makes CASE of other AND and OR whose later sides
//! may fail: there DataFusion evaluates a branch only for the rows that reach it.

use super::{order, sort_keys};
use arrow::datatypes::DataType;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::expr::{BinaryExpr, Case, Cast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, Operator, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use std::sync::Arc;

/// Makes physical plans of plans whose conditions are guarded.
#[derive(Debug)]
pub(super) struct Guarded;

#[async_trait::async_trait]
impl QueryPlanner for Guarded {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.clone().transform_up_with_subqueries(|plan| {
            node(plan)?.transform_data(sort_keys::by_columns)?.transform_data(order::kept)
        })?;
        let planner =
            DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(order::Orders)]);
        planner.create_physical_plan(&plan.data, session).await
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // A scan skips files by its filters, which are filters above it too.
    if matches!(plan, LogicalPlan::TableScan(_)) || !has_condition(&plan)? {
        return Ok(Transformed::no(plan));
    }
    let mut schema = merge_schema(&plan.inputs());
    if plan.inputs().is_empty() {
        schema = plan.schema().as_ref().clone();
    }
    match plan {
        LogicalPlan::Filter(filter) => Ok(Transformed::yes(stages(filter, &schema)?)),
        LogicalPlan::Join(mut join) => {
            join.filter = join.filter.map(|f| condition(f, &schema)).transpose()?;
            Ok(Transformed::yes(LogicalPlan::Join(join)))
        }
        plan => {
            let preserver = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = preserver.save(&expr);
                guarded(expr, &schema, false).map(|e| Transformed::yes(name.restore(e)))
            })
        }
    }
}

fn has_condition(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found = expr.exists(|e| Ok(connective(e).is_some()))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn connective(expr: &Expr) -> Option<Operator> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => Some(*op),
        _ => None,
    }
}

/// A filter by what cannot fail, then one for each conjunct that may.
fn stages(filter: Filter, schema: &DFSchema) -> Result<LogicalPlan> {
    let conjuncts = split_conjunction_owned(filter.predicate);
    let (failing, safe): (Vec<Expr>, Vec<Expr>) =
        conjuncts.into_iter().partition(|e| may_fail(e, schema));
    let mut plan = filter.input;
    for predicate in conjunction(safe).into_iter().chain(failing) {
        let predicate = condition(predicate, schema)?;
        plan = Arc::new(LogicalPlan::Filter(Filter::try_new(predicate, plan)?));
    }
    Ok(Arc::unwrap_or_clone(plan))
}

/// A condition of which only counts whether it is true.
fn condition(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    if !may_fail(&expr, schema) {
        return Ok(expr);
    }
    if connective(&expr) == Some(Operator::And) {
        let (mut failing, mut parts): (Vec<Expr>, Vec<Expr>) =
            split_conjunction_owned(expr).into_iter().partition(|e| may_fail(e, schema));
        parts.append(&mut failing);
        let ordered = conjunction(parts).unwrap_or_else(|| lit(true));
        return guarded(ordered, schema, true);
    }
    guarded(expr, schema, true)
}

/// An expression whose AND and OR evaluate what may fail only where the operands before it leave the
/// answer open. With `truth`, false and NULL are one.
pub(super) fn guarded(expr: Expr, schema: &DFSchema, truth: bool) -> Result<Expr> {
    if let Some(op) = connective(&expr) {
        let mut operands = Vec::new();
        flatten(expr, op, &mut operands);
        let operands = operands.into_iter().map(|e| guarded(e, schema, truth));
        return Ok(in_steps(operands.collect::<Result<_>>()?, op, schema, truth));
    }
    Ok(match expr {
        Expr::Case(case) => {
            let is_condition = case.expr.is_none();
            let whens = case.when_then_expr.into_iter().map(|(when, then)| {
                let when = guarded(*when, schema, is_condition)?;
                Ok((Box::new(when), Box::new(guarded(*then, schema, truth)?)))
            });
            let boxed = |e: Option<Box<Expr>>, truth: bool| {
                e.map(|e| guarded(*e, schema, truth).map(Box::new)).transpose()
            };
            Expr::Case(Case {
                when_then_expr: whens.collect::<Result<_>>()?,
                expr: boxed(case.expr, false)?,
                else_expr: boxed(case.else_expr, truth)?,
            })
        }
        other => other
            .map_children(|e| guarded(e, schema, false).map(Transformed::yes))
            .map(|t| t.data)?,
    })
}

/// The operands of a chain of one connective, in order.
fn flatten(expr: Expr, op: Operator, out: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: found, right }) if found == op => {
            flatten(*left, op, out);
            flatten(*right, op, out);
        }
        other => out.push(other),
    }
}

fn in_steps(operands: Vec<Expr>, op: Operator, schema: &DFSchema, truth: bool) -> Expr {
    let join = |left: Expr, right: Expr| {
        Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
    };
    // Each step begins with an operand that may fail.
    let mut steps: Vec<Expr> = Vec::new();
    for operand in operands {
        match steps.pop() {
            Some(last) if !may_fail(&operand, schema) => steps.push(join(last, operand)),
            last => steps.extend(last.into_iter().chain([operand])),
        }
    }
    let Some(last) = steps.pop() else { return lit(op == Operator::And) };
    if steps.is_empty() {
        return last;
    }
    let decides = lit(op == Operator::Or);
    if truth {
        let whens = steps.into_iter().map(|step| {
            let when = if op == Operator::Or { step } else { Expr::IsNotTrue(Box::new(step)) };
            (Box::new(when), Box::new(decides.clone()))
        });
        let (when_then_expr, else_expr) = (whens.collect(), Some(Box::new(last)));
        return Expr::Case(Case { expr: None, when_then_expr, else_expr });
    }
    let mut steps = steps.into_iter().chain([last]);
    let first = steps.next().unwrap_or_else(|| decides.clone());
    steps.fold(first, |before, step| {
        // Where what is before is NULL, only the deciding value of the step makes a difference.
        let unknown = join(step.clone(), lit(ScalarValue::Boolean(None)));
        let when = |value: bool| Box::new(lit(value));
        Expr::Case(Case {
            expr: Some(Box::new(before)),
            when_then_expr: vec![
                (when(op == Operator::Or), Box::new(decides.clone())),
                (when(op == Operator::And), Box::new(step)),
            ],
            else_expr: Some(Box::new(unknown)),
        })
    })
}

/// Functions that have an answer for every argument of their types.
const SAFE: &[&str] = &[
    "array_has",
    "array_length",
    "ascii",
    "btrim",
    "cardinality",
    "character_length",
    "coalesce",
    "concat",
    "date_part",
    "lower",
    "ltrim",
    "make_array",
    "nullif",
    "octet_length",
    "reverse",
    "rtrim",
    "starts_with",
    "strpos",
    "text_output",
    "upper",
];

/// True if evaluating an expression may end in an error.
fn may_fail(expr: &Expr, schema: &dyn ExprSchema) -> bool {
    let fails = |e: &Expr| match e {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Divide | Operator::Modulo, right, .. }) => {
            !matches!(right.as_ref(), Expr::Literal(divisor, _) if !is_zero(divisor))
        }
        Expr::ScalarFunction(call) => !SAFE.contains(&call.func.name()),
        Expr::Cast(Cast { expr, field }) => {
            let from = expr.get_type(schema).unwrap_or(DataType::Null);
            narrows(&from, field.data_type())
        }
        _ => false,
    };
    expr.exists(|e| Ok(fails(e))).unwrap_or(true)
}

fn is_zero(divisor: &ScalarValue) -> bool {
    ScalarValue::new_zero(&divisor.data_type()).map_or(true, |zero| *divisor == zero)
}

fn narrows(from: &DataType, to: &DataType) -> bool {
    if from == to || to.is_string() || to.is_floating() {
        return from.is_string() && to.is_floating();
    }
    match (from.is_integer(), to.is_integer()) {
        (true, true) => from.primitive_width() > to.primitive_width(),
        (true, false) => !matches!(to, DataType::Decimal128(..)),
        _ => !matches!((from, to), (DataType::Date32, DataType::Timestamp(..))),
    }
}
