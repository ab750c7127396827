//! DESCRIBE HISTORY name [LIMIT n]: the versions of a table, the newest first.

use crate::error::Result;
use crate::parser::{Cursor, TokenSlice};
use crate::planner::resolve_table;
use crate::sqlstate::SqlState;
use crate::statements::{Describe, Description, Execution, Kind, Response, Statement};
use crate::warehouse::HistoryEntry;
use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// DESCRIBE HISTORY.
#[derive(Debug)]
pub struct DescribeHistory {
    name: Vec<String>,
    position: usize,
    limit: Option<usize>,
}

/// Parses DESCRIBE HISTORY.
///
/// # Errors
/// 42601 with the position.
pub fn parse(slice: &TokenSlice) -> Result<Arc<dyn Statement>> {
    let mut cursor = Cursor::new(slice);
    cursor.advance();
    cursor.expect(&["HISTORY"])?;
    let position = cursor.position();
    let name = cursor.name("a table's name")?;
    let limit = match cursor.accept(&["LIMIT"]) {
        true => Some(usize::try_from(cursor.integer("a number")?).unwrap_or(usize::MAX)),
        false => None,
    };
    cursor.expect_end()?;
    Ok(Arc::new(DescribeHistory { name, position, limit }))
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let json = |name: &str| {
        text(name).with_metadata([("cenote.pg_type".to_owned(), "json".to_owned())].into())
    };
    Arc::new(Schema::new(vec![
        Field::new("version", DataType::Int64, false),
        Field::new(
            "timestamp",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
        text("user_name"),
        text("operation"),
        json("operation_parameters"),
        json("operation_metrics"),
        text("transaction_id"),
        Field::new("snapshot", DataType::Int64, true),
    ]))
}

#[async_trait::async_trait]
impl Statement for DescribeHistory {
    fn name(&self) -> &'static str {
        "describe_history"
    }

    fn kind(&self) -> Kind {
        Kind::Read
    }

    async fn describe(&self, _: &Describe<'_>) -> Result<Description> {
        Ok(Description::rows(schema()))
    }

    async fn execute(&self, cx: &mut Execution<'_>) -> Result<Response> {
        let table = resolve_table(cx.transaction, &cx.environment.search_path, &self.name)
            .map_err(|e| match e.code() {
                SqlState::WrongObjectType => {
                    e.hint("Views have no history; ask the tables that the view reads.")
                }
                SqlState::InsufficientPrivilege => e.hint("Tables of users have a history."),
                _ => e,
            })
            .map_err(|e| e.position(self.position))?;
        let entries = cx.transaction.snapshot().history(&table.id, self.limit).await?;
        Response::rows("DESCRIBE", batch(&entries)?)
    }
}

fn batch(entries: &[HistoryEntry]) -> Result<RecordBatch> {
    let json = |map: &serde_json::Map<String, serde_json::Value>| {
        (!map.is_empty()).then(|| serde_json::Value::Object(map.clone()).to_string())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(entries.iter().map(|e| Some(e.version)).collect::<Int64Array>()),
        Arc::new(
            entries
                .iter()
                .map(|e| Some(e.time))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        Arc::new(entries.iter().map(|e| e.role.as_deref()).collect::<StringArray>()),
        Arc::new(entries.iter().map(|e| Some(e.operation.as_str())).collect::<StringArray>()),
        Arc::new(entries.iter().map(|e| json(&e.parameters)).collect::<StringArray>()),
        Arc::new(entries.iter().map(|e| json(&e.metrics)).collect::<StringArray>()),
        Arc::new(entries.iter().map(|e| e.txn.as_deref()).collect::<StringArray>()),
        Arc::new(
            entries
                .iter()
                .map(|e| e.seq.and_then(|s| i64::try_from(s).ok()))
                .collect::<Int64Array>(),
        ),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
