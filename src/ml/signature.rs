//! What a model wants to be fed: the features' names and kinds.

use crate::catalog::SqlType;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::suggest;
use arrow::datatypes::{DataType, Schema};

/// How a feature is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// A number: integers, floats, decimals.
    Number,
    /// A category given as text.
    Text,
    /// A category of two levels, `false` and `true`.
    Boolean,
}

/// One feature of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// The column's name.
    pub name: String,
    /// How it is used.
    pub kind: FeatureKind,
    /// The type of the column that the model was trained on.
    pub data_type: DataType,
}

/// The features of a model in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// In the order of the training query.
    pub features: Vec<Feature>,
}

impl FeatureKind {
    /// The kind of a column's type; 0A000 for what cannot be a feature yet.
    pub fn of_type(name: &str, data_type: &DataType) -> Result<Self> {
        match data_type {
            DataType::Dictionary(_, values) => Self::of_type(name, values),
            DataType::Null => Ok(FeatureKind::Number),
            DataType::Boolean => Ok(FeatureKind::Boolean),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(FeatureKind::Text),
            other if other.is_numeric() => Ok(FeatureKind::Number),
            other => {
                let hint = if other.is_temporal() {
                    format!(
                        "Use parts of it, such as extract(month from {name}), or leave the column out."
                    )
                } else {
                    "Use its elements as columns of their own, or leave the column out.".to_string()
                };
                let what = format!("feature \"{name}\" of type {}", SqlType::shown(other));
                Err(Error::unsupported(what, hint).column(name))
            }
        }
    }

    /// The name as stored and as shown in messages.
    pub fn name(self) -> &'static str {
        match self {
            FeatureKind::Number => "number",
            FeatureKind::Text => "text",
            FeatureKind::Boolean => "boolean",
        }
    }

    /// The kind of a name written by [`FeatureKind::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [FeatureKind::Number, FeatureKind::Text, FeatureKind::Boolean]
            .into_iter()
            .find(|k| k.name() == name)
    }
}

impl Signature {
    /// The position of each feature among the columns of `schema`; columns that are no features are ignored.
    /// 42703 for a missing feature, 42804 for one of the wrong kind.
    pub fn resolve(&self, schema: &Schema) -> Result<Vec<usize>> {
        self.features
            .iter()
            .map(|feature| {
                let index = schema.index_of(&feature.name).map_err(|_| missing(feature, schema))?;
                feature.check_type(schema.field(index).data_type())?;
                Ok(index)
            })
            .collect()
    }
}

fn missing(feature: &Feature, schema: &Schema) -> Error {
    let names: Vec<&String> = schema.fields().iter().map(|f| f.name()).collect();
    Error::new(
        SqlState::UndefinedColumn,
        format!("the model needs the column \"{}\", which the input lacks", feature.name),
    )
    .column(&feature.name)
    .maybe_hint(
        suggest::hint("column", &feature.name, &names).map(|h| format!("{h} Rename it with AS.")),
    )
}

impl Feature {
    /// Whether a column of this type can be fed: 42804 if not. NULL literals fit everything.
    pub fn check_type(&self, data_type: &DataType) -> Result<()> {
        let fits = match data_type {
            DataType::Null => true,
            other => FeatureKind::of_type(&self.name, other).is_ok_and(|kind| kind == self.kind),
        };
        if fits {
            return Ok(());
        }
        Err(Error::new(
            SqlState::DatatypeMismatch,
            format!(
                "the model needs a {} for \"{}\", but the input's column is of type {}",
                self.kind.name(),
                self.name,
                SqlType::shown(data_type)
            ),
        )
        .column(&self.name)
        .hint(format!(
            "The model was trained on type {}; cast the column.",
            SqlType::shown(&self.data_type)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    #[test]
    fn missing_and_wrong_columns_are_named() {
        let signature = Signature {
            features: vec![Feature {
                name: "body_mass".into(),
                kind: FeatureKind::Number,
                data_type: DataType::Int64,
            }],
        };
        let fields = |name: &str, t| {
            Schema::new(vec![Field::new("extra", DataType::Utf8, true), Field::new(name, t, true)])
        };
        assert_eq!(signature.resolve(&fields("body_mass", DataType::Float64)).unwrap(), vec![1]);
        let error = signature.resolve(&fields("body_mas", DataType::Float64)).unwrap_err();
        assert_eq!(error.code(), SqlState::UndefinedColumn);
        assert!(error.get_hint().unwrap().contains("body_mas"));
        let error = signature.resolve(&fields("body_mass", DataType::Utf8)).unwrap_err();
        assert_eq!(error.code(), SqlState::DatatypeMismatch);
        assert_eq!(
            FeatureKind::of_type("d", &DataType::Date32).unwrap_err().code(),
            SqlState::FeatureNotSupported
        );
    }
}
