//! `SELECT set_config(name, value, is_local)`: SET for clients that have a query at hand only.

use crate::error::{Error, Result};
use crate::format::{EncodeSettings, parse_text};
use crate::parser::object_name;
use crate::planner::{Parameters, identifier, parse_expression};
use crate::sqlstate::SqlState;
use crate::statements::Execution;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SelectItem, SetExpr,
    UnaryOperator, Value,
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
        let Some([name, value, is_local]) = arguments::<3>(expr, "set_config") else { continue };
        let call = SetConfig { name, value, is_local };
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

/// The arguments of a call of this function with so many of them, if the expression is one.
pub(super) fn arguments<const N: usize>(expr: &Expr, function: &str) -> Option<[Expr; N]> {
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

impl SetConfig {
    /// Sets the value, for the transaction or for the session.
    ///
    /// # Errors
    /// 42704 for an unknown setting, 22023 for a value that it cannot have, 22004 without a name, 22P02 for what
    /// is no truth value, 0A000 for arguments that are not constant.
    pub fn execute(&self, cx: &mut Execution<'_>) -> Result<()> {
        let refused = || {
            Error::unsupported("set_config with computed arguments", "Give constants, or use SET.")
        };
        let [name, value, is_local] = [&self.name, &self.value, &self.is_local]
            .map(|e| constant(e, cx.parameters).ok_or_else(refused));
        let name = name?.ok_or_else(|| {
            Error::new(SqlState::NullValueNotAllowed, "SET requires parameter name")
        })?;
        let value = value?.unwrap_or_default();
        let is_local = match is_local? {
            Some(text) => parse_text(&text, &DataType::Boolean, &EncodeSettings::default())?,
            None => ScalarValue::Boolean(None),
        };
        if is_local != ScalarValue::Boolean(Some(true)) {
            return cx.settings.set(&name, &value);
        }
        if cx.in_block {
            return cx.settings.set_local(&name, &value);
        }
        // The transaction ends with this statement: only whether it could be set is of interest.
        cx.settings.clone().set_local(&name, &value)
    }
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
