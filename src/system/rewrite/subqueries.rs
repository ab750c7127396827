//! Subqueries that DataFusion does not decorrelate, turned into aggregates, outer joins or NULL.

use super::{Scoped, call, system_relation};
use crate::system::System;
use crate::system::rows::definition;
use sqlparser::ast::{
    Array, Expr, FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator,
    ObjectName, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor,
    TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// The tables of a FROM clause.
pub(super) fn tables_of(select: &Select, ctes: &HashSet<String>) -> Vec<Scoped> {
    let mut tables = Vec::new();
    for item in &select.from {
        collect(item, ctes, &mut tables);
    }
    tables
}

fn collect(item: &TableWithJoins, ctes: &HashSet<String>, tables: &mut Vec<Scoped>) {
    let factors = [&item.relation].into_iter().chain(item.joins.iter().map(|j| &j.relation));
    for factor in factors {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let relation = system_relation(name, ctes);
                let own = name.0.last().and_then(|p| p.as_ident()).map(|i| i.value.clone());
                let alias = alias.as_ref().map(|a| a.name.value.clone()).or(own);
                tables.extend(alias.map(|alias| Scoped { alias, relation }));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                collect(table_with_joins, ctes, tables);
            }
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. } => {
                let alias = alias.as_ref().map(|a| a.name.value.clone());
                tables.extend(alias.map(|alias| Scoped { alias, relation: None }));
            }
            _ => {}
        }
    }
}

/// True if a relation without rows is joined so that the SELECT has none either.
pub(super) fn is_empty(system: &System, select: &Select, ctes: &HashSet<String>) -> bool {
    let inner = |join: &&Join| {
        matches!(
            join.join_operator,
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
        )
    };
    let only_inner = |item: &&TableWithJoins| {
        item.joins.iter().all(|j| {
            inner(&j)
                || matches!(j.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_))
        })
    };
    let empty = |factor: &TableFactor| match factor {
        TableFactor::Table { name, args: None, .. } => {
            let found = system_relation(name, ctes).and_then(|(s, n)| definition(&s, &n));
            found.is_some_and(|d| system.rows_of(d).is_ok_and(|batch| batch.num_rows() == 0))
        }
        _ => false,
    };
    !matches!(select.group_by, GroupByExpr::All(_))
        && select.from.iter().filter(only_inner).any(|item| {
            empty(&item.relation) || item.joins.iter().filter(inner).any(|j| empty(&j.relation))
        })
}

/// In a SELECT that yields no row, columns that could not be planned are NULL.
pub(super) fn drop_hard_columns(select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) = item
            && Visit::visit(expr, &mut HardPart).is_break()
        {
            *expr = Expr::value(Value::Null);
        }
    }
}

/// Finds subqueries, array comparisons, array literals and subscripts.
struct HardPart;

impl Visitor for HardPart {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let hard = match expr {
            Expr::Subquery(_)
            | Expr::Exists { .. }
            | Expr::InSubquery { .. }
            | Expr::AllOp { .. }
            | Expr::CompoundFieldAccess { .. } => true,
            Expr::AnyOp { right, .. } => !matches!(right.as_ref(), Expr::Identifier(_)),
            Expr::Function(function) => matches!(function.args, FunctionArguments::Subquery(_)),
            Expr::Value(value) => {
                matches!(&value.value, Value::SingleQuotedString(s) if s.starts_with('{'))
            }
            _ => false,
        };
        if hard { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// `ARRAY(SELECT e FROM … ORDER BY o)` as `(SELECT array_agg(e ORDER BY o) FROM …)`.
pub(super) fn array_of(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if let Some(array) = array_of_unnest(select) {
        return Some(array);
    }
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(e, _) if e.is_empty());
    if query.limit_clause.is_some() || query.fetch.is_some() || select.distinct.is_some() || grouped
    {
        return None;
    }
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let [item] = select.projection.as_mut_slice() else { return None };
    let (SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)) = item else {
        return None;
    };
    let mut aggregate = call("array_agg", vec![expr.clone()]);
    if let (Expr::Function(function), Some(order)) = (&mut aggregate, query.order_by.take())
        && let (FunctionArguments::List(list), OrderByKind::Expressions(mut keys)) =
            (&mut function.args, order.kind)
    {
        for key in &mut keys {
            // ORDER BY 1 is the element itself.
            if matches!(&key.expr, Expr::Value(v) if matches!(v.value, Value::Number(..))) {
                key.expr = expr.clone();
            }
        }
        list.clauses.push(sqlparser::ast::FunctionArgumentClause::OrderBy(keys));
    }
    *expr = aggregate;
    // Over no rows an aggregate is NULL, and ARRAY(…) is empty.
    let empty = Expr::Array(Array { elem: Vec::new(), named: true });
    Some(call("coalesce", vec![Expr::Subquery(Box::new(query)), empty]))
}

/// `ARRAY(SELECT x FROM unnest(a) x)` is `a`. Any other SELECT over an outer array cannot be planned; psql's
/// over the options of a TOAST table is NULL, since there are no such tables.
fn array_of_unnest(select: &Select) -> Option<Expr> {
    let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
    if !joins.is_empty() {
        return None;
    }
    let (array, alias) = match relation {
        TableFactor::UNNEST { array_exprs, alias, .. } => (array_exprs.first()?.clone(), alias),
        TableFactor::Table { name, args: Some(args), alias, .. }
            if name.0.last()?.as_ident()?.value == "unnest" =>
        {
            (super::plain_argument(args.args.first()?)?.clone(), alias)
        }
        TableFactor::Function { name, args, alias, .. }
            if name.0.last()?.as_ident()?.value == "unnest" =>
        {
            (super::plain_argument(args.first()?)?.clone(), alias)
        }
        _ => return None,
    };
    let name = alias.as_ref().map(|a| a.columns.first().map_or(&a.name, |c| &c.name));
    let element = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => expr,
        _ => return None,
    };
    let same = matches!((element, name), (Expr::Identifier(e), Some(n)) if e.value == n.value);
    if same && select.selection.is_none() {
        return Some(array);
    }
    let options = matches!(&array, Expr::CompoundIdentifier(parts)
        if parts.last().is_some_and(|column| column.value == "reloptions"));
    options.then(|| Expr::value(Value::Null))
}

/// The subquery of [`array_of`] with its element in place of the aggregate.
pub(super) fn without_array_agg(query: &Query) -> Option<Query> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let [SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)] =
        select.projection.as_mut_slice()
    else {
        return None;
    };
    let (name, arguments) = super::call_parts(expr)?;
    let element = (name == "array_agg").then(|| arguments.first().copied().cloned())??;
    *expr = element;
    Some(query)
}

/// Replaces `(SELECT e FROM t WHERE c)` in the columns and the condition by `LEFT JOIN t ON c` and `e`.
///
/// Right as long as at most one row matches, which is what the client promises by writing a scalar
/// subquery; DataFusion wants an aggregate and equalities instead.
pub(super) fn join_scalar_subqueries(select: &mut Select, ctes: &HashSet<String>) {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(e, _) if e.is_empty());
    let plain = |item: &SelectItem| {
        matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
    };
    if grouped || select.from.is_empty() || !select.projection.iter().all(plain) {
        return;
    }
    let outer = tables_of(select, ctes).into_iter().map(|t| t.alias).collect();
    let mut lift = Lift { outer, ctes, joins: Vec::new(), depth: 0 };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let _: ControlFlow<()> = VisitMut::visit(expr, &mut lift);
        }
    }
    if let Some(condition) = &mut select.selection {
        let _: ControlFlow<()> = VisitMut::visit(condition, &mut lift);
    }
    if lift.joins.is_empty() {
        return;
    }
    let joins = lift.joins;
    let mut from = std::mem::take(&mut select.from).into_iter();
    let Some(mut first) = from.next() else { return };
    for item in from {
        first.joins.push(cross(nested(item)));
    }
    first.joins.extend(joins);
    select.from.push(first);
}

fn nested(item: TableWithJoins) -> TableFactor {
    if item.joins.is_empty() {
        return item.relation;
    }
    TableFactor::NestedJoin { table_with_joins: Box::new(item), alias: None }
}

fn cross(relation: TableFactor) -> Join {
    Join { relation, global: false, join_operator: JoinOperator::CrossJoin(JoinConstraint::None) }
}

/// Takes correlated scalar subqueries out of expressions.
struct Lift<'a> {
    outer: HashSet<String>,
    ctes: &'a HashSet<String>,
    joins: Vec<Join>,
    /// How many subqueries deep the visit is: only those of the SELECT itself are taken.
    depth: usize,
}

impl VisitorMut for Lift<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Subquery(query) = expr
            && let Some(value) = self.lift(query)
        {
            *expr = value;
        }
        ControlFlow::Continue(())
    }
}

impl Lift<'_> {
    /// Joins the subquery's tables under new names, and returns its column.
    fn lift(&mut self, query: &Query) -> Option<Expr> {
        let mut select = simple_select(query)?.clone();
        // The promise of one row is the clients', about the catalog; a user's own tables keep it or not.
        let mut tables = select.from.iter().flat_map(|item| {
            std::iter::once(&item.relation).chain(item.joins.iter().map(|j| &j.relation))
        });
        if !tables.all(is_of_the_system) {
            return None;
        }
        let inner: HashSet<String> =
            tables_of(&select, self.ctes).into_iter().map(|t| t.alias).collect();
        let mut references = References::default();
        let _ = Visit::visit(&select, &mut references);
        let correlated =
            references.aliases.iter().any(|a| self.outer.contains(a) && !inner.contains(a));
        if !correlated || references.hard {
            return None;
        }
        let suffix = format!("__sub{}", self.joins.len());
        rename_tables(&mut select, &inner, &suffix);
        let condition =
            select.selection.take().unwrap_or_else(|| Expr::value(Value::Boolean(true)));
        let mut tables = std::mem::take(&mut select.from).into_iter();
        let mut first = tables.next()?;
        first.joins.extend(tables.map(|item| cross(nested(item))));
        self.joins.push(Join {
            relation: nested(first),
            global: false,
            join_operator: JoinOperator::LeftOuter(JoinConstraint::On(condition)),
        });
        match select.projection.pop()? {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                Some(Expr::Nested(Box::new(expr)))
            }
            _ => None,
        }
    }
}

fn is_of_the_system(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { name, .. } if super::touches::is_system_relation(name))
}

/// A SELECT of one column from tables, without grouping, limits or set operations.
fn simple_select(query: &Query) -> Option<&Select> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(e, _) if e.is_empty());
    let only_tables = |item: &TableWithJoins| {
        let mut factors =
            [&item.relation].into_iter().chain(item.joins.iter().map(|j| &j.relation));
        factors.all(|f| matches!(f, TableFactor::Table { args: None, .. }))
    };
    let simple = query.with.is_none()
        && query.limit_clause.is_none()
        && query.order_by.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && !grouped
        && !select.from.is_empty()
        && select.projection.len() == 1
        && select.from.iter().all(only_tables);
    simple.then_some(select)
}

/// The aliases that columns are qualified with, and whether something forbids a join.
#[derive(Default)]
struct References {
    aliases: HashSet<String>,
    hard: bool,
}

/// Aggregates that catalog queries use in scalar subqueries.
const AGGREGATES: [&str; 10] = [
    "array_agg",
    "string_agg",
    "count",
    "min",
    "max",
    "sum",
    "bool_or",
    "bool_and",
    "avg",
    "json_agg",
];

impl Visitor for References {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::CompoundIdentifier(parts) => {
                self.aliases.extend(parts.first().map(|i| i.value.clone()))
            }
            Expr::Function(function) => {
                let name = function.name.0.last().and_then(|p| p.as_ident());
                self.hard |= name
                    .is_some_and(|n| AGGREGATES.contains(&n.value.to_ascii_lowercase().as_str()));
            }
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => self.hard = true,
            // Unqualified columns could become ambiguous beside the outer tables' columns.
            Expr::Identifier(_) => self.hard = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Gives the tables of a SELECT new aliases.
fn rename_tables(select: &mut Select, aliases: &HashSet<String>, suffix: &str) {
    let _ = VisitMut::visit(select, &mut Rename { aliases, suffix });
}

struct Rename<'a> {
    aliases: &'a HashSet<String>,
    suffix: &'a str,
}

impl VisitorMut for Rename<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor
            && let Some(old) = alias.as_ref().map(|a| a.name.value.clone()).or_else(|| last(name))
        {
            *alias = Some(TableAlias {
                explicit: true,
                name: Ident::with_quote('"', format!("{old}{}", self.suffix)),
                columns: Vec::new(),
                at: None,
            });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let Some(first) = parts.first_mut()
            && self.aliases.contains(&first.value)
        {
            *first = Ident::with_quote('"', format!("{}{}", first.value, self.suffix));
        }
        ControlFlow::Continue(())
    }
}

fn last(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|p| p.as_ident()).map(|i| i.value.clone())
}
