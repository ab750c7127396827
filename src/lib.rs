//! Cenote: a SQL-first lakehouse database. `src/README.md` is the map.

pub mod error;
pub mod format;
pub mod sqlstate;
pub mod suggest;
