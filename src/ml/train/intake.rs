//! Which of the query's columns train, and which of its rows.

use crate::error::{Error, Result};
use crate::ml::dataset::{Nulls, null_feature, push_numbers};
use crate::ml::signature::{Feature, FeatureKind};
use crate::sqlstate::SqlState;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};

/// Which columns of the query play which part.
pub(crate) struct Roles {
    /// Positions of the features, in the query's order.
    pub(crate) features: Vec<usize>,
    /// Position of the label.
    pub(crate) label: usize,
    /// Position of the weights.
    pub(crate) weight: Option<usize>,
    /// Position of the column that orders or names the parts.
    pub(crate) split_column: Option<usize>,
    /// Positions of the columns whose equal values stay in one part.
    pub(crate) split_keys: Vec<usize>,
}

impl Roles {
    /// The features as a model knows them. 0A000 for a type that cannot be used.
    pub(crate) fn features(&self, schema: &SchemaRef) -> Result<Vec<Feature>> {
        let feature = |index: &usize| {
            let field = schema.field(*index);
            Ok(Feature {
                name: field.name().clone(),
                kind: FeatureKind::of_type(field.name(), field.data_type())?,
                data_type: field.data_type().clone(),
            })
        };
        self.features.iter().map(feature).collect()
    }
}

/// Rows that were left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skipped {
    /// For a NULL label.
    pub(crate) null_labels: usize,
    /// For a weight of 0 or NULL.
    pub(crate) no_weight: usize,
    /// For a NULL feature, under `nulls = 'skip'`.
    pub(crate) null_features: usize,
}

impl Skipped {
    /// All of them.
    pub(crate) fn total(&self) -> usize {
        self.null_labels + self.no_weight + self.null_features
    }
}

/// Leaves out rows that cannot train.
pub(crate) struct Intake {
    pub(crate) schema: SchemaRef,
    pub(crate) roles: Roles,
    pub(crate) features: Vec<Feature>,
    pub(crate) skipped: Skipped,
    nulls: Nulls,
}

impl Intake {
    /// An intake of batches of `schema`. 0A000 for a feature type that cannot be used.
    pub(crate) fn new(schema: SchemaRef, roles: Roles, nulls: Nulls) -> Result<Self> {
        let features = roles.features(&schema)?;
        Ok(Self { schema, roles, features, skipped: Skipped::default(), nulls })
    }

    /// The rows of a batch that have a label, a weight and, if asked for, no NULL feature.
    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let keep = self.rows_to_keep(batch)?;
        if keep.true_count() == batch.num_rows() {
            return Ok(batch.clone());
        }
        Ok(filter_record_batch(batch, &keep)?)
    }

    fn rows_to_keep(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let n = batch.num_rows();
        let label = batch.column(self.roles.label);
        let mut keep: Vec<bool> = not_null(label)?;
        self.skipped.null_labels += n - count(&keep);
        if let Some(index) = self.roles.weight {
            let name = self.schema.field(index).name().clone();
            let before = count(&keep);
            let mut weights = Vec::with_capacity(n);
            push_numbers(&mut weights, batch.column(index), &name)?;
            for (keep, weight) in keep.iter_mut().zip(&weights) {
                if *weight < 0.0 {
                    return Err(Error::new(
                        SqlState::InvalidParameterValue,
                        format!("weight column \"{name}\" has a negative value"),
                    )
                    .column(name));
                }
                *keep &= *weight > 0.0;
            }
            self.skipped.no_weight += before - count(&keep);
        }
        if self.nulls == Nulls::Impute {
            return Ok(keep.into());
        }
        let before = count(&keep);
        for (feature, &index) in self.features.iter().zip(&self.roles.features) {
            for (keep, not_null) in keep.iter_mut().zip(not_null(batch.column(index))?) {
                if *keep && !not_null && self.nulls == Nulls::Error {
                    return Err(null_feature(&feature.name));
                }
                *keep &= not_null;
            }
        }
        self.skipped.null_features += before - count(&keep);
        Ok(keep.into())
    }
}

fn count(keep: &[bool]) -> usize {
    keep.iter().filter(|k| **k).count()
}

fn not_null(array: &ArrayRef) -> Result<Vec<bool>> {
    let mut result: Vec<bool> = match array.logical_nulls() {
        Some(nulls) => nulls.iter().collect(),
        None => vec![true; array.len()],
    };
    if array.data_type().is_floating() {
        let floats = cast(array, &DataType::Float64)?;
        for (keep, value) in result.iter_mut().zip(floats.as_primitive::<Float64Type>().values()) {
            *keep &= !value.is_nan();
        }
    }
    Ok(result)
}
