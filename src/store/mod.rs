//! The durable object store, the test of put-if-absent, and the seams for faults and power cuts.
//!
//! object_store's own local store never calls fsync; [`DurableStore`] stands in its place for the
//! warehouse log, the Delta logs, data and artefacts. [`FaultStore`] makes single store operations
//! fail; [`TraceDisk`] records file-system calls and shows what a power cut would have left.

mod disk;
mod durable;
mod fault;
mod power;
mod probe;
mod scratch;
mod upload;

pub use disk::{Disk, OsDisk};
pub use durable::DurableStore;
pub use fault::{Fault, FaultStore, Gate};
pub use power::TraceDisk;
pub use probe::put_if_absent_test;
pub use scratch::{Alone, SCRATCH_FOLDER};

use crate::error::Error;
use crate::sqlstate::SqlState;
use std::io;
use std::path::Path;

/// The error of a file operation, with the SQLSTATE that its cause asks for.
pub(crate) fn io_error(doing: &str, path: &Path, error: io::Error) -> Error {
    let message = format!("could not {doing} \"{}\": {}", path.display(), plain(&error));
    let answer = match error.kind() {
        io::ErrorKind::NotFound => Error::new(SqlState::UndefinedFile, message),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(SqlState::DiskFull, message).hint("Free some space and try again.")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::new(SqlState::InsufficientPrivilege, message)
                .hint("The user that runs cenote needs to read and write this folder.")
        }
        _ => Error::new(SqlState::IoError, message),
    };
    answer.source(error)
}

/// The error's text without the number of the operating system.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

/// One of our errors in the clothes of an object store's.
pub(crate) fn as_store_error(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: "cenote", source: Box::new(error) }
}
