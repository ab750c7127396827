//! Rewrites of catalog queries: from what clients send to what DataFusion plans.
//!
//! 1. Every unnamed result column gets the name that PostgreSQL gives it, before its expression changes.
//! 2. Names lose `pg_catalog.`, `OPERATOR(…)` becomes the operator, `COLLATE` goes, casts to PostgreSQL's
//!    own types become casts or calls that exist here (`expressions`).
//! 3. `ARRAY(SELECT …)` becomes an aggregate, correlated scalar subqueries become outer joins, and what a
//!    SELECT from an empty relation would compute for each row becomes NULL (`subqueries`).
//!
//! Only statements that [`touches_catalog`] come here, so a user's own queries are never changed.

mod casts;
mod columns;
mod expressions;
mod functions_in_from;
mod subqueries;
mod touches;

use super::System;
use super::rows::{definition, definitions};
use crate::error::{Error, Result};
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Query, Select, Statement, TableFactor, VisitMut, VisitorMut,
};
use std::collections::HashSet;
use std::ops::ControlFlow;

pub use columns::display_name;
pub use touches::touches_catalog;

/// Rewrites a statement in place.
pub(super) fn rewrite(system: &System, statement: &mut Statement) -> Result<()> {
    let mut rewriter = Rewriter { system, scopes: Vec::new(), ctes: HashSet::new(), inside: 0 };
    match statement.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// A table of a FROM clause: what columns call it, and the system relation that it is, if it is one.
#[derive(Debug, Clone)]
struct Scoped {
    alias: String,
    relation: Option<(String, String)>,
}

struct Rewriter<'a> {
    system: &'a System,
    /// The tables of the SELECTs around the place that is visited, the innermost last.
    scopes: Vec<Vec<Scoped>>,
    ctes: HashSet<String>,
    /// How many subqueries of expressions are around the place: their columns are values, not output.
    inside: usize,
}

impl Rewriter<'_> {
    /// True for the aliases of tables.
    fn is_table(&self, alias: &str) -> bool {
        self.scopes.iter().flatten().any(|table| table.alias == alias)
    }

    /// The type in pg_type of a qualified column of a system relation.
    fn type_of(&self, parts: &[Ident]) -> Option<&'static str> {
        let [.., alias, column] = parts else { return None };
        let (schema, name) = self.relation_of(&alias.value)?;
        let mut columns = definition(schema, name)?.columns.iter();
        columns.find(|c| c.name == column.value).map(|c| c.pg_type)
    }

    /// The relation that an alias means here.
    fn relation_of(&self, alias: &str) -> Option<(&str, &str)> {
        let mut tables = self.scopes.iter().rev().flatten();
        let found = tables.find(|t| t.alias == alias)?;
        found.relation.as_ref().map(|(schema, name)| (schema.as_str(), name.as_str()))
    }
}

impl Rewriter<'_> {
    /// The table that an unqualified column belongs to, if it is certain. Columns are qualified because a
    /// subquery that becomes a join brings columns of the same names.
    fn table_with(&self, column: &str) -> Option<&str> {
        for tables in self.scopes.iter().rev() {
            let mut found = Vec::new();
            for table in tables {
                let (schema, name) = table.relation.as_ref()?;
                let definition = definition(schema, name)?;
                if definition.columns.iter().any(|c| c.name == column) {
                    found.push(table.alias.as_str());
                }
            }
            match found.as_slice() {
                [] => {}
                [alias] => return Some(alias),
                _ => return None,
            }
        }
        None
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        self.scopes.push(subqueries::tables_of(select, &self.ctes));
        columns::expand_wildcards(&mut select.projection, self.scopes.last().map_or(&[], |s| s));
        columns::name_columns(&mut select.projection);
        if subqueries::is_empty(self.system, select, &self.ctes) {
            subqueries::drop_hard_columns(select);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        self.scopes.pop();
        if self.inside == 0 {
            casts::print_names(&mut select.projection, self.scopes.is_empty());
        }
        subqueries::join_scalar_subqueries(select, &self.ctes);
        ControlFlow::Continue(())
    }

    fn post_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Error> {
        if let Some((schema, name)) = system_relation(relation, &self.ctes) {
            *relation = ObjectName::from(vec![Ident::new(schema), Ident::new(name)]);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } =
            factor
        {
            strip_pg_catalog(name);
        }
        functions_in_from::rewrite(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        self.inside += usize::from(is_subquery(expr));
        expressions::settle_access(self, expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        self.inside -= usize::from(is_subquery(expr));
        match expressions::rewrite(self, expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// True for expressions that hold a query.
fn is_subquery(expr: &Expr) -> bool {
    match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => true,
        Expr::Function(function) => matches!(function.args, FunctionArguments::Subquery(_)),
        _ => false,
    }
}

/// The system relation that a name means: qualified, or found in pg_catalog because that is always searched.
fn system_relation(name: &ObjectName, ctes: &HashSet<String>) -> Option<(String, String)> {
    let parts: Vec<&str> =
        name.0.iter().filter_map(|p| Some(p.as_ident()?.value.as_str())).collect();
    let (schema, relation) = match parts.as_slice() {
        [relation] if !ctes.contains(*relation) => (super::objects::PG_CATALOG, *relation),
        [schema, relation] | [_, schema, relation] => (*schema, *relation),
        _ => return None,
    };
    definition(schema, relation).map(|d| (d.schema.to_owned(), d.name.to_owned()))
}

/// True for the names of pg_catalog's relations.
fn is_catalog_relation(name: &str) -> bool {
    definitions().iter().any(|d| d.schema == super::objects::PG_CATALOG && d.name == name)
}

/// `pg_catalog.f` is `f`.
fn strip_pg_catalog(name: &mut ObjectName) {
    let qualified = name.0.len() > 1
        && name.0[0].as_ident().is_some_and(|i| i.value == super::objects::PG_CATALOG);
    if qualified {
        name.0.remove(0);
    }
}

/// A call of a function by its bare name.
fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The name and the plain arguments of a function call.
fn call_parts(expr: &Expr) -> Option<(&str, Vec<&Expr>)> {
    let Expr::Function(function) = expr else { return None };
    let name = function.name.0.last()?.as_ident()?.value.as_str();
    let FunctionArguments::List(list) = &function.args else { return Some((name, Vec::new())) };
    Some((name, list.args.iter().filter_map(plain_argument).collect()))
}

fn plain_argument(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}
