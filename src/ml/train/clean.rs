//! From the query's batches to batches that need nothing but numbers: features as doubles or codes, the label, the
//! weight, what decides the split, and hashes of the content that put rows into canonical order.

use super::intake::{Intake, Roles, Skipped};
use super::parts::code_of_part;
use crate::error::{Error, Result};
use crate::ml::canonical::{self, Hash, RowHashes};
use crate::ml::dataset::{push_numbers, push_texts};
use crate::ml::interner::{TextInterner, ValueBytes, ValueInterner};
use crate::ml::preprocess::{CategoryFit, Fitted};
use crate::ml::signature::{Feature, FeatureKind};
use crate::ml::split;
use arrow::array::{
    ArrayRef, BinaryBuilder, Float64Array, RecordBatch, UInt8Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Where the columns of a clean batch stand. The features come first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) n_features: usize,
    pub(super) label: usize,
    pub(super) weight: Option<usize>,
    /// The part's code for `split = column`, the value's bytes for `split = sequential`.
    pub(super) split: Option<usize>,
    /// Two columns: the hash that a random split draws by, of the key or of the features.
    pub(super) draw: usize,
    /// Whether it is of a key.
    pub(super) draws_by_key: bool,
}

impl Layout {
    /// The columns that rows are sorted by: rows of one draw follow each other, and no two orders are possible but
    /// of equal rows.
    pub(super) fn order(&self) -> [usize; 4] {
        [self.draw, self.draw + 1, self.draw + 2, self.draw + 3]
    }
}

/// The texts of a category in the order in which they came, with their hashes.
#[derive(Default)]
struct Texts {
    interner: TextInterner,
    hashes: Vec<Hash>,
}

/// What a value that decides the split becomes.
enum SplitValue {
    Part,
    Bytes,
}

/// Cleans batches; one for a training.
pub(super) struct Cleaner {
    intake: Intake,
    texts: Vec<Option<Texts>>,
    /// The features in the order of their names.
    by_name: Vec<usize>,
    split: Option<SplitValue>,
    split_column: Option<ValueBytes>,
    split_keys: Vec<ValueBytes>,
    layout: Layout,
    schema: SchemaRef,
}

/// What the cleaner knows once all rows have passed.
pub(super) struct Cleaned {
    pub(super) features: Vec<Feature>,
    pub(super) skipped: Skipped,
    pub(super) layout: Layout,
    texts: Vec<Option<SortedTexts>>,
}

struct SortedTexts {
    /// Texts by code.
    texts: Vec<Arc<str>>,
    /// Codes in the byte order of their texts.
    order: Vec<u32>,
}

impl Cleaner {
    /// A cleaner for a split of this kind (`split` as the option says it).
    pub(super) fn new(intake: Intake, split: &str) -> Result<Self> {
        let texts: Vec<Option<Texts>> = intake
            .features
            .iter()
            .map(|feature| (feature.kind != FeatureKind::Number).then(Texts::default))
            .collect();
        let mut by_name: Vec<usize> = (0..texts.len()).collect();
        by_name.sort_by(|a, b| intake.features[*a].name.cmp(&intake.features[*b].name));
        let roles = &intake.roles;
        let split = match split {
            "column" if roles.split_column.is_some() => Some(SplitValue::Part),
            "sequential" if roles.split_column.is_some() => Some(SplitValue::Bytes),
            _ => None,
        };
        let bytes = |index: &usize| ValueBytes::new(intake.schema.field(*index).data_type());
        let split_column = roles.split_column.as_ref().map(bytes).transpose()?;
        let split_keys = roles.split_keys.iter().map(bytes).collect::<Result<_>>()?;
        let (schema, layout) = columns(roles, &texts, split.as_ref());
        Ok(Self { texts, by_name, split, split_column, split_keys, layout, schema, intake })
    }

    /// The columns of clean batches.
    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Where they stand.
    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Bytes that the texts take, about.
    pub(super) fn bytes(&self) -> usize {
        self.texts.iter().flatten().map(|t| t.interner.bytes() + 16 * t.hashes.len()).sum()
    }

    /// Cleans a batch.
    pub(super) fn clean(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let batch = self.intake.take(batch)?;
        let n = batch.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let mut numbers = Vec::with_capacity(self.texts.len());
        let mut codes = Vec::with_capacity(self.texts.len());
        let (roles, schema) = (&self.intake.roles, &self.intake.schema);
        for (texts, index) in self.texts.iter_mut().zip(&roles.features) {
            let (mut of_numbers, mut of_codes) = (Vec::new(), Vec::new());
            match texts {
                None => push_numbers(
                    &mut of_numbers,
                    batch.column(*index),
                    schema.field(*index).name(),
                )?,
                Some(texts) => {
                    push_texts(&mut of_codes, &mut texts.interner, batch.column(*index))?;
                    texts.hash_new();
                }
            }
            numbers.push(of_numbers);
            codes.push(of_codes);
        }
        let mut features = RowHashes::new(n);
        for &i in &self.by_name {
            let name = &self.intake.features[i].name;
            match &self.texts[i] {
                None => features.add_numbers(name, &numbers[i]),
                Some(texts) => features.add_codes(name, &codes[i], &texts.hashes),
            }
        }
        let features = features.finish();
        for ((texts, numbers), codes) in self.texts.iter().zip(numbers).zip(codes) {
            columns.push(match texts {
                None => Arc::new(Float64Array::from(numbers)),
                Some(_) => Arc::new(UInt32Array::from(codes)),
            });
        }
        self.add_the_rest(&batch, columns, features)
    }

    fn add_the_rest(
        &self,
        batch: &RecordBatch,
        mut columns: Vec<ArrayRef>,
        features: Vec<Hash>,
    ) -> Result<RecordBatch> {
        let n = batch.num_rows();
        let (roles, schema) = (&self.intake.roles, &self.intake.schema);
        let rows: Vec<u32> = (0..n as u32).collect();
        let mut hashes = RowHashes::new(n);
        hashes.add_codes("features", &rows, &features);
        for (name, index) in [("label", Some(roles.label)), ("weight", roles.weight)] {
            let Some(index) = index else { continue };
            let mut values = Vec::with_capacity(n);
            push_numbers(&mut values, batch.column(index), schema.field(index).name())?;
            hashes.add_numbers(name, &values);
            columns.push(Arc::new(Float64Array::from(values)));
        }
        let mut keys = RowHashes::new(n);
        if let (Some(bytes), Some(index)) = (&self.split_column, roles.split_column) {
            let (codes, of_codes) = bytes.hashes(batch.column(index))?;
            hashes.add_codes("split", &codes, &of_codes);
            columns.extend(self.split_value(bytes, batch.column(index))?);
        }
        for (bytes, index) in self.split_keys.iter().zip(&roles.split_keys) {
            let (codes, of_codes) = bytes.hashes(batch.column(*index))?;
            hashes.add_codes("split", &codes, &of_codes);
            keys.add_codes("key", &codes, &of_codes);
        }
        let draws = if self.layout.draws_by_key { keys.finish() } else { features };
        for of_rows in [draws, hashes.finish()] {
            columns.push(Arc::new(of_rows.iter().map(|h| h.0).collect::<UInt64Array>()));
            columns.push(Arc::new(of_rows.iter().map(|h| h.1).collect::<UInt64Array>()));
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    fn split_value(&self, bytes: &ValueBytes, array: &ArrayRef) -> Result<Option<ArrayRef>> {
        Ok(match self.split {
            None => None,
            Some(SplitValue::Part) => {
                let mut interner = ValueInterner::new(array.data_type())?;
                interner.push(array)?;
                let parts = split::by_column(&interner.finish()?)?;
                Some(Arc::new(UInt8Array::from_iter_values(parts.into_iter().map(code_of_part))))
            }
            Some(SplitValue::Bytes) => {
                let mut builder = BinaryBuilder::new();
                bytes.each(array, |value| builder.append_option(value))?;
                Some(Arc::new(builder.finish()))
            }
        })
    }

    /// All rows have passed.
    pub(super) fn finish(self) -> Cleaned {
        let sorted = |texts: Texts| {
            let texts = texts.interner.into_texts();
            let mut order: Vec<u32> = (0..texts.len() as u32).collect();
            order.sort_unstable_by(|a, b| texts[*a as usize].cmp(&texts[*b as usize]));
            SortedTexts { texts, order }
        };
        Cleaned {
            features: self.intake.features,
            skipped: self.intake.skipped,
            layout: self.layout,
            texts: self.texts.into_iter().map(|texts| texts.map(sorted)).collect(),
        }
    }
}

impl Texts {
    /// Hashes the texts that came since the last time.
    fn hash_new(&mut self) {
        let Self { interner, hashes } = self;
        interner.since(hashes.len(), |text| hashes.push(canonical::of_bytes(text.as_bytes())));
    }
}

impl Cleaned {
    /// The fitted state of a category, and the slot of each code.
    pub(super) fn fit_category(
        &self,
        feature: usize,
        fit: CategoryFit,
        max_categories: usize,
        notices: &mut Vec<crate::error::Notice>,
    ) -> Result<(Fitted, Vec<u32>)> {
        let sorted = self.texts[feature]
            .as_ref()
            .ok_or_else(|| Error::internal("a number was fitted as a category"))?;
        let text = |code: u32| sorted.texts[code as usize].as_ref();
        let name = &self.features[feature].name;
        let fitted = fit.finish(name, &sorted.order, text, max_categories, notices);
        let slots = match &fitted {
            Fitted::Category(levels) => {
                sorted.texts.iter().map(|text| levels.slot(Some(text))).collect()
            }
            Fitted::Number { .. } => Vec::new(),
        };
        Ok((fitted, slots))
    }

    /// Whether a feature is a category: its column holds codes.
    pub(super) fn is_category(&self, feature: usize) -> bool {
        self.texts[feature].is_some()
    }
}

fn columns(
    roles: &Roles,
    texts: &[Option<Texts>],
    split: Option<&SplitValue>,
) -> (SchemaRef, Layout) {
    let mut fields: Vec<Field> = Vec::new();
    let mut add = |data_type: DataType, nullable: bool| {
        let position = fields.len();
        fields.push(Field::new(format!("c{position}"), data_type, nullable));
        position
    };
    for texts in texts {
        add(if texts.is_some() { DataType::UInt32 } else { DataType::Float64 }, false);
    }
    let label = add(DataType::Float64, false);
    let weight = roles.weight.map(|_| add(DataType::Float64, false));
    let split = split.map(|split| match split {
        SplitValue::Part => add(DataType::UInt8, false),
        SplitValue::Bytes => add(DataType::Binary, true),
    });
    let draw = add(DataType::UInt64, false);
    for _ in 0..3 {
        add(DataType::UInt64, false);
    }
    let draws_by_key = !roles.split_keys.is_empty();
    let layout = Layout { n_features: texts.len(), label, weight, split, draw, draws_by_key };
    (Arc::new(Schema::new(fields)), layout)
}
