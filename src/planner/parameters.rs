//! The types of `$1`, `$2`, …: where one is known, every place that names the parameter has it.

use super::ast::parse_expression;
use super::rewrite::placeholder;
use crate::catalog::SqlType;
use arrow::datatypes::Field;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, LogicalPlan};
use sqlparser::ast::{CastKind, DataType, Expr, LimitClause, Query, VisitMut, VisitorMut};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The types that the client gave, by the parameters' numbers.
pub(super) fn declared(types: &[Option<arrow::datatypes::DataType>]) -> HashMap<usize, DataType> {
    let parsed = |arrow: &arrow::datatypes::DataType| {
        let name = match arrow {
            // No types of columns, but of expressions.
            arrow::datatypes::DataType::Interval(_) => "interval".to_owned(),
            arrow::datatypes::DataType::Time64(_) => "time".to_owned(),
            other => SqlType::from_arrow(other).ok()?.to_string(),
        };
        match parse_expression(&format!("CAST(NULL AS {name})")) {
            Ok(Expr::Cast { data_type, .. }) => Some(data_type),
            _ => None,
        }
    };
    let numbered = types.iter().enumerate();
    numbered.filter_map(|(i, t)| Some((i + 1, parsed(t.as_ref()?)?))).collect()
}

/// Puts a cast around each parameter whose type is known. LIMIT and OFFSET take theirs as it is.
pub(super) fn cast(query: &mut Query, types: &HashMap<usize, DataType>) {
    if !types.is_empty() {
        let _ = VisitMut::visit(query, &mut Caster { types, limits: Vec::new() });
    }
}

/// In `x = ANY ($1)` the parameter is an array of what `x` is.
pub(super) fn arrays(plan: LogicalPlan) -> Result<LogicalPlan> {
    if plan.get_parameter_names()?.is_empty() {
        return Ok(plan);
    }
    let typed = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.map_expressions(|expr| expr.transform_up(|expr| Ok(array(expr, &schema))))
    })?;
    Ok(typed.data)
}

fn array(expr: PlanExpr, schema: &DFSchema) -> Transformed<PlanExpr> {
    match expr {
        PlanExpr::ScalarFunction(mut call) if call.func.name() == "array_has" => {
            let item = call.args.get(1).and_then(|x| x.get_type(schema).ok());
            let (Some(PlanExpr::Placeholder(array)), Some(item)) = (call.args.first_mut(), item)
            else {
                return Transformed::no(PlanExpr::ScalarFunction(call));
            };
            let unknown = array.field.as_ref().is_none_or(|f| f.data_type().is_null());
            if unknown && !item.is_null() {
                array.field =
                    Some(Arc::new(Field::new_list("", Field::new_list_field(item, true), true)));
            }
            Transformed::new_transformed(PlanExpr::ScalarFunction(call), unknown)
        }
        other => Transformed::no(other),
    }
}

struct Caster<'a> {
    types: &'a HashMap<usize, DataType>,
    /// The LIMIT clauses of the queries around, out of the way.
    limits: Vec<Option<LimitClause>>,
}

impl VisitorMut for Caster<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.limits.push(query.limit_clause.take());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        query.limit_clause = self.limits.pop().flatten();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(data_type) = placeholder(expr).and_then(|number| self.types.get(&number)) {
            *expr = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(expr.clone()),
                data_type: data_type.clone(),
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}
