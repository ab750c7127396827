//! CREATE SCHEMA [IF NOT EXISTS] name

use super::names;
use crate::catalog::{CatalogOp, SchemaEntry};
use crate::error::{Error, Notice, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::sqlstate::SqlState;
use crate::statements::{Execution, Kind, Response, Statement};
use std::sync::Arc;

/// CREATE SCHEMA.
#[derive(Debug)]
pub struct CreateSchema {
    name: String,
    position: usize,
    if_not_exists: bool,
}

/// Parses CREATE SCHEMA.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["CREATE", "SCHEMA"])?;
    let if_not_exists = cursor.if_not_exists();
    let position = cursor.position();
    let name = cursor.identifier("a schema's name")?;
    if cursor.accept(&["AUTHORIZATION"]) {
        return Err(
            Error::unsupported("AUTHORIZATION", "Roles come with logins.").position(position)
        );
    }
    cursor.expect_end()?;
    Ok(Arc::new(CreateSchema { name, position, if_not_exists }))
}

#[async_trait::async_trait]
impl Statement for CreateSchema {
    fn name(&self) -> &'static str {
        "create_schema"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let place = |e: Error| e.position(self.position);
        if names::is_reserved_schema(&self.name) {
            return Err(place(
                Error::new(
                    SqlState::ReservedName,
                    format!("unacceptable schema name \"{}\"", self.name),
                )
                .hint("ml, system, information_schema, pg_… and names that begin with _ are reserved."),
            ));
        }
        names::check_new_name(&self.name).map_err(place)?;
        if self.if_not_exists && cx.transaction.catalog().schema(&self.name).is_some() {
            let text = format!("schema \"{}\" already exists, skipping", self.name);
            cx.notice(Notice::notice(text).with_code(SqlState::DuplicateSchema));
            return Response::done("CREATE SCHEMA");
        }
        let schema =
            SchemaEntry { name: self.name.clone(), oid: 0, owner: cx.environment.role.clone() };
        cx.transaction.apply(CatalogOp::CreateSchema { schema }).map_err(place)?;
        Response::done("CREATE SCHEMA")
    }
}
