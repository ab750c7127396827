//! RESET name · RESET ALL · RESET ROLE · RESET SESSION AUTHORIZATION

use crate::error::Result;
use crate::parser::{Cursor, TokenSlice};
use crate::statements::{Execution, Kind, Response, Statement};
use std::sync::Arc;

/// RESET.
#[derive(Debug)]
pub enum Reset {
    /// RESET ALL.
    All,
    /// RESET of a setting, and its position.
    One(String, usize),
    /// RESET ROLE: there is one role, which the session has.
    Role,
}

/// Parses RESET.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["RESET"])?;
    let position = cursor.position();
    let reset = if cursor.accept(&["ALL"]) {
        Reset::All
    } else if cursor.accept(&["TIME", "ZONE"]) {
        Reset::One("TimeZone".to_owned(), position)
    } else if cursor.accept(&["ROLE"]) || cursor.accept(&["SESSION", "AUTHORIZATION"]) {
        Reset::Role
    } else {
        Reset::One(cursor.name("a parameter's name")?.join("."), position)
    };
    cursor.expect_end()?;
    Ok(Arc::new(reset))
}

#[async_trait::async_trait]
impl Statement for Reset {
    fn name(&self) -> &'static str {
        "reset"
    }

    fn kind(&self) -> Kind {
        Kind::Session
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        match self {
            Reset::One(name, position) => {
                cx.settings.reset(name).map_err(|e| e.position(*position))?;
            }
            Reset::All => cx.settings.reset_all(),
            Reset::Role => {}
        }
        Response::done("RESET")
    }
}
