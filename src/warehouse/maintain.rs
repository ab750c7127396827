//! Work off the commit path that keeps cost flat: checkpoints of the log and of tables.

use super::checkpoint;
use super::fold::{Fold, TableLog};
use super::log::read;
use super::open::Warehouse;
use crate::delta::log::write_checkpoint;
use crate::error::Result;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Warehouse {
    /// Publishes what is left, and writes the checkpoints that are due. Safe at any time, and in any
    /// number of processes at once.
    ///
    /// # Errors
    /// What reading or writing them answers; the warehouse is none the worse for it.
    pub async fn maintain(&self) -> Result<()> {
        let _one_at_a_time = self.maintaining.lock().await;
        let fold = self.refresh().await?;
        self.publish_pending().await;
        if fold.seq - self.checkpointed.load(Ordering::Relaxed) >= self.options.checkpoint_every {
            checkpoint::write(&self.log, &fold, &self.tables).await?;
            self.checkpointed.fetch_max(fold.seq, Ordering::Relaxed);
        }
        for (id, log) in &fold.tables {
            self.checkpoint_table(id, log).await?;
        }
        Ok(())
    }

    /// Starts [`maintain`](Self::maintain) in the background after a commit that made it due.
    pub(super) fn maintain_if_due(self: &Arc<Self>, fold: &Arc<Fold>) {
        let log_due =
            fold.seq - self.checkpointed.load(Ordering::Relaxed) >= self.options.checkpoint_every;
        let every = self.options.table_checkpoint_every;
        let table_due = fold
            .written
            .iter()
            .filter_map(|id| fold.tables.get(id))
            .any(|log| log.head > 0 && log.head % every == 0);
        if !(log_due || table_due) || self.maintaining.try_lock().is_err() {
            return;
        }
        let warehouse = self.clone();
        tokio::spawn(async move {
            if let Err(e) = warehouse.maintain().await {
                tracing::warn!("maintenance failed: {}", e.message());
            }
        });
    }

    /// Writes a table's checkpoint if its newest one is old.
    async fn checkpoint_table(&self, id: &str, log: &TableLog) -> Result<()> {
        let every = self.options.table_checkpoint_every;
        let watermark = self.tables.watermark(id);
        if watermark < every || watermark - self.tables.checkpointed(id) < every {
            return Ok(());
        }
        let hint =
            read(self.log.store.as_ref(), &log.log_folder()?.join("_last_checkpoint")).await?;
        let newest = hint.as_deref().and_then(last_checkpoint).unwrap_or(-1);
        if watermark - newest < every {
            self.tables.set_checkpointed(id, newest);
            return Ok(());
        }
        write_checkpoint(self.log.store.clone(), &log.folder()?, watermark).await?;
        self.tables.set_checkpointed(id, watermark);
        Ok(())
    }
}

fn last_checkpoint(hint: &[u8]) -> Option<i64> {
    serde_json::from_slice::<serde_json::Value>(hint).ok()?.get("version")?.as_i64()
}
