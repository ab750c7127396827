//! COPY FROM STDIN between a connection and a transaction.

use super::transaction::roll_back;
use crate::error::{Error, Notice, Result};
use crate::statements;
use crate::warehouse::{CommitInfo, Transaction};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// The receiving end of COPY FROM STDIN.
#[async_trait::async_trait]
pub trait CopyIn: Send {
    /// 0 for text, 1 for binary: the overall format of CopyInResponse.
    fn format(&self) -> i8;
    /// The number of columns.
    fn columns(&self) -> usize;
    /// Takes a piece of the client's data; applies back pressure.
    ///
    /// # Errors
    /// What is wrong with the data, with its line.
    async fn push(&mut self, data: &[u8]) -> Result<()>;
    /// The client is done: inserts all rows and gives the command tag.
    ///
    /// # Errors
    /// What is wrong with the data, or with the commit; nothing is inserted.
    async fn finish(self: Box<Self>) -> Result<String>;
    /// The client gave up; nothing is inserted.
    async fn abort(self: Box<Self>, reason: &str) -> Error;
}

/// A COPY in a transaction block: the block's end decides.
pub(super) fn in_block(
    inner: Box<dyn statements::CopyIn>,
    transaction: Arc<Transaction>,
) -> Box<dyn CopyIn> {
    Box::new(Copy { inner, transaction, alone: None })
}

/// A COPY that commits when its data is complete.
pub(super) fn alone(
    inner: Box<dyn statements::CopyIn>,
    transaction: Arc<Transaction>,
    statement: String,
    notices: UnboundedSender<Notice>,
) -> Box<dyn CopyIn> {
    Box::new(Copy { inner, transaction, alone: Some((statement, notices)) })
}

struct Copy {
    inner: Box<dyn statements::CopyIn>,
    transaction: Arc<Transaction>,
    alone: Option<(String, UnboundedSender<Notice>)>,
}

#[async_trait::async_trait]
impl CopyIn for Copy {
    fn format(&self) -> i8 {
        self.inner.format()
    }

    fn columns(&self) -> usize {
        self.inner.columns()
    }

    async fn push(&mut self, data: &[u8]) -> Result<()> {
        self.inner.push(data).await
    }

    async fn finish(self: Box<Self>) -> Result<String> {
        let tag = match self.inner.finish(&self.transaction).await {
            Ok(tag) => tag,
            Err(error) => {
                if self.alone.is_some() {
                    roll_back(self.transaction).await;
                }
                return Err(error);
            }
        };
        let Some((statement, notices)) = self.alone else { return Ok(tag) };
        let transaction = Arc::into_inner(self.transaction)
            .ok_or_else(|| Error::internal("a transaction is still in use at the end of COPY"))?;
        let committed =
            transaction.commit(CommitInfo { statement, ..CommitInfo::default() }).await?;
        for warning in committed.warnings {
            let _ = notices.send(warning);
        }
        Ok(tag)
    }

    async fn abort(self: Box<Self>, reason: &str) -> Error {
        drop(self.inner);
        if self.alone.is_some() {
            roll_back(self.transaction).await;
        }
        Error::new(crate::sqlstate::SqlState::QueryCanceled, reason)
    }
}
