//! Functions in FROM: what their columns are called, and WITH ORDINALITY.
//!
//! | written | becomes |
//! |---|---|
//! | `generate_series(1, 3) g` | `generate_series(1, 3) AS g(g)` |
//! | `unnest(a)` | `unnest(a) AS unnest(unnest)` |
//! | `unnest(a) WITH ORDINALITY u` | `unnest(a, generate_series(1, array_length(a, 1))) AS u(u, ordinality)` |
//! | `generate_series(a, t.b)` | `unnest(generate_series(a, t.b))`, of any type and of the tables before it |
//! | `LATERAL unnest(t.a)` | `unnest(t.a)` |
//! | `regexp_split_to_table(a, b)` | `unnest(regexp_split_to_array(a, b))` |
//! | `generate_subscripts(a, 1)` | `unnest(generate_series(1, array_length(a, 1)))` |
//!
//! A series whose bounds are integers is one of integers: DataFusion's table function has bigint alone.

use super::ast::{self, identifier};
use super::rewrite::call;
use crate::catalog::SqlType;
use crate::parser::{fold_ident, object_name};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, TableAlias, TableAliasColumnDef, TableFactor,
    TableFunctionArgs, UnaryOperator, Value,
};
use sqlparser::tokenizer::Span;

const SERIES: &str = "generate_series";
/// What the table function is called inside of its replacement.
const WIDE: &str = "__cenote_series";

/// The array whose elements a function gives as rows, by the function's name.
pub(super) fn array_of_rows(name: &str, arguments: &[FunctionArg]) -> Option<Expr> {
    let mut arguments = expressions(arguments)?;
    match (name, arguments.as_slice()) {
        ("regexp_split_to_table", _) => {
            Some(call("regexp_split_to_array", arguments, Span::empty()))
        }
        ("generate_subscripts", [_, dimension]) if is_one(dimension) => {
            let one = Expr::value(Value::Number("1".into(), false));
            let length = outer_length(arguments.swap_remove(0));
            let bounds = vec![super::literals::integer(one), super::literals::integer(length)];
            Some(call(SERIES, bounds, Span::empty()))
        }
        _ => None,
    }
}

/// Rows of the elements of an array, in the place of a function that is called so.
fn as_elements(factor: &mut TableFactor) {
    let (TableFactor::Table { name, args: Some(TableFunctionArgs { args, .. }), .. }
    | TableFactor::Function { name, args, .. }) = &*factor
    else {
        return;
    };
    let name = object_name(name);
    let [function] = name.as_slice() else { return };
    let Some(array) = array_of_rows(function, args) else { return };
    if let TableFactor::Table { alias, with_ordinality, .. }
    | TableFactor::Function { alias, with_ordinality, .. } = factor
    {
        let (mut alias, with_ordinality) = (alias.take(), *with_ordinality);
        name_column(&mut alias, function);
        *factor = unnest(vec![array], alias, with_ordinality);
    }
}

/// Rewrites a factor, if it is one of these functions.
pub(super) fn name_columns(factor: &mut TableFactor) {
    as_elements(factor);
    if let TableFactor::Function { name, args, with_ordinality, alias, .. } = factor
        && let Some(arguments) = expressions(args)
    {
        let with_ordinality = *with_ordinality;
        match object_name(name).as_slice() {
            [function] if function == "unnest" => {
                *factor = unnest(arguments, alias.take(), with_ordinality);
            }
            [function] if function == SERIES => {
                let mut alias = alias.take();
                name_column(&mut alias, SERIES);
                let series = call(SERIES, arguments, Span::empty());
                *factor = unnest(vec![series], alias, with_ordinality);
            }
            _ => {}
        }
    }
    match factor {
        TableFactor::Table { name, args: Some(arguments), alias, with_ordinality, .. }
            if object_name(name) == [SERIES] && !is_wide(alias) =>
        {
            let Some(arguments) = expressions(&arguments.args) else { return };
            name_column(alias, SERIES);
            if *with_ordinality || !arguments.iter().all(is_whole) {
                let series = vec![call(SERIES, arguments, Span::empty())];
                *factor = match *with_ordinality {
                    true => numbered(series, alias.take()),
                    false => unnest(series, alias.take(), false),
                };
            } else if arguments.iter().all(is_integer)
                && let Some(narrow) = narrowed(factor)
            {
                *factor = narrow;
            }
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
    TableAliasColumnDef { name: identifier(name), data_type: None }
}

/// How many elements an array has at its outermost; NULL for an empty one.
fn outer_length(array: Expr) -> Expr {
    let one = Expr::value(Value::Number("1".into(), false));
    call("array_length", vec![array, one], Span::empty())
}

/// Arrays beside the numbers of their elements.
fn numbered(mut arrays: Vec<Expr>, alias: Option<TableAlias>) -> TableFactor {
    let lengths = arrays.iter().map(|a| outer_length(a.clone()));
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
    unnest(arrays, alias, false)
}

fn unnest(arrays: Vec<Expr>, alias: Option<TableAlias>, with_ordinality: bool) -> TableFactor {
    TableFactor::UNNEST {
        alias,
        array_exprs: arrays,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality,
    }
}

fn expressions(arguments: &[FunctionArg]) -> Option<Vec<Expr>> {
    let plain = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    arguments.iter().map(plain).collect()
}

/// A constant that PostgreSQL takes for an integer.
pub(super) fn is_integer(expr: &Expr) -> bool {
    whole(expr) == Some(Whole::Integer)
}

/// A constant that PostgreSQL takes for an integer or a bigint.
fn is_whole(expr: &Expr) -> bool {
    whole(expr).is_some()
}

fn is_one(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits == "1"))
}

#[derive(PartialEq, Eq)]
enum Whole {
    Integer,
    Bigint,
}

fn whole(expr: &Expr) -> Option<Whole> {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => whole(expr),
        Expr::Nested(inner) => whole(inner),
        Expr::Cast { expr, data_type, .. } => {
            let known = whole(expr)?;
            match super::sql_type_of(data_type).ok()? {
                SqlType::SmallInt | SqlType::Integer => {
                    (known == Whole::Integer).then_some(Whole::Integer)
                }
                SqlType::BigInt => Some(Whole::Bigint),
                _ => None,
            }
        }
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => {
                let number: i64 = digits.parse().ok()?;
                Some(if i32::try_from(number).is_ok() { Whole::Integer } else { Whole::Bigint })
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_wide(alias: &Option<TableAlias>) -> bool {
    alias.as_ref().is_some_and(|alias| alias.name.value == WIDE)
}

/// `(SELECT CAST(x AS integer) FROM series AS wide(x)) AS alias`.
fn narrowed(factor: &mut TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { alias, .. } = factor else { return None };
    let shown = alias.take();
    *alias = Some(TableAlias { columns: vec![column(SERIES)], ..ast::table_alias(WIDE) });
    let text = format!("SELECT CAST({SERIES} AS integer) AS {SERIES} FROM {factor}");
    let query = ast::parse_query(&text).ok()?;
    let mut narrow = ast::derived(query, SERIES);
    if let TableFactor::Derived { alias, .. } = &mut narrow {
        *alias = shown;
    }
    Some(narrow)
}
