//! Cenote: a SQL-first lakehouse database. `src/README.md` is the map.

pub mod catalog;
pub mod delta;
pub mod error;
pub mod sqlstate;
pub mod suggest;
pub mod system;
