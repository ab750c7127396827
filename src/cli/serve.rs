//! `cenote serve`: the PostgreSQL server on a warehouse.

use super::{MemoryArgs, complain};
use crate::error::{Error, Result};
use crate::planner::STACK_BYTES;
use crate::server::pg::{Limits, listen_with};
use crate::session::Engine;
use crate::sqlstate::SqlState;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The network only moves bytes; two threads are plenty.
const NETWORK_THREADS: usize = 2;

/// How long queries that do not listen may hold up the end of the process.
const ENGINE_GRACE: Duration = Duration::from_secs(2);

/// The options of `cenote serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The folder of the warehouse; it is made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./cenote-data")]
    data: PathBuf,
    /// Where to listen; port 0 takes a free port.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5454")]
    listen: String,
    /// Sessions at a time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_connections, value_parser = connections())]
    max_connections: usize,
    #[command(flatten)]
    memory: MemoryArgs,
}

/// As many sessions as PostgreSQL allows at most.
fn connections() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=262_143)
}

/// Serves until SIGTERM or SIGINT.
pub(super) fn serve(args: &ServeArgs) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &ServeArgs) -> Result<()> {
    let address = address(&args.listen)?;
    // Queries run on threads of their own, so that the network never waits for a sort.
    let queries = runtime(Builder::new_multi_thread().thread_name("cenote-query"))?;
    let network = runtime(
        Builder::new_multi_thread().worker_threads(NETWORK_THREADS).thread_name("cenote-network"),
    )?;
    let engine = queries.block_on(Engine::open_within(&args.data, args.memory.memory_limit))?;
    let limits = Limits { max_connections: args.max_connections };
    network.block_on(async {
        let shutdown = CancellationToken::new();
        let (address, ended) = listen_with(engine, address, limits, shutdown.clone()).await?;
        announce(address)?;
        wait_for_signal().await?;
        eprintln!("shutting down");
        shutdown.cancel();
        tokio::select! {
            _ = ended => {}
            // Who asks twice does not want to wait.
            _ = wait_for_signal() => {}
        }
        Ok::<(), Error>(())
    })?;
    queries.shutdown_timeout(ENGINE_GRACE);
    Ok(())
}

fn runtime(builder: &mut Builder) -> Result<Runtime> {
    builder
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| io_error("cannot start threads", error))
}

/// Only `listening on …` goes to standard output, for scripts that wait for it.
fn announce(address: SocketAddr) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on {address}")
        .and_then(|()| stdout.flush())
        .map_err(|error| io_error("cannot write to standard output", error))?;
    let (host, port) = (address.ip(), address.port());
    eprintln!("connect with: psql \"host={host} port={port} user=cenote dbname=cenote\"");
    eprintln!("stop with Ctrl-C");
    Ok(())
}

async fn wait_for_signal() -> Result<()> {
    let fail = |error| io_error("cannot wait for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn io_error(what: &str, error: std::io::Error) -> Error {
    Error::new(SqlState::IoError, format!("{what}: {error}")).source(error)
}

/// Reads ADDR:PORT. Without logins, only this machine may connect.
fn address(text: &str) -> Result<SocketAddr> {
    let mut addresses = text.to_socket_addrs().map_err(|error| {
        Error::new(SqlState::InvalidParameterValue, format!("invalid address \"{text}\": {error}"))
            .hint("Write --listen ADDR:PORT, for example 127.0.0.1:5454 or [::1]:5454.")
    })?;
    let address = addresses.next().ok_or_else(|| {
        Error::new(SqlState::InvalidParameterValue, format!("\"{text}\" has no address"))
    })?;
    if !address.ip().is_loopback() {
        return Err(Error::new(
            SqlState::InvalidAuthorizationSpecification,
            format!("cannot listen on {address}: other machines could connect without a password"),
        )
        .hint("There are no logins yet. Listen on a loopback address such as 127.0.0.1:5454, and reach it through an SSH tunnel."));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn only_loopback_addresses_are_taken() {
        assert_eq!(address("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(address("[::1]:5454").unwrap().to_string(), "[::1]:5454");
        for refused in ["0.0.0.0:5454", "[::]:5454", "192.0.2.1:5454"] {
            let error = address(refused).unwrap_err();
            assert!(error.message().contains("without a password"), "{error}");
        }
        for wrong in ["5454", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(address(wrong).unwrap_err().message().starts_with("invalid address"));
        }
    }
}
