//! The training rows in memory: collected from the query under the memory bound, then put into canonical order.

use crate::error::{Error, Result};
use crate::ml::algorithm::Goal;
use crate::ml::canonical::{self, Hash, MAX_SORTED_CELLS, RowHashes};
use crate::ml::interner::{NULL_CODE, TextInterner, ValueInterner, Values};
use crate::ml::signature::{Feature, FeatureKind};
use crate::ml::train::{Intake, Skipped};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::execution::memory_pool::MemoryReservation;

/// What to do with rows that have a NULL feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// Fill in what training knows.
    Impute,
    /// Refuse.
    Error,
    /// Leave the row out.
    Skip,
}

/// One feature's values.
#[derive(Clone)]
pub(crate) enum FeatureValues {
    /// Numbers, NaN for NULL.
    Number(Vec<f64>),
    /// Codes into levels in byte order, [`NULL_CODE`] for NULL.
    Category { codes: Vec<u32>, levels: Vec<String> },
}

/// The label's values; none is NULL.
pub(crate) enum LabelValues {
    /// Numbers to predict.
    Number(Vec<f64>),
    /// Codes into classes in sort order.
    Class { codes: Vec<u32>, classes: ArrayRef, hashes: Vec<Hash> },
}

/// Training rows: every vector has [`Dataset::n_rows`] values.
pub(crate) struct Dataset {
    pub(crate) features: Vec<Feature>,
    pub(crate) values: Vec<FeatureValues>,
    pub(crate) label_name: String,
    pub(crate) label_type: DataType,
    pub(crate) label: LabelValues,
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) split_column: Option<Values>,
    pub(crate) split_keys: Vec<Values>,
    pub(crate) n_rows: usize,
    /// Rows left out.
    pub(crate) skipped: Skipped,
    /// Whether the rows are in canonical order.
    pub(crate) is_canonical: bool,
    /// Hash of each row's features, for the split.
    pub(crate) feature_hashes: Vec<Hash>,
    reservation: MemoryReservation,
}

enum FeatureCollector {
    Number(Vec<f64>),
    Text(Vec<u32>, TextInterner),
}

enum LabelCollector {
    Number(Vec<f64>),
    Class(ValueInterner),
}

/// Takes batches and becomes a [`Dataset`].
pub(crate) struct Collector {
    intake: Intake,
    values: Vec<FeatureCollector>,
    label: LabelCollector,
    weights: Option<Vec<f64>>,
    split_column: Option<ValueInterner>,
    split_keys: Vec<ValueInterner>,
    n_rows: usize,
    reservation: MemoryReservation,
}

impl Collector {
    /// A collector of what the intake takes.
    pub(crate) fn new(intake: Intake, goal: Goal, reservation: MemoryReservation) -> Result<Self> {
        let values = intake
            .features
            .iter()
            .map(|feature| match feature.kind {
                FeatureKind::Number => FeatureCollector::Number(Vec::new()),
                FeatureKind::Text | FeatureKind::Boolean => {
                    FeatureCollector::Text(Vec::new(), TextInterner::default())
                }
            })
            .collect();
        let roles = &intake.roles;
        let interner = |index: &usize| ValueInterner::new(intake.schema.field(*index).data_type());
        let label = match goal {
            Goal::Regression => LabelCollector::Number(Vec::new()),
            Goal::Classification => LabelCollector::Class(interner(&roles.label)?),
        };
        let split_column = roles.split_column.as_ref().map(interner).transpose()?;
        let split_keys = roles.split_keys.iter().map(interner).collect::<Result<_>>()?;
        let weights = roles.weight.map(|_| Vec::new());
        Ok(Self {
            values,
            label,
            weights,
            split_column,
            split_keys,
            intake,
            n_rows: 0,
            reservation,
        })
    }

    /// Takes the rows of a batch that have a label, a weight and, if asked for, no NULL feature.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.intake.take(batch)?;
        self.reserve(batch.num_rows())?;
        let (roles, schema) = (&self.intake.roles, &self.intake.schema);
        for (i, &index) in roles.features.iter().enumerate() {
            match &mut self.values[i] {
                FeatureCollector::Number(values) => {
                    push_numbers(values, batch.column(index), &self.intake.features[i].name)?
                }
                FeatureCollector::Text(codes, interner) => {
                    push_texts(codes, interner, batch.column(index))?
                }
            }
        }
        match &mut self.label {
            LabelCollector::Number(values) => {
                push_numbers(values, batch.column(roles.label), schema.field(roles.label).name())?;
            }
            LabelCollector::Class(interner) => interner.push(batch.column(roles.label))?,
        }
        if let (Some(weights), Some(index)) = (&mut self.weights, roles.weight) {
            push_numbers(weights, batch.column(index), schema.field(index).name())?;
        }
        if let (Some(interner), Some(index)) = (&mut self.split_column, roles.split_column) {
            interner.push(batch.column(index))?;
        }
        for (interner, &index) in self.split_keys.iter_mut().zip(&roles.split_keys) {
            interner.push(batch.column(index))?;
        }
        self.n_rows += batch.num_rows();
        Ok(())
    }

    /// Reserves for `rows` more: the collected values, their copy while rows are put in order, hashes and positions.
    fn reserve(&mut self, rows: usize) -> Result<()> {
        let columns = self.intake.features.len()
            + 1
            + usize::from(self.weights.is_some())
            + self.split_keys.len()
            + 1;
        let texts: usize = self
            .values
            .iter()
            .map(|c| if let FeatureCollector::Text(_, interner) = c { interner.bytes() } else { 0 })
            .chain(self.split_keys.iter().chain(&self.split_column).map(ValueInterner::bytes))
            .sum();
        let wanted = (self.n_rows + rows) * (8 * columns + 8 + 40) + texts;
        grow_to(&self.reservation, wanted, "the training rows")
    }

    /// The rows in canonical order, if they are not too many for it.
    pub(crate) fn finish(self) -> Result<Dataset> {
        if self.n_rows >= u32::MAX as usize {
            return Err(Error::unsupported(
                "training on more than four thousand million rows",
                "Train on a sample.",
            ));
        }
        let label_field = self.intake.schema.field(self.intake.roles.label).clone();
        let values = self
            .values
            .into_iter()
            .map(|column| match column {
                FeatureCollector::Number(values) => FeatureValues::Number(values),
                FeatureCollector::Text(mut codes, interner) => {
                    let levels = interner.finish(&mut codes);
                    FeatureValues::Category { codes, levels }
                }
            })
            .collect();
        let label = match self.label {
            LabelCollector::Number(values) => LabelValues::Number(values),
            LabelCollector::Class(interner) => {
                let values = interner.finish()?;
                LabelValues::Class {
                    codes: values.codes,
                    classes: values.distinct,
                    hashes: values.hashes,
                }
            }
        };
        let mut dataset = Dataset {
            features: self.intake.features,
            values,
            label_name: label_field.name().clone(),
            label_type: label_field.data_type().clone(),
            label,
            weights: self.weights,
            split_column: self.split_column.map(ValueInterner::finish).transpose()?,
            split_keys: self
                .split_keys
                .into_iter()
                .map(ValueInterner::finish)
                .collect::<Result<_>>()?,
            n_rows: self.n_rows,
            skipped: self.intake.skipped,
            is_canonical: false,
            feature_hashes: Vec::new(),
            reservation: self.reservation,
        };
        dataset.put_in_order();
        Ok(dataset)
    }
}

impl Dataset {
    /// Bytes reserved for more than the rows themselves, freed with the dataset. 53200 when there is no room.
    pub(crate) fn reserve(&self, bytes: usize, what: &str) -> Result<()> {
        grow_to(&self.reservation, self.reservation.size() + bytes, what)
    }

    /// The positions of features in the order of their names.
    fn by_name(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.features.len()).collect();
        order.sort_by(|a, b| self.features[*a].name.cmp(&self.features[*b].name));
        order
    }

    fn put_in_order(&mut self) {
        let mut features = RowHashes::new(self.n_rows);
        for index in self.by_name() {
            let name = &self.features[index].name;
            match &self.values[index] {
                FeatureValues::Number(values) => features.add_numbers(name, values),
                FeatureValues::Category { codes, levels } => {
                    let levels: Vec<Hash> =
                        levels.iter().map(|l| canonical::of_bytes(l.as_bytes())).collect();
                    features.add_codes(name, codes, &levels);
                }
            }
        }
        self.feature_hashes = features.finish();
        if self.n_rows.saturating_mul(self.features.len() + 1) > MAX_SORTED_CELLS {
            return;
        }
        let mut rows = RowHashes::new(self.n_rows);
        rows.add_codes(
            "features",
            &(0..self.n_rows as u32).collect::<Vec<_>>(),
            &self.feature_hashes,
        );
        match &self.label {
            LabelValues::Number(values) => rows.add_numbers("label", values),
            LabelValues::Class { codes, hashes, .. } => rows.add_codes("label", codes, hashes),
        }
        if let Some(weights) = &self.weights {
            rows.add_numbers("weight", weights);
        }
        for values in self.split_column.iter().chain(&self.split_keys) {
            rows.add_codes("split", &values.codes, &values.hashes);
        }
        let hashes = rows.finish();
        let mut order: Vec<u32> = (0..self.n_rows as u32).collect();
        order.sort_unstable_by_key(|row| (hashes[*row as usize], *row));
        self.permute(&order);
        self.is_canonical = true;
    }

    /// Puts row `order[i]` at position `i`.
    pub(crate) fn permute(&mut self, order: &[u32]) {
        for values in &mut self.values {
            match values {
                FeatureValues::Number(values) => gather(values, order),
                FeatureValues::Category { codes, .. } => gather(codes, order),
            }
        }
        match &mut self.label {
            LabelValues::Number(values) => gather(values, order),
            LabelValues::Class { codes, .. } => gather(codes, order),
        }
        if let Some(weights) = &mut self.weights {
            gather(weights, order);
        }
        for values in self.split_column.iter_mut().chain(&mut self.split_keys) {
            gather(&mut values.codes, order);
        }
        gather(&mut self.feature_hashes, order);
    }
}

fn gather<T: Copy>(values: &mut Vec<T>, order: &[u32]) {
    *values = order.iter().map(|row| values[*row as usize]).collect();
}

/// The error for a NULL under `nulls = 'error'`.
pub(crate) fn null_feature(name: &str) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("column \"{name}\" has a NULL, and the model takes none"),
    )
    .column(name)
    .hint("The model was defined with nulls = error; use impute or skip, or coalesce the column.")
}

/// The error for an infinite number.
pub(crate) fn infinite(name: &str) -> Error {
    Error::new(SqlState::NumericValueOutOfRange, format!("column \"{name}\" has an infinite value"))
        .column(name)
}

/// Appends a column's numbers, NaN for NULL. 22003 for an infinite one.
pub(crate) fn push_numbers(values: &mut Vec<f64>, array: &ArrayRef, name: &str) -> Result<()> {
    let array = cast(array, &DataType::Float64)?;
    let array = array.as_primitive::<Float64Type>();
    let from = values.len();
    if array.null_count() == 0 {
        values.extend_from_slice(array.values());
    } else {
        values.extend(array.iter().map(|v| v.unwrap_or(f64::NAN)));
    }
    if values[from..].iter().any(|v| v.is_infinite()) {
        return Err(infinite(name));
    }
    Ok(())
}

/// Appends the codes of a column's texts, [`NULL_CODE`] for NULL.
pub(crate) fn push_texts(
    codes: &mut Vec<u32>,
    interner: &mut TextInterner,
    array: &ArrayRef,
) -> Result<()> {
    if let Some(booleans) = array.as_boolean_opt() {
        codes.extend(
            booleans
                .iter()
                .map(|v| v.map_or(NULL_CODE, |v| interner.code(if v { "true" } else { "false" }))),
        );
        return Ok(());
    }
    let texts = cast(array, &DataType::Utf8View)?;
    codes.extend(texts.as_string_view().iter().map(|v| v.map_or(NULL_CODE, |v| interner.code(v))));
    Ok(())
}

/// Makes a reservation as large as this, if it is smaller. 53200 when there is no room.
pub(crate) fn grow_to(reservation: &MemoryReservation, bytes: usize, what: &str) -> Result<()> {
    if bytes <= reservation.size() {
        return Ok(());
    }
    reservation.try_resize(bytes).map_err(|e| {
        Error::new(SqlState::OutOfMemory, format!("not enough memory for {what}"))
            .detail(format!("{} MiB are needed.", bytes.div_ceil(1 << 20)))
            .hint("Train on a sample or on fewer columns, or raise the memory limit.")
            .source(e)
    })
}
