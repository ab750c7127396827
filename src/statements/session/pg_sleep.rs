//! `SELECT pg_sleep(seconds)`: waiting, for scripts and tests that need time to pass.

use super::set_config::{arguments, constant};
use crate::error::{Error, Result};
use crate::planner::{Parameters, identifier, parse_expression};
use crate::sqlstate::SqlState;
use sqlparser::ast::{Expr, Query, SelectItem, SetExpr};
use std::time::Duration;

/// The longest wait in seconds, near two years: as much as the timer can count.
const LONGEST: f64 = 6e7;

/// One call.
#[derive(Debug, Clone)]
pub struct PgSleep {
    seconds: Expr,
}

/// Takes the calls out of the select list of a query without FROM; an empty text stays for each. Any other use of
/// the function is left to the planner, which does not know it.
///
/// # Errors
/// 42601 if an argument cannot be written down again.
pub fn take(query: &mut Query) -> Result<Vec<PgSleep>> {
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
        let Some([seconds]) = arguments::<1>(expr, "pg_sleep") else { continue };
        // The argument stays, for a parameter needs its place and its type.
        let expr = format!("CASE WHEN CAST({seconds} AS double precision) IS NOT NULL THEN '' END");
        let expr = parse_expression(&expr)?;
        let alias = match &*item {
            SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
            _ => identifier("pg_sleep"),
        };
        *item = SelectItem::ExprWithAlias { expr, alias };
        calls.push(PgSleep { seconds });
    }
    Ok(calls)
}

impl PgSleep {
    /// How long to wait; none for NULL and for what is past.
    ///
    /// # Errors
    /// 22P02 for what is no number, 0A000 for an argument that is not constant.
    pub fn time(&self, parameters: &Parameters) -> Result<Option<Duration>> {
        let seconds = constant(&self.seconds, parameters).ok_or_else(|| {
            Error::unsupported("pg_sleep with a computed argument", "Give a constant.")
        })?;
        let Some(text) = seconds else { return Ok(None) };
        let seconds: f64 = text.trim().parse().map_err(|_| {
            Error::new(
                SqlState::InvalidTextRepresentation,
                format!("invalid input syntax for type double precision: \"{text}\""),
            )
        })?;
        Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST))))
    }
}
