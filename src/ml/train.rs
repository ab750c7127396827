//! From a stream of rows to a model: the one way in.
//!
//! 1. The query's columns get their roles, and the options are checked.
//! 2. Rows that cannot train are left out, the others are put into canonical order.
//! 3. They are split into parts for training, validation and testing.
//! 4. Preprocessing is fitted on the training rows and encodes all of them.
//! 5. The estimator is fitted, every part is measured, and with `refit` the model is fitted again on all rows.
//!
//! An algorithm that needs its rows at once has them in memory (`held`), under the memory bound. The others see them
//! pass by, block by block (`streamed`): sorted and kept in temporary files where they do not fit. Both give the same
//! parts and blocks, so the bits of a model do not tell which way it went.
//!
//! The work is done on a thread for blocking work. Cancelling answers at once; the thread stops at its next check and
//! frees its memory then.

mod clean;
mod held;
mod intake;
mod parts;
mod scratch;
mod streamed;

pub(crate) use intake::{Intake, Roles, Skipped};

use crate::catalog::SqlType;
use crate::error::{Error, Notice, Result};
use crate::ml::algorithm::{Algorithm, Goal, Task};
use crate::ml::dataset::{Collector, Nulls};
use crate::ml::estimator::{self, Fit, Measurement};
use crate::ml::evaluation::metric_names;
use crate::ml::model::{Label, Model};
use crate::ml::options::{OptionValue, Options};
use crate::ml::preprocess::Preprocessor;
use crate::ml::progress::{Monitor, Progress, ProgressCallback, cancelled};
use crate::ml::signature::Signature;
use crate::sqlstate::SqlState;
use crate::suggest;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use scratch::Scratch;
use std::collections::HashSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What to train.
#[derive(Debug, Clone)]
pub struct TrainRequest {
    /// The algorithm; without one the label's type decides.
    pub algorithm: Option<Algorithm>,
    /// The label's column.
    pub label: String,
    /// Options as given.
    pub options: Vec<(String, OptionValue)>,
    /// The source's primary key, which decides a row's part if the query selects all of it and no `split_key` is given.
    pub primary_key: Vec<String>,
}

/// What training may use, and whom it tells.
#[derive(Clone)]
pub struct TrainContext {
    /// Where memory is reserved, and where temporary files go.
    pub runtime: Arc<RuntimeEnv>,
    /// Stops the training.
    pub cancel: CancellationToken,
    /// Told of the progress.
    pub progress: Option<ProgressCallback>,
    /// Threads; they never change the result.
    pub threads: usize,
}

/// A trained model and what is to be told about the training.
pub struct Trained {
    /// The model.
    pub model: Model,
    /// What the user should know.
    pub notices: Vec<Notice>,
    /// Rows used, in all parts.
    pub n_rows: u64,
    /// Rows left out: NULL label, no weight, or NULL features under `nulls = 'skip'`.
    pub rows_skipped: u64,
    /// Rows of each part: `train`, `validation`, `test`, or `all`.
    pub split_counts: Vec<(String, u64)>,
    /// Effective options, defaults included, for `ml.run_params`.
    pub params: Vec<(String, String)>,
    /// For `ml.run_metrics`: losses of rounds, and each part's metrics as `<part>_<metric>` at step 0.
    pub metrics: Vec<Measurement>,
}

/// Trains a model.
///
/// Errors: 42703 for a missing column, 42804 for a label of the wrong type, 22023 for options or rows that cannot be
/// trained on, 22003 for infinite values, 0A000 for what is not built, 53200 without memory, 57014 when cancelled.
pub async fn train(
    request: TrainRequest,
    input: SendableRecordBatchStream,
    context: &TrainContext,
) -> Result<Trained> {
    let schema = input.schema();
    let label = schema
        .index_of(&request.label)
        .map_err(|_| missing_column(&request.label, "label", &schema))?;
    let label_type = schema.field(label).data_type().clone();
    let task = Options::goal_of(&request.options)?;
    let algorithm = request.algorithm.unwrap_or_else(|| Algorithm::default_for(&label_type, task));
    let options = Options::check(algorithm, &request.options)?;
    let goal = algorithm.goal(&label_type, task)?;
    check_label_type(&request.label, &label_type)?;
    let roles = roles(&schema, label, &options, &request.primary_key)?;
    let nulls = match options.choice("nulls") {
        "error" => Nulls::Error,
        "skip" => Nulls::Skip,
        _ => Nulls::Impute,
    };
    // Cancelled when the caller is, or when it drops this future.
    let cancel = context.cancel.child_token();
    let _guard = cancel.clone().drop_guard();
    let monitor = Monitor {
        cancel: cancel.clone(),
        callback: context.progress.clone(),
        rows: 0,
        phase: "reading",
    };
    let intake = Intake::new(schema, roles, nulls)?;
    let mut settings = Settings { goal, nulls, options, monitor, threads: context.threads };
    let reservation = MemoryConsumer::new("training").register(&context.runtime.memory_pool);
    let work = match estimator::training(algorithm) {
        estimator::Training::Held(fit) => {
            let mut collector = Collector::new(intake, goal, reservation)?;
            settings.monitor.rows = collect(&mut collector, input, &settings.monitor).await?;
            tokio::task::spawn_blocking(move || held::train(&settings, fit, collector))
        }
        estimator::Training::Streamed(fit) => {
            let scratch = Scratch::new(context.runtime.clone(), reservation);
            tokio::task::spawn_blocking(move || {
                streamed::train(settings, fit, intake, input, scratch)
            })
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled()),
        result = work => result.map_err(|e| Error::internal(format!("training stopped: {e}")))?,
    }
}

/// Collects all rows, and returns how many there were.
async fn collect(
    collector: &mut Collector,
    mut input: SendableRecordBatchStream,
    monitor: &Monitor,
) -> Result<u64> {
    let mut rows = 0;
    loop {
        let batch = tokio::select! {
            biased;
            () = monitor.cancel.cancelled() => return Err(cancelled()),
            batch = input.next() => batch,
        };
        let Some(batch) = batch else { return Ok(rows) };
        let batch = batch?;
        collector.push(&batch)?;
        rows += batch.num_rows() as u64;
        tell_rows(monitor, rows);
    }
}

fn tell_rows(monitor: &Monitor, rows_done: u64) {
    if let Some(callback) = &monitor.callback {
        let phase = monitor.phase;
        callback(&Progress {
            phase,
            rows_done,
            rows_total: None,
            step: 0,
            steps_total: None,
            loss: None,
        });
    }
}

fn missing_column(name: &str, what: &str, schema: &Schema) -> Error {
    let names: Vec<&String> = schema.fields().iter().map(|f| f.name()).collect();
    Error::new(
        SqlState::UndefinedColumn,
        format!("the training query has no column \"{name}\" for the {what}"),
    )
    .column(name)
    .maybe_hint(suggest::hint("column", name, &names))
}

fn check_label_type(name: &str, label_type: &DataType) -> Result<()> {
    if label_type.is_nested()
        || matches!(
            label_type,
            DataType::Null | DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        )
    {
        return Err(Error::new(
            SqlState::DatatypeMismatch,
            format!("column \"{name}\" of type {} cannot be a label", SqlType::shown(label_type)),
        )
        .column(name)
        .hint("Cast it to a number or to text."));
    }
    Ok(())
}

/// 42804 for weights that are no numbers: a text for a number is never cast unasked.
fn check_weight_type(field: &Field) -> Result<()> {
    let (name, data_type) = (field.name(), field.data_type());
    if data_type.is_numeric() || data_type.is_null() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::DatatypeMismatch,
        format!("weight column \"{name}\" is of type {}, not a number", SqlType::shown(data_type)),
    )
    .column(name)
    .hint("Cast it to a number in the training query."))
}

fn roles(
    schema: &Schema,
    label: usize,
    options: &Options,
    primary_key: &[String],
) -> Result<Roles> {
    let mut seen = HashSet::new();
    if let Some(field) = schema.fields().iter().find(|f| !seen.insert(f.name())) {
        return Err(Error::new(
            SqlState::DuplicateColumn,
            format!("the training query has two columns \"{}\"", field.name()),
        )
        .hint("Rename one with AS."));
    }
    let find = |name: &str, what: &str| {
        schema.index_of(name).map_err(|_| missing_column(name, what, schema))
    };
    let weight =
        options.text("weight_column").map(|name| find(name, "option weight_column")).transpose()?;
    if let Some(index) = weight {
        check_weight_type(schema.field(index))?;
    }
    let split_column =
        options.text("split_column").map(|name| find(name, "option split_column")).transpose()?;
    let given_keys: Vec<usize> = options
        .texts("split_key")
        .into_iter()
        .map(|name| find(name, "option split_key"))
        .collect::<Result<_>>()?;
    let is_feature = |i: &usize| {
        *i != label && Some(*i) != weight && Some(*i) != split_column && !given_keys.contains(i)
    };
    let features = (0..schema.fields().len()).filter(is_feature).collect();
    if weight == Some(label) || split_column == Some(label) || given_keys.contains(&label) {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            "the label cannot be the weight or decide the split",
        ));
    }
    let split_keys = if given_keys.is_empty() {
        primary_key
            .iter()
            .map(|name| schema.index_of(name).ok())
            .collect::<Option<_>>()
            .unwrap_or_default()
    } else {
        given_keys
    };
    Ok(Roles { features, label, weight, split_column, split_keys })
}

/// The settings of one training.
struct Settings {
    goal: Goal,
    nulls: Nulls,
    options: Options,
    monitor: Monitor,
    threads: usize,
}

/// What a model is made of besides its fit.
struct Parts {
    label: Label,
    classes: Option<ArrayRef>,
    class_names: Vec<String>,
    signature: Signature,
    preprocessor: Preprocessor,
    n_rows: u64,
}

impl Settings {
    fn model(
        &self,
        parts: Parts,
        fit: Fit,
        notices: &mut Vec<Notice>,
    ) -> (Model, Vec<Measurement>) {
        let Fit { body, link, weights, statistics, notices: fit_notices, measurements } = fit;
        if weights.len() as u64 > parts.n_rows && weights.iter().any(|w| w.values[0].is_none()) {
            notices.push(Notice::notice(format!(
                "there are {} weights for {} training rows",
                weights.len(),
                parts.n_rows
            )));
        }
        notices.extend(fit_notices);
        let model = Model {
            algorithm: self.options.algorithm(),
            task: Task::new(self.goal, parts.class_names.len()),
            label: parts.label,
            classes: parts.classes,
            class_names: parts.class_names,
            signature: parts.signature,
            preprocessor: parts.preprocessor,
            body,
            link,
            options: self.options.effective(),
            weights,
            statistics,
            evaluations: Vec::new(),
            n_rows: parts.n_rows,
        };
        (model, measurements)
    }

    fn refuses_unseen(&self) -> bool {
        self.options.choice("unseen") == "error"
    }
}

/// What is said about rows that were left out.
fn skipped_notices(skipped: &Skipped, label: &str) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut add = |n: usize, why: &str| {
        if n > 0 {
            notices.push(Notice::notice(format!(
                "{n} {} left out: {why}",
                if n == 1 { "row was" } else { "rows were" }
            )));
        }
    };
    add(skipped.null_labels, &format!("\"{label}\" is NULL"));
    add(skipped.no_weight, "the weight is 0 or NULL");
    add(skipped.null_features, "a feature is NULL");
    notices
}

/// The error where no row is left.
fn no_rows(skipped: &Skipped) -> Error {
    let error =
        Error::new(SqlState::InvalidParameterValue, "the training query gives no rows to train on");
    match skipped.total() {
        0 => error,
        n => error.detail(format!("{n} rows were left out for NULLs or weights of 0.")),
    }
}

/// What is said where early stopping was asked for and there is no part that it could watch.
fn no_validation_notice(kind: &str) -> Notice {
    let hint = match kind {
        "none" => "Give split = random to hold rows back.",
        "column" => "Mark rows as validation in the split column.",
        _ => "Give a larger validation_fraction, or more rows.",
    };
    Notice::notice("early stopping is off: no rows are held back for validation").with_hint(hint)
}

/// What is said about a label of zeros and ones that is taken for a number.
fn flag_notice(label: &str) -> Notice {
    Notice::notice(format!("\"{label}\" has only the values 0 and 1 and is taken for a number"))
        .with_hint("For classes use task = classification, or cast it to boolean or text.")
}

/// What is said about a model that was fitted again.
fn refitted_notice(n_rows: u64) -> Notice {
    Notice::notice(format!("the model was fitted again on all {n_rows} rows"))
}

/// Each part's metrics, for `ml.run_metrics`.
fn final_metrics(model: &Model) -> Vec<Measurement> {
    let names = metric_names(model.task().is_classification());
    let mut metrics = Vec::new();
    for evaluation in model.evaluations() {
        for (name, value) in names.iter().zip(&evaluation.values) {
            if let Some(value) = value {
                metrics.push(Measurement {
                    key: format!("{}_{name}", evaluation.split),
                    value: *value,
                    step: 0,
                });
            }
        }
    }
    metrics
}
