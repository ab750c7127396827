//! Progress and cancellation of a training.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where a training stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// `reading`, `preparing`, `fitting`, `refitting` or `measuring`.
    pub phase: &'static str,
    /// Rows read.
    pub rows_done: u64,
    /// Rows to read, if known.
    pub rows_total: Option<u64>,
    /// Rounds or iterations done.
    pub step: u64,
    /// Rounds or iterations at most.
    pub steps_total: Option<u64>,
    /// The loss at that step, if it is known.
    pub loss: Option<f64>,
}

/// Called with the progress, from any thread, often; it should return at once.
pub type ProgressCallback = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Tells of progress, and whether to stop.
#[derive(Clone)]
pub(crate) struct Monitor {
    pub(crate) cancel: CancellationToken,
    pub(crate) callback: Option<ProgressCallback>,
    pub(crate) rows: u64,
    pub(crate) phase: &'static str,
}

impl Monitor {
    /// 57014 once the training is cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(cancelled()) } else { Ok(()) }
    }

    /// Tells of a step, and checks.
    pub(crate) fn step(&self, step: u64, steps_total: u64, loss: Option<f64>) -> Result<()> {
        self.tell(step, Some(steps_total), loss);
        self.check()
    }

    /// Tells of the phase without a step.
    pub(crate) fn enter(&self) -> Result<()> {
        self.tell(0, None, None);
        self.check()
    }

    fn tell(&self, step: u64, steps_total: Option<u64>, loss: Option<f64>) {
        if let Some(callback) = &self.callback {
            callback(&Progress {
                phase: self.phase,
                rows_done: self.rows,
                rows_total: None,
                step,
                steps_total,
                loss,
            });
        }
    }

    /// The same in another phase.
    pub(crate) fn in_phase(&self, phase: &'static str) -> Self {
        Self { phase, ..self.clone() }
    }
}

/// The error of a cancelled training.
pub(crate) fn cancelled() -> Error {
    Error::new(SqlState::QueryCanceled, "canceling statement due to user request")
}
