//! Waiting on behalf of a session: for work, for messages and for room in the output, with an eye
//! on everything else that may happen meanwhile.

use super::errors::{Failure, cancelled, panic_error, shutting_down};
use super::front::{Burst, Item};
use super::message::Frame;
use super::output::Output;
use crate::error::{Error, Notice, Result};
use crate::session::CancelHandle;
use futures::FutureExt;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a statement may take to stop by itself when its client is gone or the server goes
/// down. Then it is dropped, wherever it stands.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// One session's connection to the rest of the world.
pub(super) struct Link {
    pub(super) output: Output,
    pub(super) incoming: Incoming,
    pub(super) notices: mpsc::UnboundedReceiver<Notice>,
    pub(super) cancel: CancelHandle,
    pub(super) shutdown: CancellationToken,
}

impl Link {
    /// Runs a piece of work to its end, unless `cancel` stops it, the client goes away, the server
    /// goes down or the work panics. Notices go out as they come.
    pub(super) async fn drive<T>(
        &mut self,
        cancel: Option<&CancellationToken>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut work => break ended,
                () = cancelled_or_never(cancel) => return Err(cancelled().into()),
                Some(notice) = self.notices.recv() => {
                    self.output.put_notice(&notice);
                    self.flush(cancel).await?;
                }
                () = self.output.closed() => {
                    self.cancel.cancel();
                    let _ = tokio::time::timeout(STOP_GRACE, work).await;
                    return Err(Failure::Gone);
                }
                () = self.shutdown.cancelled() => {
                    self.cancel.cancel();
                    let _ = tokio::time::timeout(STOP_GRACE, work).await;
                    return Err(Failure::Fatal(shutting_down()));
                }
            }
        };
        self.take_notices();
        match ended {
            Ok(result) => result.map_err(Failure::Statement),
            Err(panic) => Err(Failure::Statement(panic_error(&*panic))),
        }
    }

    /// Puts the notices that are there before whatever comes next.
    pub(super) fn take_notices(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            self.output.put_notice(&notice);
        }
    }

    /// The next message, or none when the client has said goodbye.
    pub(super) async fn next_frame(
        &mut self,
        cancel: Option<&CancellationToken>,
    ) -> Result<Option<Frame>, Failure> {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(Failure::Fatal(shutting_down())),
                () = cancelled_or_never(cancel) => return Err(cancelled().into()),
                frame = self.incoming.next() => return frame.map_err(Failure::Fatal),
                Some(notice) = self.notices.recv() => {
                    self.output.put_notice(&notice);
                    self.output.flush().await?;
                }
            }
        }
    }

    /// Sends what is in the buffer; a client that does not read can still cancel.
    pub(super) async fn flush(
        &mut self,
        cancel: Option<&CancellationToken>,
    ) -> Result<(), Failure> {
        tokio::select! {
            biased;
            sent = self.output.flush() => sent,
            () = cancelled_or_never(cancel) => Err(cancelled().into()),
            () = self.shutdown.cancelled() => Err(Failure::Fatal(shutting_down())),
        }
    }
}

async fn cancelled_or_never(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

/// The client's messages in their order.
pub(super) struct Incoming {
    bursts: mpsc::UnboundedReceiver<Burst>,
    current: Option<Burst>,
    items: VecDeque<Item>,
}

impl Incoming {
    pub(super) fn new(bursts: mpsc::UnboundedReceiver<Burst>) -> Self {
        Self { bursts, current: None, items: VecDeque::new() }
    }

    /// The next frame; none at the end. An error means that the stream is beyond repair. Can be
    /// dropped while it waits, without losing anything.
    async fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            match self.items.pop_front() {
                Some(Item::Frame(frame)) => return Ok(Some(frame)),
                Some(Item::Broken(error)) => return Err(error),
                None => {}
            }
            // The last burst is done: the reader may fetch as much again.
            self.current = None;
            let Some(burst) = self.bursts.recv().await else { return Ok(None) };
            self.accept(burst);
        }
    }

    /// The kind of the next message, if it is here already.
    pub(super) fn peek(&mut self) -> Option<u8> {
        if self.items.is_empty()
            && let Ok(burst) = self.bursts.try_recv()
        {
            self.accept(burst);
        }
        match self.items.front() {
            Some(Item::Frame(frame)) => Some(frame.kind),
            _ => None,
        }
    }

    fn accept(&mut self, mut burst: Burst) {
        self.items.extend(burst.items.drain(..));
        self.current = Some(burst);
    }
}
