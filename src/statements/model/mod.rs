//! Models: how they are made, trained again, described and asked.

pub mod create_model;
pub mod describe_model;
pub mod drop_model;
pub mod predict;
pub mod retrain_model;
pub mod show_models;
pub mod train_model;
