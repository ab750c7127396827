//! DROP VIEW [IF EXISTS] name [, …] [CASCADE | RESTRICT]

use super::names;
use crate::catalog::{CatalogOp, Dependency, Relation};
use crate::error::{Error, Notice, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::sqlstate::SqlState;
use crate::statements::{Execution, Kind, Response, Statement};
use crate::suggest;
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// DROP VIEW.
#[derive(Debug)]
pub struct DropView {
    names: Vec<(Vec<String>, usize)>,
    if_exists: bool,
    cascade: bool,
}

/// Parses DROP VIEW.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["DROP", "VIEW"])?;
    let if_exists = cursor.if_exists();
    let mut names = Vec::new();
    loop {
        let position = cursor.position();
        names.push((cursor.name("a view's name")?, position));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    let cascade = cursor.accept(&["CASCADE"]);
    if !cascade {
        cursor.accept(&["RESTRICT"]);
    }
    cursor.expect_end()?;
    Ok(Arc::new(DropView { names, if_exists, cascade }))
}

#[async_trait::async_trait]
impl Statement for DropView {
    fn name(&self) -> &'static str {
        "drop_view"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        for (parts, position) in &self.names {
            self.drop(cx, parts).map_err(|e| e.position(*position))?;
        }
        Response::done("DROP VIEW")
    }
}

impl DropView {
    fn drop(&self, cx: &Execution<'_>, parts: &[String]) -> Result<()> {
        let catalog = cx.transaction.catalog();
        let found = names::find_name(cx, parts, |n| catalog.relation(n).is_some())?;
        let Some(name) = found else {
            let shown = parts.join(".");
            if self.if_exists {
                cx.notice(Notice::notice(format!("view \"{shown}\" does not exist, skipping")));
                return Ok(());
            }
            let known: Vec<&str> = catalog
                .relations()
                .filter(|r| matches!(r, Relation::View(_)))
                .map(|r| r.name().name.as_str())
                .collect();
            let last = parts.last().map_or("", String::as_str);
            return Err(Error::new(
                SqlState::UndefinedTable,
                format!("view \"{shown}\" does not exist"),
            )
            .maybe_hint(suggest::hint("view", last, &known)));
        };
        match catalog.relation(&name) {
            Some(Relation::View(view)) => {
                let dependency = Dependency::View(view.oid);
                names::drop_dependents(cx, &format!("view {name}"), &dependency, self.cascade)?;
                cx.transaction.apply(CatalogOp::DropView {
                    schema: name.schema.clone(),
                    name: name.name.clone(),
                })
            }
            Some(other) => Err(names::wrong_kind(other, "view")),
            None => Err(Error::internal("a name was found and is not there")),
        }
    }
}
