//! What `*` and the names of a FROM item's columns stand for, where DataFusion sees it differently.
//!
//! Merged columns: JOIN … USING and NATURAL JOIN.
//! PostgreSQL shows the merged columns first, the left side's for inner and left joins, the right
//! side's for right joins, and whichever is not NULL for full joins. DataFusion shows one of the two
//! by the order of their tables' names, and finds the name ambiguous elsewhere. So `*` is spelled out
//! here, such joins get conditions, and the merged column's name becomes what it stands for.
//!
//! `SELECT *, *` is spelled out too, for DataFusion wants names to differ, and in `t AS q(a)` the
//! columns behind the first keep their names. Where the statement names the hidden column of a
//! feature table, so that the relation shows it, `*` and `t.*` are spelled out without it.

use super::ast::{identifier, outside_subqueries, parse_expression};
use super::names;
use super::relations::{Hiding, split_name};
use crate::error::{Error, Result};
use crate::parser::{TokenSlice, fold_ident, object_name};
use crate::sqlstate::SqlState;
use datafusion::execution::session_state::SessionState;
use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, OrderByKind, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind as Qualifier, SetExpr, Spanned, Statement,
    TableAliasColumnDef, TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
    WildcardAdditionalOptions, With,
};
use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

/// Rewrites such joins in a whole statement.
///
/// # Errors
/// 0A000 for a side that has no name.
pub(super) async fn merge(
    state: &SessionState,
    slice: Option<&TokenSlice>,
    hiding: &Hiding,
    statement: &mut Statement,
) -> Result<()> {
    let mut asked = Asked { hiding, withs: Vec::new(), queries: Vec::new() };
    let _ = Visit::visit(statement, &mut asked);
    if asked.queries.is_empty() {
        return Ok(());
    }
    let mut known = VecDeque::new();
    for query in asked.queries {
        let query = Statement::Query(Box::new(query));
        let wrapped = datafusion::sql::parser::Statement::Statement(Box::new(query));
        // What cannot be planned by itself (LATERAL, a wrong name) fails with the statement.
        let plan = state.statement_to_plan(wrapped).await.ok();
        known.push_back(plan.map(|plan| {
            plan.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>()
        }));
    }
    let mut merger = Merger { hiding, known, spelled: HashMap::new() };
    if let ControlFlow::Break(failure) = VisitMut::visit(statement, &mut merger) {
        let (error, span) = *failure;
        return Err(error.position_or(slice.and_then(|s| s.position(span.start))));
    }
    Ok(())
}

type Failure = Box<(Error, sqlparser::tokenizer::Span)>;

/// The SELECTs of a query itself.
fn selects<'a>(body: &'a SetExpr, out: &mut Vec<&'a Select>) {
    match body {
        SetExpr::Select(select) => out.push(select),
        SetExpr::SetOperation { left, right, .. } => {
            selects(left, out);
            selects(right, out);
        }
        _ => {}
    }
}

fn selects_mut<'a>(body: &'a mut SetExpr, out: &mut Vec<&'a mut Select>) {
    match body {
        SetExpr::Select(select) => out.push(select),
        SetExpr::SetOperation { left, right, .. } => {
            selects_mut(left, out);
            selects_mut(right, out);
        }
        _ => {}
    }
}

fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c) => Some(c),
        _ => None,
    }
}

fn merges(operator: &JoinOperator) -> bool {
    matches!(constraint(operator), Some(JoinConstraint::Using(_) | JoinConstraint::Natural))
}

/// All joins below a FROM item, those in parentheses too.
fn joins(item: &TableWithJoins) -> Vec<&Join> {
    let mut out: Vec<&Join> = item.joins.iter().collect();
    let factors = std::iter::once(&item.relation).chain(item.joins.iter().map(|j| &j.relation));
    for factor in factors {
        if let TableFactor::NestedJoin { table_with_joins, alias: None } = factor {
            out.extend(joins(table_with_joins));
        }
    }
    out
}

/// Whether a SELECT has merged columns, several `*`, a `*` over a relation with a hidden column, or
/// relations of which not all columns are named.
fn is_concerned(select: &Select, hiding: &Hiding) -> bool {
    let mut relations = Vec::new();
    select.from.iter().for_each(|item| factors(item, &mut relations));
    select.from.iter().flat_map(joins).any(|j| merges(&j.join_operator))
        || repeats_all(&select.projection)
        || (has_all(&select.projection) && relations.iter().any(|f| hides(f, hiding)))
        || relations.into_iter().any(may_name_some)
}

fn has_all(projection: &[SelectItem]) -> bool {
    projection
        .iter()
        .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)))
}

/// Whether the last column of a relation is hidden.
fn hides(factor: &TableFactor, hiding: &Hiding) -> bool {
    match factor {
        TableFactor::Table { name, args: None, .. } if !hiding.is_empty() => {
            split_name(object_name(name)).is_ok_and(|name| hiding.contains(&name))
        }
        _ => false,
    }
}

/// `SELECT *, *` and `SELECT t.*, *`.
fn repeats_all(projection: &[SelectItem]) -> bool {
    let all = |i: &&SelectItem| matches!(i, SelectItem::Wildcard(_));
    let of_one = |i: &&SelectItem| matches!(i, SelectItem::QualifiedWildcard(..));
    let (all, of_one) =
        (projection.iter().filter(all).count(), projection.iter().filter(of_one).count());
    all > 1 || (all > 0 && of_one > 0)
}

/// Whether an alias may name fewer columns than the relation has, as far as its text tells.
fn may_name_some(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { alias: Some(alias), args: None, .. } => !alias.columns.is_empty(),
        TableFactor::Derived { alias: Some(alias), subquery, .. } => {
            let given = alias.columns.len();
            given > 0 && width(&subquery.body).is_none_or(|width| width > given)
        }
        _ => false,
    }
}

/// The number of a query's columns, if its text tells.
fn width(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Values(values) => values.rows.first().map(|row| row.len()),
        SetExpr::SetOperation { left, .. } => width(left),
        SetExpr::Query(query) => width(&query.body),
        SetExpr::Select(select) => {
            let is_one = |item: &SelectItem| {
                matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
            };
            let items = &select.projection;
            items.iter().all(is_one).then_some(items.len())
        }
        _ => None,
    }
}

/// The names that the alias of a table or a subquery gives to columns.
fn given_names(factor: &mut TableFactor) -> Option<&mut Vec<TableAliasColumnDef>> {
    match factor {
        TableFactor::Table { alias: Some(alias), args: None, .. }
        | TableFactor::Derived { alias: Some(alias), .. } => Some(&mut alias.columns),
        _ => None,
    }
}

/// The relations of a FROM item, from left to right.
fn factors<'a>(item: &'a TableWithJoins, out: &mut Vec<&'a TableFactor>) {
    for factor in std::iter::once(&item.relation).chain(item.joins.iter().map(|j| &j.relation)) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                factors(table_with_joins, out);
            }
            other => out.push(other),
        }
    }
}

/// The first walk: queries that tell the columns of each relation.
struct Asked<'a> {
    hiding: &'a Hiding,
    withs: Vec<Option<With>>,
    queries: Vec<Query>,
}

impl Visitor for Asked<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.withs.push(query.with.clone());
        let mut found = Vec::new();
        selects(&query.body, &mut found);
        let hiding = self.hiding;
        for select in found.into_iter().filter(|s| is_concerned(s, hiding)) {
            let mut relations = Vec::new();
            select.from.iter().for_each(|item| factors(item, &mut relations));
            for relation in relations {
                let mut relation = relation.clone();
                // The columns' own names: too few of the alias's would be refused.
                if let Some(given) = given_names(&mut relation) {
                    given.clear();
                }
                let from = TableWithJoins { relation, joins: Vec::new() };
                let mut all = super::select(Vec::new(), vec![from], None);
                if let SetExpr::Select(select) = all.body.as_mut() {
                    select.projection = vec![SelectItem::Wildcard(Default::default())];
                }
                all.with = self.with();
                self.queries.push(all);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.withs.pop();
        ControlFlow::Continue(())
    }
}

impl Asked<'_> {
    /// The common table expressions in scope; inner ones hide outer ones of the same name.
    fn with(&self) -> Option<With> {
        let mut merged: Option<With> = None;
        for with in self.withs.iter().flatten() {
            match &mut merged {
                None => merged = Some(with.clone()),
                Some(merged) => {
                    merged.recursive |= with.recursive;
                    let hidden = |name: &Ident| {
                        with.cte_tables.iter().any(|c| c.alias.name.value == name.value)
                    };
                    merged.cte_tables.retain(|c| !hidden(&c.alias.name));
                    merged.cte_tables.extend(with.cte_tables.iter().cloned());
                }
            }
        }
        merged
    }
}

/// A column that a FROM item shows.
#[derive(Clone)]
struct Shown {
    name: String,
    value: Expr,
    /// The value is not simply a column of the left side.
    changed: bool,
    /// The name stands for two columns at least.
    merged: bool,
    /// Not part of `*`, nor of what NATURAL compares.
    hidden: bool,
}

/// The second walk.
struct Merger<'a> {
    hiding: &'a Hiding,
    known: VecDeque<Option<Vec<String>>>,
    /// What `t.*` stands for in the SELECT at hand, for relations with a hidden column.
    spelled: HashMap<String, Vec<Shown>>,
}

impl VisitorMut for Merger<'_> {
    type Break = Failure;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Failure> {
        let mut found = Vec::new();
        selects_mut(&mut query.body, &mut found);
        let mut replaced = HashMap::new();
        let hiding = self.hiding;
        for select in found.into_iter().filter(|s| is_concerned(s, hiding)) {
            match self.select(select) {
                Ok(changed) => replaced.extend(changed),
                Err(failure) => return ControlFlow::Break(failure),
            }
        }
        // ORDER BY takes a name of the select list first.
        if let SetExpr::Select(select) = query.body.as_ref()
            && let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order.kind
        {
            let is_shown = |name: &Ident| {
                select.projection.iter().any(
                    |i| matches!(i, SelectItem::ExprWithAlias { alias, .. } if alias.value == name.value),
                )
            };
            for key in keys {
                if !matches!(&key.expr, Expr::Identifier(name) if is_shown(name)) {
                    replace(&mut key.expr, &replaced);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl Merger<'_> {
    fn select(
        &mut self,
        select: &mut Select,
    ) -> std::result::Result<HashMap<String, Expr>, Failure> {
        let mut shown = Vec::new();
        let mut complete = true;
        self.spelled.clear();
        for item in &mut select.from {
            match self.item(item)? {
                Some(columns) => shown.extend(columns),
                None => complete = false,
            }
        }
        if !complete {
            return Ok(HashMap::new());
        }
        let merged: HashMap<String, Expr> =
            shown.iter().filter(|c| c.merged).map(|c| (c.name.clone(), c.value.clone())).collect();
        let mut items = Vec::new();
        let repeats = repeats_all(&select.projection);
        shown.retain(|c| !c.hidden);
        for item in std::mem::take(&mut select.projection) {
            match item {
                SelectItem::Wildcard(options) if is_plain(&options) => {
                    spell_out(&shown, repeats, &mut items);
                }
                SelectItem::QualifiedWildcard(Qualifier::ObjectName(name), options)
                    if is_plain(&options) =>
                {
                    let spelled = object_name(&name).pop().and_then(|n| self.spelled.get(&n));
                    match spelled {
                        Some(columns) => spell_out(columns, repeats, &mut items),
                        None => items.push(SelectItem::QualifiedWildcard(
                            Qualifier::ObjectName(name),
                            options,
                        )),
                    }
                }
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
                    let folded = fold_ident(&name.value, name.quote_style);
                    items.push(match merged.get(&folded) {
                        Some(value @ Expr::CompoundIdentifier(_)) => {
                            SelectItem::UnnamedExpr(value.clone())
                        }
                        Some(value) => SelectItem::ExprWithAlias {
                            expr: value.clone(),
                            alias: identifier(&folded),
                        },
                        None => SelectItem::UnnamedExpr(Expr::Identifier(name)),
                    });
                }
                mut other => {
                    replace(&mut other, &merged);
                    items.push(other);
                }
            }
        }
        select.projection = items;
        replace(&mut select.selection, &merged);
        replace(&mut select.group_by, &merged);
        replace(&mut select.having, &merged);
        replace(&mut select.qualify, &merged);
        replace(&mut select.distinct, &merged);
        replace(&mut select.named_window, &merged);
        Ok(merged)
    }

    /// The columns that a FROM item shows; none where a relation's are not known.
    fn item(
        &mut self,
        item: &mut TableWithJoins,
    ) -> std::result::Result<Option<Vec<Shown>>, Failure> {
        let mut left = self.factor(&mut item.relation)?;
        for join in &mut item.joins {
            let right = self.factor(&mut join.relation)?;
            left = match (left, right) {
                (Some(left), Some(right)) => Some(joined(join, left, right)?),
                _ => None,
            };
        }
        Ok(left)
    }

    fn factor(
        &mut self,
        factor: &mut TableFactor,
    ) -> std::result::Result<Option<Vec<Shown>>, Failure> {
        let name = match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                return self.item(table_with_joins);
            }
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. } => {
                Some(fold_ident(&alias.name.value, alias.name.quote_style))
            }
            TableFactor::Table { name, .. } => object_name(name).pop(),
            _ => None,
        };
        let columns = self.known.pop_front().flatten();
        let (Some(name), Some(mut columns)) = (name, columns) else { return Ok(None) };
        let last_is_hidden = hides(factor, self.hiding);
        if let Some(given) = given_names(factor)
            && !given.is_empty()
        {
            let rest = columns.iter().skip(given.len());
            let rest = rest.map(|c| TableAliasColumnDef { name: identifier(c), data_type: None });
            given.extend(rest.collect::<Vec<_>>());
            let names = given.iter().map(|c| fold_ident(&c.name.value, c.name.quote_style));
            columns = names.collect();
        }
        let last = columns.len().saturating_sub(1);
        let shown = columns.into_iter().enumerate().map(|(i, column)| Shown {
            value: Expr::CompoundIdentifier(vec![identifier(&name), identifier(&column)]),
            name: column,
            changed: false,
            merged: false,
            hidden: last_is_hidden && i == last,
        });
        let shown: Vec<Shown> = shown.collect();
        if last_is_hidden {
            let visible = shown.iter().filter(|c| !c.hidden).cloned().collect();
            self.spelled.insert(name, visible);
        }
        Ok(Some(shown))
    }
}

/// Columns in the place of a `*`; where there are several, their names are kept apart.
fn spell_out(columns: &[Shown], repeats: bool, items: &mut Vec<SelectItem>) {
    let again = items.len();
    items.extend(columns.iter().enumerate().map(|(i, column)| match repeats {
        true => SelectItem::ExprWithAlias {
            expr: column.value.clone(),
            alias: identifier(&names::apart(&column.name, again + i)),
        },
        false => as_item(column),
    }));
}

fn as_item(column: &Shown) -> SelectItem {
    if column.changed {
        let alias = identifier(&column.name);
        return SelectItem::ExprWithAlias { expr: column.value.clone(), alias };
    }
    SelectItem::UnnamedExpr(column.value.clone())
}

/// What a join shows: merged columns, then the others of both sides.
fn joined(
    join: &mut Join,
    mut left: Vec<Shown>,
    mut right: Vec<Shown>,
) -> std::result::Result<Vec<Shown>, Failure> {
    let names: Vec<String> = match constraint(&join.join_operator) {
        Some(JoinConstraint::Using(names)) => {
            names.iter().filter_map(|n| object_name(n).pop()).collect()
        }
        Some(JoinConstraint::Natural) => {
            let common = left.iter().filter(|c| !c.hidden).map(|c| &c.name);
            common.filter(|n| right.iter().any(|c| c.name == **n && !c.hidden)).cloned().collect()
        }
        _ => Vec::new(),
    };
    let mut merged = Vec::new();
    let mut condition: Option<Expr> = None;
    let span = join.relation.span();
    for name in names {
        let take = |side: &mut Vec<Shown>, which: &str| {
            let at = side.iter().position(|c| c.name == name).ok_or_else(|| {
                let message = format!(
                    "column \"{name}\" specified in USING clause does not exist in {which} table"
                );
                let known: Vec<&str> = side.iter().map(|c| c.name.as_str()).collect();
                let error = Error::new(SqlState::UndefinedColumn, message)
                    .column(&name)
                    .maybe_hint(crate::suggest::hint("column", &name, &known));
                Box::new((error, span))
            })?;
            Ok::<_, Failure>(side.remove(at))
        };
        let (l, r) = (take(&mut left, "left")?, take(&mut right, "right")?);
        let equal = Expr::BinaryOp {
            left: Box::new(l.value.clone()),
            op: BinaryOperator::Eq,
            right: Box::new(r.value.clone()),
        };
        condition = Some(match condition {
            None => equal,
            Some(all) => Expr::BinaryOp {
                left: Box::new(all),
                op: BinaryOperator::And,
                right: Box::new(equal),
            },
        });
        merged.push(match &join.join_operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
                Shown { changed: true, merged: true, ..r }
            }
            JoinOperator::FullOuter(_) => Shown {
                value: either(&l.value, &r.value).map_err(|e| Box::new((e, span)))?,
                changed: true,
                merged: true,
                hidden: false,
                name,
            },
            _ => Shown { merged: true, ..l },
        });
    }
    if let Some(condition) = condition {
        set_condition(&mut join.join_operator, condition);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

fn either(left: &Expr, right: &Expr) -> Result<Expr> {
    parse_expression(&format!("coalesce({left}, {right})"))
}

fn set_condition(operator: &mut JoinOperator, condition: Expr) {
    if let JoinOperator::Join(c)
    | JoinOperator::Inner(c)
    | JoinOperator::Left(c)
    | JoinOperator::LeftOuter(c)
    | JoinOperator::Right(c)
    | JoinOperator::RightOuter(c)
    | JoinOperator::FullOuter(c) = operator
    {
        *c = JoinConstraint::On(condition);
    }
}

/// Puts the merged columns' values in the place of their names, but not in subqueries.
fn replace(tree: &mut impl VisitMut, values: &HashMap<String, Expr>) {
    if !values.is_empty() {
        outside_subqueries(tree, |expr| {
            if let Expr::Identifier(name) = expr
                && let Some(value) = values.get(&fold_ident(&name.value, name.quote_style))
            {
                *expr = value.clone();
            }
        });
    }
}

/// A `*` without EXCLUDE, REPLACE and the like.
fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
}
