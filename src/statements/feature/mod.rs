//! Feature tables.

pub mod drop_feature_table;
pub mod upsert;
