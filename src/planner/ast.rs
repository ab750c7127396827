//! Small pieces of sqlparser's trees, made by hand.

use crate::error::{Error, Result};
use crate::parser::Script;
use sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, Query, Statement, TableAlias,
    TableFactor, Value, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

/// A quoted identifier, which folds to itself.
pub fn identifier(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Parses a query's text.
///
/// # Errors
/// 42601 with the position in `text`.
pub fn parse_query(text: &str) -> Result<Query> {
    let mut pieces = Script::split(text)?;
    if pieces.len() != 1 {
        return Err(Error::internal("a stored query is not one statement"));
    }
    match pieces.remove(0).parse_all(|p| p.parse_statement())? {
        Statement::Query(query) => Ok(*query),
        _ => Err(Error::internal("a stored query is no query")),
    }
}

/// Parses an expression's text, such as a default or a CHECK.
///
/// # Errors
/// 42601 with the position in `text`.
pub fn parse_expression(text: &str) -> Result<Expr> {
    let mut pieces = Script::split(text)?;
    if pieces.len() != 1 {
        return Err(Error::internal("a stored expression is not one expression"));
    }
    pieces.remove(0).parse_all(|p| p.parse_expr())
}

/// `(query) AS alias`
pub fn derived(query: Query, alias: &str) -> TableFactor {
    TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias: Some(table_alias(alias)),
        sample: None,
    }
}

/// A plain alias.
pub(super) fn table_alias(name: &str) -> TableAlias {
    TableAlias { explicit: true, name: identifier(name), columns: Vec::new(), at: None }
}

/// A table by name, with an alias.
pub fn table_factor(name: &[&str], alias: Option<&str>) -> TableFactor {
    TableFactor::Table {
        name: ObjectName(
            name.iter().map(|part| ObjectNamePart::Identifier(identifier(part))).collect(),
        ),
        alias: alias.map(table_alias),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// True for `=`, `<>`, `<` and the like.
pub(super) fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// `(expr)`
pub(super) fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

/// `((left) op (right))`
pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    nested(Expr::BinaryOp { left: Box::new(nested(left)), op, right: Box::new(nested(right)) })
}

/// Terms of AND or OR as a balanced tree, so that long lists do not nest deeply.
pub(super) fn joined(op: BinaryOperator, mut terms: Vec<Expr>) -> Expr {
    let absent = op == BinaryOperator::And;
    while terms.len() > 1 {
        let mut left = terms.into_iter();
        let mut next = Vec::new();
        while let Some(first) = left.next() {
            next.push(match left.next() {
                Some(second) => binary(first, op.clone(), second),
                None => first,
            });
        }
        terms = next;
    }
    terms.pop().unwrap_or_else(|| Expr::value(Value::Boolean(absent)))
}

/// Changes the expressions of a tree, the inner ones first, and not those of subqueries in it.
pub(super) fn outside_subqueries(tree: &mut impl VisitMut, change: impl FnMut(&mut Expr)) {
    let _ = tree.visit(&mut Outside { change, depth: 0 });
}

struct Outside<F> {
    change: F,
    depth: usize,
}

impl<F: FnMut(&mut Expr)> VisitorMut for Outside<F> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0 {
            (self.change)(expr);
        }
        ControlFlow::Continue(())
    }
}
