//! DROP FEATURE TABLE [IF EXISTS] name [, …] [CASCADE | RESTRICT]

use crate::error::Result;
use crate::parser::{Cursor, TokenSlice};
use crate::statements::Statement;
use crate::statements::table::drop_table;
use std::sync::Arc;

/// Parses DROP FEATURE TABLE: DROP TABLE that takes feature tables only; the history goes too.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["DROP", "FEATURE", "TABLE"])?;
    Ok(Arc::new(drop_table::parse_rest(cursor, true)?))
}
