//! Sorting by what is computed beforehand.
//!
//! DataFusion 55.2 asks of a sort's keys in which range they lie. It cannot tell for a comparison with the
//! result of a function, takes the failure for "not sorted", and refuses its own plan. Such a key
//! becomes a column. So does an interval, which Arrow orders by its fields and PostgreSQL by its length.

use super::functions::interval_key;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, Sort};
use std::sync::Arc;

/// Computes the keys of a sort that compare something in a projection below it.
pub(super) fn by_columns(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Sort(Sort { expr, input, fetch }) = plan else {
        return Ok(Transformed::no(plan));
    };
    let is_interval =
        |key: &Expr| matches!(key.get_type(input.schema()), Ok(DataType::Interval(_)));
    if !expr.iter().any(|key| compares(&key.expr) || is_interval(&key.expr)) {
        return Ok(Transformed::no(LogicalPlan::Sort(Sort { expr, input, fetch })));
    }
    let columns: Vec<Expr> = input.schema().iter().map(Expr::from).collect();
    let mut projected = columns.clone();
    let keys = expr.into_iter().enumerate().map(|(i, key)| {
        let computed = if is_interval(&key.expr) {
            interval_key().call(vec![key.expr])
        } else if compares(&key.expr) {
            key.expr
        } else {
            return key;
        };
        let name = format!("__cenote_key_{i}");
        projected.push(computed.alias(&name));
        let expr = Expr::Column(Column::new_unqualified(name));
        SortExpr { expr, asc: key.asc, nulls_first: key.nulls_first }
    });
    let expr: Vec<SortExpr> = keys.collect();
    let input = Arc::new(LogicalPlan::Projection(Projection::try_new(projected, input)?));
    let sorted = Arc::new(LogicalPlan::Sort(Sort { expr, input, fetch }));
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, sorted)?)))
}

fn compares(key: &Expr) -> bool {
    let is_comparison = |e: &Expr| match e {
        Expr::BinaryExpr(binary) => binary.op.supports_propagation(),
        Expr::Between(_) => true,
        _ => false,
    };
    key.exists(|e| Ok(is_comparison(e))).unwrap_or(true)
}
