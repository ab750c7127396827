//! The commands of the binary.

mod demo;
mod doctor;
mod serve;
mod sql;

use crate::error::Error;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A SQL-first lakehouse database.
#[derive(Debug, Parser)]
#[command(name = "cenote", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve PostgreSQL clients.
    Serve(serve::ServeArgs),
    /// Show what Cenote does: real data from bronze to predictions, every statement with its result.
    Demo(demo::DemoArgs),
    /// Look whether a warehouse is whole; set a torn last record of its log aside.
    Doctor(doctor::DoctorArgs),
    /// Run SQL on a warehouse without a server: scripts, commands, or a shell.
    Sql(sql::SqlArgs),
}

/// How much memory a command may use.
#[derive(Debug, Args)]
struct MemoryArgs {
    /// Memory that queries and training share, such as 512MiB or 4GB; what does not fit goes to temporary files (in
    /// TMPDIR). Three quarters of the machine's if it is not given.
    #[arg(long, value_name = "SIZE", value_parser = memory_limit)]
    memory_limit: Option<usize>,
}

fn memory_limit(text: &str) -> Result<usize, String> {
    crate::config::parse_memory(text).map_err(|error| match error.get_hint() {
        Some(hint) => format!("{}. {hint}", error.message()),
        None => error.message().to_owned(),
    })
}

/// Runs what the command line asks for, and returns the exit code of the process.
#[must_use]
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    start_log();
    // The shell plans on the thread that it runs on, whose stack is as large as any other's that does.
    let run = move || run(cli.command, &matches);
    let thread = std::thread::Builder::new().stack_size(crate::planner::STACK_BYTES).spawn(run);
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        _ => ExitCode::FAILURE,
    }
}

fn run(command: Command, matches: &clap::ArgMatches) -> ExitCode {
    match command {
        Command::Serve(args) => serve::serve(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Sql(mut args) => {
            if let Some(matches) = matches.subcommand_matches("sql") {
                args.take_order(matches);
            }
            sql::sql(&args)
        }
    }
}

/// Logs go to standard error, `CENOTE_LOG` says what is logged. A panic is logged too: whom it
/// hits is told in the words of the protocol or the shell.
fn start_log() {
    let filter = EnvFilter::try_from_env("CENOTE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("unknown panic");
        tracing::error!(place, message, "panic");
    }));
}

/// Tells the user why a command cannot go on.
fn complain(error: &Error) {
    eprintln!("error: {error}");
    if let Some(detail) = error.get_detail() {
        eprintln!("  {detail}");
    }
    if let Some(hint) = error.get_hint() {
        eprintln!("  hint: {hint}");
    }
}
