//! DROP SCHEMA [IF EXISTS] name [, …] [CASCADE | RESTRICT]

use super::names;
use crate::catalog::{CatalogOp, Dependency, Relation};
use crate::error::{Error, Notice, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::sqlstate::SqlState;
use crate::statements::model::runs;
use crate::statements::{Execution, Kind, Response, Statement};
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// DROP SCHEMA.
#[derive(Debug)]
pub struct DropSchema {
    names: Vec<(String, usize)>,
    if_exists: bool,
    cascade: bool,
}

/// Parses DROP SCHEMA.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["DROP", "SCHEMA"])?;
    let if_exists = cursor.if_exists();
    let mut names = Vec::new();
    loop {
        let position = cursor.position();
        names.push((cursor.identifier("a schema's name")?, position));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    let cascade = cursor.accept(&["CASCADE"]);
    if !cascade {
        cursor.accept(&["RESTRICT"]);
    }
    cursor.expect_end()?;
    Ok(Arc::new(DropSchema { names, if_exists, cascade }))
}

#[async_trait::async_trait]
impl Statement for DropSchema {
    fn name(&self) -> &'static str {
        "drop_schema"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        for (name, position) in &self.names {
            self.drop(cx, name).await.map_err(|e| e.position(*position))?;
        }
        Response::done("DROP SCHEMA")
    }
}

impl DropSchema {
    async fn drop(&self, cx: &Execution<'_>, name: &str) -> Result<()> {
        let catalog = cx.transaction.catalog();
        if names::is_reserved_schema(name) {
            return Err(Error::new(
                SqlState::InsufficientPrivilege,
                format!("cannot drop schema {name} because it is required by the system"),
            ));
        }
        if catalog.schema(name).is_none() {
            if self.if_exists {
                cx.notice(Notice::notice(format!("schema \"{name}\" does not exist, skipping")));
                return Ok(());
            }
            return Err(names::missing_schema(&catalog, name));
        }
        if self.cascade {
            self.empty(cx, name).await?;
        }
        cx.transaction.apply(CatalogOp::DropSchema { name: name.to_owned() })
    }

    /// Drops what is in the schema, views first.
    async fn empty(&self, cx: &Execution<'_>, schema: &str) -> Result<()> {
        let catalog = cx.transaction.catalog();
        for model in catalog.models().filter(|m| m.name.schema == schema) {
            runs::keep_versions(cx, &model.versions).await?;
            cx.transaction.apply(CatalogOp::DropModel { id: model.id.clone() })?;
            cx.notice(Notice::notice(format!("drop cascades to model {}", model.name)));
        }
        let inside = || catalog.relations().filter(|r| r.name().schema == schema);
        for relation in inside() {
            let dependency = match relation {
                Relation::View(v) => Dependency::View(v.oid),
                Relation::Table(t) => Dependency::Table(t.id.clone()),
            };
            names::drop_dependents(cx, &relation.name().to_string(), &dependency, true)?;
        }
        for relation in inside() {
            match relation {
                Relation::Table(table) => {
                    cx.transaction.apply(CatalogOp::DropTable { id: table.id.clone() })?;
                    cx.notice(Notice::notice(format!("drop cascades to table {}", table.name)));
                }
                Relation::View(view) if cx.transaction.catalog().relation(&view.name).is_some() => {
                    cx.transaction.apply(CatalogOp::DropView {
                        schema: view.name.schema.clone(),
                        name: view.name.name.clone(),
                    })?;
                    cx.notice(Notice::notice(format!("drop cascades to view {}", view.name)));
                }
                Relation::View(_) => {}
            }
        }
        Ok(())
    }
}
