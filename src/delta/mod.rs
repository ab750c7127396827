//! Delta Lake tables: actions as values, table states, scans, files and change sets.
//!
//! This folder knows nothing of the warehouse log; `deltalake` is imported only here.

pub mod actions;
pub mod state;
pub mod stats;

pub use state::TableState;
