//! Running plans on the query runtime: bounded hand-over, cancel and timeouts.

use super::Services;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio_util::sync::CancellationToken;

/// Batches that wait for the client before the query waits too.
const CHANNEL_BATCHES: usize = 2;

/// Why a statement is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// The user asked.
    User,
    /// statement_timeout passed.
    Timeout,
    /// The server is going down, or the client went away.
    Shutdown,
}

/// Stops one statement, from any thread, and says why.
#[derive(Debug, Clone, Default)]
pub struct Canceller {
    token: CancellationToken,
    reason: Arc<AtomicU8>,
}

impl Canceller {
    /// Stops the statement.
    pub fn cancel(&self, reason: CancelReason) {
        let code = match reason {
            CancelReason::User => 1,
            CancelReason::Timeout => 2,
            CancelReason::Shutdown => 3,
        };
        let _ = self.reason.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire);
        self.token.cancel();
    }

    /// The token that work watches.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The error of a cancelled statement.
    pub fn error(&self) -> Error {
        match self.reason.load(Ordering::Acquire) {
            2 => {
                Error::new(SqlState::QueryCanceled, "canceling statement due to statement timeout")
            }
            3 => Error::new(
                SqlState::AdminShutdown,
                "terminating connection due to administrator command",
            ),
            _ => Error::new(SqlState::QueryCanceled, "canceling statement due to user request"),
        }
    }

    /// Waits for work unless the statement is stopped first; the work is then dropped.
    ///
    /// # Errors
    /// 57014 when stopped, else what the work answers with.
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(self.error()),
            result = work => result,
        }
    }

    /// Ends with 57014 if the statement is stopped.
    ///
    /// # Errors
    /// 57014.
    pub fn check(&self) -> Result<()> {
        if self.token.is_cancelled() { Err(self.error()) } else { Ok(()) }
    }
}

/// Makes another plan for the same rows, with the task it runs in: one that needs less memory.
pub(super) type Frugal = Box<
    dyn FnOnce() -> BoxFuture<'static, Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)>> + Send,
>;

/// Runs a plan; dropping the stream, or cancelling, stops the work. Where memory runs out before the
/// first row is handed over, `frugal` is run in its stead.
pub(super) fn stream(
    services: &Arc<Services>,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    canceller: &Canceller,
    mut frugal: Option<Frugal>,
) -> Result<SendableRecordBatchStream> {
    let mut builder = RecordBatchReceiverStreamBuilder::new(plan.schema(), CHANNEL_BATCHES);
    let sender = builder.tx();
    let canceller = canceller.clone();
    builder.spawn_on(
        async move {
            let mut rows = execute_stream(plan, context)?;
            loop {
                let next = tokio::select! {
                    biased;
                    () = canceller.token().cancelled() => {
                        Some(Err(DataFusionError::from(canceller.error())))
                    }
                    next = rows.next() => next,
                };
                let Some(batch) = next else { return Ok(()) };
                let frugal = frugal.take();
                if let Err(error) = &batch
                    && matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
                    && let Some(make) = frugal
                {
                    tracing::debug!(%error, "the plan is run again without hash joins");
                    drop(rows);
                    let (plan, context) = make().await?;
                    rows = execute_stream(plan, context)?;
                    continue;
                }
                let failed = batch.is_err();
                if sender.send(batch).await.is_err() || failed {
                    return Ok(());
                }
            }
        },
        services.compute(),
    );
    Ok(builder.build())
}

/// A stream of one batch that is there already.
pub fn one_batch(batch: RecordBatch) -> SendableRecordBatchStream {
    let schema: SchemaRef = batch.schema();
    Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
        schema,
        futures::stream::iter([Ok(batch)]),
    ))
}
