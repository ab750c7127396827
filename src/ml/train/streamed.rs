//! Training on rows that pass by, block by block, as often as the estimator asks: memory does not grow with their
//! number. They are cleaned, sorted by their content, and kept in a spool.

use super::clean::{Cleaned, Cleaner};
use super::parts::{Counts, Parting, Passed};
use super::scratch::{Scratch, Spool};
use super::{
    Parts, Settings, Trained, final_metrics, flag_notice, no_rows, refitted_notice,
    skipped_notices, tell_rows,
};
use crate::error::{Error, Notice, Result};
use crate::ml::estimator::{Fit, Measurement, RowBlocks, Rows, StreamedJob, Target};
use crate::ml::evaluation::{self, Evaluation};
use crate::ml::interner::NULL_CODE;
use crate::ml::model::{Label, Model};
use crate::ml::preprocess::{
    BLOCK_ROWS, CategoryFit, Column, Fitted, Frame, NumberFit, Preprocessor,
};
use crate::ml::progress::{Monitor, cancelled};
use crate::ml::signature::Signature;
use crate::ml::split::{self, Part};
use crate::ml::train::Intake;
use arrow::array::{AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, UInt32Type};
use cenote_udfs::regression::{RegressionStats, SortedMedian};
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use std::sync::{Arc, Mutex, PoisonError};

/// How an estimator is fitted.
type FitBlocks = fn(&StreamedJob<'_>) -> Result<Fit>;

/// Trains on the rows of a stream.
pub(super) fn train(
    mut settings: Settings,
    fit: FitBlocks,
    intake: Intake,
    input: SendableRecordBatchStream,
    scratch: Scratch,
) -> Result<Trained> {
    let field = intake.schema.field(intake.roles.label);
    let label = Label { name: field.name().clone(), data_type: field.data_type().clone() };
    let (spool, cleaned) = read(&mut settings, intake, input, &scratch)?;
    settings.monitor.in_phase("preparing").enter()?;
    let mut notices = skipped_notices(&cleaned.skipped, &label.name);
    if spool.n_rows() == 0 {
        return Err(no_rows(&cleaned.skipped));
    }
    let mut split_notices = Vec::new();
    let kind = split::kind(&settings.options, spool.n_rows(), false, &mut split_notices)?;
    let rows = (&spool, &cleaned.layout);
    let parting = Parting::new(kind, &settings.options, rows, &scratch, &settings.monitor)?;
    let table = Table { spool, cleaned, parting, monitor: settings.monitor.clone() };
    let survey = table.survey()?;
    if label.data_type.is_integer() && survey.is_flag {
        notices.push(flag_notice(&label.name));
    }
    notices.extend(split_notices);
    notices.extend(split::copies_notice(survey.n_copies, table.spool.n_rows()));
    if survey.counts.train == 0 {
        return Err(split::nothing_to_train_on());
    }
    let is_whole = kind == "none";
    if !is_whole {
        notices.push(survey.counts.notice(kind, false));
    }
    let streamed = Streamed { settings, fit, scratch, table, label };
    let (model, mut metrics) = streamed.fit_parts(&survey.counts, is_whole, &mut notices)?;
    metrics.extend(final_metrics(&model));
    Ok(Trained {
        n_rows: survey.counts.total(),
        rows_skipped: streamed.table.cleaned.skipped.total() as u64,
        split_counts: survey.counts.list(is_whole),
        params: streamed.settings.options.effective(),
        model,
        notices,
        metrics,
    })
}

/// Cleans, sorts and keeps the rows.
fn read(
    settings: &mut Settings,
    intake: Intake,
    input: SendableRecordBatchStream,
    scratch: &Scratch,
) -> Result<(Spool, Cleaned)> {
    let cleaner = Cleaner::new(intake, settings.options.choice("split"))?;
    let (schema, layout) = (cleaner.schema(), cleaner.layout());
    let shared = Arc::new(Mutex::new((Some(cleaner), 0u64)));
    let (cleaners, monitor) = (shared.clone(), settings.monitor.clone());
    let clean = input.map(move |batch| {
        let batch = batch?;
        if monitor.cancel.is_cancelled() {
            return Err(cancelled().into());
        }
        let mut shared = cleaners.lock().unwrap_or_else(PoisonError::into_inner);
        shared.1 += batch.num_rows() as u64;
        tell_rows(&monitor, shared.1);
        let cleaner = shared.0.as_mut().ok_or_else(|| Error::internal("rows after the last"))?;
        Ok(cleaner.clean(&batch)?)
    });
    let mut sorted = scratch.sort(schema.clone(), clean, &layout.order())?;
    let mut writer = scratch.spool(schema);
    while let Some(batch) = sorted.next()? {
        settings.monitor.check()?;
        writer.push(batch)?;
    }
    drop(sorted);
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    settings.monitor.rows = shared.1;
    let cleaner = shared.0.take().ok_or_else(|| Error::internal("the cleaner is gone"))?;
    scratch.reserve(2 * cleaner.bytes(), "the categories")?;
    Ok((writer.finish()?, cleaner.finish()))
}

/// The rows in canonical order, and their parts.
struct Table {
    spool: Spool,
    cleaned: Cleaned,
    parting: Parting,
    monitor: Monitor,
}

struct Survey {
    counts: Counts,
    n_copies: u64,
    /// Whether the label's values are 0 and 1, and both occur.
    is_flag: bool,
}

impl Table {
    fn pass(&self, mut visit: impl FnMut(&RecordBatch, &[Part]) -> Result<()>) -> Result<Passed> {
        let mut passed = Passed::default();
        for batch in self.spool.read()? {
            self.monitor.check()?;
            let batch = batch?;
            let parts = self.parting.parts(&batch, &self.cleaned.layout, &mut passed)?;
            visit(&batch, &parts)?;
        }
        Ok(passed)
    }

    fn survey(&self) -> Result<Survey> {
        let mut counts = Counts::default();
        let (mut is_flag, mut zeros, mut ones) = (true, false, false);
        let passed = self.pass(|batch, parts| {
            parts.iter().for_each(|part| counts.add(*part));
            let label = batch.column(self.cleaned.layout.label).as_primitive::<Float64Type>();
            is_flag &= label.values().iter().all(|v| *v == 0.0 || *v == 1.0);
            zeros |= label.values().contains(&0.0);
            ones |= label.values().contains(&1.0);
            Ok(())
        })?;
        let is_flag = is_flag && zeros && ones;
        Ok(Survey { counts, n_copies: passed.n_copies, is_flag })
    }

    /// The rows of one part, or of all; with slots in place of codes if they are given.
    fn rows<'a>(
        &'a self,
        part: Option<Part>,
        n_rows: u64,
        slots: Option<&'a [Slots]>,
    ) -> PartRows<'a> {
        PartRows { table: self, part, n_rows: n_rows as usize, slots }
    }
}

/// The slots of a category's codes and of NULL; empty for a number.
#[derive(Default)]
struct Slots {
    of_codes: Vec<u32>,
    null: u32,
}

struct PartRows<'a> {
    table: &'a Table,
    part: Option<Part>,
    n_rows: usize,
    slots: Option<&'a [Slots]>,
}

enum Values {
    Number(Vec<f64>),
    Category(Vec<u32>),
}

/// Rows that become a block.
struct Block {
    columns: Vec<Values>,
    label: Vec<f64>,
    weights: Option<Vec<f64>>,
}

impl Block {
    fn visit(&mut self, visit: &mut dyn FnMut(&Rows<'_>) -> Result<()>) -> Result<()> {
        let columns = self.columns.iter().map(|values| match values {
            Values::Number(values) => Column::Number(values),
            Values::Category(codes) => Column::Category(codes),
        });
        let frame = Frame { n_rows: self.label.len(), columns: columns.collect() };
        let weights = self.weights.as_deref();
        visit(&Rows { frame, target: Target::Number(&self.label), weights })?;
        self.label.clear();
        self.weights.iter_mut().for_each(Vec::clear);
        for values in &mut self.columns {
            match values {
                Values::Number(values) => values.clear(),
                Values::Category(codes) => codes.clear(),
            }
        }
        Ok(())
    }

    fn push(&mut self, batch: &RecordBatch, rows: &[u32], from: &PartRows<'_>) {
        let layout = &from.table.cleaned.layout;
        for (i, values) in self.columns.iter_mut().enumerate() {
            match values {
                Values::Number(values) => gather(values, batch, i, rows),
                Values::Category(out) => {
                    let codes = batch.column(i).as_primitive::<UInt32Type>().values();
                    let codes = rows.iter().map(|row| codes[*row as usize]);
                    match from.slots.map(|slots| &slots[i]) {
                        None => out.extend(codes),
                        Some(slots) => out.extend(codes.map(|code| match code {
                            NULL_CODE => slots.null,
                            code => slots.of_codes[code as usize],
                        })),
                    }
                }
            }
        }
        gather(&mut self.label, batch, layout.label, rows);
        if let (Some(weights), Some(index)) = (&mut self.weights, layout.weight) {
            gather(weights, batch, index, rows);
        }
    }
}

fn gather(out: &mut Vec<f64>, batch: &RecordBatch, column: usize, rows: &[u32]) {
    let values = batch.column(column).as_primitive::<Float64Type>().values();
    out.extend(rows.iter().map(|row| values[*row as usize]));
}

impl RowBlocks for PartRows<'_> {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    fn for_each(&self, visit: &mut dyn FnMut(&Rows<'_>) -> Result<()>) -> Result<()> {
        let layout = &self.table.cleaned.layout;
        let mut block = Block {
            columns: (0..layout.n_features)
                .map(|i| match self.table.cleaned.is_category(i) {
                    true => Values::Category(Vec::with_capacity(BLOCK_ROWS)),
                    false => Values::Number(Vec::with_capacity(BLOCK_ROWS)),
                })
                .collect(),
            label: Vec::with_capacity(BLOCK_ROWS),
            weights: layout.weight.map(|_| Vec::with_capacity(BLOCK_ROWS)),
        };
        self.table.pass(|batch, parts| {
            let wanted: Vec<u32> = (0..batch.num_rows() as u32)
                .filter(|row| self.part.is_none_or(|part| part == parts[*row as usize]))
                .collect();
            let mut rest = wanted.as_slice();
            while !rest.is_empty() {
                let n = rest.len().min(BLOCK_ROWS - block.label.len());
                let (now, later) = rest.split_at(n);
                block.push(batch, now, self);
                rest = later;
                if block.label.len() == BLOCK_ROWS {
                    block.visit(visit)?;
                }
            }
            Ok(())
        })?;
        if !block.label.is_empty() {
            block.visit(visit)?;
        }
        Ok(())
    }
}

struct Streamed {
    settings: Settings,
    fit: FitBlocks,
    scratch: Scratch,
    table: Table,
    label: Label,
}

/// A fitted model, what was measured meanwhile, and the slots of its categories.
struct Fitting {
    model: Model,
    measurements: Vec<Measurement>,
    slots: Vec<Slots>,
}

impl Streamed {
    fn fit_parts(
        &self,
        counts: &Counts,
        is_whole: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<(Model, Vec<Measurement>)> {
        let monitor = &self.settings.monitor;
        let mut first = self.fit_once(Some(Part::Train), counts.train, monitor, notices)?;
        first.model.evaluations = self.measure(&first, counts, is_whole)?;
        let Fitting { model, measurements, .. } = first;
        if !self.settings.options.bool("refit") || counts.train == counts.total() {
            return Ok((model, measurements));
        }
        let monitor = monitor.in_phase("refitting");
        let mut again = self.fit_once(None, counts.total(), &monitor, &mut Vec::new())?;
        again.model.evaluations = model.evaluations;
        notices.push(refitted_notice(counts.total()));
        Ok((again.model, measurements))
    }

    fn fit_once(
        &self,
        part: Option<Part>,
        n_rows: u64,
        monitor: &Monitor,
        notices: &mut Vec<Notice>,
    ) -> Result<Fitting> {
        let (columns, slots) = self.fit_columns(&self.table.rows(part, n_rows, None), notices)?;
        let preprocessor = Preprocessor {
            columns,
            nulls: self.settings.nulls,
            refuse_unseen: self.settings.refuses_unseen(),
        };
        let signature = Signature { features: self.table.cleaned.features.clone() };
        let fit = (self.fit)(&StreamedJob {
            rows: &self.table.rows(part, n_rows, Some(&slots)),
            signature: &signature,
            preprocessor: &preprocessor,
            options: &self.settings.options,
            monitor,
            reserve: &|bytes, what| self.scratch.reserve(bytes, what),
        })?;
        let label = self.label.clone();
        let (classes, class_names) = (None, Vec::new());
        let parts = Parts { label, classes, class_names, signature, preprocessor, n_rows };
        let (model, measurements) = self.settings.model(parts, fit, notices);
        Ok(Fitting { model, measurements, slots })
    }

    /// Fits the preprocessing, in one pass.
    fn fit_columns(
        &self,
        rows: &PartRows<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(Vec<Fitted>, Vec<Slots>)> {
        let cleaned = &self.table.cleaned;
        let n = cleaned.layout.n_features;
        let mut numbers = vec![NumberFit::default(); n];
        let mut categories = vec![CategoryFit::default(); n];
        rows.for_each(&mut |block| {
            for (i, column) in block.frame.columns.iter().enumerate() {
                match column {
                    Column::Number(values) => numbers[i].push(values, block.weights),
                    Column::Category(codes) => categories[i].push(codes, block.weights),
                }
            }
            Ok(())
        })?;
        let max_categories = self.settings.options.int("max_categories");
        let mut fitted = Vec::with_capacity(n);
        let mut slots = Vec::with_capacity(n);
        for (i, (number, category)) in numbers.into_iter().zip(categories).enumerate() {
            if !cleaned.is_category(i) {
                fitted.push(number.finish(&cleaned.features[i].name, notices));
                slots.push(Slots::default());
                continue;
            }
            let (column, of_codes) = cleaned.fit_category(i, category, max_categories, notices)?;
            let null = match &column {
                Fitted::Category(levels) => levels.null_slot(),
                Fitted::Number { .. } => 0,
            };
            fitted.push(column);
            slots.push(Slots { of_codes, null });
        }
        Ok((fitted, slots))
    }

    fn measure(
        &self,
        fitting: &Fitting,
        counts: &Counts,
        is_whole: bool,
    ) -> Result<Vec<Evaluation>> {
        self.settings.monitor.in_phase("measuring").enter()?;
        let parts = counts.all(is_whole).into_iter().filter(|(_, _, n)| *n > 0);
        parts
            .map(|(name, part, n)| {
                let rows = self.table.rows(Some(part), n, Some(&fitting.slots));
                self.measure_part(name, &fitting.model, &rows)
            })
            .collect()
    }

    /// The sums are taken as rows pass by; the median is that of the sorted errors.
    fn measure_part(&self, name: &str, model: &Model, rows: &PartRows<'_>) -> Result<Evaluation> {
        let field = |name: &str| Field::new(name, DataType::Float64, false);
        let schema = Arc::new(Schema::new(vec![field("error"), field("weight")]));
        let mut errors = self.scratch.spool(schema.clone());
        let mut stats = RegressionStats::new();
        let mut total_weight = 0.0;
        rows.for_each(&mut |block| {
            let n = block.frame.n_rows;
            let prediction = model.finish(model.scores(&block.frame)?, n);
            let actual = block.target.numbers()?;
            let weights: Vec<f64> = (0..n).map(|row| block.weight(row)).collect();
            let mut distances = Vec::with_capacity(n);
            for row in 0..n {
                let predicted = prediction.number(row);
                stats.update(actual[row], predicted, weights[row]);
                distances.push((actual[row] - predicted).abs());
                total_weight += weights[row];
            }
            errors.push(RecordBatch::try_new(
                schema.clone(),
                vec![
                    Arc::new(Float64Array::from(distances)),
                    Arc::new(Float64Array::from(weights)),
                ],
            )?)
        })?;
        let median = self.median(&errors.finish()?, total_weight)?;
        Ok(evaluation::regression(name, &stats, median))
    }

    fn median(&self, errors: &Spool, total_weight: f64) -> Result<Option<f64>> {
        let mut median = SortedMedian::new(total_weight);
        let mut sorted = self.scratch.sort_spool(errors, &[0, 1], &[0])?;
        while let Some(batch) = sorted.next()? {
            self.settings.monitor.check()?;
            let column = |i: usize| batch.column(i).as_primitive::<Float64Type>().values().clone();
            for (value, weight) in column(0).iter().zip(column(1).iter()) {
                if let Some(found) = median.push(*value, *weight) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(median.finish())
    }
}
