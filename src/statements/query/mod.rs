//! Queries and their plans.

pub mod explain;
pub mod select;
