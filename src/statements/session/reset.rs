//! RESET name · RESET ALL

use crate::error::Result;
use crate::parser::{Cursor, TokenSlice};
use crate::statements::{Execution, Kind, Response, Statement};
use std::sync::Arc;

/// RESET; no name means ALL.
#[derive(Debug)]
pub struct Reset {
    name: Option<(String, usize)>,
}

/// Parses RESET.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["RESET"])?;
    let position = cursor.position();
    let name = if cursor.accept(&["ALL"]) {
        None
    } else if cursor.accept(&["TIME", "ZONE"]) {
        Some(("TimeZone".to_owned(), position))
    } else {
        Some((cursor.name("a parameter's name")?.join("."), position))
    };
    cursor.expect_end()?;
    Ok(Arc::new(Reset { name }))
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
        match &self.name {
            Some((name, position)) => {
                cx.settings.reset(name).map_err(|e| e.position(*position))?;
            }
            None => cx.settings.reset_all(),
        }
        Response::done("RESET")
    }
}
