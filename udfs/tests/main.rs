//! The aggregates in SQL, over plans of several partitions.

#![allow(clippy::unwrap_used)]

mod metrics;
mod numeric;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::execution::FunctionRegistry;
use datafusion::prelude::{SessionConfig, SessionContext};

/// A session with all aggregates of the crate, whose plans have four partitions.
pub fn session() -> SessionContext {
    with_config(SessionConfig::new())
}

/// The same with settings.
pub fn with_config(config: SessionConfig) -> SessionContext {
    let mut session = SessionContext::new_with_config(config.with_target_partitions(4));
    for aggregate in cenote_udfs::all_aggregates().into_iter().chain(cenote_udfs::sql_aggregates())
    {
        FunctionRegistry::register_udaf(&mut session, Arc::new(aggregate)).unwrap();
    }
    session
}

/// Registers a table whose rows lie in a partition for each batch.
pub fn table(session: &SessionContext, name: &str, batches: Vec<RecordBatch>) {
    let schema = batches[0].schema();
    let partitions = batches.into_iter().map(|batch| vec![batch]).collect();
    let table = MemTable::try_new(schema, partitions).unwrap();
    session.register_table(name, Arc::new(table)).unwrap();
}

/// The rows of a query as text, its columns separated by a blank.
pub async fn query(session: &SessionContext, sql: &str) -> Vec<String> {
    let frame = session.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            rows.push(cells.join(" "));
        }
    }
    rows
}

/// The doubles of a query's only row; NULL is NaN.
pub async fn numbers(session: &SessionContext, sql: &str) -> Vec<f64> {
    let rows = query(session, sql).await;
    assert_eq!(rows.len(), 1, "{sql}");
    rows[0].split(' ').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
}

/// The error of a query.
pub async fn error(session: &SessionContext, sql: &str) -> String {
    match session.sql(sql).await {
        Err(error) => error.strip_backtrace(),
        Ok(frame) => match frame.collect().await {
            Err(error) => error.strip_backtrace(),
            Ok(_) => panic!("{sql}: no error"),
        },
    }
}
