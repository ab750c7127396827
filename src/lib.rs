//! Cenote: a SQL-first lakehouse database. `src/README.md` is the map.

pub mod catalog;
pub mod delta;
pub mod error;
pub mod ml;
pub mod parser;
pub mod sqlstate;
pub mod suggest;
