//! DROP TABLE [IF EXISTS] name [, …] [CASCADE | RESTRICT]

use super::names;
use crate::catalog::{CatalogOp, Dependency, Relation, Table};
use crate::error::{Error, Notice, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::planner::{resolve_relation, split_name};
use crate::sqlstate::SqlState;
use crate::statements::{Execution, Kind, Response, Statement};
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// DROP TABLE, and DROP FEATURE TABLE.
#[derive(Debug)]
pub struct DropTable {
    names: Vec<(Vec<String>, usize)>,
    if_exists: bool,
    cascade: bool,
    feature: bool,
}

/// Parses DROP TABLE.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["DROP", "TABLE"])?;
    Ok(Arc::new(parse_rest(cursor, false)?))
}

/// Parses what follows DROP [FEATURE] TABLE.
///
/// # Errors
/// 42601 with the position.
pub fn parse_rest(mut cursor: Cursor<'_>, feature: bool) -> Result<DropTable> {
    let if_exists = cursor.if_exists();
    let mut names = Vec::new();
    loop {
        let position = cursor.position();
        names.push((cursor.name("a table's name")?, position));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    let cascade = cursor.accept(&["CASCADE"]);
    if !cascade {
        cursor.accept(&["RESTRICT"]);
    }
    cursor.expect_end()?;
    Ok(DropTable { names, if_exists, cascade, feature })
}

#[async_trait::async_trait]
impl Statement for DropTable {
    fn name(&self) -> &'static str {
        if self.feature { "drop_feature_table" } else { "drop_table" }
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        for (parts, position) in &self.names {
            self.drop(cx, parts).map_err(|e| e.position(*position))?;
        }
        Response::done(if self.feature { "DROP FEATURE TABLE" } else { "DROP TABLE" })
    }
}

impl DropTable {
    fn drop(&self, cx: &Execution<'_>, parts: &[String]) -> Result<()> {
        let catalog = cx.transaction.catalog();
        let found = names::find_name(cx, parts, |n| catalog.relation(n).is_some())?;
        let Some(name) = found else {
            if self.if_exists {
                let shown = parts.last().map_or("", String::as_str);
                cx.notice(Notice::notice(format!("table \"{shown}\" does not exist, skipping")));
                return Ok(());
            }
            if let (Some(schema), _) = split_name(parts.to_vec())?
                && catalog.schema(&schema).is_none()
                && !names::is_reserved_schema(&schema)
            {
                return Err(names::missing_schema(&catalog, &schema));
            }
            // The resolver's error has the nearest name; PostgreSQL says "table" here.
            let error = match resolve_relation(cx.transaction, &cx.environment.search_path, parts) {
                Err(error) => error,
                Ok(_) => Error::new(
                    SqlState::InsufficientPrivilege,
                    format!("permission denied: \"{}\" is a system catalog", parts.join(".")),
                ),
            };
            let message = error.message().replacen("relation", "table", 1);
            return Err(error.with_message(message));
        };
        let table = match catalog.relation(&name) {
            Some(Relation::Table(table)) => table.clone(),
            Some(other) => return Err(names::wrong_kind(other, "table")),
            None => return Err(Error::internal("a name was found and is not there")),
        };
        self.drop_one(cx, &table)
    }

    fn drop_one(&self, cx: &Execution<'_>, table: &Table) -> Result<()> {
        if table.internal {
            return Err(Error::new(
                SqlState::InsufficientPrivilege,
                format!("permission denied for table {}", table.name.name),
            ));
        }
        if self.feature && table.feature.is_none() {
            return Err(Error::new(
                SqlState::WrongObjectType,
                format!("\"{}\" is not a feature table", table.name.name),
            )
            .hint("Use DROP TABLE."));
        }
        let dependency = Dependency::Table(table.id.clone());
        names::drop_dependents(cx, &format!("table {}", table.name), &dependency, self.cascade)?;
        cx.transaction.apply(CatalogOp::DropTable { id: table.id.clone() })?;
        if let Some(feature) = &table.feature {
            cx.transaction.apply(CatalogOp::DropTable { id: feature.history.clone() })?;
        }
        Ok(())
    }
}
