//! Run records: every training leaves one, also one that fails or is cancelled.

use super::options::{self, Stored};
use crate::catalog::{ModelVersion, QualifiedName, Relation, Table, random_id};
use crate::error::{Error, Notice, Result};
use crate::ml::Measurement;
use crate::planner::{Canceller, Environment, one_batch};
use crate::sqlstate::SqlState;
use crate::statements::Execution;
use crate::statements::table::rows;
use crate::warehouse::{
    CommitInfo, RUN_METRICS, RUN_PARAMS, RUN_VERSION, RUNS, SYSTEM_SCHEMA, Transaction,
};
use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// The version of this program, as runs and versions record it.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A training that has begun.
#[derive(Debug)]
pub struct Run {
    /// Its random id.
    pub id: String,
    model: String,
    experiment: Option<String>,
    started_at: DateTime<Utc>,
    query: String,
    snapshot: u64,
    seed: i64,
    given: Vec<(String, String)>,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Outcome<'a> {
    /// `succeeded`, `reproduced`, `failed` or `cancelled`.
    pub status: &'a str,
    /// Rows trained on.
    pub n_rows: Option<u64>,
    /// Content hash of the artefact.
    pub artifact_hash: Option<&'a str>,
    /// What went wrong.
    pub error: Option<String>,
    /// All options in effect; where they are not known, the given ones are recorded.
    pub params: Option<&'a [(String, String)]>,
    /// Losses and metrics.
    pub metrics: &'a [Measurement],
}

impl Run {
    /// A run of a model's training that begins now.
    pub fn begin(model: &QualifiedName, query: &str, given: &Stored, snapshot: u64) -> Self {
        let text = |name: &str| given.get(name).and_then(|v| v.as_str()).map(str::to_owned);
        Self {
            id: random_id(),
            model: model.to_string(),
            experiment: text("experiment"),
            started_at: Utc::now(),
            query: query.to_owned(),
            snapshot,
            seed: given.get("seed").and_then(whole_number).unwrap_or(42),
            given: options::given(given).into_iter().map(|(n, v)| (n, v.to_string())).collect(),
        }
    }

    /// Writes the run's rows through a transaction.
    ///
    /// # Errors
    /// What writing answers with.
    pub async fn record(
        &self,
        environment: &Environment,
        transaction: &Transaction,
        outcome: &Outcome<'_>,
    ) -> Result<()> {
        let ended_at = Utc::now();
        let batches = [
            (RUNS, self.run_row(environment, outcome, ended_at)?),
            (RUN_PARAMS, self.params(outcome)?),
            (RUN_METRICS, self.metrics(outcome.metrics, ended_at)?),
        ];
        for (name, batch) in batches {
            append(environment, transaction, name, batch).await?;
        }
        Ok(())
    }

    /// Records that the run failed, in a transaction of its own: the user's may be rolled back.
    pub async fn record_failure(&self, cx: &Execution<'_>, error: &Error) {
        if let Err(trouble) = self.commit_failure(cx.environment, cx.slice.text(), error).await {
            cx.notice(not_recorded(&trouble));
        }
    }

    /// Has the run recorded as failed if the transaction that it finished in cannot commit.
    pub fn fail_if_lost(self, cx: &Execution<'_>) {
        let (environment, statement) = (cx.environment.clone(), cx.slice.text().to_owned());
        let notices = cx.notices.clone();
        cx.if_lost.push(Box::new(move |error| {
            Box::pin(async move {
                if let Err(trouble) = self.commit_failure(&environment, &statement, &error).await {
                    let _ = notices.send(not_recorded(&trouble));
                }
            })
        }));
    }

    async fn commit_failure(
        &self,
        environment: &Environment,
        statement: &str,
        error: &Error,
    ) -> Result<()> {
        let status = match error.code() {
            SqlState::QueryCanceled | SqlState::AdminShutdown => "cancelled",
            _ => "failed",
        };
        let outcome = Outcome {
            status,
            error: Some(format!("{} ({})", error.message(), error.code().code())),
            ..Outcome::default()
        };
        let warehouse = &environment.services.warehouse;
        let transaction = warehouse.begin(environment.role.clone()).await?;
        if let Err(trouble) = self.record(environment, &transaction, &outcome).await {
            transaction.rollback().await;
            return Err(trouble);
        }
        let statement = statement.to_owned();
        transaction.commit(CommitInfo { statement, ..CommitInfo::default() }).await?;
        Ok(())
    }

    fn run_row(
        &self,
        environment: &Environment,
        outcome: &Outcome<'_>,
        ended_at: DateTime<Utc>,
    ) -> Result<RecordBatch> {
        let number = |n: Option<u64>| Some(i64::try_from(n?).unwrap_or(i64::MAX));
        batch(vec![
            ("run_id", text(Some(&self.id))),
            ("model", text(Some(&self.model))),
            ("experiment", text(self.experiment.as_deref())),
            ("status", text(Some(outcome.status))),
            ("started_at", times(vec![self.started_at])),
            ("ended_at", times(vec![ended_at])),
            ("role", text(Some(&environment.role))),
            ("query", text(Some(&self.query))),
            ("snapshot", integers(vec![number(Some(self.snapshot))])),
            ("seed", integers(vec![Some(self.seed)])),
            ("engine_version", text(Some(ENGINE_VERSION))),
            ("n_rows", integers(vec![number(outcome.n_rows)])),
            ("artifact_hash", text(outcome.artifact_hash)),
            ("error", text(outcome.error.as_deref())),
        ])
    }

    fn params(&self, outcome: &Outcome<'_>) -> Result<RecordBatch> {
        let params = outcome.params.unwrap_or(&self.given);
        batch(vec![
            ("run_id", self.ids(params.len())),
            ("key", texts(params.iter().map(|(key, _)| key))),
            ("value", texts(params.iter().map(|(_, value)| value))),
        ])
    }

    fn metrics(&self, metrics: &[Measurement], at: DateTime<Utc>) -> Result<RecordBatch> {
        let steps = metrics.iter().map(|m| i64::try_from(m.step).ok()).collect();
        batch(vec![
            ("run_id", self.ids(metrics.len())),
            ("key", texts(metrics.iter().map(|m| &m.key))),
            ("value", Arc::new(Float64Array::from_iter_values(metrics.iter().map(|m| m.value)))),
            ("step", integers(steps)),
            ("ts", times(vec![at; metrics.len()])),
        ])
    }

    fn ids(&self, n: usize) -> ArrayRef {
        texts(std::iter::repeat_n(&self.id, n))
    }
}

/// Keeps the numbers of versions that are about to be dropped, for the runs that made them.
///
/// # Errors
/// What writing answers with.
pub async fn keep_versions(cx: &Execution<'_>, versions: &[Arc<ModelVersion>]) -> Result<()> {
    let numbers: Vec<String> = versions.iter().map(|v| v.version.to_string()).collect();
    let key = RUN_VERSION.to_owned();
    let kept = batch(vec![
        ("run_id", texts(versions.iter().map(|version| &version.run_id))),
        ("key", texts(std::iter::repeat_n(&key, versions.len()))),
        ("value", texts(numbers.iter())),
    ])?;
    append(cx.environment, cx.transaction, RUN_PARAMS, kept).await
}

async fn append(
    environment: &Environment,
    transaction: &Transaction,
    name: &str,
    batch: RecordBatch,
) -> Result<()> {
    if batch.num_rows() == 0 {
        return Ok(());
    }
    // What is to be said of a cancelled run must not be cancelled itself.
    let canceller = Canceller::default();
    let table = system_table(transaction, name)?;
    let stream = one_batch(batch);
    let adds = rows::write(environment, transaction, &canceller, &table, stream).await?;
    rows::append(transaction, &table, adds, "Append")?;
    Ok(())
}

fn not_recorded(trouble: &Error) -> Notice {
    Notice::warning(format!("the failed run could not be recorded: {}", trouble.message()))
}

fn system_table(transaction: &Transaction, name: &str) -> Result<Arc<Table>> {
    match transaction.catalog().relation(&QualifiedName::new(SYSTEM_SCHEMA, name)) {
        Some(Relation::Table(table)) => Ok(table.clone()),
        _ => Err(Error::internal(format!("the system's table {name} is missing"))),
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn text(value: Option<&str>) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn texts<'a>(values: impl Iterator<Item = &'a String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn integers(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

fn times(values: Vec<DateTime<Utc>>) -> ArrayRef {
    let micros = values.iter().map(DateTime::timestamp_micros);
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

/// A number, also where it is written as a text.
fn whole_number(value: &serde_json::Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}
