//! `cenote demo`: the scripts of `sql/demo` on a warehouse of its own, each statement with its result.

use super::complain;
use super::sql::print::OutputFormat;
use super::sql::run::{Ended, Runner};
use crate::error::{Error, Result};
use crate::session::Engine;
use crate::sqlstate::SqlState;
use std::path::PathBuf;
use std::process::ExitCode;

/// The scripts, in order.
const SCRIPTS: &[(&str, &str)] = &[
    ("01_bronze.sql", include_str!("../../sql/demo/01_bronze.sql")),
    ("02_silver.sql", include_str!("../../sql/demo/02_silver.sql")),
    ("03_gold.sql", include_str!("../../sql/demo/03_gold.sql")),
    ("04_time_travel.sql", include_str!("../../sql/demo/04_time_travel.sql")),
    ("05_transaction.sql", include_str!("../../sql/demo/05_transaction.sql")),
    ("06_features.sql", include_str!("../../sql/demo/06_features.sql")),
    ("07_model.sql", include_str!("../../sql/demo/07_model.sql")),
    ("08_classifier.sql", include_str!("../../sql/demo/08_classifier.sql")),
    ("09_serving.sql", include_str!("../../sql/demo/09_serving.sql")),
];

/// The data that they read.
const DATA: (&str, &str) =
    ("penguins_raw.csv", include_str!("../../sql/demo/data/penguins_raw.csv"));

/// Options of `cenote demo`.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// The folder of the warehouse; a temporary one that is removed at the end if not given.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs the demo.
pub(super) fn demo(args: &DemoArgs) -> ExitCode {
    match run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whether every statement went well.
fn run(args: &DemoArgs) -> Result<bool> {
    let scratch = tempfile::tempdir()?;
    std::fs::write(scratch.path().join(DATA.0), DATA.1)?;
    let warehouse = args.data.clone().unwrap_or_else(|| scratch.path().join("warehouse"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(crate::planner::STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|e| {
            Error::new(SqlState::IoError, format!("cannot start threads: {e}")).source(e)
        })?;
    let engine = runtime.block_on(Engine::open(&warehouse))?;
    let folder = scratch.path().display().to_string();
    let settings = vec![("file_search_path".to_owned(), folder)];
    let mut runner = Runner::new(&engine, runtime, OutputFormat::Table, settings)?;
    runner.echo();
    for (name, text) in SCRIPTS {
        if runner.script(text, Some(name), false) == Ended::Failed {
            return Ok(false);
        }
    }
    Ok(true)
}
