//! Analyser rule: casts to text and float arithmetic with PostgreSQL's meaning.
//!
//! Runs after type coercion, so that casts which coercion puts in are covered too.

use super::functions::{float_operator, interval_input, negate_float, text_output};
use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ExprSchema, Result};
use datafusion::logical_expr::expr::{BinaryExpr, Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// The rule.
#[derive(Debug)]
pub(super) struct PostgresMeaning;

impl AnalyzerRule for PostgresMeaning {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let mut schema = merge_schema(&plan.inputs());
            if plan.inputs().is_empty() {
                schema = plan.schema().as_ref().clone();
            }
            let preserver = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = preserver.save(&expr);
                expr.transform_up(|expr| Ok(change(expr, &schema)))
                    .map(|t| t.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|t| t.data)
    }

    fn name(&self) -> &str {
        "postgres_meaning"
    }
}

fn change(expr: Expr, schema: &dyn ExprSchema) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let is_float = |e: &Expr| e.get_type(schema).is_ok_and(|t| t.is_floating());
            match float_operator(op) {
                Some(function) if is_float(&left) && is_float(&right) => {
                    let arguments = vec![*left, *right];
                    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
                        function.clone(),
                        arguments,
                    )))
                }
                _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            }
        }
        Expr::Negative(inner) if inner.get_type(schema).is_ok_and(|t| t.is_floating()) => {
            Transformed::yes(negate_float().call(vec![*inner]))
        }
        Expr::Cast(cast) => convert(cast, schema),
        other => Transformed::no(other),
    }
}

/// True for types whose text Arrow writes in another way than PostgreSQL.
fn prints_differently(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Interval(_)
            | DataType::Duration(_)
            | DataType::Timestamp(..)
            | DataType::Date32
            | DataType::Time64(_)
            | DataType::Float32
            | DataType::Float64
            | DataType::List(_)
            | DataType::LargeList(_)
    ) || data_type.is_binary()
}

fn convert(cast: Cast, schema: &dyn ExprSchema) -> Transformed<Expr> {
    let Ok(from) = cast.expr.get_type(schema) else { return Transformed::no(Expr::Cast(cast)) };
    let to = cast.field.data_type().clone();
    let (function, gives) = if to.is_string() && prints_differently(&from) {
        (text_output(), DataType::Utf8View)
    } else if from.is_string() && matches!(to, DataType::Interval(_)) {
        (interval_input(), DataType::Interval(IntervalUnit::MonthDayNano))
    } else {
        return Transformed::no(Expr::Cast(cast));
    };
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(function.clone(), vec![*cast.expr]));
    if to == gives {
        return Transformed::yes(call);
    }
    Transformed::yes(Expr::Cast(Cast { expr: Box::new(call), field: cast.field }))
}
