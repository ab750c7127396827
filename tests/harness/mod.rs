//! Starts the real binary on a temporary folder and a free port, and talks to it as a client would.

mod command;
pub mod raw;
mod seed;
mod server;

pub use command::{Outcome, cenote, sql, sql_script};
pub use seed::generator;
pub use server::{Server, run};

use std::path::PathBuf;

/// A file or folder of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The small public data sets that tests read; a server under test has this as its working directory.
pub fn data_folder() -> PathBuf {
    repository("tests/data")
}

/// A fresh folder that goes away with the test.
pub fn temporary_folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("cenote-test-").tempdir().expect("a temporary folder")
}

/// What a server said in an error, with everything that a user would see.
pub fn describe(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else { return format!("{error:?}") };
    let mut text = format!("{}: {}", db.code().code(), db.message());
    if let Some(detail) = db.detail() {
        text += &format!(" DETAIL: {detail}");
    }
    if let Some(hint) = db.hint() {
        text += &format!(" HINT: {hint}");
    }
    if let Some(place) = db.where_() {
        text += &format!(" CONTEXT: {place}");
    }
    if let Some(tokio_postgres::error::ErrorPosition::Original(position)) = db.position() {
        text += &format!(" POSITION: {position}");
    }
    text
}

/// The five characters of an error's SQLSTATE.
#[track_caller]
pub fn sqlstate<T: std::fmt::Debug>(result: Result<T, tokio_postgres::Error>) -> String {
    let error = result.expect_err("the statement should have failed");
    match error.code() {
        Some(code) => code.code().to_owned(),
        None => panic!("not an error of the server: {error:?}"),
    }
}
