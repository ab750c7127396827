//! `cenote demo`: the scripts of `sql/demo` on a warehouse of its own, each statement with its result.

use super::complain;
use super::sql::print::OutputFormat;
use super::sql::run::{Ended, Origin, Runner};
use crate::error::{Error, Result};
use crate::session::Engine;
use crate::sqlstate::SqlState;
use std::path::{Path, PathBuf};
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
    /// The folder of the warehouse, which must not hold a demo yet; a temporary one that is removed at the end if not
    /// given.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The exit code if a statement failed.
const EXIT_STATEMENT: u8 = 1;

/// The schemas that the scripts make, and put everything into.
const SCHEMAS: &[&str] = &["bronze", "silver", "gold"];

/// Runs the demo.
pub(super) fn demo(args: &DemoArgs) -> ExitCode {
    match run(args) {
        Ok(ended) => ended.exit_code(EXIT_STATEMENT),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &DemoArgs) -> Result<Ended> {
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
    runtime.block_on(check_is_free(&engine, &warehouse))?;
    let folder = scratch.path().display().to_string();
    let settings = vec![("file_search_path".to_owned(), folder)];
    let mut runner = Runner::new(&engine, runtime, OutputFormat::Table, settings)?;
    runner.echo();
    let ended = run_scripts(&mut runner);
    runner.close();
    Ok(ended)
}

/// Runs the scripts, up to one that does not end well.
fn run_scripts(runner: &mut Runner) -> Ended {
    for (name, text) in SCRIPTS {
        let ended = runner.script(text, Origin::Script(name), false);
        if ended != Ended::Done {
            return ended;
        }
    }
    Ended::Done
}

/// Refuses a warehouse that has what the demo would make, before anything is made.
async fn check_is_free(engine: &Engine, warehouse: &Path) -> Result<()> {
    let snapshot = engine.services().warehouse.snapshot().await?;
    let taken = SCHEMAS.iter().find(|name| snapshot.catalog().schema(name).is_some());
    let Some(name) = taken else { return Ok(()) };
    Err(Error::new(
        SqlState::DuplicateSchema,
        format!("the warehouse at \"{}\" has a schema \"{name}\" already", warehouse.display()),
    )
    .hint("The demo makes the schemas bronze, silver and gold. Give it a folder of its own with --data, or no folder."))
}
