//! The objects of the catalog, as they stand in records and checkpoints.

use super::SqlType;
use super::sql_type::VARCHAR_HEADER;
use crate::format::{PG_TYPE_KEY, TYPMOD_KEY};
use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Identifies a table for ever; never reused. Random, 32 hexadecimal digits.
pub type TableId = String;
/// Identifies a model for ever; never reused. Random, 32 hexadecimal digits.
pub type ModelId = String;

/// A new random id for a table, model, run, transaction or folder.
pub fn random_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A schema-qualified name, folded as PostgreSQL folds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QualifiedName {
    /// The schema.
    pub schema: String,
    /// The name within the schema.
    pub name: String,
}

impl QualifiedName {
    /// Builds a name from its parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl std::fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaEntry {
    /// Its name.
    pub name: String,
    /// Its stable OID, given by the fold.
    pub oid: u32,
    /// The role that owns it.
    pub owner: String,
}

/// A column of a table or view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub sql_type: SqlType,
    /// NULL is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_null: bool,
    /// The expression that an INSERT without a value takes, as the user wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Not part of `*` (a feature table's `_committed_at`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl Column {
    /// A nullable column without a default.
    pub fn new(name: impl Into<String>, sql_type: SqlType) -> Self {
        Self { name: name.into(), sql_type, not_null: false, default: None, hidden: false }
    }

    /// The same column, refusing NULL.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// The Arrow field of the column; varchar's length travels as metadata.
    pub fn field(&self) -> Field {
        let field = Field::new(&self.name, self.sql_type.arrow(), !self.not_null);
        match &self.sql_type {
            SqlType::Varchar(n) => field.with_metadata(
                [
                    (PG_TYPE_KEY.to_owned(), "varchar".to_owned()),
                    (TYPMOD_KEY.to_owned(), (n + VARCHAR_HEADER).to_string()),
                ]
                .into(),
            ),
            _ => field,
        }
    }
}

/// The Arrow schema of a list of columns, the hidden ones included.
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}

/// A CHECK constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name, unique within the table.
    pub name: String,
    /// The expression as the user wrote it.
    pub expression: String,
}

/// What makes a table a feature table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// The entity's key columns.
    pub primary_key: Vec<String>,
    /// The event-time column, if rows have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_key: Option<String>,
    /// The table that keeps replaced and deleted rows.
    pub history: TableId,
    /// The query that it was created from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

impl FeatureSpec {
    /// The whole key of a row: PRIMARY KEY, then TIMESTAMP KEY.
    pub fn key(&self) -> Vec<&str> {
        self.primary_key.iter().chain(&self.timestamp_key).map(String::as_str).collect()
    }
}

/// A managed Delta table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its identity; its folder is named after it.
    pub id: TableId,
    /// Its stable OID, given by the fold.
    pub oid: u32,
    /// Its name.
    pub name: QualifiedName,
    /// Its folder, relative to the warehouse, percent-encoded.
    pub path: String,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Its CHECK constraints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The columns that its files are partitioned by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// Delta table properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Set for feature tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<FeatureSpec>,
    /// Written by the system alone (run records, feature history).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
    /// The role that owns it.
    pub owner: String,
    /// The table's comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Table {
    /// The Arrow schema of all columns, the hidden ones included.
    pub fn schema(&self) -> SchemaRef {
        arrow_schema(&self.columns)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// What a view or model query depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependency {
    /// A table, by identity.
    Table(TableId),
    /// A view, by OID.
    View(u32),
    /// A model, by identity.
    Model(ModelId),
}

/// A view. It is planned from its text each time it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Its stable OID, given by the fold.
    pub oid: u32,
    /// Its name.
    pub name: QualifiedName,
    /// The query as the user wrote it.
    pub query: String,
    /// The search_path of its creation.
    pub search_path: Vec<String>,
    /// Its columns, frozen at creation.
    pub columns: Vec<Column>,
    /// True if CREATE VIEW listed names: the query's columns then have others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renamed: bool,
    /// What it reads.
    pub depends_on: Vec<Dependency>,
    /// The role that owns it.
    pub owner: String,
}

/// What CREATE MODEL says: how a version is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The label column.
    pub label: String,
    /// The algorithm's name, or none for the label type's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Options as given, by name.
    #[serde(default)]
    pub options: BTreeMap<String, serde_json::Value>,
    /// The training query as the user wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The search_path of its creation.
    pub search_path: Vec<String>,
    /// The TimeZone of its creation.
    pub time_zone: String,
    /// What the query reads.
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
}

/// A table version that a model version was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The table.
    pub table: TableId,
    /// Its name at training time.
    pub name: QualifiedName,
    /// The pinned version.
    pub version: i64,
}

/// A hash and length of a file in the warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// File name within the artefact's folder.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of its bytes, hexadecimal.
    pub blake3: String,
}

/// One trained version of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelVersion {
    /// Its number, given by the fold; 0 until then.
    pub version: u64,
    /// The run that trained it.
    pub run_id: String,
    /// The artefact's folder, relative to the warehouse.
    pub path: String,
    /// The artefact's files.
    pub files: Vec<FileDigest>,
    /// Content hash of the artefact, hexadecimal; equal for equal models.
    pub artifact_hash: String,
    /// The algorithm.
    pub algorithm: String,
    /// `regression`, `binary_classification` or `multiclass_classification`.
    pub task: String,
    /// The label column.
    pub label: String,
    /// The label's SQL type.
    pub label_type: SqlType,
    /// Feature names and SQL types, in signature order.
    pub features: Vec<(String, SqlType)>,
    /// All options in effect, as text.
    pub params: Vec<(String, String)>,
    /// The options that were given, for RETRAIN.
    pub options: BTreeMap<String, serde_json::Value>,
    /// The training query's text.
    pub query: String,
    /// The search_path that the query was planned with.
    pub search_path: Vec<String>,
    /// The TimeZone that the query was planned with.
    pub time_zone: String,
    /// Texts of the views that the query reads, by name.
    #[serde(default)]
    pub views: BTreeMap<String, String>,
    /// The warehouse snapshot that it was trained on.
    pub snapshot: u64,
    /// The tables that it was trained on.
    pub pins: Vec<Pin>,
    /// The seed.
    pub seed: i64,
    /// What `now()` was in the training query: microseconds since 1970, UTC.
    pub started_at: i64,
    /// Training rows, the skipped ones not counted.
    pub n_rows: u64,
    /// Version of the program that trained it.
    pub engine_version: String,
    /// Microseconds since 1970, UTC.
    pub created_at: i64,
    /// The role that trained it.
    pub created_by: String,
}

/// A model: its specification and its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its identity.
    pub id: ModelId,
    /// Its stable OID, given by the fold.
    pub oid: u32,
    /// Its name; models have a namespace of their own within a schema.
    pub name: QualifiedName,
    /// How it is trained.
    pub spec: ModelSpec,
    /// The version that its bare name means.
    pub default_version: Option<u64>,
    /// The number that the next version gets.
    pub next_version: u64,
    /// The versions, ascending.
    #[serde(with = "shared_list")]
    pub versions: Vec<Arc<ModelVersion>>,
    /// The role that owns it.
    pub owner: String,
    /// Microseconds since 1970, UTC.
    pub created_at: i64,
}

impl Model {
    /// The version of this number.
    pub fn version(&self, number: u64) -> Option<&Arc<ModelVersion>> {
        self.versions.iter().find(|v| v.version == number)
    }
}

/// Serialises a list of shared values as the values themselves.
mod shared_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        list: &[Arc<T>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(AsRef::as_ref))
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Arc<T>>, D::Error> {
        Ok(Vec::<T>::deserialize(deserializer)?.into_iter().map(Arc::new).collect())
    }
}
