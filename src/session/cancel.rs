//! Stopping a session's running statement: by request, by timeout.

use crate::error::Error;
use crate::planner::{CancelReason, Canceller};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Stops a session's running statement; can be used from any thread.
#[derive(Debug, Clone, Default)]
pub struct CancelHandle {
    current: Arc<Mutex<Current>>,
}

#[derive(Debug, Default)]
struct Current {
    canceller: Canceller,
    /// Runs until the next statement; dropping it stops it.
    _timer: Option<AbortOnDropHandle<()>>,
}

impl CancelHandle {
    /// Cancels the statement that runs now, if one does.
    pub fn cancel(&self) {
        self.lock().canceller.cancel(CancelReason::User);
    }

    /// Cancels because the server is going down.
    pub fn shut_down(&self) {
        self.lock().canceller.cancel(CancelReason::Shutdown);
    }

    /// The token of the statement that runs now or ran last.
    pub fn current(&self) -> CancellationToken {
        self.lock().canceller.token().clone()
    }

    /// Why the statement was cancelled, as the error to answer with.
    pub fn error(&self) -> Error {
        self.lock().canceller.error()
    }

    /// A fresh canceller for the next statement, which fires by itself after `timeout`.
    pub fn arm(&self, timeout: Option<Duration>) -> Canceller {
        let canceller = Canceller::default();
        self.resume(canceller.clone(), timeout);
        canceller
    }

    /// The statement is between two of its steps: nothing that happens now is meant for it.
    pub fn suspend(&self) -> Canceller {
        std::mem::take(&mut *self.lock()).canceller
    }

    /// The statement goes on, for at most `timeout`.
    pub fn resume(&self, canceller: Canceller, timeout: Option<Duration>) {
        let timer = timeout.map(|timeout| {
            let canceller = canceller.clone();
            AbortOnDropHandle::new(tokio::spawn(async move {
                tokio::time::sleep(timeout).await;
                canceller.cancel(CancelReason::Timeout);
            }))
        });
        *self.lock() = Current { canceller, _timer: timer };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
