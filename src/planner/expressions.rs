//! The expressions of a table's definition, CHECK and DEFAULT, planned as those of a query are: the
//! same spellings, operands, casts, arithmetic and guards.

use super::{Planned, Planner, ast, guards};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use sqlparser::ast::{Expr as AstExpr, TableWithJoins, visit_expressions};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The generated name of the relation whose columns an expression may name.
const ROW: &str = "__cenote_row";

/// Expressions over the columns of one relation, or over none.
pub struct Expressions {
    schema: SchemaRef,
    planned: Planned,
}

impl Planner<'_> {
    /// Plans expressions that stand in the catalog. `over` is the relation whose columns they may name.
    ///
    /// # Errors
    /// What is wrong with one; 42803, 42P20 and 0A000 for aggregates, windows, and what reads more than
    /// the one row.
    pub async fn expressions(
        &self,
        texts: &[&str],
        over: Option<(&str, SchemaRef)>,
    ) -> Result<Expressions> {
        let mut items = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            let expr = ast::parse_expression(text).map_err(Error::without_position)?;
            refuse_subqueries(&expr)?;
            items.push((expr, format!("\u{1}{i}")));
        }
        let mut from = Vec::new();
        let mut extra: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
        let mut schema = Arc::new(arrow::datatypes::Schema::empty());
        if let Some((name, columns)) = over {
            let relation = ast::table_factor(&[ROW], Some(name));
            from.push(TableWithJoins { relation, joins: Vec::new() });
            extra.push((ROW.to_owned(), Arc::new(EmptyTable::new(columns.clone()))));
            schema = columns;
        }
        let query = super::select(items, from, None);
        let planned = self.plan_tree(None, query, &extra).await.map_err(Error::without_position)?;
        if !planned.reads.direct.is_empty() {
            return Err(Error::unsupported(
                "a model in a table's definition",
                "Predict in a view over the table, or when rows are inserted.",
            ));
        }
        check_plan(&planned.plan)?;
        Ok(Expressions { schema, planned })
    }
}

fn refuse_subqueries(expr: &AstExpr) -> Result<()> {
    let found = visit_expressions(expr, |e| match e {
        AstExpr::Subquery(_) | AstExpr::Exists { .. } | AstExpr::InSubquery { .. } => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    if found.is_continue() {
        return Ok(());
    }
    Err(Error::unsupported(
        "a subquery in a table's definition",
        "Check rows against other rows with a query before they are inserted.",
    ))
}

/// Only a projection of a row's own columns is a set of expressions.
fn check_plan(plan: &LogicalPlan) -> Result<()> {
    let mut found = None;
    plan.apply(|node| {
        use datafusion::common::tree_node::TreeNodeRecursion::Continue;
        let refused = match node {
            LogicalPlan::Aggregate(_) => (SqlState::GroupingError, "aggregate functions"),
            LogicalPlan::Window(_) => (SqlState::WindowingError, "window functions"),
            LogicalPlan::Projection(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_) => return Ok(Continue),
            _ => (SqlState::FeatureNotSupported, "set-returning functions"),
        };
        found.get_or_insert(refused);
        Ok(Continue)
    })?;
    match found {
        Some((code, what)) => {
            Err(Error::new(code, format!("{what} are not allowed in a table's definition")))
        }
        None => Ok(()),
    }
}

impl Expressions {
    /// The expressions as they stand in a plan that is still to be analysed.
    pub fn logical(&self) -> Vec<Expr> {
        let LogicalPlan::Projection(projection) = &self.planned.plan else { return Vec::new() };
        projection.expr.iter().map(|e| e.clone().unalias()).collect()
    }

    /// Their types.
    pub fn types(&self) -> Vec<DataType> {
        self.planned.schema().fields().iter().map(|f| f.data_type().clone()).collect()
    }

    /// The expressions over batches of the relation's columns.
    ///
    /// # Errors
    /// What the analyser and the simplifier find, such as a constant that cannot be evaluated.
    pub fn physical(&self) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
        let state = &self.planned.state;
        let analyzed = state.analyzer().execute_and_check(
            self.planned.plan.clone(),
            state.config_options(),
            |_, _| {},
        )?;
        let LogicalPlan::Projection(projection) = analyzed else {
            return Err(Error::internal("expressions were planned as another plan"));
        };
        let schema = DFSchema::try_from(self.schema.as_ref().clone())?;
        let properties = state.execution_props();
        let context = SimplifyContext::builder()
            .with_schema(Arc::new(schema.clone()))
            .with_config_options(state.config_options().clone())
            .with_query_execution_start_time(properties.query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let physical = |expr: Expr| {
            let bare = expr.unalias().transform_up(|e| {
                Ok(match e {
                    Expr::Column(c) => {
                        Transformed::yes(Expr::Column(Column::new_unqualified(c.name)))
                    }
                    other => Transformed::no(other),
                })
            })?;
            let simplified = simplifier.simplify(bare.data)?;
            let guarded = guards::guarded(simplified, &schema, false)?;
            Ok(state.create_physical_expr(guarded, &schema)?)
        };
        projection.expr.into_iter().map(physical).collect()
    }
}
