//! `system.commits`: the records of the warehouse log as rows.

use crate::error::Result;
use crate::warehouse::{CommitEntry, Snapshot};
use arrow::array::{
    ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// Every commit up to a snapshot, the newest first.
pub(super) async fn batch(snapshot: &Snapshot) -> Result<RecordBatch> {
    let commits = snapshot.commits(None).await?;
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Schema::new(vec![
        Field::new("seq", DataType::Int64, false),
        Field::new(
            "committed_at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false,
        ),
        text("transaction_id"),
        text("role"),
        Field::new("base_seq", DataType::Int64, true),
        text("statement"),
        Field::new(
            "tables",
            DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
            true,
        ),
    ]);
    let number = |n: u64| i64::try_from(n).ok();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(commits.iter().map(|c| number(c.seq)).collect::<Int64Array>()),
        Arc::new(
            commits
                .iter()
                .map(|c| Some(c.time))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        Arc::new(commits.iter().map(|c| Some(&c.txn)).collect::<StringArray>()),
        Arc::new(commits.iter().map(|c| Some(&c.role)).collect::<StringArray>()),
        Arc::new(commits.iter().map(|c| number(c.base)).collect::<Int64Array>()),
        Arc::new(commits.iter().map(|c| c.statement.as_deref()).collect::<StringArray>()),
        Arc::new(tables(snapshot, &commits)),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// The tables of each commit as `schema.name@vN`; dropped ones by their id.
fn tables(snapshot: &Snapshot, commits: &[CommitEntry]) -> arrow::array::ListArray {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for commit in commits {
        for (id, version) in &commit.tables {
            let name = match snapshot.catalog().table(id) {
                Some(table) => table.name.to_string(),
                None => id.clone(),
            };
            builder.values().append_value(format!("{name}@v{version}"));
        }
        builder.append(true);
    }
    builder.finish()
}
