//! Training on rows that are all in memory.

use super::parts::Counts;
use super::{
    Parts, Settings, Trained, final_metrics, flag_notice, no_rows, no_validation_notice,
    refitted_notice, skipped_notices,
};
use crate::error::{Error, Notice, Result};
use crate::ml::artifact::class_names;
use crate::ml::dataset::{Collector, Dataset, LabelValues};
use crate::ml::estimator::{Fit, Job, Measurement, Rows, Target};
use crate::ml::evaluation::{self, Evaluation};
use crate::ml::model::{Label, Model};
use crate::ml::options::Options;
use crate::ml::preprocess::{EncodedColumn, FitRows, Frame, Preprocessor};
use crate::ml::progress::Monitor;
use crate::ml::signature::Signature;
use crate::ml::split::{self, Part};
use crate::sqlstate::SqlState;
use cenote_udfs::regression::{RegressionStats, median_absolute_error};
use std::ops::Deref;
use std::sync::Arc;

/// The most classes of a label.
const MAX_CLASSES: usize = 1000;

/// How an estimator is fitted.
type FitRowsInMemory = fn(&Job<'_>) -> Result<Fit>;

/// Trains on the collected rows.
pub(super) fn train(
    settings: &Settings,
    fit: FitRowsInMemory,
    collector: Collector,
) -> Result<Trained> {
    Held { settings, fit }.run(collector)
}

struct Held<'a> {
    settings: &'a Settings,
    fit: FitRowsInMemory,
}

impl Deref for Held<'_> {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        self.settings
    }
}

impl Held<'_> {
    fn run(&self, collector: Collector) -> Result<Trained> {
        self.monitor.in_phase("preparing").enter()?;
        let mut dataset = collector.finish()?;
        let mut notices = skipped_notices(&dataset.skipped, &dataset.label_name);
        if !dataset.is_canonical && dataset.n_rows > 0 {
            notices.push(
                Notice::notice("the table is too large to be sorted for training").with_detail(
                    "The same files give the same model; the same rows in other files may not.",
                ),
            );
        }
        self.check_rows(&dataset)?;
        notices.extend(self.label_notice(&dataset));
        let early_stopping = self.options.int("early_stopping") > 0;
        let split = split::split(&dataset, &self.options, early_stopping)?;
        notices.extend(split.notices);
        let counts = dataset.order_by_part(&split.parts);
        let [train, validation, test] = counts.map(|n| n as u64);
        let counts = Counts { train, validation, test };
        if split.kind != "none" {
            notices.push(counts.notice(split.kind, early_stopping));
        }
        if early_stopping && validation == 0 {
            notices.push(no_validation_notice(split.kind));
        }
        let model = self.fit_parts(&mut dataset, &counts, split.kind == "none", &mut notices)?;
        let mut metrics = model.1;
        let model = model.0;
        metrics.extend(final_metrics(&model));
        Ok(Trained {
            n_rows: dataset.n_rows as u64,
            rows_skipped: dataset.skipped.total() as u64,
            split_counts: counts.list(split.kind == "none"),
            params: self.options.effective(),
            model,
            notices,
            metrics,
        })
    }

    fn check_rows(&self, dataset: &Dataset) -> Result<()> {
        let invalid = |message: String| Error::new(SqlState::InvalidParameterValue, message);
        if dataset.n_rows == 0 {
            return Err(no_rows(&dataset.skipped));
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
        let is_flag = dataset.label_type.is_integer()
            && values.iter().all(|v| *v == 0.0 || *v == 1.0)
            && values.contains(&0.0)
            && values.contains(&1.0);
        is_flag.then(|| flag_notice(&dataset.label_name))
    }

    fn fit_parts(
        &self,
        dataset: &mut Dataset,
        counts: &Counts,
        is_whole: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<(Model, Vec<Measurement>)> {
        let n_train = counts.train as usize;
        let refit = self.options.bool("refit") && n_train < dataset.n_rows;
        let kept = refit.then(|| dataset.values.clone());
        if refit {
            dataset.reserve(
                dataset.n_rows * dataset.features.len() * 8,
                "fitting again on all rows",
            )?;
        }
        let mut model = self.fit_once(
            dataset,
            (n_train, counts.validation as usize),
            &self.options,
            &self.monitor,
            notices,
        )?;
        model.0.evaluations = self.measure(&model, dataset, counts, is_whole)?;
        let (mut result, fit_measurements, _) = model;
        if let Some(values) = kept {
            dataset.values = values;
            let options = match best_round(&self.options, &fit_measurements) {
                Some(rounds) => self.options.with_rounds(rounds),
                None => self.options.clone(),
            };
            let mut again = Vec::new();
            let (mut refitted, _, _) = self.fit_once(
                dataset,
                (dataset.n_rows, 0),
                &options,
                &self.monitor.in_phase("refitting"),
                &mut again,
            )?;
            refitted.evaluations = std::mem::take(&mut result.evaluations);
            notices.push(refitted_notice(dataset.n_rows as u64));
            result = refitted;
        }
        Ok((result, fit_measurements))
    }

    /// Fits on the first `n_train` rows; the next `n_validation` are watched. Takes the dataset's values.
    fn fit_once(
        &self,
        dataset: &mut Dataset,
        (n_train, n_validation): (usize, usize),
        options: &Options,
        monitor: &Monitor,
        notices: &mut Vec<Notice>,
    ) -> Result<(Model, Vec<Measurement>, Vec<EncodedColumn>)> {
        let fit_rows = FitRows {
            n_rows: n_train,
            weights: dataset.weights.as_deref().map(|w| &w[..n_train]),
            max_categories: options.int("max_categories"),
        };
        let (preprocessor, column_notices) =
            Preprocessor::fit(dataset, &fit_rows, self.nulls, self.refuses_unseen());
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
                options,
                monitor,
                threads: self.threads,
                reserve: &|bytes, what| dataset.reserve(bytes, what),
            };
            (self.fit)(&job)?
        };
        let label =
            Label { name: dataset.label_name.clone(), data_type: dataset.label_type.clone() };
        let n_rows = n_train as u64;
        let parts = Parts { label, classes, class_names: names, signature, preprocessor, n_rows };
        let (model, measurements) = self.model(parts, fit, notices);
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
        let parts = counts.all(is_whole);
        let largest = parts.iter().map(|(_, _, n)| *n as usize).max().unwrap_or(0);
        // Scores, predictions, and the probabilities of every class, twice.
        let numbers = 4 + 2 * model.class_names().len();
        dataset.reserve(8 * largest * numbers, "the predictions to measure")?;
        let mut evaluations = Vec::new();
        let mut from = 0;
        for (name, _, n) in parts {
            let n = n as usize;
            if n > 0 {
                evaluations.push(measure_part(model, &rows(dataset, columns, from, n), name)?);
            }
            from += n;
            self.monitor.check()?;
        }
        Ok(evaluations)
    }
}

/// The round with the least loss on the validation part, where training stops early: refitting has no such
/// part to stop by.
fn best_round(options: &Options, measurements: &[Measurement]) -> Option<usize> {
    if !options.has("early_stopping") || options.int("early_stopping") == 0 {
        return None;
    }
    let losses = measurements.iter().filter(|m| m.key == "validation_loss");
    let best = losses.min_by(|a, b| a.value.total_cmp(&b.value))?;
    usize::try_from(best.step).ok()
}

fn measure_part(model: &Model, rows: &Rows<'_>, name: &str) -> Result<Evaluation> {
    let n = rows.frame.n_rows;
    let prediction = model.finish(model.scores(&rows.frame)?, n);
    Ok(match rows.target {
        Target::Number(actual) => {
            let predicted: Vec<f64> = (0..n).map(|row| prediction.number(row)).collect();
            let stats = RegressionStats::from_slices(actual, &predicted, rows.weights);
            let median = median_absolute_error(actual, &predicted, rows.weights);
            evaluation::regression(name, &stats, median)
        }
        Target::Class(actual) => {
            let predicted: Vec<u32> = (0..n).map(|row| prediction.class_code(row)).collect();
            let classes = 0..prediction.n_classes();
            let probabilities: Vec<f64> = (0..n)
                .flat_map(|row| classes.clone().map(move |class| (class, row)))
                .map(|(class, row)| prediction.probability(class, row))
                .collect();
            let codes = (actual, predicted.as_slice());
            let names = model.class_names();
            evaluation::classification(name, codes, &probabilities, names, rows.weights)
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
