//! Transactions and settings.

pub mod discard;
pub mod reset;
pub mod set;
pub mod show;
pub mod transaction;
