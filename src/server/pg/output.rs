//! What goes to the client: one buffer that messages and rows are encoded into, sent in pieces.

use super::errors::{Failure, Level, error_response, notice_response};
use crate::error::{Error, Notice};
use bytes::{Bytes, BytesMut};
use pgwire::messages::Message;
use tokio::sync::mpsc;

/// Rows leave in pieces of about this size: large enough that the system calls cost nothing beside
/// the encoding, small enough that hundreds of connections fit in memory.
pub(super) const PIECE: usize = 128 * 1024;

/// The way out of a session.
pub(super) struct Output {
    pub(super) buffer: BytesMut,
    pieces: mpsc::Sender<Bytes>,
}

impl Output {
    pub(super) fn new(pieces: mpsc::Sender<Bytes>) -> Self {
        Self { buffer: BytesMut::new(), pieces }
    }

    /// Appends a message. It leaves with the next flush.
    pub(super) fn put(&mut self, message: &impl Message) {
        let before = self.buffer.len();
        if let Err(error) = message.encode(&mut self.buffer) {
            // Only a text beyond all measure gets here; half a message would end the connection.
            tracing::error!(%error, "a message was left out");
            self.buffer.truncate(before);
        }
    }

    pub(super) fn put_error(&mut self, level: Level, error: &Error) {
        self.put(&error_response(level, error));
    }

    pub(super) fn put_notice(&mut self, notice: &Notice) {
        self.put(&notice_response(notice));
    }

    /// Hands the buffer to the socket; waits while the socket is a piece behind. Can be dropped
    /// while it waits, without losing anything.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let Ok(room) = self.pieces.reserve().await else { return Err(Failure::Gone) };
        room.send(self.buffer.split().freeze());
        Ok(())
    }

    /// Waits until the client is gone.
    pub(super) async fn closed(&self) {
        self.pieces.closed().await;
    }
}
