//! Publishing: writing to each table's own `_delta_log` what the records promised to it.
//!
//! A version is written once, in order, by whoever comes first, and compared by everybody else. The
//! watermark of a table rises only after its files were compared and their folder was fsynced.

use super::fold::{Body, Fold, TableLog};
use super::log::read;
use super::open::Warehouse;
use super::record::Quarantine;
use crate::catalog::TableId;
use crate::error::{Error, Notice, Result};
use crate::sqlstate::SqlState;
use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use object_store::PutMode;
use object_store::path::Path;
use std::sync::Arc;

const ATTEMPTS: usize = 3;
/// Tables that are published at a time when a warehouse is opened.
const TABLES_AT_ONCE: usize = 16;

/// What became of one version.
enum Published {
    /// Written by us: it and its folder are durable.
    Written,
    /// Found as promised; its folder may not be durable.
    Found,
    /// Another body stands in its place.
    Foreign,
}

impl Warehouse {
    /// Publishes everything up to the heads of some tables; says what went wrong.
    pub(super) async fn publish_tables(
        &self,
        fold: &Fold,
        tables: impl Iterator<Item = &TableId>,
    ) -> Vec<Notice> {
        let mut work = Vec::new();
        for id in tables {
            if let Some(log) = fold.tables.get(id).cloned() {
                work.push(self.publish_or_warn(id.clone(), log, fold.table_name(id)));
            }
        }
        join_all(work).await.into_iter().flatten().collect()
    }

    /// Publishes what is left unpublished, by a crash or by trouble.
    pub(super) async fn publish_pending(&self) {
        let fold = self.current();
        let mut work = Vec::new();
        for (id, log) in fold.tables.iter().chain(fold.dropped.iter()) {
            if self.tables.watermark(id) < log.head {
                work.push(self.publish_or_warn(id.clone(), log.clone(), fold.table_name(id)));
            }
        }
        let mut work = stream::iter(work).buffer_unordered(TABLES_AT_ONCE);
        while let Some(warning) = work.next().await {
            if let Some(warning) = warning {
                tracing::warn!("{}: {}", warning.message, warning.detail.unwrap_or_default());
            }
        }
    }

    async fn publish_or_warn(
        &self,
        id: TableId,
        log: Arc<TableLog>,
        name: String,
    ) -> Option<Notice> {
        self.publish_table(&id, &log).await.err().map(|e| warning(&name, &e))
    }

    /// Publishes one table up to its head.
    async fn publish_table(&self, id: &str, log: &TableLog) -> Result<()> {
        let publishing = self.tables.publishing(id);
        let _in_order = publishing.lock().await;
        let stop = log.quarantine.as_ref().map_or(i64::MAX, |q| q.version);
        let mut last = None;
        for version in self.tables.watermark(id) + 1..=log.head.min(stop - 1) {
            let body = log.bodies.get(&version).ok_or_else(|| {
                Error::internal(format!("the body of version {version} is not at hand"))
            })?;
            // Usually the head is ours alone; what lies before it may be published already.
            let published =
                self.publish(&log.commit_file(version)?, body, version == log.head).await?;
            if let Published::Foreign = published {
                let reason = format!("Version {version} of it is not what was promised.");
                self.quarantine(id, Quarantine { version, reason: reason.clone() }).await?;
                return Err(Error::new(SqlState::DataCorrupted, reason));
            }
            last = Some((version, published));
        }
        if let Some((version, published)) = last {
            if let Published::Found = published {
                self.log.durable.sync_folder(&log.log_folder()?).await?;
            }
            self.tables.raise(id, version);
        }
        Ok(())
    }

    async fn publish(&self, path: &Path, body: &Body, likely_absent: bool) -> Result<Published> {
        let mut outcome = self.publish_once(path, body, likely_absent).await;
        for _ in 1..ATTEMPTS {
            if outcome.is_err() {
                outcome = self.publish_once(path, body, false).await;
            }
        }
        outcome
    }

    async fn publish_once(&self, path: &Path, body: &Body, put_first: bool) -> Result<Published> {
        let store = self.log.store.as_ref();
        let promised = body.text.as_bytes();
        let payload = || Bytes::from(body.text.clone()).into();
        let mut found = None;
        if !put_first {
            found = read(store, path).await?;
        }
        if found.is_none() {
            match store.put_opts(path, payload(), PutMode::Create.into()).await {
                Ok(_) => return Ok(Published::Written),
                Err(object_store::Error::AlreadyExists { .. }) => {
                    found = read(store, path).await?;
                }
                Err(other) => return Err(other.into()),
            }
        }
        let found = found.unwrap_or_default();
        if found[..] == *promised {
            return Ok(Published::Found);
        }
        if promised.starts_with(&found) {
            // Rule 2: a torn write of the same body, left by a crash.
            store.put_opts(path, payload(), PutMode::Overwrite.into()).await?;
            return Ok(Published::Written);
        }
        Ok(Published::Foreign)
    }
}

fn warning(table: &str, error: &Error) -> Notice {
    Notice::warning(format!("table \"{table}\" was committed but could not be published"))
        .with_detail(format!("{}.", error.message().trim_end_matches('.')))
        .with_hint("Readers outside of cenote see the commit once a server has published it.")
}
