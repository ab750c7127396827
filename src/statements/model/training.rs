//! From a planned query to a version of a model: what CREATE MODEL, TRAIN MODEL and RETRAIN MODEL share.
//!
//! A training reads the statement's own transaction, so its snapshot is the transaction's. The
//! artefact's files are noted there, and version and run record go with its commit; a failure is
//! recorded in a transaction of its own.

use super::options::{self, Stored};
use super::runs::{ENGINE_VERSION, Outcome, Run};
use crate::catalog::{CatalogOp, CatalogState, Model, ModelVersion, Pin, QualifiedName, SqlType};
use crate::error::{Error, Notice, Result};
use crate::ml::registry::{self, Saved};
use crate::ml::{
    Algorithm, Progress, ProgressCallback, TrainContext, TrainRequest, Trained, train,
};
use crate::planner::{Environment, Planned, World};
use crate::statements::Execution;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Progress is told after this time, and then this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// How a version is trained.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The model's name.
    pub model: QualifiedName,
    /// The label's column.
    pub label: String,
    /// The algorithm; without one the label's type decides.
    pub algorithm: Option<Algorithm>,
    /// Options as given.
    pub options: Stored,
    /// The query's text.
    pub query: String,
}

/// The session's part of a training: `now()` is frozen to what a version can record.
pub fn frozen(
    environment: &Environment,
    search_path: &[String],
    time_zone: &str,
    now_micros: i64,
) -> Environment {
    Environment {
        search_path: search_path.to_vec(),
        time_zone: time_zone.to_owned(),
        now: DateTime::from_timestamp_micros(now_micros).unwrap_or(environment.now),
        ..environment.clone()
    }
}

/// Trains a model and adds the version to the transaction, with its run.
///
/// # Errors
/// What `ml::train` answers with, after a record of the failed run was committed; 57014.
pub async fn add_version(
    cx: &Execution<'_>,
    model: &Model,
    recipe: &Recipe,
    environment: &Environment,
    planned: Planned,
    make_default: bool,
) -> Result<()> {
    if let Some(what) = &planned.reads.unpinned {
        cx.notice(
            Notice::notice(format!("the model is trained on {what}, which no snapshot keeps"))
                .with_hint(
                    "RETRAIN MODEL cannot promise the same rows; load the file with COPY first.",
                ),
        );
    }
    let snapshot = cx.transaction.snapshot().seq();
    let run = Run::begin(&recipe.model, &recipe.query, &recipe.options, snapshot);
    let training = Training { cx, model, recipe, environment, planned: &planned, run: &run };
    match training.run(make_default).await {
        Ok(()) => {
            run.fail_if_lost(cx);
            Ok(())
        }
        Err(error) => {
            run.record_failure(cx, &error).await;
            Err(error)
        }
    }
}

/// Records a training that failed before it began: what is wrong with its query or its options.
pub async fn record_failure(cx: &Execution<'_>, recipe: &Recipe, error: &Error) {
    let snapshot = cx.transaction.snapshot().seq();
    Run::begin(&recipe.model, &recipe.query, &recipe.options, snapshot)
        .record_failure(cx, error)
        .await;
}

/// One training of a new version.
struct Training<'a, 'b> {
    cx: &'a Execution<'b>,
    model: &'a Model,
    recipe: &'a Recipe,
    environment: &'a Environment,
    planned: &'a Planned,
    run: &'a Run,
}

impl Training<'_, '_> {
    async fn run(&self, make_default: bool) -> Result<()> {
        let cx = self.cx;
        let trained = fit(cx, cx.transaction, self.recipe, self.planned).await?;
        let store = cx.services().warehouse.store();
        let saved =
            registry::save(&store, cx.transaction.new_files(), &self.model.id, &trained.model)
                .await?;
        self.register(self.version(&trained, &saved)?, make_default)?;
        let outcome = Outcome {
            status: "finished",
            n_rows: Some(trained.n_rows),
            artifact_hash: Some(&saved.hash),
            error: None,
            params: Some(&trained.params),
            metrics: &trained.metrics,
        };
        self.run.record(cx.environment, cx.transaction, &outcome).await?;
        for notice in trained.notices {
            cx.notice(notice);
        }
        self.tell_version();
        cx.services().models.insert(&saved.path, Arc::new(trained.model));
        Ok(())
    }

    /// Adds the version, and holds what it needs in order to be trained again.
    fn register(&self, version: ModelVersion, make_default: bool) -> Result<()> {
        let transaction = self.cx.transaction;
        let written = transaction.written_tables();
        for pin in version.pins.iter().filter(|pin| written.contains(&pin.table)) {
            transaction.hold_table(&pin.table);
        }
        transaction.apply(CatalogOp::AddModelVersion {
            id: self.model.id.clone(),
            version: Box::new(version),
            make_default,
        })?;
        if self.cx.in_block {
            // The block may use the number that it is told: another training of the model is in the way.
            transaction.rely_on_version_number(&self.model.id);
        }
        Ok(())
    }

    /// Tells the version's number; the commit gives it, unless a block uses it before.
    fn tell_version(&self) {
        let (id, run) = (self.model.id.clone(), self.run.id.clone());
        let name = self.recipe.model.name.clone();
        let tell = move |catalog: &CatalogState| {
            let (number, default) = version_of(catalog, &id, &run)?;
            let trained = format!("trained version {number} of model \"{name}\"");
            Some(Notice::notice(match default {
                Some(default) if default != number => {
                    format!("{trained}; version {default} stays the default")
                }
                _ => format!("{trained}; it is the default now"),
            }))
        };
        if !self.cx.in_block {
            self.cx.if_committed.push(Box::new(tell));
        } else if let Some(notice) = tell(&self.cx.transaction.catalog()) {
            self.cx.notice(notice);
        }
    }

    fn version(&self, trained: &Trained, saved: &Saved) -> Result<ModelVersion> {
        let model = &trained.model;
        let features = model.signature().features.iter();
        Ok(ModelVersion {
            version: 0,
            run_id: self.run.id.clone(),
            path: saved.path.clone(),
            files: saved.files.clone(),
            artifact_hash: saved.hash.clone(),
            algorithm: model.algorithm().name().to_owned(),
            task: model.task().name().to_owned(),
            label: model.label().name.clone(),
            label_type: SqlType::from_arrow(&model.label().data_type)?,
            features: features
                .map(|f| Ok((f.name.clone(), SqlType::from_arrow(&f.data_type)?)))
                .collect::<Result<_>>()?,
            params: trained.params.clone(),
            options: self.recipe.options.clone(),
            query: self.recipe.query.clone(),
            search_path: self.environment.search_path.clone(),
            time_zone: self.environment.time_zone.clone(),
            views: self.planned.reads.views.clone(),
            snapshot: self.cx.transaction.snapshot().seq(),
            pins: self.pins(),
            seed: seed(&trained.params),
            started_at: self.environment.now.timestamp_micros(),
            n_rows: trained.n_rows,
            engine_version: ENGINE_VERSION.to_owned(),
            created_at: Utc::now().timestamp_micros(),
            created_by: self.cx.environment.role.clone(),
        })
    }

    /// The versions that were read. What this transaction wrote itself becomes the next version of
    /// its table when it commits; nobody else may commit to the table before.
    fn pins(&self) -> Vec<Pin> {
        let written = self.cx.transaction.written_tables();
        let before = self.cx.transaction.snapshot().catalog();
        let mut pins = self.planned.reads.pins.clone();
        for pin in pins.iter_mut().filter(|pin| written.contains(&pin.table)) {
            if pin.version == before.head(&pin.table).unwrap_or(-1) {
                pin.version += 1;
            }
        }
        pins
    }
}

/// The number of the version that a run made, and that of the default.
fn version_of(catalog: &CatalogState, model: &str, run: &str) -> Option<(u64, Option<u64>)> {
    let model = catalog.model_by_id(model)?;
    let version = model.versions.iter().rev().find(|version| version.run_id == run)?;
    Some((version.version, model.default_version))
}

fn seed(params: &[(String, String)]) -> i64 {
    params.iter().find(|(name, _)| name == "seed").and_then(|(_, v)| v.parse().ok()).unwrap_or(42)
}

/// Runs the query and trains on its rows, on the query runtime, under the statement's canceller.
///
/// # Errors
/// What `ml::train` answers with; 57014 within a second of a cancel.
pub async fn fit(
    cx: &Execution<'_>,
    world: &dyn World,
    recipe: &Recipe,
    planned: &Planned,
) -> Result<Trained> {
    let services = cx.services();
    let request = TrainRequest {
        algorithm: recipe.algorithm,
        label: recipe.label.clone(),
        options: options::given(&recipe.options),
        primary_key: primary_key(world, planned),
    };
    let rows = cx.canceller.guard(planned.stream(services, cx.canceller)).await?;
    let rows = named(rows, &planned.schema());
    let context = TrainContext {
        runtime: services.runtime_env().clone(),
        cancel: cx.canceller.token().clone(),
        progress: Some(progress(&recipe.model, cx.notices.clone())),
        threads: services.compute().metrics().num_workers(),
    };
    let trained = services.run(async move { train(request, rows, &context).await }).await;
    // Training knows that it was cancelled, the canceller knows why.
    cx.canceller.check()?;
    trained
}

/// The source's key, if there is one source and it is a feature table.
fn primary_key(world: &dyn World, planned: &Planned) -> Vec<String> {
    let tables: HashSet<&String> = planned.reads.pins.iter().map(|pin| &pin.table).collect();
    let mut tables = tables.into_iter();
    match (tables.next(), tables.next(), &planned.reads.unpinned) {
        (Some(only), None, None) => world
            .catalog()
            .table(only)
            .and_then(|table| Some(table.feature.as_ref()?.primary_key.clone()))
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The stream under the names that the client sees.
fn named(stream: SendableRecordBatchStream, names: &SchemaRef) -> SendableRecordBatchStream {
    let fields: Vec<Field> = stream
        .schema()
        .fields()
        .iter()
        .zip(names.fields())
        .map(|(field, named)| field.as_ref().clone().with_name(named.name()))
        .collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let renamed = schema.clone();
    let rows = stream.map(move |batch| {
        let batch = batch?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        Ok(RecordBatch::try_new_with_options(renamed.clone(), columns, &options)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

/// Tells the client how a long training goes.
fn progress(model: &QualifiedName, notices: UnboundedSender<Notice>) -> ProgressCallback {
    let last_told = Mutex::new(Instant::now());
    let model = model.name.clone();
    Arc::new(move |progress| {
        // A thread that does not get the lock leaves the telling to the one that has it.
        let Ok(mut last_told) = last_told.try_lock() else { return };
        if last_told.elapsed() >= PROGRESS_EVERY {
            *last_told = Instant::now();
            let _ = notices.send(Notice::notice(in_words(&model, progress)));
        }
    })
}

fn in_words(model: &str, progress: &Progress) -> String {
    let mut text = format!("training \"{model}\": {}, {} rows", progress.phase, progress.rows_done);
    if let Some(total) = progress.steps_total {
        text += &format!(", step {} of {total}", progress.step);
    }
    if let Some(loss) = progress.loss {
        text += &format!(", loss {loss:.6}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_words() {
        let progress = Progress {
            phase: "fitting",
            rows_done: 344,
            rows_total: None,
            step: 3,
            steps_total: Some(100),
            loss: Some(0.25),
        };
        assert_eq!(
            in_words("m", &progress),
            "training \"m\": fitting, 344 rows, step 3 of 100, loss 0.250000"
        );
    }
}
