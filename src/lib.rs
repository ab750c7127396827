//! Cenote: a SQL-first lakehouse database. `src/README.md` is the map.

pub mod catalog;
pub mod cli;
pub mod delta;
pub mod error;
pub mod format;
pub mod server;
pub mod session;
pub mod sqlstate;
pub mod suggest;
