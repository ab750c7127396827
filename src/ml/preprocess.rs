//! From columns to what estimators eat: fitted on the training part, stored with the model, the only code path for
//! training and prediction.
//!
//! A number stays a number, NaN where it is missing: linear models fill in the training mean, trees have a path of
//! their own. A category becomes a slot: its level's position in byte order, then the slot of NULL if training had
//! one, then the slot that rare levels fold into. The slot after the last one means "unseen": each dummy takes its
//! training mean, trees take the missing path.

use crate::error::{Error, Notice, Result};
use crate::ml::dataset::{Dataset, FeatureValues, Nulls, infinite, null_feature};
use crate::ml::interner::NULL_CODE;
use crate::ml::signature::Signature;
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::HashMap;

/// Rows in one block of a sum: blocks are counted by position in the part and folded from left to right.
pub(crate) const BLOCK_ROWS: usize = 4096;

/// How the levels of a NULL and of folded levels are shown.
pub(crate) const NULL_LEVEL: &str = "(null)";
/// See [`NULL_LEVEL`].
pub(crate) const OTHER_LEVEL: &str = "(other)";

/// The fitted state of one feature.
pub(crate) enum Fitted {
    /// A number and its training mean, 0 if training had none.
    Number { mean: f64 },
    /// A category.
    Category(Levels),
}

/// The levels of a category.
pub(crate) struct Levels {
    levels: Vec<String>,
    has_null: bool,
    has_other: bool,
    means: Vec<f64>,
    index: HashMap<String, u32>,
}

/// The fitted state of all features, in the signature's order.
pub(crate) struct Preprocessor {
    pub(crate) columns: Vec<Fitted>,
    pub(crate) nulls: Nulls,
    /// Whether an unseen level is an error.
    pub(crate) refuse_unseen: bool,
}

/// One encoded column.
#[derive(Clone, Copy)]
pub(crate) enum Column<'a> {
    /// Numbers, NaN for missing.
    Number(&'a [f64]),
    /// Slots.
    Category(&'a [u32]),
}

/// Encoded rows: what kernels and estimators read.
#[derive(Clone)]
pub(crate) struct Frame<'a> {
    pub(crate) n_rows: usize,
    pub(crate) columns: Vec<Column<'a>>,
}

impl<'a> Frame<'a> {
    /// Some of the rows.
    pub(crate) fn slice(&self, from: usize, n_rows: usize) -> Frame<'a> {
        let range = from..from + n_rows;
        let columns = self
            .columns
            .iter()
            .map(|column| match column {
                Column::Number(values) => Column::Number(&values[range.clone()]),
                Column::Category(slots) => Column::Category(&slots[range.clone()]),
            })
            .collect();
        Frame { n_rows, columns }
    }
}

/// An encoded column that owns its values.
pub(crate) enum EncodedColumn {
    Number(ScalarBuffer<f64>),
    Category(Vec<u32>),
}

/// A batch of Arrow columns, encoded.
pub(crate) struct Encoded {
    n_rows: usize,
    columns: Vec<EncodedColumn>,
    /// How many values of each feature were unseen levels.
    pub(crate) unseen: Vec<usize>,
    /// Rows to answer, where `nulls = 'skip'` leaves some out.
    pub(crate) answered: Option<BooleanBuffer>,
}

impl Encoded {
    /// The encoded rows for a kernel.
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame {
            n_rows: self.n_rows,
            columns: self.columns.iter().map(EncodedColumn::as_column).collect(),
        }
    }
}

impl EncodedColumn {
    /// The column for a [`Frame`].
    pub(crate) fn as_column(&self) -> Column<'_> {
        match self {
            EncodedColumn::Number(values) => Column::Number(values),
            EncodedColumn::Category(slots) => Column::Category(slots),
        }
    }
}

impl Levels {
    /// Levels in byte order, the extra slots, and each slot's share of the training rows. `None` if they do not fit
    /// together.
    pub(crate) fn new(
        levels: Vec<String>,
        has_null: bool,
        has_other: bool,
        means: Vec<f64>,
    ) -> Option<Self> {
        let n_slots = levels.len() + usize::from(has_null) + usize::from(has_other);
        let is_sorted = levels.windows(2).all(|pair| pair[0] < pair[1]);
        if means.len() != n_slots || !is_sorted || means.iter().any(|m| !m.is_finite()) {
            return None;
        }
        let index =
            levels.iter().enumerate().map(|(slot, level)| (level.clone(), slot as u32)).collect();
        Some(Self { levels, has_null, has_other, means, index })
    }

    /// The levels seen in training, in byte order, without NULL and folded ones.
    pub(crate) fn levels(&self) -> &[String] {
        &self.levels
    }

    /// Whether NULL has a slot.
    pub(crate) fn has_null(&self) -> bool {
        self.has_null
    }

    /// Whether rare levels were folded into a slot.
    pub(crate) fn has_other(&self) -> bool {
        self.has_other
    }

    /// Each slot's share of the training rows (by weight).
    pub(crate) fn means(&self) -> &[f64] {
        &self.means
    }

    /// Slots; this number itself means "unseen".
    pub(crate) fn n_slots(&self) -> usize {
        self.means.len()
    }

    /// How a slot is shown.
    pub(crate) fn slot_name(&self, slot: usize) -> &str {
        match self.levels.get(slot) {
            Some(level) => level,
            None if self.has_null && slot == self.levels.len() => NULL_LEVEL,
            None => OTHER_LEVEL,
        }
    }

    /// The slot of NULL.
    pub(crate) fn null_slot(&self) -> u32 {
        if self.has_null { self.levels.len() as u32 } else { self.n_slots() as u32 }
    }

    fn unknown_slot(&self) -> u32 {
        (if self.has_other { self.n_slots() - 1 } else { self.n_slots() }) as u32
    }

    /// The slot of a text.
    pub(crate) fn slot(&self, text: Option<&str>) -> u32 {
        match text {
            None => self.null_slot(),
            Some(text) => self.index.get(text).copied().unwrap_or(self.unknown_slot()),
        }
    }
}

/// Which rows a preprocessor is fitted on.
pub(crate) struct FitRows<'a> {
    /// Rows from the first on.
    pub(crate) n_rows: usize,
    /// Weights, if there are any.
    pub(crate) weights: Option<&'a [f64]>,
    /// The most levels of a category.
    pub(crate) max_categories: usize,
}

impl Preprocessor {
    /// Fits on the first rows of the dataset (the training part). Notices tell of columns that say little.
    pub(crate) fn fit(
        dataset: &Dataset,
        rows: &FitRows<'_>,
        nulls: Nulls,
        refuse_unseen: bool,
    ) -> (Self, Vec<Notice>) {
        let mut notices = Vec::new();
        let columns = dataset
            .features
            .iter()
            .zip(&dataset.values)
            .map(|(feature, values)| match values {
                FeatureValues::Number(values) => {
                    let mut fit = NumberFit::default();
                    for (i, block) in values[..rows.n_rows].chunks(BLOCK_ROWS).enumerate() {
                        let from = i * BLOCK_ROWS;
                        fit.push(block, rows.weights.map(|w| &w[from..from + block.len()]));
                    }
                    fit.finish(&feature.name, &mut notices)
                }
                FeatureValues::Category { codes, levels } => {
                    let mut fit = CategoryFit::default();
                    fit.push(&codes[..rows.n_rows], rows.weights);
                    let order: Vec<u32> = (0..levels.len() as u32).collect();
                    let text = |code: u32| levels[code as usize].as_str();
                    fit.finish(&feature.name, &order, text, rows.max_categories, &mut notices)
                }
            })
            .collect();
        (Self { columns, nulls, refuse_unseen }, notices)
    }

    /// Encodes all rows of a dataset.
    pub(crate) fn encode_dataset(&self, values: Vec<FeatureValues>) -> Vec<EncodedColumn> {
        self.columns
            .iter()
            .zip(values)
            .map(|(fitted, values)| match (fitted, values) {
                (Fitted::Category(fitted), FeatureValues::Category { codes, levels }) => {
                    let slots: Vec<u32> =
                        levels.iter().map(|level| fitted.slot(Some(level))).collect();
                    let null = fitted.null_slot();
                    EncodedColumn::Category(
                        codes
                            .iter()
                            .map(|c| slots.get(*c as usize).copied().unwrap_or(null))
                            .collect(),
                    )
                }
                (_, FeatureValues::Number(values)) => EncodedColumn::Number(values.into()),
                // A column has one kind in the signature and in the data.
                (_, FeatureValues::Category { codes, .. }) => EncodedColumn::Category(codes),
            })
            .collect()
    }

    /// Encodes Arrow columns that stand in the signature's order.
    pub(crate) fn encode(
        &self,
        signature: &Signature,
        columns: &[ArrayRef],
        n_rows: usize,
    ) -> Result<Encoded> {
        if columns.len() != self.columns.len() {
            return Err(Error::internal(format!(
                "{} columns for {} features",
                columns.len(),
                self.columns.len()
            )));
        }
        let mut encoded = Encoded {
            n_rows,
            columns: Vec::with_capacity(columns.len()),
            unseen: vec![0; columns.len()],
            answered: None,
        };
        for (i, (fitted, array)) in self.columns.iter().zip(columns).enumerate() {
            let feature = &signature.features[i];
            feature.check_type(array.data_type())?;
            if array.len() != n_rows {
                return Err(Error::internal(format!("{} values for {n_rows} rows", array.len())));
            }
            let column = match fitted {
                Fitted::Number { .. } => EncodedColumn::Number(numbers(array)?),
                Fitted::Category(levels) => {
                    let slots = slots(levels, array)?;
                    encoded.unseen[i] = self.count_unseen(&feature.name, levels, array, &slots)?;
                    EncodedColumn::Category(slots)
                }
            };
            if self.nulls != Nulls::Impute {
                self.check_nulls(&feature.name, array, &column, &mut encoded.answered)?;
            }
            encoded.columns.push(column);
        }
        Ok(encoded)
    }

    fn count_unseen(
        &self,
        name: &str,
        levels: &Levels,
        array: &ArrayRef,
        slots: &[u32],
    ) -> Result<usize> {
        let unseen = levels.n_slots() as u32;
        let mut n = 0;
        for (row, slot) in slots.iter().enumerate() {
            if *slot == unseen {
                let is_null = array.is_null(row) || array.data_type() == &DataType::Null;
                if self.refuse_unseen && !is_null {
                    let value = arrow::util::display::array_value_to_string(array, row)?;
                    return Err(Error::new(
                        SqlState::InvalidParameterValue,
                        format!("column \"{name}\" has the value \"{value}\", which training did not see"),
                    )
                    .column(name)
                    .hint("The model was defined with unseen = error."));
                }
                n += 1;
            }
        }
        Ok(n)
    }

    fn check_nulls(
        &self,
        name: &str,
        array: &ArrayRef,
        column: &EncodedColumn,
        answered: &mut Option<BooleanBuffer>,
    ) -> Result<()> {
        let present = match column {
            EncodedColumn::Number(values) => {
                BooleanBuffer::collect_bool(values.len(), |i| !values[i].is_nan())
            }
            EncodedColumn::Category(slots) => match array.logical_nulls() {
                Some(nulls) => nulls.into_inner(),
                None => BooleanBuffer::new_set(slots.len()),
            },
        };
        if present.count_set_bits() == present.len() {
            return Ok(());
        }
        if self.nulls == Nulls::Error {
            return Err(null_feature(name));
        }
        *answered = Some(match answered.take() {
            Some(before) => &before & &present,
            None => present,
        });
        Ok(())
    }

    /// The error for a result that is not finite: it names the first feature with a value that is infinite, in double
    /// or in single precision.
    pub(crate) fn overflow_error(&self, signature: &Signature, frame: &Frame<'_>) -> Error {
        for is_infinite in [f64::is_infinite as fn(f64) -> bool, |v| (v as f32).is_infinite()] {
            for (feature, column) in signature.features.iter().zip(&frame.columns) {
                if let Column::Number(values) = column
                    && let Some(value) = values.iter().find(|v| is_infinite(**v))
                {
                    return if value.is_infinite() {
                        infinite(&feature.name)
                    } else {
                        beyond_single(&feature.name)
                    };
                }
            }
        }
        Error::new(SqlState::NumericValueOutOfRange, "the prediction is out of range")
    }
}

/// The error for a number that single precision cannot hold.
pub(crate) fn beyond_single(name: &str) -> Error {
    Error::new(
        SqlState::NumericValueOutOfRange,
        format!(
            "column \"{name}\" has a value out of the range of single precision, which trees use"
        ),
    )
    .column(name)
    .hint("Divide the column by a constant, in training and in prediction.")
}

fn numbers(array: &ArrayRef) -> Result<ScalarBuffer<f64>> {
    let cast_array;
    let floats: &Float64Array = match array.as_primitive_opt::<Float64Type>() {
        Some(floats) => floats,
        None => {
            cast_array = cast(array, &DataType::Float64)?;
            cast_array.as_primitive::<Float64Type>()
        }
    };
    if floats.null_count() == 0 {
        return Ok(floats.values().clone());
    }
    Ok(floats.iter().map(|v| v.unwrap_or(f64::NAN)).collect::<Vec<f64>>().into())
}

fn slots(levels: &Levels, array: &ArrayRef) -> Result<Vec<u32>> {
    if let Some(booleans) = array.as_boolean_opt() {
        let (no, yes, null) =
            (levels.slot(Some("false")), levels.slot(Some("true")), levels.null_slot());
        return Ok(booleans.iter().map(|v| v.map_or(null, |v| if v { yes } else { no })).collect());
    }
    match array.data_type() {
        DataType::Utf8 => Ok(text_slots(levels, array.as_string::<i32>().iter())),
        DataType::Utf8View => Ok(text_slots(levels, array.as_string_view().iter())),
        _ => Ok(text_slots(levels, cast(array, &DataType::Utf8View)?.as_string_view().iter())),
    }
}

/// Slots of texts. Runs of one value are common in stored columns, so the last look-up is kept.
fn text_slots<'a>(levels: &Levels, texts: impl Iterator<Item = Option<&'a str>>) -> Vec<u32> {
    let mut last: Option<(&'a str, u32)> = None;
    texts
        .map(|text| match (text, last) {
            (Some(text), Some((known, slot))) if text == known => slot,
            _ => {
                let slot = levels.slot(text);
                last = text.map(|text| (text, slot));
                slot
            }
        })
        .collect()
}

/// The sum of a function over rows, in blocks of [`BLOCK_ROWS`] folded from left to right.
pub(crate) fn blocked_sum(n_rows: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut total = 0.0;
    let mut from = 0;
    while from < n_rows {
        let until = (from + BLOCK_ROWS).min(n_rows);
        total += (from..until).map(&term).sum::<f64>();
        from = until;
    }
    total
}

/// Fits the mean of a number, from blocks of [`BLOCK_ROWS`] training rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct NumberFit {
    weight: f64,
    sum: f64,
    /// The sum of the values times [`DOWN`].
    scaled: f64,
    largest: f64,
}

/// Keeps the sum of huge values from overflowing.
const DOWN: f64 = 1.0 / (1u64 << 60) as f64;

impl NumberFit {
    /// Adds a block; NaN is missing.
    pub(crate) fn push(&mut self, values: &[f64], weights: Option<&[f64]>) {
        let (mut weight, mut sum, mut scaled) = (0.0, 0.0, 0.0);
        for (row, value) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            let of_row = weights.map_or(1.0, |w| w[row]);
            weight += of_row;
            sum += of_row * value;
            scaled += of_row * (value * DOWN);
            self.largest = self.largest.max(value.abs());
        }
        self.weight += weight;
        self.sum += sum;
        self.scaled += scaled;
    }

    /// The fitted state.
    pub(crate) fn finish(self, name: &str, notices: &mut Vec<Notice>) -> Fitted {
        if self.weight <= 0.0 {
            notices
                .push(Notice::warning(format!("column \"{name}\" is NULL in every training row")));
            return Fitted::Number { mean: 0.0 };
        }
        let mean = match self.largest > 1e290 {
            true => self.scaled / self.weight / DOWN,
            false => self.sum / self.weight,
        };
        Fitted::Number { mean }
    }
}

/// Fits the levels of a category, from codes of training rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct CategoryFit {
    counts: Vec<usize>,
    shares: Vec<f64>,
    n_null: usize,
    null_share: f64,
}

impl CategoryFit {
    /// Adds rows; [`NULL_CODE`] is NULL.
    pub(crate) fn push(&mut self, codes: &[u32], weights: Option<&[f64]>) {
        for (row, code) in codes.iter().enumerate() {
            let weight = weights.map_or(1.0, |w| w[row]);
            if *code == NULL_CODE {
                self.n_null += 1;
                self.null_share += weight;
                continue;
            }
            let code = *code as usize;
            if code >= self.counts.len() {
                self.counts.resize(code + 1, 0);
                self.shares.resize(code + 1, 0.0);
            }
            self.counts[code] += 1;
            self.shares[code] += weight;
        }
    }

    /// The fitted state. `order` has the codes in the byte order of their texts, and `text` gives a code's.
    pub(crate) fn finish<'t>(
        mut self,
        name: &str,
        order: &[u32],
        text: impl Fn(u32) -> &'t str,
        max_categories: usize,
        notices: &mut Vec<Notice>,
    ) -> Fitted {
        self.counts.resize(order.len(), 0);
        self.shares.resize(order.len(), 0.0);
        let n_rows = self.counts.iter().sum::<usize>() + self.n_null;
        let mut present: Vec<(usize, u32)> = order
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, code)| self.counts[*code as usize] > 0)
            .collect();
        let n_distinct = present.len();
        if n_distinct == 0 && n_rows > 0 {
            notices
                .push(Notice::warning(format!("column \"{name}\" is NULL in every training row")));
        }
        if n_distinct * 2 > n_rows && n_distinct > 20 {
            notices.push(
                Notice::notice(format!(
                    "column \"{name}\" has {n_distinct} distinct values in {n_rows} rows"
                ))
                .with_hint("If it identifies rows, leave it out."),
            );
        }
        let total = present.iter().map(|(_, code)| self.shares[*code as usize]).sum::<f64>()
            + self.null_share;
        let has_other = n_distinct > max_categories;
        if has_other {
            // The most frequent levels stay; among equals the first in byte order.
            present.sort_by_key(|(at, code)| (std::cmp::Reverse(self.counts[*code as usize]), *at));
            present.truncate(max_categories);
            present.sort_unstable();
            notices.push(Notice::notice(format!(
                "column \"{name}\" has {n_distinct} distinct values; all but the {max_categories} most frequent count as one"
            )));
        }
        let shares = present.iter().map(|(_, code)| self.shares[*code as usize]);
        let kept: f64 = shares.clone().sum();
        let mut means: Vec<f64> = shares.map(|share| share / total).collect();
        let has_null = self.n_null > 0;
        if has_null {
            means.push(self.null_share / total);
        }
        if has_other {
            means.push((total - kept - self.null_share) / total);
        }
        let levels: Vec<String> =
            present.into_iter().map(|(_, code)| text(code).to_owned()).collect();
        let index =
            levels.iter().enumerate().map(|(slot, level)| (level.clone(), slot as u32)).collect();
        Fitted::Category(Levels { levels, has_null, has_other, means, index })
    }
}
