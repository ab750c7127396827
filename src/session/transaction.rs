//! Transaction blocks: BEGIN … COMMIT, and the implicit group of several statements sent at once.

use super::{Response, Session};
use crate::config::Settings;
use crate::error::{Notice, Result};
use crate::sqlstate::SqlState;
use crate::statements::Control;
use crate::warehouse::Transaction;
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// Where a session stands, as ReadyForQuery reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`: no transaction block.
    Idle,
    /// `T`: in a block.
    Active,
    /// `E`: in a block that failed.
    Failed,
}

/// The block that a session is in, if any.
#[derive(Default)]
pub(super) struct Block {
    /// Between BEGIN and COMMIT.
    explicit: bool,
    /// Between begin_implicit and end_implicit.
    implicit: bool,
    failed: bool,
    begun: Option<Begun>,
}

struct Begun {
    transaction: Arc<Transaction>,
    /// What ROLLBACK goes back to.
    settings: Settings,
    started_at: DateTime<Utc>,
}

impl Block {
    pub(super) fn status(&self) -> TransactionStatus {
        match (self.explicit, self.failed) {
            (_, true) => TransactionStatus::Failed,
            (true, false) => TransactionStatus::Active,
            (false, false) => TransactionStatus::Idle,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.explicit || self.implicit
    }

    pub(super) fn fail(&mut self) {
        self.failed = self.is_open();
    }

    pub(super) fn transaction(&self) -> Option<&Arc<Transaction>> {
        self.begun.as_ref().map(|b| &b.transaction)
    }

    pub(super) fn started_at(&self) -> Option<DateTime<Utc>> {
        self.begun.as_ref().map(|b| b.started_at)
    }

    pub(super) fn keep(
        &mut self,
        transaction: Arc<Transaction>,
        settings: Settings,
        started_at: DateTime<Utc>,
    ) {
        self.begun = Some(Begun { transaction, settings, started_at });
    }
}

/// Rolls a transaction back; its files go unless they may belong to a record.
pub(super) async fn roll_back(transaction: Arc<Transaction>) {
    if let Some(transaction) = Arc::into_inner(transaction) {
        transaction.rollback().await;
    }
}

impl Session {
    /// Begins a group of statements that commit or fail together unless they say otherwise: a
    /// simple query with more than one statement, or the messages up to a Sync.
    pub fn begin_implicit(&mut self) {
        self.block.implicit = true;
    }

    /// Ends the group: commits it, or rolls back if one of its statements failed. A block that
    /// BEGIN opened stays open.
    ///
    /// # Errors
    /// 40001 and the like from the commit.
    pub async fn end_implicit(&mut self) -> Result<()> {
        self.block.implicit = false;
        if self.block.explicit {
            return Ok(());
        }
        if self.block.failed {
            self.roll_back_block().await;
            return Ok(());
        }
        self.commit_block("").await
    }

    /// Ends the session. A transaction that is still open is rolled back, and its files are gone when
    /// this returns; a session that is dropped leaves that to a task which the end of the process stops.
    pub async fn close(mut self) {
        self.block.implicit = false;
        self.roll_back_block().await;
    }

    /// BEGIN, COMMIT and ROLLBACK.
    pub(super) async fn control(&mut self, control: Control) -> Result<Response> {
        match control {
            Control::Begin { read_only, tag } => {
                if self.block.explicit {
                    self.warn(
                        SqlState::ActiveSqlTransaction,
                        "there is already a transaction in progress",
                    );
                } else {
                    self.block.explicit = true;
                    self.settings.begin_transaction(read_only);
                }
                Response::done(tag)
            }
            Control::Commit => {
                self.warn_if_idle();
                let failed = self.block.failed;
                if failed {
                    self.roll_back_block().await;
                    return Response::done("ROLLBACK");
                }
                self.commit_block("COMMIT").await?;
                Response::done("COMMIT")
            }
            Control::Rollback => {
                self.warn_if_idle();
                self.roll_back_block().await;
                Response::done("ROLLBACK")
            }
        }
    }

    fn warn_if_idle(&self) {
        if !self.block.explicit {
            self.warn(SqlState::NoActiveSqlTransaction, "there is no transaction in progress");
        }
    }

    fn warn(&self, code: SqlState, message: &str) {
        let _ = self.notices.send(Notice { code, ..Notice::warning(message) });
    }

    /// Closes the block whatever becomes of it.
    fn close_block(&mut self) -> Option<Begun> {
        self.block.explicit = false;
        self.block.failed = false;
        self.settings.end_transaction();
        self.block.begun.take()
    }

    async fn commit_block(&mut self, statement: &str) -> Result<()> {
        let Some(begun) = self.close_block() else { return Ok(()) };
        let settings = begun.settings;
        let committed = self.commit(begun.transaction, statement, false).await;
        if committed.is_err() {
            self.go_back_to(settings);
        }
        committed
    }

    async fn roll_back_block(&mut self) {
        if let Some(begun) = self.close_block() {
            self.go_back_to(begun.settings);
            self.if_lost.take();
            self.if_committed.take();
            roll_back(begun.transaction).await;
        }
    }

    /// The settings of before the block's first statement, without what held for the block alone.
    fn go_back_to(&mut self, settings: Settings) {
        self.settings = settings;
        self.settings.end_transaction();
    }
}
