//! Models: how they are made, trained again, described and asked.

mod bigquery;
pub mod create_model;
pub mod describe_model;
pub mod drop_model;
mod options;
pub mod predict;
pub mod retrain_model;
pub(super) mod runs;
pub mod show_models;
mod source;
pub mod train_model;
mod training;
