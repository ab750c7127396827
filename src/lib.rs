//! Cenote: a SQL-first lakehouse database. `src/README.md` is the map.

pub mod catalog;
pub mod cli;
pub mod config;
pub mod delta;
pub mod error;
pub mod features;
pub mod format;
pub mod ml;
pub mod parser;
pub mod planner;
pub mod server;
pub mod session;
pub mod sqlstate;
pub mod statements;
pub mod store;
pub mod suggest;
pub mod system;
pub mod warehouse;
