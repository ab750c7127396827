//! Which rows stand in which part, and how many.

use super::clean::Layout;
use super::scratch::{Scratch, Spool};
use crate::error::{Error, Notice, Result};
use crate::ml::canonical::{self, Hash};
use crate::ml::options::Options;
use crate::ml::progress::Monitor;
use crate::ml::split::{self, Fractions, Part};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{UInt8Type, UInt64Type};

/// Rows of the parts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) train: u64,
    pub(super) validation: u64,
    pub(super) test: u64,
}

impl Counts {
    /// Counts one more row.
    pub(super) fn add(&mut self, part: Part) {
        *match part {
            Part::Train => &mut self.train,
            Part::Validation => &mut self.validation,
            Part::Test => &mut self.test,
        } += 1;
    }

    /// Rows in all parts.
    pub(super) fn total(&self) -> u64 {
        self.train + self.validation + self.test
    }

    /// The parts that a model is measured on, with their names.
    pub(super) fn all(&self, is_whole: bool) -> [(&'static str, Part, u64); 3] {
        [
            (if is_whole { "all" } else { "train" }, Part::Train, self.train),
            ("validation", Part::Validation, self.validation),
            ("test", Part::Test, self.test),
        ]
    }

    /// The parts that have rows.
    pub(super) fn list(&self, is_whole: bool) -> Vec<(String, u64)> {
        self.all(is_whole)
            .into_iter()
            .filter(|(_, _, n)| *n > 0)
            .map(|(name, _, n)| (name.to_string(), n))
            .collect()
    }

    /// What is said about them. `stops_early` where the training watches the validation part.
    pub(super) fn notice(&self, kind: &str, stops_early: bool) -> Notice {
        let validation = match self.validation {
            0 => String::new(),
            n if stops_early => format!("{n} watched for early stopping, "),
            n => format!("{n} kept for validation, "),
        };
        Notice::notice(format!(
            "rows: {} trained on, {validation}{} held back for testing (split = {kind})",
            self.train, self.test
        ))
    }
}

/// Decides the parts of rows that come in canonical order; it makes the same decisions as `split::split`.
pub(super) struct Parting {
    rule: Rule,
}

enum Rule {
    /// All rows train.
    None,
    /// A draw of each row's key, or of its features and its number among its copies.
    Draw { seed: u64, fractions: Fractions, by_key: bool },
    /// A column says it.
    Column,
    /// Rows up to this value of the split column train; NULL trains, and without a value nothing else does.
    Until(Option<Option<Vec<u8>>>),
}

/// Where a pass over the rows stands.
#[derive(Default)]
pub(super) struct Passed {
    last: Option<Hash>,
    number: u64,
    /// Rows that are copies of rows before them.
    pub(super) n_copies: u64,
}

impl Parting {
    /// The rule for a kind of split.
    pub(super) fn new(
        kind: &str,
        options: &Options,
        rows: (&Spool, &Layout),
        scratch: &Scratch,
        monitor: &Monitor,
    ) -> Result<Self> {
        let (spool, layout) = rows;
        let fractions = Fractions::new(options, false);
        let rule = match kind {
            "none" => Rule::None,
            "random" => Rule::Draw { seed: options.seed(), fractions, by_key: layout.draws_by_key },
            "sequential" => {
                Rule::Until(last_to_train(spool, layout, &fractions, scratch, monitor)?)
            }
            "column" => Rule::Column,
            other => return Err(Error::internal(format!("split {other} of streamed rows"))),
        };
        Ok(Self { rule })
    }

    /// The parts of the next rows.
    pub(super) fn parts(
        &self,
        batch: &RecordBatch,
        layout: &Layout,
        passed: &mut Passed,
    ) -> Result<Vec<Part>> {
        let n = batch.num_rows();
        Ok(match &self.rule {
            Rule::None => vec![Part::Train; n],
            Rule::Draw { seed, fractions, by_key } => {
                let lane = |i: usize| batch.column(layout.draw + i).as_primitive::<UInt64Type>();
                let (a, b) = (lane(0).values(), lane(1).values());
                a.iter()
                    .zip(b)
                    .map(|(a, b)| {
                        let hash = (*a, *b);
                        let number = if *by_key { 0 } else { passed.number_of(hash) };
                        fractions.part(canonical::seeded(*seed, hash, number))
                    })
                    .collect()
            }
            Rule::Column => {
                let index = layout.split.ok_or_else(split::no_split_column)?;
                let codes = batch.column(index).as_primitive::<UInt8Type>().values();
                codes.iter().map(|code| part_of_code(*code)).collect()
            }
            Rule::Until(last) => {
                let index = layout.split.ok_or_else(split::no_split_column)?;
                let values = batch.column(index).as_binary::<i32>();
                let trains = |row: usize| match last {
                    None => false,
                    Some(_) if values.is_null(row) => true,
                    Some(None) => false,
                    Some(Some(last)) => values.value(row) <= last.as_slice(),
                };
                (0..n).map(|row| if trains(row) { Part::Train } else { Part::Test }).collect()
            }
        })
    }
}

impl Passed {
    /// The number of a row among its copies, which follow each other.
    fn number_of(&mut self, hash: Hash) -> u64 {
        if self.last == Some(hash) {
            self.number += 1;
            self.n_copies += 1;
        } else {
            self.last = Some(hash);
            self.number = 0;
        }
        self.number
    }
}

/// How a part is written in a column.
pub(super) fn code_of_part(part: Part) -> u8 {
    part as u8
}

fn part_of_code(code: u8) -> Part {
    match code {
        0 => Part::Train,
        1 => Part::Validation,
        _ => Part::Test,
    }
}

/// The value of the split column of the last row to train on, in the order of that column.
fn last_to_train(
    spool: &Spool,
    layout: &Layout,
    fractions: &Fractions,
    scratch: &Scratch,
    monitor: &Monitor,
) -> Result<Option<Option<Vec<u8>>>> {
    let index = layout.split.ok_or_else(split::no_split_column)?;
    let n = spool.n_rows();
    let held_back = (n as f64 * fractions.test).round() as u64;
    let Some(mut before) = n.checked_sub(held_back).and_then(|cut| cut.checked_sub(1)) else {
        return Ok(None);
    };
    let mut sorted = scratch.sort_spool(spool, &[index], &[0])?;
    while let Some(batch) = sorted.next()? {
        monitor.check()?;
        if before < batch.num_rows() as u64 {
            let values = batch.column(0).as_binary::<i32>();
            let row = before as usize;
            return Ok(Some((!values.is_null(row)).then(|| values.value(row).to_vec())));
        }
        before -= batch.num_rows() as u64;
    }
    Err(Error::internal("rows were lost while they were sorted"))
}
