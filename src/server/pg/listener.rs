//! Accepting connections, counting them, and ending them all when the server goes down.

use super::cancel::Registry;
use super::front;
use crate::error::{Error, Result};
use crate::session::Engine;
use crate::sqlstate::SqlState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long sessions may take to end when the server goes down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How long to wait before the next accept when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Clients that wait to be let in by the system.
const BACKLOG: u32 = 1024;

/// How much a server takes on.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Sessions at a time; more are answered with 53300.
    pub max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 500 }
    }
}

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) engine: Arc<Engine>,
    pub(super) registry: Arc<Registry>,
    pub(super) shutdown: CancellationToken,
    pub(super) tasks: TaskTracker,
    slots: Arc<Semaphore>,
}

impl Shared {
    /// A place for one more session, if there is one.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }
}

/// Serves PostgreSQL clients at an address, with the usual limits.
///
/// # Errors
/// 58030 if the address cannot be had.
pub async fn listen(
    engine: Arc<Engine>,
    address: SocketAddr,
    shutdown: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>)> {
    listen_with(engine, address, Limits::default(), shutdown).await
}

/// Serves PostgreSQL clients at an address; port 0 takes a free one. Returns the address in use,
/// and a task that ends when `shutdown` was cancelled and all sessions have ended.
///
/// The network runs on the caller's runtime, sessions on the engine's.
///
/// # Errors
/// 58030 if the address cannot be had.
pub async fn listen_with(
    engine: Arc<Engine>,
    address: SocketAddr,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>)> {
    let listener = bind(address).map_err(|error| refusal(address, &error))?;
    let address = listener.local_addr().map_err(|error| refusal(address, &error))?;
    let shared = Arc::new(Shared {
        engine,
        registry: Arc::default(),
        shutdown,
        tasks: TaskTracker::new(),
        slots: Arc::new(Semaphore::new(limits.max_connections)),
    });
    Ok((address, tokio::spawn(accept(listener, shared))))
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Without this a restart fails for a minute while old connections time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn refusal(address: SocketAddr, error: &std::io::Error) -> Error {
    let refused = Error::new(SqlState::IoError, format!("cannot listen on {address}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => refused
            .with_message(format!("cannot listen on {address}: the address is in use"))
            .hint("Another server runs there. Stop it, or choose a port with --listen; port 0 takes a free one."),
        std::io::ErrorKind::PermissionDenied => {
            refused.hint("Ports below 1024 need privileges; choose another with --listen.")
        }
        _ => refused,
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                shared.tasks.spawn(front::serve(stream, Arc::clone(&shared)));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    shared.tasks.close();
    if tokio::time::timeout(SHUTDOWN_GRACE, shared.tasks.wait()).await.is_err() {
        tracing::warn!(sessions = shared.tasks.len(), "sessions did not end in time");
    }
}
