//! The socket's side of a connection: bytes in, bytes out, and noticing that the client went away.

use super::listener::Shared;
use super::message::{Frame, next_frame};
use super::startup::{self, Opening};
use super::{connection, errors};
use crate::error::Error;
use crate::sqlstate::SqlState;
use bytes::{Bytes, BytesMut};
use pgwire::messages::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// How long a client may take to say who it is.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);

/// How many bytes of messages may wait for a session. Beyond it the socket is not read.
const WAITING_BYTES: u32 = 1024 * 1024;

/// What a queued message costs beside its bytes.
const FRAME_COST: usize = 64;

/// How long replies may still leave after the client has closed its side.
const GOODBYE: Duration = Duration::from_millis(300);

/// How long a client that does not read is waited for when the server goes down.
const SHUTDOWN: Duration = Duration::from_secs(2);

const READ_SMALL: usize = 8 * 1024;
const READ_LARGE: usize = 64 * 1024;

/// Messages that arrived together.
pub(super) struct Burst {
    pub(super) items: Vec<Item>,
    /// Room in the queue, given back when the burst is dropped.
    _room: OwnedSemaphorePermit,
}

/// What the reader found.
pub(super) enum Item {
    Frame(Frame),
    /// Nothing that follows makes sense.
    Broken(Error),
}

/// Serves one client from its first byte to its last.
pub(super) async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = BytesMut::new();
    let opening = tokio::select! {
        opening = tokio::time::timeout(
            STARTUP_TIMEOUT,
            startup::negotiate(&mut stream, &mut buffer),
        ) => opening,
        () = shared.shutdown.cancelled() => return,
    };
    match opening {
        Ok(Ok(Opening::Cancel { pid, secret })) => shared.registry.cancel(pid, &secret),
        Ok(Ok(Opening::Startup(startup))) => match shared.admit() {
            Some(slot) => {
                let (incoming, bursts) = mpsc::unbounded_channel();
                let (pieces, outgoing) = mpsc::channel(1);
                let back = connection::run(Arc::clone(&shared), slot, startup, bursts, pieces);
                shared.tasks.spawn_on(back, shared.engine.runtime());
                let shutdown = shared.shutdown.clone();
                pump(stream, buffer, incoming, outgoing, shutdown).await;
            }
            None => {
                let error =
                    Error::new(SqlState::TooManyConnections, "sorry, too many clients already");
                refuse(&mut stream, &error).await;
            }
        },
        Ok(Ok(Opening::Closed)) | Err(_) => {}
        Ok(Err(error)) => refuse(&mut stream, &error).await,
    }
}

/// Says why there is no session, and hangs up.
async fn refuse(stream: &mut TcpStream, error: &Error) {
    let mut bytes = BytesMut::new();
    if errors::error_response(errors::Level::Fatal, error).encode(&mut bytes).is_ok() {
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
    }
}

/// Moves bytes until the session is done or the client is gone. Dropping `outgoing` is what tells
/// the session that nobody listens any more.
async fn pump(
    stream: TcpStream,
    buffer: BytesMut,
    incoming: mpsc::UnboundedSender<Burst>,
    mut outgoing: mpsc::Receiver<Bytes>,
    shutdown: CancellationToken,
) {
    let (reader, mut writer) = stream.into_split();
    let reading = async {
        read_all(reader, buffer, incoming).await;
        // The session sees the end of its messages now and may still answer the last of them.
        tokio::time::sleep(GOODBYE).await;
    };
    let ending = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN).await;
    };
    tokio::select! {
        () = write_all(&mut writer, &mut outgoing) => {}
        () = reading => {}
        () = ending => {}
    }
}

async fn write_all(writer: &mut (impl AsyncWrite + Unpin), outgoing: &mut mpsc::Receiver<Bytes>) {
    while let Some(piece) = outgoing.recv().await {
        if writer.write_all(&piece).await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

/// Cuts all that comes into frames, until the end of the stream or of its sense.
async fn read_all(
    mut reader: impl AsyncRead + Unpin,
    mut buffer: BytesMut,
    incoming: mpsc::UnboundedSender<Burst>,
) {
    let room = Arc::new(Semaphore::new(WAITING_BYTES as usize));
    let mut much = false;
    loop {
        let (items, bytes, ends) = cut(&mut buffer);
        if !items.is_empty() {
            let permits = u32::try_from(bytes).unwrap_or(u32::MAX).min(WAITING_BYTES);
            let Ok(_room) = Arc::clone(&room).acquire_many_owned(permits).await else { return };
            if incoming.send(Burst { items, _room }).is_err() || ends {
                return;
            }
        }
        buffer.reserve(if much { READ_LARGE } else { READ_SMALL });
        let space = buffer.capacity() - buffer.len();
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => much = count == space,
        }
    }
}

/// All complete messages in the buffer, their cost, and whether they are the last.
fn cut(buffer: &mut BytesMut) -> (Vec<Item>, usize, bool) {
    let (mut items, mut bytes) = (Vec::new(), 0);
    loop {
        match next_frame(buffer) {
            Ok(Some(frame)) => {
                bytes += frame.body.len() + FRAME_COST;
                let ends = frame.kind == b'X';
                items.push(Item::Frame(frame));
                if ends {
                    return (items, bytes, true);
                }
            }
            Ok(None) => return (items, bytes, false),
            Err(error) => {
                items.push(Item::Broken(error));
                return (items, bytes, true);
            }
        }
    }
}
