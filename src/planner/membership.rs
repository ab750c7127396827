//! `x IN (query)` in a condition, where NULL makes a difference that DataFusion does not see.
//!
//! It joins for `column NOT IN (query)` as PostgreSQL answers, but only as a conjunct of WHERE. Where
//! the left side names no column, or the condition stands below OR, NOT, IS NULL or the like, a NULL
//! on either side is forgotten. There the condition is spelled out, by counting; so it is in select
//! lists and ORDER BY (`spelling`). `x NOT IN (query)` that depends on the outer row, which DataFusion joins by
//! one column only, becomes NOT EXISTS.

use super::ast::{identifier, outside_subqueries, parse_expression};
use crate::parser::{fold_ident, object_name};
use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins, UnaryOperator, visit_expressions,
};
use std::ops::ControlFlow;

/// Spells such conditions out in the WHERE clauses of a query's own SELECTs.
pub(super) fn spell_out(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let scope = names(select);
            if let Some(condition) = &mut select.selection {
                conjuncts(condition, &scope);
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            spell_out(left);
            spell_out(right);
        }
        _ => {}
    }
}

fn conjuncts(expr: &mut Expr, scope: &[String]) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, scope);
            conjuncts(right, scope);
        }
        Expr::Nested(inner) => conjuncts(inner, scope),
        Expr::InSubquery { expr: left, subquery, negated: true } if names_a_column(left) => {
            if let Some(absent) = not_exists(left, subquery, scope) {
                *expr = absent;
            }
        }
        other => alternatives(other),
    }
}

/// What is true or not, where NULL counts as not.
fn alternatives(expr: &mut Expr) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            alternatives(left);
            alternatives(right);
        }
        Expr::Nested(inner) => alternatives(inner),
        Expr::InSubquery { negated: false, .. } => {}
        other => outside_subqueries(other, count),
    }
}

/// The names of a SELECT's relations.
fn names(select: &Select) -> Vec<String> {
    let joined = |item: &TableWithJoins| {
        let relations = std::iter::once(&item.relation);
        relations.chain(item.joins.iter().map(|join| &join.relation)).cloned().collect::<Vec<_>>()
    };
    let of = |factor: TableFactor| match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => {
            Some(fold_ident(&alias.name.value, alias.name.quote_style))
        }
        TableFactor::Table { name, alias: None, .. } => object_name(&name).pop(),
        _ => None,
    };
    select.from.iter().flat_map(joined).filter_map(of).collect()
}

/// `left NOT IN (query)` as NOT EXISTS, for a plain query that names a relation of `scope`.
fn not_exists(left: &Expr, query: &Query, scope: &[String]) -> Option<Expr> {
    let is_whole = query.limit_clause.is_none() && query.fetch.is_none() && query.with.is_none();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let inner = names(select);
    let outer: Vec<&String> = scope.iter().filter(|name| !inner.contains(name)).collect();
    let qualifier = |e: &Expr| match e {
        Expr::CompoundIdentifier(parts) if parts.len() == 2 => {
            Some(fold_ident(&parts[0].value, parts[0].quote_style))
        }
        _ => None,
    };
    let depends = visit_expressions(query, |e| match qualifier(e) {
        Some(name) if outer.contains(&&name) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if !is_whole || !depends.is_break() || !is_plain(select) {
        return None;
    }
    // A bare name would be one of the query's own columns, if it has such a one.
    let left = match (left, outer.as_slice()) {
        (Expr::Identifier(column), [only]) if scope.len() == 1 => {
            format!("{}.{column}", identifier(only))
        }
        (left, _) if qualifier(left).is_some_and(|name| outer.contains(&&name)) => left.to_string(),
        _ => return None,
    };
    let (SelectItem::UnnamedExpr(member) | SelectItem::ExprWithAlias { expr: member, .. }) =
        select.projection.first()?
    else {
        return None;
    };
    let condition = format!("({member}) = {left} OR ({member}) IS NULL OR {left} IS NULL");
    let condition = match &select.selection {
        Some(own) => format!("({own}) AND ({condition})"),
        None => condition,
    };
    let mut absent = query.clone();
    let SetExpr::Select(select) = absent.body.as_mut() else { return None };
    select.selection = Some(parse_expression(&condition).ok()?);
    absent.order_by = None;
    Some(Expr::Exists { subquery: Box::new(absent), negated: true })
}

/// One column of each row that a condition leaves: no groups, and nothing counted.
fn is_plain(select: &Select) -> bool {
    let is_grouped =
        !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let calls = visit_expressions(&select.projection, |e| match e {
        Expr::Function(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    select.projection.len() == 1
        && !is_grouped
        && select.having.is_none()
        && select.distinct.is_none()
        && !calls.is_break()
}

fn names_a_column(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |e| match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Counts, where an expression is `x IN (query)`.
pub(super) fn count(expr: &mut Expr) {
    if let Some(counted) = as_count(expr) {
        *expr = counted;
    }
}

/// What `x IN (query)` or its negation is by counting, for an expression that is one.
fn as_count(expr: &Expr) -> Option<Expr> {
    let Expr::InSubquery { expr: left, subquery, negated } = expr else { return None };
    let counted = counted(left, subquery)?;
    Some(match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(counted) },
        false => counted,
    })
}

/// `left IN (query)` by counting its rows, those equal to `left`, and the NULLs.
fn counted(left: &Expr, query: &Query) -> Option<Expr> {
    let count = |condition: &str| {
        format!("(SELECT count(*) FROM ({query}) AS __cenote_members (__cenote_member){condition})")
    };
    let all = count("");
    let equal = count(&format!(" WHERE __cenote_member = ({left})"));
    let null = count(" WHERE __cenote_member IS NULL");
    let text = format!(
        "(CASE WHEN {all} = 0 THEN false WHEN ({left}) IS NULL THEN NULL WHEN {equal} > 0 THEN true \
         WHEN {null} > 0 THEN NULL ELSE false END)"
    );
    parse_expression(&text).ok()
}
