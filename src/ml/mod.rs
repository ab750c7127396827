//! The machine-learning engine: Arrow in, models out. No SQL text, no session; of the catalog only names and places.
//!
//! ```text
//! query ─► dataset ─► split ─► preprocess (fitted on the training part) ─► estimator ─► model + metrics ─► artifact
//! row   ─► the same preprocess ─► model.predict over Arrow columns
//! ```
//!
//! [`train`] is the one way to a model; [`Model::predict`] the one way to a prediction; [`to_parts`] and
//! [`from_parts`] turn a model into files and back.

mod algorithm;
mod artifact;
mod canonical;
mod dataset;
mod estimator;
mod evaluation;
mod forest;
mod interner;
mod linear;
mod link;
mod model;
mod options;
mod preprocess;
mod progress;
pub mod registry;
mod report;
mod signature;
mod split;
mod tensors;
mod train;

#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, Goal, Task};
pub use artifact::{Artifact, content_hash, from_parts, to_parts};
pub use estimator::Measurement;
pub use evaluation::{Confusion, Evaluation, MAX_EMPTY_CELLS, metric_names};
pub use model::{Label, Model, Prediction};
pub use options::{OptionValue, Options};
pub use progress::{Progress, ProgressCallback};
pub use report::{
    confusion_matrix_batch, confusion_matrix_schema, evaluation_batch, evaluation_schema,
    fit_statistics_schema, weights_schema,
};
pub use signature::{Feature, FeatureKind, Signature};
pub use train::{TrainContext, TrainRequest, Trained, train};
