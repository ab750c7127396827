//! `SELECT set_config(name, value, is_local)`: SET for clients that have a query at hand only.

use crate::error::{Error, Result};
use crate::parser::object_name;
use crate::planner::{Parameters, identifier, parse_expression};
use crate::statements::Execution;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SelectItem, SetExpr,
    Value,
};

/// One call: the arguments as they were written.
#[derive(Debug, Clone)]
pub struct SetConfig {
    name: Expr,
    value: Expr,
    is_local: Expr,
}

/// Takes the calls out of the select list of a query without FROM; their values stay, as text. Any other use of
/// the function is left to the planner, which does not know it.
///
/// # Errors
/// 42601 if a value cannot be written down again.
pub fn take(query: &mut Query) -> Result<Vec<SetConfig>> {
    let mut calls = Vec::new();
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(calls) };
    if !select.from.is_empty() || select.selection.is_some() {
        return Ok(calls);
    }
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = &*item
        else {
            continue;
        };
        let Some(call) = call(expr) else { continue };
        let expr = parse_expression(&format!("CAST({} AS text)", call.value))?;
        let alias = match &*item {
            SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
            _ => identifier("set_config"),
        };
        *item = SelectItem::ExprWithAlias { expr, alias };
        calls.push(call);
    }
    Ok(calls)
}

fn call(expr: &Expr) -> Option<SetConfig> {
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr else {
        return None;
    };
    let name = object_name(name);
    let called: Vec<&str> = name.iter().map(String::as_str).collect();
    if !matches!(called.as_slice(), ["set_config"] | ["pg_catalog", "set_config"]) {
        return None;
    }
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let arguments: Option<Vec<Expr>> = list.args.iter().map(argument).collect();
    let [name, value, is_local] = <[Expr; 3]>::try_from(arguments?).ok()?;
    Some(SetConfig { name, value, is_local })
}

impl SetConfig {
    /// Sets the value, for the transaction or for the session.
    ///
    /// # Errors
    /// 42704 for an unknown setting, 22023 for a value that it cannot have, 0A000 for arguments that are
    /// not constant.
    pub fn execute(&self, cx: &mut Execution<'_>) -> Result<()> {
        let [name, value, is_local] =
            [&self.name, &self.value, &self.is_local].map(|e| constant(e, cx.parameters));
        let (name, value) = (name?.unwrap_or_default(), value?.unwrap_or_default());
        if !matches!(is_local?.as_deref(), Some("true" | "t" | "on" | "yes" | "1")) {
            return cx.settings.set(&name, &value);
        }
        // Outside of a block the transaction ends with this statement.
        if cx.in_block { cx.settings.set_local(&name, &value) } else { Ok(()) }
    }
}

/// A constant's or a parameter's text; none for NULL.
fn constant(expr: &Expr, parameters: &Parameters) -> Result<Option<String>> {
    let refused =
        || Error::unsupported("set_config with computed arguments", "Give constants, or use SET.");
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(place) => {
                let place =
                    place.trim_start_matches('$').parse::<usize>().map_err(|_| refused())?;
                let values = parameters.values.as_deref().unwrap_or_default();
                let value = values.get(place.wrapping_sub(1)).ok_or_else(refused)?;
                Ok((!value.is_null()).then(|| value.to_string()))
            }
            Value::Null => Ok(None),
            Value::Boolean(on) => Ok(Some(on.to_string())),
            Value::Number(digits, _) => Ok(Some(digits.clone())),
            other => other.clone().into_string().map(Some).ok_or_else(refused),
        },
        Expr::Cast { expr, .. } | Expr::Nested(expr) => constant(expr, parameters),
        _ => Err(refused()),
    }
}
