//! `x IN (query)` in a condition, where NULL makes a difference that DataFusion does not see.
//!
//! It joins for `column NOT IN (query)` as PostgreSQL answers, but only as a conjunct of WHERE. Where
//! the left side names no column, or the condition stands below OR, NOT, IS NULL or the like, a NULL
//! on either side is forgotten. There the condition is spelled out, by counting; so it is in select
//! lists and ORDER BY (`spelling`).

use super::ast::{outside_subqueries, parse_expression};
use sqlparser::ast::{BinaryOperator, Expr, Query, SetExpr, UnaryOperator, visit_expressions};
use std::ops::ControlFlow;

/// Spells such conditions out in the WHERE clauses of a query's own SELECTs.
pub(super) fn spell_out(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            if let Some(condition) = &mut select.selection {
                conjuncts(condition);
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            spell_out(left);
            spell_out(right);
        }
        _ => {}
    }
}

fn conjuncts(expr: &mut Expr) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left);
            conjuncts(right);
        }
        Expr::Nested(inner) => conjuncts(inner),
        Expr::InSubquery { expr: left, negated: true, .. } if names_a_column(left) => {}
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
