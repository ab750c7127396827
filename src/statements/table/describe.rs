//! DESCRIBE [TABLE] name: the columns of a table or view.

use crate::catalog::Column;
use crate::error::{Error, Result};
use crate::parser::{Cursor, TokenSlice};
use crate::planner::{Resolved, resolve_relation};
use crate::statements::{
    Describe, Description, Execution, Kind, Response, Statement, text_batch, text_schema,
};
use std::sync::Arc;

const COLUMNS: &[&str] = &["column_name", "data_type", "nullable", "default", "comment"];

/// DESCRIBE.
#[derive(Debug)]
pub struct DescribeTable {
    name: Vec<String>,
    position: usize,
}

/// Parses DESCRIBE.
///
/// # Errors
/// 42601 with the position, 0A000 for DESCRIBE DETAIL.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.advance();
    for (word, hint) in [
        ("DETAIL", "Use DESCRIBE HISTORY, or system.commits."),
        ("EXTENDED", "Use DESCRIBE, DESCRIBE HISTORY, or information_schema."),
        ("FEATURE", "Use DESCRIBE with the feature table's name."),
    ] {
        if cursor.peek_words(&[word]) && cursor.peek_nth(1).is_some() {
            return Err(Error::unsupported(format_args!("DESCRIBE {word}"), hint)
                .position(cursor.position()));
        }
    }
    if cursor.peek_words(&["TABLE"]) && cursor.peek_nth(1).is_some() {
        cursor.advance();
    }
    let position = cursor.position();
    let name = cursor.name("a table's name")?;
    cursor.expect_end()?;
    Ok(Arc::new(DescribeTable { name, position }))
}

#[async_trait::async_trait]
impl Statement for DescribeTable {
    fn name(&self) -> &'static str {
        "describe"
    }

    fn kind(&self) -> Kind {
        Kind::Read
    }

    async fn describe(&self, _: &Describe<'_>) -> Result<Description> {
        Ok(Description::rows(text_schema(COLUMNS)))
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let resolved = resolve_relation(cx.transaction, &cx.environment.search_path, &self.name)
            .map_err(|e| e.position(self.position))?;
        let (columns, keys): (Vec<Column>, Vec<(String, &str)>) = match &resolved {
            Resolved::Table(table) => {
                let mut keys: Vec<(String, &str)> = Vec::new();
                if let Some(feature) = &table.feature {
                    keys.extend(feature.primary_key.iter().map(|k| (k.clone(), "primary key")));
                    keys.extend(feature.timestamp_key.iter().map(|k| (k.clone(), "timestamp key")));
                }
                keys.extend(table.partition_by.iter().map(|k| (k.clone(), "partition column")));
                (table.columns.clone(), keys)
            }
            Resolved::View(view) => (view.columns.clone(), Vec::new()),
            Resolved::System(name) => {
                return Err(Error::unsupported(
                    format_args!("DESCRIBE of the system relation {name}"),
                    "Query information_schema.columns.",
                )
                .position(self.position));
            }
        };
        let columns: Vec<Column> = columns.into_iter().filter(|c| !c.hidden).collect();
        let of = |f: &dyn Fn(&Column) -> Option<String>| columns.iter().map(f).collect::<Vec<_>>();
        let batch = text_batch(&[
            (COLUMNS[0], of(&|c| Some(c.name.clone()))),
            (COLUMNS[1], of(&|c| Some(c.sql_type.to_string()))),
            (COLUMNS[2], of(&|c| Some(if c.not_null { "NO" } else { "YES" }.to_owned()))),
            (COLUMNS[3], of(&|c| c.default.clone())),
            (
                COLUMNS[4],
                of(&|c| {
                    keys.iter()
                        .find(|(name, _)| *name == c.name)
                        .map(|(_, what)| (*what).to_owned())
                }),
            ),
        ])?;
        Response::rows("DESCRIBE", batch)
    }
}
