//! Functions in FROM: what their columns are called, and WITH ORDINALITY.
//!
//! | written | becomes |
//! |---|---|
//! | `generate_series(1, 3) g` | `generate_series(1, 3) AS g(g)` |
//! | `unnest(a)` | `unnest(a) AS unnest(unnest)` |
//! | `unnest(a) WITH ORDINALITY u` | `unnest(a, generate_series(1, cardinality(a))) AS u(u, ordinality)` |

use super::ast;
use super::rewrite::call;
use crate::parser::{fold_ident, object_name};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, TableAlias, TableAliasColumnDef, TableFactor, Value,
};
use sqlparser::tokenizer::Span;

/// Rewrites a factor, if it is one of these functions.
pub(super) fn name_columns(factor: &mut TableFactor) {
    match factor {
        TableFactor::Table { name, args: Some(arguments), alias, with_ordinality, .. }
            if object_name(name) == ["generate_series"] =>
        {
            if !*with_ordinality {
                name_column(alias, "generate_series");
                return;
            }
            let expressions = arguments.args.iter().map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            });
            let Some(expressions) = expressions.collect::<Option<Vec<_>>>() else { return };
            let series = call("generate_series", expressions, Span::empty());
            let mut alias = alias.take();
            name_column(&mut alias, "generate_series");
            *factor = numbered(vec![series], alias);
        }
        TableFactor::UNNEST { array_exprs, alias, with_ordinality, .. } => {
            if array_exprs.len() == 1 {
                name_column(alias, "unnest");
            }
            if *with_ordinality {
                *factor = numbered(std::mem::take(array_exprs), alias.take());
            }
        }
        _ => {}
    }
}

/// The one column takes the alias, or the function's name.
fn name_column(alias: &mut Option<TableAlias>, function: &str) {
    let alias = alias.get_or_insert_with(|| ast::table_alias(function));
    if alias.columns.is_empty() {
        let name = fold_ident(&alias.name.value, alias.name.quote_style);
        alias.columns.push(column(&name));
    }
}

fn column(name: &str) -> TableAliasColumnDef {
    TableAliasColumnDef { name: ast::identifier(name), data_type: None }
}

/// Arrays beside the numbers of their elements.
fn numbered(mut arrays: Vec<Expr>, alias: Option<TableAlias>) -> TableFactor {
    let lengths = arrays.iter().map(|a| call("cardinality", vec![a.clone()], Span::empty()));
    let mut lengths: Vec<Expr> = lengths.collect();
    let length = match lengths.len() {
        1 => lengths.remove(0),
        _ => call("greatest", lengths, Span::empty()),
    };
    let one = Expr::value(Value::Number("1".into(), false));
    let columns = arrays.len();
    arrays.push(call("generate_series", vec![one, super::literals::bigint(length)], Span::empty()));
    let alias = alias.map(|mut alias| {
        if alias.columns.len() == columns {
            alias.columns.push(column("ordinality"));
        }
        alias
    });
    TableFactor::UNNEST {
        alias,
        array_exprs: arrays,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    }
}
