//! The outer values that a subquery depends on, as a relation, and its way through the subquery.

use super::{join, opened, seen_by};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, DFSchemaRef, JoinType, Result, ScalarValue, not_impl_err,
};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{Exists, InSubquery, Sort as SortKey, WindowFunction};
use datafusion::logical_expr::logical_plan::{Aggregate, Join, Sort, Values, Window};
use datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, ExprFunctionExt, FetchType, Filter, Limit, LogicalPlan,
    LogicalPlanBuilder, Operator, Projection, SkipType, Subquery, SubqueryAlias, Union,
    WindowFunctionDefinition, binary_expr, lit, when,
};
use std::collections::HashMap;
use std::sync::Arc;

/// The columns outside of a plan that it uses, in the order of their first use.
///
/// A column that a nested subquery takes from this plan itself is none of them.
pub(super) fn outer_columns(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    let mut add = |column: &Column| {
        if !found.contains(column) {
            found.push(column.clone());
        }
    };
    plan.apply(|node| {
        let mut inside = seen_by(node);
        if let LogicalPlan::Join(lateral) = node
            && let Some(right) = opened(&lateral.right)?
        {
            inside = lateral.left.schema().as_ref().clone();
            outer_columns(&right)?.iter().filter(|c| !inside.has_column(c)).for_each(&mut add);
        }
        if matches!(node, LogicalPlan::Subquery(_)) {
            return Ok(TreeNodeRecursion::Jump);
        }
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                match e {
                    Expr::OuterReferenceColumn(_, column) => add(column),
                    _ => {
                        if let Some(subquery) = subquery_of(e) {
                            let used = outer_columns(&subquery.subquery)?;
                            used.iter().filter(|c| !inside.has_column(c)).for_each(&mut add);
                        }
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

/// The numbers of rows that LIMIT skips and lets pass.
pub(super) fn constants(limit: &Limit) -> Result<(usize, Option<usize>)> {
    match (limit.get_skip_type()?, limit.get_fetch_type()?) {
        (SkipType::Literal(skip), FetchType::Literal(fetch)) => Ok((skip, fetch)),
        _ => not_impl_err!("LIMIT by an expression in a subquery that depends on the outer row"),
    }
}

/// One row for each combination of outer values.
pub(super) struct Domain {
    /// Each outer column, and its name here.
    names: Vec<(Column, String)>,
    rows: LogicalPlan,
}

type Names = HashMap<Column, String>;

impl Domain {
    /// The domain of the columns `used` of `outer`; `number` tells its names from others.
    pub(super) fn new(outer: &LogicalPlan, used: Vec<Column>, number: usize) -> Result<Self> {
        let names: Vec<(Column, String)> = used
            .into_iter()
            .enumerate()
            .map(|(i, column)| (column, format!("__cenote_outer_{number}_{i}")))
            .collect();
        let columns = names.iter().map(|(column, name)| Expr::Column(column.clone()).alias(name));
        let rows = LogicalPlanBuilder::from(outer.clone()).project(columns)?.distinct()?.build()?;
        Ok(Self { names, rows })
    }

    /// The columns.
    pub(super) fn columns(&self) -> Vec<Expr> {
        self.names.iter().map(|(_, name)| Expr::Column(Column::new_unqualified(name))).collect()
    }

    /// Conditions that hold where a row of the outer query has the values of a row here.
    pub(super) fn matches(&self) -> Vec<Expr> {
        let pairs = self.names.iter().zip(self.columns());
        pairs.map(|((outer, _), here)| same(Expr::Column(outer.clone()), here)).collect()
    }

    /// Expressions and the domain's columns.
    pub(super) fn project(&self, plan: LogicalPlan, mut items: Vec<Expr>) -> Result<LogicalPlan> {
        items.extend(self.columns());
        Ok(LogicalPlan::Projection(Projection::try_new(items, Arc::new(plan))?))
    }

    /// The plan, for every row of the domain: its columns, then the domain's.
    pub(super) fn push(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let schema = plan.schema().clone();
        let pushed = self.pushed(plan)?;
        let mut wanted = schema.columns();
        wanted.extend(self.names.iter().map(|(_, name)| Column::new_unqualified(name)));
        if pushed.schema().columns() == wanted {
            return Ok(pushed);
        }
        let columns = wanted.into_iter().map(Expr::Column).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(pushed))?))
    }

    fn concerns(&self, plan: &LogicalPlan) -> Result<bool> {
        let used = outer_columns(plan)?;
        Ok(self.names.iter().any(|(outer, _)| used.contains(outer)))
    }

    fn pushed(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if !self.concerns(&plan)? {
            return LogicalPlanBuilder::from(plan).cross_join(self.rows.clone())?.build();
        }
        let seen = seen_by(&plan);
        match plan {
            LogicalPlan::Filter(filter) => {
                let predicate = self.inside(filter.predicate, &seen)?;
                let input = self.below(filter.input)?;
                Ok(LogicalPlan::Filter(Filter::try_new(predicate, input)?))
            }
            LogicalPlan::Projection(projection) => {
                let items = self.named(projection.expr, &seen)?;
                self.project(self.push(Arc::unwrap_or_clone(projection.input))?, items)
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, &seen),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                Ok(LogicalPlan::Distinct(Distinct::All(self.below(input)?)))
            }
            LogicalPlan::Distinct(Distinct::On(on)) => self.distinct_on(on, &seen),
            LogicalPlan::Sort(Sort { expr, input, fetch: None }) => {
                let (expr, input) = (self.keys(expr, &seen)?, self.below(input)?);
                Ok(LogicalPlan::Sort(Sort { expr, input, fetch: None }))
            }
            LogicalPlan::Sort(Sort { expr, input, fetch: Some(fetch) }) => {
                self.first(0, Some(fetch), expr, Arc::unwrap_or_clone(input))
            }
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, schema, .. }) => {
                let inner = SubqueryAlias::try_new(self.below(input)?, alias.clone())?;
                let mut columns: Vec<Expr> =
                    schema.columns().into_iter().map(Expr::Column).collect();
                columns.extend(self.names.iter().map(|(_, name)| {
                    Expr::Column(Column::new(Some(alias.clone()), name)).alias(name)
                }));
                let inner = Arc::new(LogicalPlan::SubqueryAlias(inner));
                Ok(LogicalPlan::Projection(Projection::try_new(columns, inner)?))
            }
            LogicalPlan::Join(inner) => self.join(inner),
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.into_iter().map(|i| self.below(i));
                Ok(LogicalPlan::Union(Union::try_new_with_loose_types(
                    inputs.collect::<Result<_>>()?,
                )?))
            }
            LogicalPlan::Window(Window { input, window_expr, .. }) => {
                let parted = window_expr.into_iter().map(|e| {
                    let name = e.schema_name().to_string();
                    Ok(self.parted(self.inside(e, &seen)?)?.alias(name))
                });
                let window = Window::try_new(parted.collect::<Result<_>>()?, self.below(input)?)?;
                Ok(LogicalPlan::Window(window))
            }
            LogicalPlan::Unnest(unnest) => {
                let input = self.push(Arc::unwrap_or_clone(unnest.input))?;
                LogicalPlanBuilder::from(input)
                    .unnest_columns_with_options(unnest.exec_columns, unnest.options)?
                    .build()
            }
            LogicalPlan::Values(values) => self.values(values),
            other => {
                let name = other.display().to_string();
                not_impl_err!("OuterReferenceColumn() below {name}")
            }
        }
    }

    fn below(&self, input: Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
        self.push(Arc::unwrap_or_clone(input)).map(Arc::new)
    }

    /// An expression of the subquery: outer columns are the domain's, those of subqueries in it
    /// are outer columns still, but of the domain.
    fn inside(&self, expr: Expr, seen: &DFSchema) -> Result<Expr> {
        let names: Names = self.names.iter().cloned().collect();
        let changed = expr.transform_down(|e| match e {
            Expr::OuterReferenceColumn(field, column) => Ok(match names.get(&column) {
                Some(name) => Transformed::yes(Expr::Column(Column::new_unqualified(name))),
                None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
            }),
            other => rerouted_expression(other, &names, seen),
        })?;
        Ok(changed.data)
    }

    /// Expressions that keep their names.
    fn named(&self, expressions: Vec<Expr>, seen: &DFSchema) -> Result<Vec<Expr>> {
        let keep = |e: Expr| {
            let name = e.schema_name().to_string();
            let changed = self.inside(e, seen)?;
            Ok(if changed.schema_name().to_string() == name {
                changed
            } else {
                changed.alias(name)
            })
        };
        expressions.into_iter().map(keep).collect()
    }

    fn keys(&self, keys: Vec<SortKey>, seen: &DFSchema) -> Result<Vec<SortKey>> {
        let change = |key: SortKey| Ok(SortKey { expr: self.inside(key.expr, seen)?, ..key });
        keys.into_iter().map(change).collect()
    }

    fn aggregate(&self, aggregate: Aggregate, seen: &DFSchema) -> Result<LogicalPlan> {
        if aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return not_impl_err!("OuterReferenceColumn() below grouping sets");
        }
        let mut groups = self.named(aggregate.group_expr, seen)?;
        let calls = self.named(aggregate.aggr_expr, seen)?;
        let empty = calls.iter().map(value_of_no_rows).collect::<Result<Vec<_>>>()?;
        let names: Vec<Column> = aggregate.schema.columns();
        let without_groups = groups.is_empty();
        groups.extend(self.columns());
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(
            self.below(aggregate.input)?,
            groups,
            calls,
        )?);
        if !without_groups {
            return Ok(grouped);
        }
        // Without GROUP BY there is a row also where nothing is aggregated.
        let mut items: Vec<Expr> = names.iter().cloned().map(Expr::Column).collect();
        items.push(lit(true).alias(FOUND));
        let grouped = self.renamed(grouped, items)?;
        let joined = join(self.rows.clone(), grouped, self.matches_renamed(), JoinType::Left)?;
        let values = names.into_iter().zip(empty).map(|(name, empty)| {
            let value = Expr::Column(name.clone());
            if empty.is_null() {
                return Ok(value);
            }
            let missing = Expr::Column(Column::new_unqualified(FOUND)).is_null();
            Ok(when(missing, lit(empty)).otherwise(value)?.alias(name.name))
        });
        self.project(joined, values.collect::<Result<_>>()?)
    }

    fn distinct_on(&self, on: DistinctOn, seen: &DFSchema) -> Result<LogicalPlan> {
        let mut keys = self.columns();
        keys.extend(
            on.on_expr.into_iter().map(|e| self.inside(e, seen)).collect::<Result<Vec<_>>>()?,
        );
        let mut items = self.named(on.select_expr, seen)?;
        items.extend(self.columns());
        let order = match on.sort_expr {
            Some(order) => {
                let mut sorts: Vec<_> =
                    self.columns().into_iter().map(|c| c.sort(true, false)).collect();
                sorts.extend(self.keys(order, seen)?);
                Some(sorts)
            }
            None => None,
        };
        let on = DistinctOn::try_new(keys, items, order, self.below(on.input)?)?;
        Ok(LogicalPlan::Distinct(Distinct::On(on)))
    }

    fn limit(&self, limit: Limit) -> Result<LogicalPlan> {
        let (skip, fetch) = constants(&limit)?;
        match Arc::unwrap_or_clone(limit.input) {
            LogicalPlan::Sort(Sort { expr, input, fetch: None }) => {
                self.first(skip, fetch, expr, Arc::unwrap_or_clone(input))
            }
            // The select list of a query that sorts by more than it shows.
            LogicalPlan::Projection(shown)
                if matches!(shown.input.as_ref(), LogicalPlan::Sort(Sort { fetch: None, .. })) =>
            {
                let below = Limit { skip: limit.skip, fetch: limit.fetch, input: shown.input };
                let seen = below.input.schema().as_ref().clone();
                let items = self.named(shown.expr, &seen)?;
                self.project(self.push(LogicalPlan::Limit(below))?, items)
            }
            other => self.first(skip, fetch, Vec::new(), other),
        }
    }

    /// LIMIT, for each row of the domain.
    fn first(
        &self,
        skip: usize,
        fetch: Option<usize>,
        keys: Vec<SortKey>,
        input: LogicalPlan,
    ) -> Result<LogicalPlan> {
        let keys = self.keys(keys, input.schema())?;
        let schema = input.schema().clone();
        let function = WindowFunctionDefinition::WindowUDF(row_number_udwf());
        let mut number =
            Expr::from(WindowFunction::new(function, Vec::new())).partition_by(self.columns());
        if !keys.is_empty() {
            number = number.order_by(keys);
        }
        let number = number.build()?.alias(ROW);
        let input = Arc::new(self.push(input)?);
        let numbered = LogicalPlan::Window(Window::try_new(vec![number], input)?);
        let count = |n: usize| lit(n as u64);
        let row = || Expr::Column(Column::new_unqualified(ROW));
        let mut condition = row().gt(count(skip));
        if let Some(fetch) = fetch {
            condition = condition.and(row().lt_eq(count(skip.saturating_add(fetch))));
        }
        let passed = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(numbered))?);
        let items = schema.columns().into_iter().map(Expr::Column).collect();
        self.project(passed, items)
    }

    fn join(&self, inner: Join) -> Result<LogicalPlan> {
        let schema: DFSchemaRef = inner.schema.clone();
        if opened(&inner.right)?.is_some() {
            // LATERAL in a subquery that depends on the outer row: what it uses is to its left now.
            let names: Names = self.names.iter().cloned().collect();
            let names = unless_seen(&names, inner.left.schema());
            let right = Arc::new(reroute(Arc::unwrap_or_clone(inner.right), &names)?);
            let left = self.below(inner.left)?;
            let joined = Join::try_new(
                left,
                right,
                inner.on,
                inner.filter,
                inner.join_type,
                inner.join_constraint,
                inner.null_equality,
                inner.null_aware,
            )?;
            return Ok(LogicalPlan::Join(joined));
        }
        let seen = seen_by(&LogicalPlan::Join(inner.clone()));
        let on_right = self.concerns(&inner.right)?;
        let on_left = self.concerns(&inner.left)? || !on_right;
        let mut conditions = inner.filter.into_iter().collect::<Vec<_>>();
        conditions =
            conditions.into_iter().map(|e| self.inside(e, &seen)).collect::<Result<_>>()?;
        let keeps_left = matches!(
            inner.join_type,
            JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti
        );
        let (left, right, columns) = match (on_left, on_right, inner.join_type) {
            (true, false, _) if keeps_left => (self.below(inner.left)?, inner.right, None),
            (false, true, JoinType::Inner | JoinType::Right) => {
                (inner.left, self.below(inner.right)?, None)
            }
            (_, true, _) if keeps_left => {
                let right = Arc::unwrap_or_clone(inner.right);
                let items = right.schema().columns().into_iter().map(Expr::Column).collect();
                let right = self.renamed(self.push(right)?, items)?;
                conditions.extend(self.matches_renamed());
                let mut columns = schema.columns();
                columns.extend(self.names.iter().map(|(_, n)| Column::new_unqualified(n)));
                (self.below(inner.left)?, Arc::new(right), Some(columns))
            }
            _ => return not_impl_err!("OuterReferenceColumn() below {:?}", inner.join_type),
        };
        let joined = LogicalPlan::Join(Join::try_new(
            left,
            right,
            inner.on,
            datafusion::logical_expr::utils::conjunction(conditions),
            inner.join_type,
            inner.join_constraint,
            inner.null_equality,
            inner.null_aware,
        )?);
        match columns {
            Some(columns) => {
                let items = columns.into_iter().map(Expr::Column).collect();
                Ok(LogicalPlan::Projection(Projection::try_new(items, Arc::new(joined))?))
            }
            None => Ok(joined),
        }
    }

    fn values(&self, values: Values) -> Result<LogicalPlan> {
        let empty = DFSchema::empty();
        let names: Vec<String> = values.schema.fields().iter().map(|f| f.name().clone()).collect();
        let rows = values.values.into_iter().map(|row| {
            let row = row.into_iter().zip(&names);
            let items = row.map(|(e, name)| Ok(self.inside(e, &empty)?.alias(name)));
            self.project(self.rows.clone(), items.collect::<Result<_>>()?).map(Arc::new)
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        if let [row] = rows.as_slice() {
            return Ok(row.as_ref().clone());
        }
        Ok(LogicalPlan::Union(Union::try_new_with_loose_types(rows)?))
    }

    /// A window function within each row of the domain.
    fn parted(&self, expr: Expr) -> Result<Expr> {
        let changed = expr.transform_down(|e| match e {
            Expr::WindowFunction(mut window) => {
                window.params.partition_by.extend(self.columns());
                Ok(Transformed::new(Expr::WindowFunction(window), true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(changed.data)
    }

    /// Expressions, and the domain's columns under other names, for a join with the domain.
    fn renamed(&self, plan: LogicalPlan, mut items: Vec<Expr>) -> Result<LogicalPlan> {
        let others = self.columns().into_iter().zip(&self.names);
        items.extend(others.map(|(column, (_, name))| column.alias(format!("{name}_right"))));
        Ok(LogicalPlan::Projection(Projection::try_new(items, Arc::new(plan))?))
    }

    fn matches_renamed(&self) -> Vec<Expr> {
        let pairs = self.columns().into_iter().zip(&self.names);
        pairs
            .map(|(column, (_, name))| {
                same(column, Expr::Column(Column::new_unqualified(format!("{name}_right"))))
            })
            .collect()
    }
}

/// Whether a group was there.
const FOUND: &str = "__cenote_found";
/// The number of a row among those of one row of the domain.
const ROW: &str = "__cenote_row";

fn same(left: Expr, right: Expr) -> Expr {
    binary_expr(left, Operator::IsNotDistinctFrom, right)
}

/// What an aggregate gives for no rows: 0 for counts, NULL for most others.
fn value_of_no_rows(call: &Expr) -> Result<ScalarValue> {
    match call {
        Expr::Alias(alias) => value_of_no_rows(&alias.expr),
        Expr::AggregateFunction(call) => {
            let null = ScalarValue::Null;
            match call.func.name() {
                "count" => Ok(ScalarValue::Int64(Some(0))),
                _ => Ok(call.func.default_value(&null.data_type()).unwrap_or(null)),
            }
        }
        _ => Ok(ScalarValue::Null),
    }
}

fn unless_seen(names: &Names, seen: &DFSchema) -> Names {
    names.iter().filter(|(c, _)| !seen.has_column(c)).map(|(c, n)| (c.clone(), n.clone())).collect()
}

/// Outer columns of a nested subquery, which are the domain's now.
fn reroute(plan: LogicalPlan, names: &Names) -> Result<LogicalPlan> {
    let changed = plan.transform_down(|node| {
        let seen = seen_by(&node);
        let node = match node {
            LogicalPlan::Subquery(subquery) => LogicalPlan::Subquery(with_columns(subquery, names)),
            other => other,
        };
        node.map_expressions(|expr| {
            expr.transform_down(|e| match e {
                Expr::OuterReferenceColumn(field, column) => Ok(match names.get(&column) {
                    Some(name) => Transformed::yes(Expr::OuterReferenceColumn(
                        field,
                        Column::new_unqualified(name),
                    )),
                    None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
                }),
                other => rerouted_expression(other, names, &seen),
            })
        })
    })?;
    Ok(changed.data)
}

fn with_columns(mut subquery: Subquery, names: &Names) -> Subquery {
    for column in &mut subquery.outer_ref_columns {
        if let Expr::OuterReferenceColumn(_, column) = column
            && let Some(name) = names.get(column)
        {
            *column = Column::new_unqualified(name);
        }
    }
    subquery
}

/// A subquery's expression whose plan is rerouted; columns that the node itself has are its own.
fn rerouted_expression(expr: Expr, names: &Names, seen: &DFSchema) -> Result<Transformed<Expr>> {
    let names = unless_seen(names, seen);
    let change = |subquery: Subquery| {
        let mut subquery = with_columns(subquery, &names);
        subquery.subquery = Arc::new(reroute(Arc::unwrap_or_clone(subquery.subquery), &names)?);
        Ok::<_, datafusion::error::DataFusionError>(subquery)
    };
    Ok(match expr {
        Expr::ScalarSubquery(s) => Transformed::yes(Expr::ScalarSubquery(change(s)?)),
        Expr::Exists(Exists { subquery, negated }) => {
            Transformed::yes(Expr::Exists(Exists { subquery: change(subquery)?, negated }))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let subquery = change(subquery)?;
            Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated }))
        }
        other => Transformed::no(other),
    })
}
