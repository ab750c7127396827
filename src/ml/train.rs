//! From a stream of rows to a model: the one way in.
//!
//! 1. The query's columns get their roles, and the options are checked.
//! 2. Rows are collected under the memory bound and put into canonical order.
//! 3. They are split; training rows come first, then validation, then test.
//! 4. Preprocessing is fitted on the training rows and encodes all of them.
//! 5. The estimator is fitted, every part is measured, and with `refit` the model is fitted again on all rows.
//!
//! Steps 2 to 5 run on a thread for blocking work. Cancelling answers at once; the thread stops at its next check and
//! frees its memory then.

use crate::error::{Error, Notice, Result};
use crate::ml::algorithm::{Algorithm, Goal, Task};
use crate::ml::artifact::class_names;
use crate::ml::dataset::{Collector, Dataset, LabelValues, Nulls, Roles};
use crate::ml::estimator::{self, Fit, Job, Measurement, Rows, Target};
use crate::ml::evaluation::{self, Evaluation, metric_names};
use crate::ml::model::{Label, Model};
use crate::ml::options::{OptionValue, Options};
use crate::ml::preprocess::{EncodedColumn, FitRows, Frame, Preprocessor};
use crate::ml::progress::{Monitor, Progress, ProgressCallback, cancelled};
use crate::ml::signature::Signature;
use crate::ml::split::{self, Part};
use crate::sqlstate::SqlState;
use crate::suggest;
use arrow::datatypes::{DataType, Schema};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use std::collections::HashSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The most classes of a label.
const MAX_CLASSES: usize = 1000;

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
    /// Where memory is reserved.
    pub memory_pool: Arc<dyn MemoryPool>,
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
    mut input: SendableRecordBatchStream,
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
    let mut monitor = Monitor {
        cancel: cancel.clone(),
        callback: context.progress.clone(),
        rows: 0,
        phase: "reading",
    };
    let reservation = MemoryConsumer::new("training").register(&context.memory_pool);
    let mut collector = Collector::new(schema, roles, goal, nulls, reservation)?;
    loop {
        let batch = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled()),
            batch = input.next() => batch,
        };
        let Some(batch) = batch else { break };
        let batch = batch?;
        collector.push(&batch)?;
        monitor.rows += batch.num_rows() as u64;
        tell_rows(&monitor);
    }
    drop(input);
    let threads = context.threads;
    let work = tokio::task::spawn_blocking(move || {
        Training { goal, nulls, options, monitor, threads }.run(collector)
    });
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled()),
        result = work => result.map_err(|e| Error::internal(format!("training stopped: {e}")))?,
    }
}

fn tell_rows(monitor: &Monitor) {
    if let Some(callback) = &monitor.callback {
        let (phase, rows_done) = (monitor.phase, monitor.rows);
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
            format!("column \"{name}\" of type {label_type} cannot be a label"),
        )
        .column(name)
        .hint("Cast it to a number or to text."));
    }
    Ok(())
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
struct Training {
    goal: Goal,
    nulls: Nulls,
    options: Options,
    monitor: Monitor,
    threads: usize,
}

/// Rows of the parts, which follow each other.
struct Counts {
    train: usize,
    validation: usize,
    test: usize,
}

impl Training {
    fn run(&self, collector: Collector) -> Result<Trained> {
        self.monitor.in_phase("preparing").enter()?;
        let mut dataset = collector.finish()?;
        let mut notices = self.skipped_notices(&dataset);
        self.check_rows(&dataset)?;
        notices.extend(self.label_notice(&dataset));
        let early_stopping = self.options.int("early_stopping") > 0;
        let split = split::split(&dataset, &self.options, early_stopping)?;
        notices.extend(split.notices);
        let counts = dataset.order_by_part(&split.parts);
        let counts = Counts { train: counts[0], validation: counts[1], test: counts[2] };
        if split.kind != "none" {
            notices.push(counts.notice(split.kind));
        }
        let model = self.fit(&mut dataset, &counts, split.kind == "none", &mut notices)?;
        let mut metrics = model.1;
        let model = model.0;
        metrics.extend(final_metrics(&model));
        Ok(Trained {
            n_rows: dataset.n_rows as u64,
            rows_skipped: (dataset.null_labels + dataset.no_weight + dataset.null_features) as u64,
            split_counts: counts.list(split.kind == "none"),
            params: self.options.effective(),
            model,
            notices,
            metrics,
        })
    }

    fn skipped_notices(&self, dataset: &Dataset) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut add = |n: usize, why: &str| {
            if n > 0 {
                notices.push(Notice::notice(format!(
                    "{n} {} left out: {why}",
                    if n == 1 { "row was" } else { "rows were" }
                )));
            }
        };
        add(dataset.null_labels, &format!("\"{}\" is NULL", dataset.label_name));
        add(dataset.no_weight, "the weight is 0 or NULL");
        add(dataset.null_features, "a feature is NULL");
        if !dataset.is_canonical && dataset.n_rows > 0 {
            notices.push(
                Notice::notice("the table is too large to be sorted for training").with_detail(
                    "The same files give the same model; the same rows in other files may not.",
                ),
            );
        }
        notices
    }

    fn check_rows(&self, dataset: &Dataset) -> Result<()> {
        let invalid = |message: String| Error::new(SqlState::InvalidParameterValue, message);
        if dataset.n_rows == 0 {
            let skipped = dataset.null_labels + dataset.no_weight + dataset.null_features;
            let error = invalid("the training query gives no rows to train on".to_string());
            return Err(if skipped > 0 {
                error.detail(format!("{skipped} rows were left out for NULLs or weights of 0."))
            } else {
                error
            });
        }
        let LabelValues::Class { classes, .. } = &dataset.label else { return Ok(()) };
        let name = &dataset.label_name;
        if classes.len() < 2 {
            return Err(invalid(format!(
                "\"{name}\" has only one class, {}",
                class_names(classes)?.join("")
            ))
            .hint("A classification needs rows of at least two classes."));
        }
        if classes.len() > MAX_CLASSES {
            return Err(invalid(format!(
                "\"{name}\" has {} classes, more than {MAX_CLASSES}",
                classes.len()
            ))
            .hint("If it is a number, use task = regression."));
        }
        Ok(())
    }

    fn label_notice(&self, dataset: &Dataset) -> Option<Notice> {
        let LabelValues::Number(values) = &dataset.label else { return None };
        let is_flag =
            dataset.label_type.is_integer() && values.iter().all(|v| *v == 0.0 || *v == 1.0);
        is_flag.then(|| {
            Notice::notice(format!(
                "\"{}\" has only the values 0 and 1 and is taken for a number",
                dataset.label_name
            ))
            .with_hint("For classes use task = classification, or cast it to boolean or text.")
        })
    }

    fn fit(
        &self,
        dataset: &mut Dataset,
        counts: &Counts,
        is_whole: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<(Model, Vec<Measurement>)> {
        let refit = self.options.bool("refit") && counts.train < dataset.n_rows;
        let kept = refit.then(|| dataset.values.clone());
        if refit {
            dataset.reserve(
                dataset.n_rows * dataset.features.len() * 8,
                "fitting again on all rows",
            )?;
        }
        let mut model =
            self.fit_once(dataset, counts.train, counts.validation, &self.monitor, notices)?;
        model.0.evaluations = self.measure(&model, dataset, counts, is_whole)?;
        let (mut result, fit_measurements, _) = model;
        if let Some(values) = kept {
            dataset.values = values;
            let mut again = Vec::new();
            let (mut refitted, _, _) = self.fit_once(
                dataset,
                dataset.n_rows,
                0,
                &self.monitor.in_phase("refitting"),
                &mut again,
            )?;
            refitted.evaluations = std::mem::take(&mut result.evaluations);
            notices.push(Notice::notice(format!(
                "the model was fitted again on all {} rows",
                dataset.n_rows
            )));
            result = refitted;
        }
        Ok((result, fit_measurements))
    }

    /// Fits on the first `n_train` rows; the next `n_validation` are watched. Takes the dataset's values.
    fn fit_once(
        &self,
        dataset: &mut Dataset,
        n_train: usize,
        n_validation: usize,
        monitor: &Monitor,
        notices: &mut Vec<Notice>,
    ) -> Result<(Model, Vec<Measurement>, Vec<EncodedColumn>)> {
        let fit_rows = FitRows {
            n_rows: n_train,
            weights: dataset.weights.as_deref().map(|w| &w[..n_train]),
            max_categories: self.options.int("max_categories"),
        };
        let refuse_unseen = self.options.choice("unseen") == "error";
        let (preprocessor, column_notices) =
            Preprocessor::fit(dataset, &fit_rows, self.nulls, refuse_unseen);
        notices.extend(column_notices);
        let columns = preprocessor.encode_dataset(std::mem::take(&mut dataset.values));
        let signature = Signature { features: dataset.features.clone() };
        let classes = match &dataset.label {
            LabelValues::Class { classes, .. } => Some(Arc::clone(classes)),
            LabelValues::Number(_) => None,
        };
        let names = classes.as_ref().map(class_names).transpose()?.unwrap_or_default();
        let fit = {
            let job = Job {
                train: rows(dataset, &columns, 0, n_train),
                validation: (n_validation > 0)
                    .then(|| rows(dataset, &columns, n_train, n_validation)),
                class_names: &names,
                signature: &signature,
                preprocessor: &preprocessor,
                options: &self.options,
                monitor,
                threads: self.threads,
                reserve: &|bytes, what| dataset.reserve(bytes, what),
            };
            estimator::fit(&job)?
        };
        let Fit { body, link, weights, statistics, notices: fit_notices, measurements } = fit;
        if weights.len() > n_train && weights.iter().any(|w| w.values[0].is_none()) {
            notices.push(Notice::notice(format!(
                "there are {} weights for {n_train} training rows",
                weights.len()
            )));
        }
        notices.extend(fit_notices);
        let model = Model {
            algorithm: self.options.algorithm(),
            task: Task::new(self.goal, names.len()),
            label: Label {
                name: dataset.label_name.clone(),
                data_type: dataset.label_type.clone(),
            },
            classes,
            class_names: names,
            signature,
            preprocessor,
            body,
            link,
            options: self.options.effective(),
            weights,
            statistics,
            evaluations: Vec::new(),
            n_rows: n_train as u64,
        };
        Ok((model, measurements, columns))
    }

    fn measure(
        &self,
        (model, _, columns): &(Model, Vec<Measurement>, Vec<EncodedColumn>),
        dataset: &Dataset,
        counts: &Counts,
        is_whole: bool,
    ) -> Result<Vec<Evaluation>> {
        self.monitor.in_phase("measuring").enter()?;
        let mut evaluations = Vec::new();
        let mut from = 0;
        for (name, n) in counts.all(is_whole) {
            if n > 0 {
                evaluations.push(measure_part(model, &rows(dataset, columns, from, n), name)?);
            }
            from += n;
            self.monitor.check()?;
        }
        Ok(evaluations)
    }
}

fn measure_part(model: &Model, rows: &Rows<'_>, name: &str) -> Result<Evaluation> {
    let n = rows.frame.n_rows;
    let prediction = model.finish(model.scores(&rows.frame)?, n);
    Ok(match rows.target {
        Target::Number(actual) => {
            let predicted: Vec<f64> = (0..n).map(|row| prediction.number(row)).collect();
            evaluation::regression(name, actual, &predicted, rows.weights)
        }
        Target::Class(actual) => {
            let predicted: Vec<u32> = (0..n).map(|row| prediction.class_code(row)).collect();
            let probabilities: Vec<f64> = (0..prediction.n_classes())
                .flat_map(|class| prediction.probabilities_of(class).values().to_vec())
                .collect();
            let names = (model.class_names(), model.class_names().len());
            evaluation::classification(
                name,
                (actual, &predicted),
                &probabilities,
                names,
                rows.weights,
            )
        }
    })
}

/// Rows `from..from + n` of the dataset, encoded.
fn rows<'a>(dataset: &'a Dataset, columns: &'a [EncodedColumn], from: usize, n: usize) -> Rows<'a> {
    let frame = Frame {
        n_rows: dataset.n_rows,
        columns: columns.iter().map(EncodedColumn::as_column).collect(),
    };
    Rows {
        frame: frame.slice(from, n),
        target: match &dataset.label {
            LabelValues::Number(values) => Target::Number(&values[from..from + n]),
            LabelValues::Class { codes, .. } => Target::Class(&codes[from..from + n]),
        },
        weights: dataset.weights.as_ref().map(|w| &w[from..from + n]),
    }
}

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

impl Counts {
    fn all(&self, is_whole: bool) -> [(&'static str, usize); 3] {
        [
            (if is_whole { "all" } else { "train" }, self.train),
            ("validation", self.validation),
            ("test", self.test),
        ]
    }

    fn list(&self, is_whole: bool) -> Vec<(String, u64)> {
        self.all(is_whole)
            .into_iter()
            .filter(|(_, n)| *n > 0)
            .map(|(name, n)| (name.to_string(), n as u64))
            .collect()
    }

    fn notice(&self, kind: &str) -> Notice {
        let validation = if self.validation > 0 {
            format!("{} watched for early stopping, ", self.validation)
        } else {
            String::new()
        };
        Notice::notice(format!(
            "rows: {} trained on, {validation}{} held back for testing (split = {kind})",
            self.train, self.test
        ))
    }
}

impl Dataset {
    /// Puts training rows first, then validation, then test, each in their order, and returns their numbers.
    pub(crate) fn order_by_part(&mut self, parts: &[Part]) -> [usize; 3] {
        let mut order: Vec<u32> = (0..self.n_rows as u32).collect();
        order.sort_by_key(|row| parts[*row as usize]);
        self.permute(&order);
        [Part::Train, Part::Validation, Part::Test]
            .map(|part| parts.iter().filter(|p| **p == part).count())
    }
}
