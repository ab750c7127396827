//! Analyser rule: subqueries that depend on the outer row in ways that DataFusion cannot take apart.
//!
//! The method is that of T. Neumann and A. Kemper, "Unnesting Arbitrary Queries" (BTW 2015). The
//! distinct values of the outer columns that a subquery uses, its *domain*, are joined into the
//! subquery's own leaves, every operator above keeps them apart (`domain`), and the result is joined
//! back to the outer rows on them. What DataFusion unnests by itself is left to it.

mod domain;

use super::functions::single_value;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinConstraint, JoinType, Result};
use datafusion::logical_expr::expr::Exists;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{Join, Sort};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Projection, Subquery, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::decorrelate::PullUpCorrelatedExpr;
use domain::{Domain, outer_columns};
use std::sync::Arc;

/// The rule of this file; it runs first.
#[derive(Debug)]
pub(super) struct Correlated;

impl AnalyzerRule for Correlated {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut found = false;
        plan.apply_with_subqueries(|node| {
            found |= node.contains_outer_reference() || sorts_by_subquery(node)?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !found {
            return Ok(plan);
        }
        let mut unnester = Unnester { made: 0 };
        let unnested = plan.transform_down_with_subqueries(|node| unnester.node(node))?.data;
        // Columns of subqueries that are joins now may be NULL.
        Ok(unnested
            .transform_up_with_subqueries(|node| match node {
                LogicalPlan::Values(_) => Ok(Transformed::no(node)),
                other => Ok(Transformed::yes(other.recompute_schema()?)),
            })?
            .data)
    }

    fn name(&self) -> &str {
        "correlated"
    }
}

/// Numbers what it makes, so that names differ.
struct Unnester {
    made: usize,
}

/// A subquery in an expression, and the column that holds its value once it is joined.
struct Joined {
    was: Expr,
    is: Expr,
}

impl Unnester {
    /// Unnests the subqueries of one node.
    fn node(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Join(join) = &plan {
            return Ok(match self.lateral(join)? {
                Some(joined) => Transformed::yes(joined),
                None => Transformed::no(plan),
            });
        }
        if sorts_by_subquery(&plan)? {
            return sorted_by_column(plan);
        }
        let [input] = plan.inputs()[..] else { return Ok(Transformed::no(plan)) };
        let mut subqueries = Vec::new();
        plan.apply_expressions(|expr| {
            expr.apply(|e| {
                if must_be_unnested(&plan, e)? && !subqueries.contains(e) {
                    subqueries.push(e.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        let mut joined = Vec::new();
        let mut rows = input.clone();
        for subquery in subqueries {
            if let Some((wider, replacement)) = self.join(input, rows.clone(), &subquery)? {
                rows = wider;
                joined.push(Joined { was: subquery, is: replacement });
            }
        }
        if joined.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let preserver = NamePreserver::new(&plan);
        let schema = plan.schema().clone();
        let keeps_columns = !matches!(plan, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
        let replaced = plan.map_expressions(|expr| {
            let name = preserver.save(&expr);
            expr.transform_down(|e| match joined.iter().find(|j| j.was == e) {
                Some(j) => Ok(Transformed::yes(j.is.clone())),
                None => Ok(Transformed::no(e)),
            })
            .map(|t| t.update_data(|e| name.restore(e)))
        })?;
        let expressions = replaced.data.expressions();
        let wider = replaced.data.with_new_exprs(expressions, vec![rows])?;
        if !keeps_columns {
            return Ok(Transformed::yes(wider));
        }
        Ok(Transformed::yes(columns_of(wider, &schema)?))
    }

    /// `rows`, which has the columns of `outer` and more, joined with a subquery's value for each.
    fn join(
        &mut self,
        outer: &LogicalPlan,
        rows: LogicalPlan,
        subquery: &Expr,
    ) -> Result<Option<(LogicalPlan, Expr)>> {
        let (plan, negated) = match subquery {
            Expr::ScalarSubquery(s) => (&s.subquery, None),
            Expr::Exists(Exists { subquery: s, negated }) => (&s.subquery, Some(*negated)),
            _ => return Ok(None),
        };
        let Some(domain) = self.domain(outer, plan)? else { return Ok(None) };
        let value = format!("__cenote_value_{}", self.made);
        let within = domain.push(plan.as_ref().clone())?;
        let (inner, replacement) = match negated {
            None => {
                let column = Column::from(plan.schema().qualified_field(0));
                let one = if is_one_row(plan) {
                    within
                } else {
                    let only = single_value().call(vec![Expr::Column(column.clone())]);
                    LogicalPlanBuilder::from(within)
                        .aggregate(domain.columns(), vec![only.alias(&value)])?
                        .build()?
                };
                let from = match is_one_row(plan) {
                    true => Expr::Column(column).alias(&value),
                    false => Expr::Column(Column::new_unqualified(&value)),
                };
                (domain.project(one, vec![from])?, Expr::Column(Column::new_unqualified(&value)))
            }
            Some(negated) => {
                let found = domain.project(within, Vec::new())?;
                let found = LogicalPlan::Distinct(Distinct::All(Arc::new(found)));
                let found = domain.project(found, vec![lit(true).alias(&value)])?;
                let mark = Box::new(Expr::Column(Column::new_unqualified(&value)));
                (found, if negated { Expr::IsNull(mark) } else { Expr::IsNotNull(mark) })
            }
        };
        let joined = join(rows, inner, domain.matches(), JoinType::Left)?;
        Ok(Some((joined, replacement)))
    }

    /// A LATERAL join.
    fn lateral(&mut self, lateral: &Join) -> Result<Option<LogicalPlan>> {
        if !matches!(lateral.join_type, JoinType::Inner | JoinType::Left) {
            return Ok(None);
        }
        let Some(right) = opened(&lateral.right)? else { return Ok(None) };
        let simple = matches!(lateral.right.as_ref(), LogicalPlan::Subquery(_))
            || matches!(lateral.right.as_ref(), LogicalPlan::SubqueryAlias(a)
                if matches!(a.input.as_ref(), LogicalPlan::Subquery(_)));
        if simple && is_pulled_up(&right, false)? {
            return Ok(None);
        }
        let Some(domain) = self.domain(&lateral.left, &right)? else { return Ok(None) };
        let right = domain.push(right)?;
        let mut conditions = domain.matches();
        conditions.extend(lateral.filter.clone());
        conditions.extend(lateral.on.iter().map(|(l, r)| l.clone().eq(r.clone())));
        let left = lateral.left.as_ref().clone();
        let joined = join(left, right, conditions, lateral.join_type)?;
        columns_of(joined, &lateral.schema).map(Some)
    }

    /// The domain of a subquery: what it uses of `outer`, none where that is nothing.
    fn domain(&mut self, outer: &LogicalPlan, subquery: &LogicalPlan) -> Result<Option<Domain>> {
        let mut used = outer_columns(subquery)?;
        used.retain(|column| outer.schema().has_column(column));
        if used.is_empty() {
            return Ok(None);
        }
        self.made += 1;
        Domain::new(outer, used, self.made).map(Some)
    }
}

fn sorts_by_subquery(plan: &LogicalPlan) -> Result<bool> {
    let LogicalPlan::Sort(sort) = plan else { return Ok(false) };
    Ok(sort.expr.iter().any(|key| has_subquery(&key.expr)))
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_)))).unwrap_or(false)
}

/// Subqueries in ORDER BY become columns below the sort.
fn sorted_by_column(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Sort(sort) = plan else { return Ok(Transformed::no(plan)) };
    let schema = sort.input.schema().clone();
    let mut keys = sort.expr.clone();
    let mut added = Vec::new();
    for key in keys.iter_mut().filter(|key| has_subquery(&key.expr)) {
        let name = format!("__cenote_key_{}", added.len());
        let column = Expr::Column(Column::new_unqualified(&name));
        added.push(std::mem::replace(&mut key.expr, column).alias(name));
    }
    let mut used = Vec::new();
    for expr in &added {
        used.extend(expr.column_refs().into_iter().cloned());
        expr.apply(|e| {
            if let Expr::ScalarSubquery(s) = e {
                used.extend(outer_columns(&s.subquery)?);
            } else if let Expr::Exists(exists) = e {
                used.extend(outer_columns(&exists.subquery.subquery)?);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let (mut items, below) = match sort.input.as_ref() {
        // What the select list does not show is still there below it.
        LogicalPlan::Projection(shown)
            if !used.iter().all(|c| schema.has_column(c))
                && used.iter().all(|c| shown.input.schema().has_column(c)) =>
        {
            (shown.expr.clone(), shown.input.clone())
        }
        _ => (schema.columns().into_iter().map(Expr::Column).collect(), sort.input.clone()),
    };
    items.extend(added);
    let input = Arc::new(LogicalPlan::Projection(Projection::try_new(items, below)?));
    let sorted = LogicalPlan::Sort(Sort { expr: keys, input, fetch: sort.fetch });
    Ok(Transformed::yes(columns_of(sorted, &schema)?))
}

/// Whether an expression of this node is a subquery that DataFusion would leave where it is.
fn must_be_unnested(node: &LogicalPlan, expr: &Expr) -> Result<bool> {
    let in_place = matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Projection(_));
    Ok(match expr {
        Expr::ScalarSubquery(s) if !s.outer_ref_columns.is_empty() => {
            !(in_place && is_aggregated(&s.subquery) && is_pulled_up(&s.subquery, false)?)
        }
        Expr::Exists(e) if !e.subquery.outer_ref_columns.is_empty() => {
            !(matches!(node, LogicalPlan::Filter(_)) && is_pulled_up(&e.subquery.subquery, true)?)
        }
        _ => false,
    })
}

/// Whether DataFusion's rules move what is correlated in this plan into a join's condition.
///
/// It also moves conditions out of windows, limits and the inner side of outer joins, which changes
/// what they mean: plans that have these are not left to it.
fn is_pulled_up(plan: &LogicalPlan, exists: bool) -> Result<bool> {
    let mut aggregates = 0;
    let unsafe_to_pull = plan.exists(|node| {
        aggregates += usize::from(matches!(node, LogicalPlan::Aggregate(_)));
        Ok(aggregates > 1
            || match node {
                LogicalPlan::Join(join) => join.join_type != JoinType::Inner,
                LogicalPlan::Limit(_) | LogicalPlan::Distinct(_) => !exists,
                LogicalPlan::Sort(sort) => sort.fetch.is_some(),
                LogicalPlan::Window(_) | LogicalPlan::Union(_) => true,
                _ => false,
            })
    })?;
    if unsafe_to_pull {
        return Ok(false);
    }
    let mut pull_up = PullUpCorrelatedExpr::new()
        .with_need_handle_count_bug(!exists)
        .with_exists_sub_query(exists);
    plan.clone().rewrite(&mut pull_up)?;
    Ok(pull_up.can_pull_up && (exists || pull_up.pull_up_having_expr.is_none()))
}

/// An aggregate without GROUP BY, below what keeps its one row as it is.
fn is_aggregated(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(a) => a.group_expr.is_empty(),
        LogicalPlan::Projection(p) => is_aggregated(&p.input),
        LogicalPlan::SubqueryAlias(a) => is_aggregated(&a.input),
        LogicalPlan::Sort(s) => is_aggregated(&s.input),
        _ => false,
    }
}

/// At most one row for each row of the outer query.
fn is_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Limit(limit) => {
            matches!(domain::constants(limit), Ok((_, Some(fetch))) if fetch <= 1)
        }
        LogicalPlan::Projection(p) => is_one_row(&p.input),
        LogicalPlan::SubqueryAlias(a) => is_one_row(&a.input),
        other => is_aggregated(other),
    }
}

/// The right side of a LATERAL join without the wrapper that marks it as one.
fn opened(right: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    Ok(match right {
        LogicalPlan::Subquery(Subquery { subquery, .. }) => Some(subquery.as_ref().clone()),
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_) => {
            let [input] = right.inputs()[..] else { return Ok(None) };
            match opened(input)? {
                Some(input) => Some(right.with_new_exprs(right.expressions(), vec![input])?),
                None => None,
            }
        }
        _ => None,
    })
}

fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    conditions: Vec<Expr>,
    join_type: JoinType,
) -> Result<LogicalPlan> {
    let filter = datafusion::logical_expr::utils::conjunction(conditions);
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        Vec::new(),
        filter,
        join_type,
        JoinConstraint::On,
        datafusion::common::NullEquality::NullEqualsNothing,
        false,
    )?))
}

/// The columns of `schema` out of a plan that has more.
fn columns_of(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let columns = schema.columns().into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// What the expressions of a node see.
fn seen_by(plan: &LogicalPlan) -> DFSchema {
    merge_schema(&plan.inputs())
}
