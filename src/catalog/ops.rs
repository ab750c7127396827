//! The operations that change the catalog: what a record of the warehouse log says.

use super::{Model, ModelVersion, SchemaEntry, Table, TableId, View};
use serde::{Deserialize, Serialize};

/// One change of the catalog.
///
/// OIDs and version numbers inside are ignored: the fold hands them out. An operation that this
/// program does not know stops the fold with an error; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum CatalogOp {
    /// CREATE SCHEMA.
    CreateSchema {
        /// The new schema.
        schema: SchemaEntry,
    },
    /// DROP SCHEMA of an empty one; CASCADE drops what is in it by operations before this one.
    DropSchema {
        /// Its name.
        name: String,
    },
    /// CREATE TABLE, CREATE FEATURE TABLE.
    CreateTable {
        /// The new table.
        table: Box<Table>,
    },
    /// CREATE OR REPLACE TABLE, and later ALTER TABLE: the same id and OID.
    ReplaceTable {
        /// The table as it is from now on.
        table: Box<Table>,
    },
    /// DROP TABLE.
    DropTable {
        /// Its identity.
        id: TableId,
    },
    /// CREATE [OR REPLACE] VIEW; a view of the same name keeps its OID.
    CreateView {
        /// The new view.
        view: Box<View>,
    },
    /// DROP VIEW.
    DropView {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
    /// CREATE MODEL.
    CreateModel {
        /// The new model, without versions.
        model: Box<Model>,
    },
    /// CREATE OR REPLACE MODEL over an existing one: a new specification, the versions stay.
    ReplaceModelSpec {
        /// The model's identity.
        id: String,
        /// The new specification.
        spec: Box<super::ModelSpec>,
    },
    /// TRAIN MODEL.
    AddModelVersion {
        /// The model's identity.
        id: String,
        /// The new version.
        version: Box<ModelVersion>,
        /// It becomes the default.
        make_default: bool,
    },
    /// DROP MODEL.
    DropModel {
        /// The model's identity.
        id: String,
    },
    /// DROP MODEL … VERSION n.
    DropModelVersion {
        /// The model's identity.
        id: String,
        /// The version's number.
        version: u64,
    },
}

/// What the fold knows about the record that an operation stands in.
#[derive(Debug, Clone, Copy)]
pub struct OpContext {
    /// The record's sequence number.
    pub seq: u64,
    /// The record's time: microseconds since 1970, UTC.
    pub time: i64,
}
