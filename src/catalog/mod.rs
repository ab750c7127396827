//! What exists in a warehouse: schemas, tables, views and models, as one immutable value.
//!
//! Pure: no I/O. [`CatalogState`] is the fold of the [`CatalogOp`]s that stand in the records of the
//! warehouse log; OIDs and model version numbers are handed out by the fold, never before.

mod objects;
mod ops;
mod sql_type;
mod state;

pub use objects::*;
pub use ops::{CatalogOp, OpContext};
pub use sql_type::SqlType;
pub use state::{CatalogParts, CatalogState, FIRST_USER_OID, Relation};
