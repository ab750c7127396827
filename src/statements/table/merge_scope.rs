//! What the names in MERGE's WHEN NOT MATCHED may mean: there is no row of the target there.

use super::change::Target;
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::parser::{TokenSlice, fold_ident};
use crate::sqlstate::SqlState;
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArguments, Ident, Query, VisitMut, VisitorMut, visit_expressions,
};
use sqlparser::tokenizer::Span;
use std::ops::ControlFlow;

/// PostgreSQL's words for what the target is in such a clause.
const UNSEEN: &str = "it cannot be referenced from this part of the query";

/// Whether an expression holds a bare name that is also one of the target's columns.
pub fn names_target(expr: &Expr, table: &Table) -> bool {
    let found = visit_expressions(expr, |e| match e {
        Expr::Identifier(name) if has(table, name) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The expression with its bare names as columns of the source, where the target has them too.
///
/// # Errors
/// 42P01 for `target.column`, 42703 for a bare name that only the target has.
pub fn source_only(
    slice: &TokenSlice,
    target: &Target,
    source: &Ident,
    source_columns: &[String],
    expr: &Expr,
) -> Result<Expr> {
    let mut scope =
        Scope { slice, target, source, source_columns, labels: Vec::new(), subqueries: 0 };
    let mut expr = expr.clone();
    match VisitMut::visit(&mut expr, &mut scope) {
        ControlFlow::Continue(()) => Ok(expr),
        ControlFlow::Break(error) => Err(error),
    }
}

fn has(table: &Table, name: &Ident) -> bool {
    let name = fold(name);
    table.columns.iter().any(|c| !c.hidden && c.name == name)
}

fn fold(name: &Ident) -> String {
    fold_ident(&name.value, name.quote_style)
}

struct Scope<'a> {
    slice: &'a TokenSlice,
    target: &'a Target,
    source: &'a Ident,
    source_columns: &'a [String],
    /// Where the names of named arguments stand, which are no columns.
    labels: Vec<Span>,
    /// Names inside of subqueries may be those of their own tables.
    subqueries: usize,
}

impl VisitorMut for Scope<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.subqueries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.subqueries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Function(function) = expr
            && let FunctionArguments::List(list) = &function.args
        {
            self.labels.extend(list.args.iter().filter_map(|argument| match argument {
                FunctionArg::ExprNamed { name: Expr::Identifier(name), .. } => Some(name.span),
                _ => None,
            }));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.subqueries > 0 {
            return ControlFlow::Continue(());
        }
        let table = &self.target.table;
        match expr {
            Expr::CompoundIdentifier(parts) => {
                let qualifiers = &parts[..parts.len().saturating_sub(1)];
                match qualifiers.iter().find(|q| fold(q) == fold(&self.target.alias)) {
                    Some(found) => ControlFlow::Break(self.invisible(found)),
                    None => ControlFlow::Continue(()),
                }
            }
            Expr::Identifier(name) if has(table, name) && !self.labels.contains(&name.span) => {
                if !self.source_columns.contains(&fold(name)) {
                    return ControlFlow::Break(self.missing(name));
                }
                let parts = vec![self.source.clone(), name.clone()];
                *expr = Expr::CompoundIdentifier(parts);
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Scope<'_> {
    fn invisible(&self, table: &Ident) -> Error {
        let name = fold(table);
        let message = format!("invalid reference to FROM-clause entry for table \"{name}\"");
        let detail = format!("There is an entry for table \"{name}\", but {UNSEEN}.");
        Error::new(SqlState::UndefinedTable, message)
            .detail(detail)
            .hint("WHEN NOT MATCHED has a row of the source alone.")
            .position_or(self.slice.position(table.span.start))
    }

    fn missing(&self, column: &Ident) -> Error {
        let (name, table) = (fold(column), fold(&self.target.alias));
        let detail =
            format!("There is a column named \"{name}\" in table \"{table}\", but {UNSEEN}.");
        Error::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist"))
            .column(name)
            .detail(detail)
            .position_or(self.slice.position(column.span.start))
    }
}
