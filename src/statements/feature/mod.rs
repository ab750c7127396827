//! Feature tables.

pub mod create_feature_table;
pub mod drop_feature_table;
mod keys;
pub mod upsert;
