//! Which rows train, validate and test: decided by each row's content or key, never by its label or position.

use crate::catalog::SqlType;
use crate::error::{Error, Notice, Result};
use crate::ml::canonical::{self, Hash};
use crate::ml::dataset::{Dataset, LabelValues};
use crate::ml::interner::{NULL_CODE, Values};
use crate::ml::options::Options;
use crate::sqlstate::SqlState;
use arrow::array::{Array, AsArray};
use datafusion::common::HashMap;

/// Below this many rows `split = auto` keeps all of them for training.
const MIN_ROWS_TO_SPLIT: u64 = 500;

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The model is fitted on these.
    Train,
    /// Early stopping watches these.
    Validation,
    /// Held back, to measure on.
    Test,
}

/// The parts of the rows.
pub(crate) struct Split {
    /// One part a row.
    pub(crate) parts: Vec<Part>,
    /// What `split` came to: `random`, `stratified`, `sequential`, `column` or `none`.
    pub(crate) kind: &'static str,
    /// What the user should know.
    pub(crate) notices: Vec<Notice>,
}

/// The shares of the rows that are held back.
pub(crate) struct Fractions {
    pub(crate) test: f64,
    pub(crate) validation: f64,
}

impl Fractions {
    /// As the options say. `with_validation` where the algorithm stops early.
    pub(crate) fn new(options: &Options, with_validation: bool) -> Self {
        let validation = if with_validation { options.float("validation_fraction") } else { 0.0 };
        Self { test: options.float("test_fraction"), validation }
    }

    /// The part that a draw falls into.
    pub(crate) fn part(&self, draw: u64) -> Part {
        match canonical::fraction(draw) {
            u if u < self.test => Part::Test,
            u if u < self.test + self.validation => Part::Validation,
            _ => Part::Train,
        }
    }
}

/// What `split` comes to for this many rows.
pub(crate) fn kind(
    options: &Options,
    n_rows: u64,
    is_classes: bool,
    notices: &mut Vec<Notice>,
) -> Result<&'static str> {
    Ok(match options.choice("split") {
        "auto" if n_rows < MIN_ROWS_TO_SPLIT => {
            notices.push(
                Notice::notice(format!("no rows are held back for testing, since there are only {n_rows}"))
                    .with_hint("Metrics are measured on the training rows; give split = random to hold rows back."),
            );
            "none"
        }
        "auto" if is_classes && options.texts("split_key").is_empty() => "stratified",
        "auto" | "random" => "random",
        "stratified" if !is_classes => {
            return Err(
                invalid("split = stratified needs a label of classes").hint("Use split = random.")
            );
        }
        "stratified" => "stratified",
        "sequential" => "sequential",
        "column" => "column",
        _ => "none",
    })
}

/// The error where every row is held back.
pub(crate) fn nothing_to_train_on() -> Error {
    invalid("the split leaves no rows to train on")
}

/// The error where a split needs the option split_column.
pub(crate) fn no_split_column() -> Error {
    invalid("this split needs option split_column")
}

/// What to say about copies of rows: one percent of them may leak from one part into another.
pub(crate) fn copies_notice(n_copies: u64, n_rows: u64) -> Option<Notice> {
    (n_copies > 0 && n_copies * 100 >= n_rows.max(1)).then(|| {
        Notice::notice(format!(
            "{n_copies} of {n_rows} rows are copies of others and may stand in several parts"
        ))
        .with_hint("Give split_key, so that rows of one person or thing stay in one part.")
    })
}

/// Splits the dataset as the options say. `with_validation` where the algorithm stops early.
pub(crate) fn split(dataset: &Dataset, options: &Options, with_validation: bool) -> Result<Split> {
    let fractions = Fractions::new(options, with_validation);
    let mut notices = Vec::new();
    let is_classes = matches!(dataset.label, LabelValues::Class { .. });
    let kind = kind(options, dataset.n_rows as u64, is_classes, &mut notices)?;
    let parts = match kind {
        "none" => vec![Part::Train; dataset.n_rows],
        "random" => random(&row_draws(dataset, options.seed(), &mut notices), &fractions),
        "stratified" => stratified(
            dataset,
            &row_draws(dataset, options.seed(), &mut notices),
            &fractions,
            &mut notices,
        ),
        "sequential" => sequential(column_of(dataset)?, &fractions),
        _ => by_column(column_of(dataset)?)?,
    };
    if dataset.n_rows > 0 && !parts.contains(&Part::Train) {
        return Err(nothing_to_train_on());
    }
    Ok(Split { parts, kind, notices })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::InvalidParameterValue, message)
}

fn column_of(dataset: &Dataset) -> Result<&Values> {
    dataset.split_column.as_ref().ok_or_else(no_split_column)
}

/// One random draw a row: of its key, or of its features and its number among identical rows.
fn row_draws(dataset: &Dataset, seed: u64, notices: &mut Vec<Notice>) -> Vec<u64> {
    if !dataset.split_keys.is_empty() {
        return key_hashes(dataset)
            .into_iter()
            .map(|hash| canonical::seeded(seed, hash, 0))
            .collect();
    }
    let mut copies: HashMap<Hash, u64> = HashMap::with_capacity(dataset.n_rows);
    let mut n_copies = 0u64;
    let draws = dataset
        .feature_hashes
        .iter()
        .map(|hash| {
            let number = copies.entry(*hash).or_default();
            let draw = canonical::seeded(seed, *hash, *number);
            n_copies += u64::from(*number > 0);
            *number += 1;
            draw
        })
        .collect();
    notices.extend(copies_notice(n_copies, dataset.n_rows as u64));
    draws
}

fn key_hashes(dataset: &Dataset) -> Vec<Hash> {
    let mut hashes = canonical::RowHashes::new(dataset.n_rows);
    for key in &dataset.split_keys {
        hashes.add_codes("key", &key.codes, &key.hashes);
    }
    hashes.finish()
}

fn random(draws: &[u64], fractions: &Fractions) -> Vec<Part> {
    draws.iter().map(|draw| fractions.part(*draw)).collect()
}

/// Within each class the rows with the smallest draws are held back, so that every part has the same shares.
fn stratified(
    dataset: &Dataset,
    draws: &[u64],
    fractions: &Fractions,
    notices: &mut Vec<Notice>,
) -> Vec<Part> {
    let LabelValues::Class { codes, classes, .. } = &dataset.label else {
        return random(draws, fractions);
    };
    let mut parts = vec![Part::Train; dataset.n_rows];
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); classes.len()];
    for (row, code) in codes.iter().enumerate() {
        members[*code as usize].push(row as u32);
    }
    let mut rare = 0usize;
    for rows in &mut members {
        let n = rows.len() as f64;
        let n_test = (n * fractions.test).round() as usize;
        let n_validation = (n * fractions.validation).round() as usize;
        if (n * fractions.test) < 1.0 && fractions.test > 0.0 {
            rare += 1;
            continue;
        }
        rows.sort_unstable_by_key(|row| (draws[*row as usize], *row));
        for row in &rows[..n_test] {
            parts[*row as usize] = Part::Test;
        }
        for row in &rows[n_test..(n_test + n_validation).min(rows.len())] {
            parts[*row as usize] = Part::Validation;
        }
    }
    if rare > 0 {
        notices.push(Notice::notice(format!(
            "{rare} of {} classes are too rare to be held back; their rows all train",
            members.len()
        )));
    }
    parts
}

/// The last rows by the column test, those before them validate; equal times stay together, in the earlier part.
fn sequential(column: &Values, fractions: &Fractions) -> Vec<Part> {
    let n = column.codes.len();
    // NULL sorts first: a row without a time trains.
    let rank = |row: usize| {
        if column.codes[row] == NULL_CODE { 0 } else { u64::from(column.codes[row]) + 1 }
    };
    let mut ranks: Vec<u64> = (0..n).map(rank).collect();
    ranks.sort_unstable();
    let last_before = |held_back: f64| {
        let cut = n - ((n as f64 * held_back).round() as usize).min(n);
        if cut == 0 { None } else { Some(ranks[cut - 1]) }
    };
    let train_until = last_before(fractions.test + fractions.validation);
    let validation_until = last_before(fractions.test);
    (0..n)
        .map(|row| match Some(rank(row)) {
            r if r <= train_until => Part::Train,
            r if r <= validation_until => Part::Validation,
            _ => Part::Test,
        })
        .collect()
}

/// The column says it: `train`, `validation` and `test`, or a truth value that means "test".
pub(crate) fn by_column(column: &Values) -> Result<Vec<Part>> {
    let of_distinct: Vec<Part> = if let Some(is_test) = column.distinct.as_boolean_opt() {
        is_test.values().iter().map(|t| if t { Part::Test } else { Part::Train }).collect()
    } else if let Some(texts) = column.distinct.as_string_opt::<i32>() {
        texts
            .iter()
            .map(|text| match text.map(str::to_lowercase).as_deref() {
                Some("train" | "training") => Ok(Part::Train),
                Some("validation" | "eval") => Ok(Part::Validation),
                Some("test") => Ok(Part::Test),
                other => Err(invalid(format!(
                    "the split column has the value \"{}\"",
                    other.unwrap_or("")
                ))
                .hint("It takes train, validation and test.")),
            })
            .collect::<Result<_>>()?
    } else {
        return Err(Error::new(
            SqlState::DatatypeMismatch,
            format!("the split column is of type {}", SqlType::shown(column.distinct.data_type())),
        )
        .hint("It takes text (train, validation, test) or boolean (true means test); split = sequential takes any order."));
    };
    column
        .codes
        .iter()
        .map(|code| {
            of_distinct.get(*code as usize).copied().ok_or_else(|| {
                invalid("the split column has a NULL")
                    .hint("It takes train, validation and test, or true and false.")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::interner::ValueInterner;
    use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
    use std::sync::Arc;

    fn values(array: ArrayRef) -> Values {
        let mut interner = ValueInterner::new(array.data_type()).unwrap();
        interner.push(&array).unwrap();
        interner.finish().unwrap()
    }

    #[test]
    fn equal_times_stay_together_in_the_earlier_part() {
        let times = values(Arc::new(Int64Array::from(vec![
            Some(5),
            Some(1),
            Some(4),
            Some(4),
            Some(4),
            None,
            Some(2),
            Some(3),
            Some(6),
            Some(7),
        ])));
        let parts = sequential(&times, &Fractions { test: 0.5, validation: 0.0 });
        // Sorted: NULL 1 2 3 4 | 4 4 5 6 7: the fours go to train.
        let test: Vec<usize> = (0..10).filter(|i| parts[*i] == Part::Test).collect();
        assert_eq!(test, vec![0, 8, 9]);
    }

    #[test]
    fn a_column_decides() {
        let texts = values(Arc::new(StringArray::from(vec!["test", "train", "validation"])));
        assert_eq!(by_column(&texts).unwrap(), vec![Part::Test, Part::Train, Part::Validation]);
        let truths = values(Arc::new(BooleanArray::from(vec![true, false])));
        assert_eq!(by_column(&truths).unwrap(), vec![Part::Test, Part::Train]);
        assert!(by_column(&values(Arc::new(StringArray::from(vec!["holdout"])))).is_err());
        assert!(by_column(&values(Arc::new(BooleanArray::from(vec![None, Some(true)])))).is_err());
    }
}
