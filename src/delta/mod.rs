//! Delta Lake tables: actions as values, table states, scans, files and change sets.
//!
//! This folder knows nothing of the warehouse log; `deltalake` is imported only here.

pub mod actions;
pub mod changes;
pub mod constraints;
pub mod location;
pub mod log;
pub mod new_files;
pub mod predicate;
pub mod scan;
pub mod schema;
pub mod state;
pub mod stats;
#[cfg(test)]
mod testing;
mod text;
pub mod writer;

pub use state::TableState;
