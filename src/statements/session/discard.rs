//! DISCARD ALL, DEALLOCATE, CLOSE ALL, UNLISTEN: what drivers send when they give a connection back.

use crate::error::{Error, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::sqlstate::SqlState;
use crate::statements::{Execution, Kind, Response, Statement, not_in_block};
use std::sync::Arc;

/// One of the statements of this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discard {
    /// DISCARD ALL
    All,
    /// CLOSE ALL
    CloseAll,
    /// DISCARD PLANS | SEQUENCES | TEMP, UNLISTEN: nothing of the kind is kept.
    Nothing(&'static str),
    /// DEALLOCATE ALL
    DeallocateAll,
    /// DEALLOCATE name
    Deallocate(String),
}

/// Parses the statements of this file.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    let word = cursor.identifier("DISCARD")?;
    let statement = match word.as_str() {
        "discard" => {
            if cursor.accept(&["ALL"]) {
                Discard::All
            } else {
                let what = cursor.identifier("ALL")?;
                match what.as_str() {
                    "plans" => Discard::Nothing("DISCARD PLANS"),
                    "sequences" => Discard::Nothing("DISCARD SEQUENCES"),
                    "temp" | "temporary" => Discard::Nothing("DISCARD TEMP"),
                    _ => return Err(slice.syntax_error(1, Some("ALL, PLANS, SEQUENCES or TEMP"))),
                }
            }
        }
        "deallocate" => {
            cursor.accept(&["PREPARE"]);
            match cursor.accept(&["ALL"]) {
                true => Discard::DeallocateAll,
                false => Discard::Deallocate(cursor.identifier("a prepared statement's name")?),
            }
        }
        "close" => {
            cursor.expect(&["ALL"])?;
            Discard::CloseAll
        }
        _ => {
            cursor.advance();
            Discard::Nothing("UNLISTEN")
        }
    };
    cursor.expect_end()?;
    Ok(Arc::new(statement))
}

#[async_trait::async_trait]
impl Statement for Discard {
    fn name(&self) -> &'static str {
        "discard"
    }

    fn kind(&self) -> Kind {
        Kind::Session
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        match self {
            Discard::All => {
                if cx.in_block {
                    return Err(not_in_block("DISCARD ALL"));
                }
                cx.settings.reset_all();
                cx.prepared.clear();
                cx.prepared.close_portals();
                Response::done("DISCARD ALL")
            }
            Discard::CloseAll => {
                cx.prepared.close_portals();
                Response::done("CLOSE CURSOR ALL")
            }
            Discard::Nothing(tag) => Response::done(*tag),
            Discard::DeallocateAll => {
                cx.prepared.clear();
                Response::done("DEALLOCATE ALL")
            }
            Discard::Deallocate(name) => match cx.prepared.remove(name) {
                true => Response::done("DEALLOCATE"),
                false => Err(Error::new(
                    SqlState::InvalidSqlStatementName,
                    format!("prepared statement \"{name}\" does not exist"),
                )),
            },
        }
    }
}
