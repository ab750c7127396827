//! Functions in FROM: `generate_series(…) i`, `unnest(…) x`, and any function that gives one value.

use super::{call, plain_argument};
use sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias,
    TableAliasColumnDef, TableFactor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

/// Functions in FROM that only list what a relation holds.
const AS_RELATIONS: [(&str, &str); 3] = [
    ("pg_show_all_settings", "pg_settings"),
    ("pg_timezone_names", "pg_timezone_names"),
    ("pg_stat_get_activity", "pg_stat_activity"),
];

/// Gives the function's column the name of its alias, as PostgreSQL does, and turns functions that
/// DataFusion has no table function for into a subquery of one row.
pub(super) fn rewrite(factor: &mut TableFactor) {
    if let TableFactor::UNNEST { alias: Some(alias), .. } = factor {
        name_column(alias);
        return;
    }
    let TableFactor::Table { name, args, alias, .. } = factor else { return };
    let Some(arguments) = args else { return };
    let Some(function) = name.0.last().and_then(|p| p.as_ident()).map(|i| i.value.clone()) else {
        return;
    };
    if let Some((_, relation)) = AS_RELATIONS.iter().find(|(f, _)| *f == function) {
        *name = ObjectName::from(vec![Ident::new(*relation)]);
        *args = None;
        return;
    }
    match function.as_str() {
        "generate_series" => {
            arguments.args.iter_mut().for_each(widen);
            if let Some(alias) = alias {
                name_column(alias);
            }
        }
        "unnest" => {
            if let Some(alias) = alias {
                name_column(alias);
            }
        }
        _ => {
            let values = arguments.args.iter().filter_map(plain_argument).cloned().collect();
            let label = alias.as_ref().map_or(function.as_str(), |a| a.name.value.as_str());
            if let Some(subquery) = one_row(&call(&function, values), label) {
                *factor = subquery;
            }
        }
    }
}

fn name_column(alias: &mut TableAlias) {
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}

/// Bounds that are computed are 32 bits wide; the table function wants 64.
fn widen(argument: &mut FunctionArg) {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else { return };
    if !matches!(expr, Expr::Value(_)) {
        let inner = Box::new(expr.clone());
        *expr = Expr::Cast {
            kind: CastKind::Cast,
            expr: inner,
            data_type: DataType::BigInt(None),
            array: false,
            format: None,
        };
    }
}

/// `(SELECT f(…) AS label) AS label`.
fn one_row(call: &Expr, label: &str) -> Option<TableFactor> {
    let label = Ident::with_quote('"', label);
    let sql = format!("(SELECT {call} AS {label}) AS {label}");
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql).ok()?.parse_table_factor().ok()
}
