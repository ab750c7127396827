//! Functions with an effect, such as `set_config`: taken out of the select list of a query without FROM, and
//! carried out beside it.

use crate::error::Result;
use crate::parser::object_name;
use crate::planner::{Parameters, identifier, parse_expression};
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SelectItem, SetExpr,
    UnaryOperator, Value,
};

/// Takes the calls of a function with `N` arguments out; what `left` writes from the arguments stays. Any other use
/// of the function is left to the planner, which does not know it.
///
/// # Errors
/// 42601 if what stays does not parse.
pub(super) fn take<const N: usize>(
    query: &mut Query,
    function: &str,
    left: impl Fn(&[Expr; N]) -> String,
) -> Result<Vec<[Expr; N]>> {
    let mut calls = Vec::new();
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(calls) };
    if !select.from.is_empty() || select.selection.is_some() {
        return Ok(calls);
    }
    for item in &mut select.projection {
        let (expr, alias) = match &*item {
            SelectItem::UnnamedExpr(expr) => (expr, identifier(function)),
            SelectItem::ExprWithAlias { expr, alias } => (expr, alias.clone()),
            _ => continue,
        };
        let Some(arguments) = arguments(expr, function) else { continue };
        let expr = parse_expression(&left(&arguments))?;
        *item = SelectItem::ExprWithAlias { expr, alias };
        calls.push(arguments);
    }
    Ok(calls)
}

/// The arguments of a call of this function with so many of them, if the expression is one.
fn arguments<const N: usize>(expr: &Expr, function: &str) -> Option<[Expr; N]> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr else {
        return None;
    };
    let name = object_name(name);
    let called: Vec<&str> = name.iter().map(String::as_str).collect();
    let ([called] | ["pg_catalog", called]) = called.as_slice() else { return None };
    if *called != function {
        return None;
    }
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let arguments: Option<Vec<Expr>> = list.args.iter().map(argument).collect();
    <[Expr; N]>::try_from(arguments?).ok()
}

/// A constant's or a parameter's text, itself none for NULL; none for anything else.
pub(super) fn constant(expr: &Expr, parameters: &Parameters) -> Option<Option<String>> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(place) => {
                let place: usize = place.trim_start_matches('$').parse().ok()?;
                let value = parameters.values.as_deref()?.get(place.checked_sub(1)?)?;
                Some((!value.is_null()).then(|| value.to_string()))
            }
            Value::Null => Some(None),
            Value::Boolean(on) => Some(Some(on.to_string())),
            Value::Number(digits, _) => Some(Some(digits.clone())),
            other => other.clone().into_string().map(Some),
        },
        Expr::Cast { expr, .. } | Expr::Nested(expr) => constant(expr, parameters),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            constant(expr, parameters).map(|text| text.map(|text| format!("-{text}")))
        }
        _ => None,
    }
}
