//! TRUNCATE [TABLE] name [, …]

use super::rows;
use crate::delta::actions::Action;
use crate::error::Result;
use crate::parser::{Cursor, TokenSlice};
use crate::planner::resolve_table;
use crate::statements::{Execution, Kind, Response, Statement};
use crate::warehouse::{ReadSet, TableChange};
use serde_json::json;
use sqlparser::tokenizer::Token;
use std::sync::Arc;

/// TRUNCATE.
#[derive(Debug)]
pub struct Truncate {
    names: Vec<(Vec<String>, usize)>,
}

/// Parses TRUNCATE.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.expect(&["TRUNCATE"])?;
    cursor.accept(&["TABLE"]);
    let mut names = Vec::new();
    loop {
        let position = cursor.position();
        names.push((cursor.name("a table's name")?, position));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    let _ = cursor.accept(&["RESTRICT"]) || cursor.accept(&["CASCADE"]);
    cursor.expect_end()?;
    Ok(Arc::new(Truncate { names }))
}

#[async_trait::async_trait]
impl Statement for Truncate {
    fn name(&self) -> &'static str {
        "truncate"
    }

    fn kind(&self) -> Kind {
        Kind::Write
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        for (name, position) in &self.names {
            let table = resolve_table(cx.transaction, &cx.environment.search_path, name)
                .map_err(|e| e.position(*position))?;
            if table.feature.is_some() {
                super::delete::delete_all(cx, &table).await?;
                continue;
            }
            let state = cx.transaction.table(&table.id).await?;
            let now_ms = cx.environment.now.timestamp_millis();
            let actions: Vec<Action> =
                state.files().map(|add| Action::Remove(add.remove(now_ms, true))).collect();
            let change = TableChange {
                operation: "TRUNCATE".into(),
                metrics: rows::object(&[("numRemovedFiles", json!(actions.len().to_string()))]),
                actions,
                reads: ReadSet::Everything,
                exclusive: true,
                ..TableChange::default()
            };
            cx.transaction.change(&table.id, change)?;
        }
        Response::done("TRUNCATE TABLE")
    }
}
