//! `cenote sql`: scripts, single commands and a shell on a warehouse, without a server.

pub(super) mod print;
mod report;
pub(super) mod run;
mod script;
mod shell;

use super::{MemoryArgs, complain};
use crate::error::{Error, Result};
use crate::session::Engine;
use crate::sqlstate::SqlState;
use clap::{ArgMatches, Args};
use print::OutputFormat;
use run::{Ended, Origin, Runner};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// As psql's with ON_ERROR_STOP: a statement failed.
const EXIT_STATEMENT: u8 = 3;

/// What errors call a script that is the standard input, as psql does.
const STDIN: &str = "<stdin>";

/// The options of `cenote sql`.
#[derive(Debug, Args)]
pub(super) struct SqlArgs {
    /// The folder of the warehouse; it is made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./cenote-data")]
    data: PathBuf,
    /// Run a file, - for standard input. -f and -c can be given more than once and run in order. The data of COPY …
    /// FROM STDIN are the script's lines behind the statement, up to \. on a line by itself.
    #[arg(short, long, value_name = "FILE")]
    file: Vec<String>,
    /// Run statements. Several in one -c are one transaction: if one fails, none has happened. COPY … FROM STDIN
    /// reads standard input.
    #[arg(short, long, value_name = "SQL")]
    command: Vec<String>,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
    /// Go on after a statement that failed; the exit code is 0 then. The statements of one -c are one transaction:
    /// the first that fails ends it, and the next -c or -f goes on.
    #[arg(long)]
    continue_on_error: bool,
    #[command(flatten)]
    memory: MemoryArgs,
    /// -f and -c in the order of the command line.
    #[arg(skip)]
    sources: Vec<Source>,
}

/// What is to be run.
#[derive(Debug)]
enum Source {
    File(String),
    Command(String),
}

impl SqlArgs {
    /// Puts files and commands into the order that they were given in.
    pub(super) fn take_order(&mut self, matches: &ArgMatches) {
        let places = |id| matches.indices_of(id).into_iter().flatten();
        let files = places("file").zip(self.file.drain(..).map(Source::File));
        let mut sources: Vec<_> = files.collect();
        sources.extend(places("command").zip(self.command.drain(..).map(Source::Command)));
        sources.sort_by_key(|(place, _)| *place);
        self.sources = sources.into_iter().map(|(_, source)| source).collect();
    }
}

/// Runs what was given, or the shell.
pub(super) fn sql(args: &SqlArgs) -> ExitCode {
    match run_all(args) {
        Ok(ended) => ended.exit_code(EXIT_STATEMENT),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run_all(args: &SqlArgs) -> Result<Ended> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(crate::planner::STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|e| {
            Error::new(SqlState::IoError, format!("cannot start threads: {e}")).source(e)
        })?;
    let engine = runtime.block_on(Engine::open_within(&args.data, args.memory.memory_limit))?;
    let mut runner = Runner::new(&engine, runtime, args.format, Vec::new())?;
    let ended = run_sources(&mut runner, args);
    runner.close();
    ended
}

/// Runs all sources, up to one that does not end well.
fn run_sources(runner: &mut Runner, args: &SqlArgs) -> Result<Ended> {
    if args.sources.is_empty() {
        if std::io::stdin().is_terminal() {
            return shell::run(runner).map(|()| Ended::Done);
        }
        return run_file(runner, "-", args.continue_on_error);
    }
    for source in &args.sources {
        let ended = match source {
            Source::Command(text) => runner.group(text, args.continue_on_error),
            Source::File(name) => run_file(runner, name, args.continue_on_error)?,
        };
        if ended != Ended::Done {
            return Ok(ended);
        }
    }
    Ok(Ended::Done)
}

fn run_file(runner: &mut Runner, name: &str, go_on: bool) -> Result<Ended> {
    let text = read_source(name)?;
    let name = if name == "-" { STDIN } else { name };
    Ok(runner.script(&text, Origin::Script(name), go_on))
}

fn read_source(name: &str) -> Result<String> {
    let read = if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(Path::new(name))
    };
    read.map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => SqlState::UndefinedFile,
            _ => SqlState::IoError,
        };
        Error::new(code, format!("cannot read {name}: {error}")).source(error)
    })
}
