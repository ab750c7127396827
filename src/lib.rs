//! Cenote: a SQL-first lakehouse database. `src/README.md` is the map.

pub mod error;
pub mod ml;
pub mod sqlstate;
pub mod suggest;
