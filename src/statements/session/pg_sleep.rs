//! `SELECT pg_sleep(seconds)`: waiting, for scripts and tests that need time to pass.

use super::calls::{self, constant};
use crate::error::{Error, Result};
use crate::planner::Parameters;
use crate::sqlstate::SqlState;
use sqlparser::ast::{Expr, Query};
use std::time::Duration;

/// The longest wait in seconds, near two years: as much as the timer can count.
const LONGEST: f64 = 6e7;

/// One call.
#[derive(Debug, Clone)]
pub struct PgSleep {
    seconds: Expr,
}

/// Takes the calls out of a query; an empty text stays for each.
///
/// # Errors
/// 42601 if an argument cannot be written down again.
pub fn take(query: &mut Query) -> Result<Vec<PgSleep>> {
    // The argument stays, for a parameter needs its place and its type.
    let left = |[seconds]: &[Expr; 1]| {
        format!("CASE WHEN CAST({seconds} AS double precision) IS NOT NULL THEN '' END")
    };
    let calls = calls::take(query, "pg_sleep", left)?.into_iter();
    Ok(calls.map(|[seconds]| PgSleep { seconds }).collect())
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
