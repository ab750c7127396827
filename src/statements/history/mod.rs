//! What happened to a table.

pub mod describe_history;
