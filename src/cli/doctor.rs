//! `cenote doctor`: is a warehouse whole, and if not, what is wrong?

use super::complain;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::warehouse::{Examination, examine, set_torn_record_aside};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// The options of `cenote doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The folder of the warehouse. It must be writable: what a crash left unpublished is published first, as at every
    /// start.
    #[arg(long, value_name = "DIR", default_value = "./cenote-data")]
    data: PathBuf,
    /// Set a torn last record aside. No server or shell may use the warehouse meanwhile.
    #[arg(long)]
    fix: bool,
}

/// Examines, and mends what can be mended if asked to. Succeeds if nothing is wrong in the end.
pub(super) fn doctor(args: &DoctorArgs) -> ExitCode {
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well in the end.
fn run(args: &DoctorArgs) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(SqlState::IoError, format!("cannot start threads: {e}")))?;
    let mut found = runtime.block_on(examine(&args.data))?;
    if let Some(torn) = found.torn {
        if args.fix {
            let aside = runtime.block_on(set_torn_record_aside(&args.data))?;
            say(&format!("record {torn} was torn; it is now {}", aside.display()));
            found = runtime.block_on(examine(&args.data))?;
        } else {
            report(&found);
            say(&format!("cenote doctor --fix sets record {torn} aside; what it held is lost"));
            return Ok(false);
        }
    }
    report(&found);
    Ok(found.problems.is_empty())
}

fn report(found: &Examination) {
    say(&format!("log: {} records", found.records));
    if found.problems.is_empty() {
        say(&format!(
            "tables: {}, with {} data files of {} bytes",
            found.tables, found.data_files, found.data_bytes
        ));
        say(&format!("models: {} versions", found.model_versions));
        say("all is well");
    }
    for problem in &found.problems {
        say(&format!("problem: {problem}"));
    }
}

/// Prints a line. A reader that goes away has seen enough; the exit code says the rest.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
