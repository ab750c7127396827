//! The warehouse: one log of records, the snapshots that it yields, and transactions on top of them.
//!
//! A record that is put under the next free key of `_cenote/log` is the only commit point, for tables,
//! models and everything else. The fold of the records is the catalog and, for each table, the Delta
//! commits that were promised to it; these are then published to the table's own `_delta_log`. Several
//! processes may do all of this at once: the key of the next record is the arbiter.
//!
//! - [`Warehouse::open`] finds the head of the log and publishes what a crash left unpublished.
//! - [`Snapshot`] is the warehouse after one record; it never changes.
//! - [`Transaction`] collects operations and changes over a snapshot and commits them as one record.

mod change;
mod checkpoint;
mod clock;
mod commit;
mod conflict;
mod doctor;
mod draft;
mod envelope;
mod fold;
mod genesis;
mod history;
mod keys;
mod log;
mod maintain;
mod open;
mod publish;
mod record;
mod refresh;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;

pub use change::{ReadSet, TIME_TAG, TableChange};
pub use clock::{Clock, ManualClock, SystemClock};
pub use commit::{CommitInfo, Committed};
pub use doctor::{Examination, examine, set_torn_record_aside};
pub use genesis::{RUN_METRICS, RUN_PARAMS, RUN_VERSION, RUNS, SYSTEM_SCHEMA};
pub use history::{CommitEntry, HistoryEntry};
pub use open::{Options, Warehouse, WrapStore};
pub use record::{DeltaCommit, Quarantine, Record, Staged, TxnRecord};
pub use snapshot::Snapshot;
pub use transaction::{Mark, Transaction};
