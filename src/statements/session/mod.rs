//! Transactions and settings.

mod calls;
pub mod discard;
pub mod pg_sleep;
pub mod reset;
pub mod set;
pub mod set_config;
pub mod show;
pub mod transaction;
