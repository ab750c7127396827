//! `SELECT set_config(name, value, is_local)`: SET for clients that have a query at hand only.

use super::calls::{self, constant};
use crate::error::{Error, Result};
use crate::format::{EncodeSettings, parse_text};
use crate::sqlstate::SqlState;
use crate::statements::Execution;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use sqlparser::ast::{Expr, Query};

/// One call: the arguments as they were written.
#[derive(Debug, Clone)]
pub struct SetConfig {
    name: Expr,
    value: Expr,
    is_local: Expr,
}

/// Takes the calls out of a query; their values stay, as text.
///
/// # Errors
/// 42601 if a value cannot be written down again.
pub fn take(query: &mut Query) -> Result<Vec<SetConfig>> {
    let left = |[_, value, _]: &[Expr; 3]| format!("CAST({value} AS text)");
    let calls = calls::take(query, "set_config", left)?.into_iter();
    Ok(calls.map(|[name, value, is_local]| SetConfig { name, value, is_local }).collect())
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
