//! Following the log: the newest fold, any kept one, and the records in between.

use super::checkpoint;
use super::fold::Fold;
use super::log::{Entry, missing};
use super::open::Warehouse;
use super::snapshot::Snapshot;
use super::transaction::Transaction;
use crate::catalog::TableId;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Records that stay in memory, for the conflict check and for time travel to the recent past.
const RECORDS_KEPT: usize = 1024;
/// The same in bytes.
const BYTES_KEPT: usize = 32 << 20;
/// Older folds that someone asked for.
const OLD_KEPT: usize = 8;
/// How often a start from a checkpoint is tried while clean-ups go on.
const RELOADS: usize = 3;

/// Records and folds in memory, by number.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: BTreeMap<u64, Arc<Entry>>,
    folds: BTreeMap<u64, Arc<Fold>>,
    bytes: usize,
    old: Vec<Arc<Fold>>,
}

impl Recent {
    fn push(&mut self, entry: Arc<Entry>, fold: Arc<Fold>) {
        self.bytes += entry.size;
        self.folds.insert(fold.seq, fold);
        if let Some(before) = self.entries.insert(entry.record.seq, entry) {
            self.bytes -= before.size;
        }
        while self.entries.len() > RECORDS_KEPT || self.bytes > BYTES_KEPT {
            let Some((seq, entry)) = self.entries.pop_first() else { break };
            self.bytes -= entry.size;
            self.folds.remove(&seq);
        }
    }

    fn fold(&self, seq: u64) -> Option<Arc<Fold>> {
        let old = || self.old.iter().find(|f| f.seq == seq);
        self.folds.get(&seq).or_else(old).cloned()
    }

    fn push_old(&mut self, fold: Arc<Fold>) {
        if self.old.len() >= OLD_KEPT {
            self.old.remove(0);
        }
        self.old.push(fold);
    }
}

impl Warehouse {
    /// The warehouse as it is now: looks whether there are new records, and reads them.
    ///
    /// # Errors
    /// XX001 if a record is damaged, 58030 if the log cannot be read.
    pub async fn snapshot(self: &Arc<Self>) -> Result<Snapshot> {
        Ok(Snapshot::new(self.clone(), self.refresh().await?))
    }

    /// The warehouse after record `seq`.
    ///
    /// # Errors
    /// 22023 if there is no such record, with the range in the hint.
    pub async fn snapshot_at(self: &Arc<Self>, seq: u64) -> Result<Snapshot> {
        Ok(Snapshot::new(self.clone(), self.fold_at(seq).await?))
    }

    /// Begins a transaction of a role on the newest snapshot.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub async fn begin(self: &Arc<Self>, role: impl Into<String>) -> Result<Transaction> {
        Ok(Transaction::new(self.snapshot().await?, role.into()))
    }

    /// The newest fold. What it answers from is durable.
    pub(super) async fn refresh(&self) -> Result<Arc<Fold>> {
        let known = self.current();
        match self.log.get(known.seq + 1).await {
            Ok(Some(entry)) => self.follow(entry).await,
            // Rule 1: that a key is there, or is not, means something only if no floor has passed it.
            _ if self.log.floor().await? > known.seq + 1 => self.reload().await,
            Ok(None) => Ok(known),
            Err(error) => Err(error),
        }
    }

    /// Folds a record that was found behind the known ones, and all behind it.
    async fn follow(&self, found: Entry) -> Result<Arc<Fold>> {
        let one_at_a_time = self.refreshing.lock().await;
        let known = self.current();
        let read = self.read_behind(known.seq, found).await;
        // Rule 1: clean-up may have come while the records, and their end, were looked for.
        if self.log.floor().await? > known.seq + 1 {
            drop(one_at_a_time);
            return self.reload().await;
        }
        let entries = read?;
        // Rule 2: who answers from a record first makes it durable.
        self.log.sync().await?;
        let mut fold = known;
        for entry in entries {
            fold = Arc::new(fold.next(&entry, &|id| self.tables.watermark(id))?);
            self.install(Arc::new(entry), fold.clone());
        }
        Ok(fold)
    }

    /// The records behind `last`, to the head; `found` may be the first of them.
    async fn read_behind(&self, mut last: u64, found: Entry) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if found.record.seq == last + 1 {
            last += 1;
            entries.push(found);
        }
        let head = self.log.head_from(last).await?;
        if head > last {
            entries.extend(self.log.range(last + 1, head).await?);
        }
        Ok(entries)
    }

    /// Makes a fold the newest one, unless a newer one is known.
    pub(super) fn install(&self, entry: Arc<Entry>, fold: Arc<Fold>) {
        if entry.record.txns.iter().any(|txn| !txn.ops.is_empty()) {
            let exists =
                |id: &TableId| fold.tables.contains_key(id) || fold.dropped.contains_key(id);
            self.tables.keep(exists);
        }
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).push(entry, fold.clone());
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if fold.seq > current.seq {
            *current = fold;
        }
    }

    /// Starts over from a checkpoint: the keys behind what is known may be gone.
    async fn reload(&self) -> Result<Arc<Fold>> {
        let _one_at_a_time = self.refreshing.lock().await;
        let mut lost = self.current().seq + 1;
        for _ in 0..RELOADS {
            let Some((fold, watermarks)) = checkpoint::newest(&self.log, u64::MAX).await? else {
                break;
            };
            for (id, watermark) in watermarks {
                self.tables.raise(&id, watermark);
            }
            let next = fold.seq + 1;
            let read = self.fold_to_head(fold).await;
            // Rule 1 once more: a later clean-up may have come, or a newer checkpoint be damaged.
            if self.log.floor().await? > next {
                lost = next;
                continue;
            }
            let fold = read?;
            self.log.sync().await?;
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            if fold.seq > current.seq {
                *current = fold;
            }
            return Ok(current.clone());
        }
        Err(missing(lost))
    }

    async fn fold_to_head(&self, fold: Fold) -> Result<Arc<Fold>> {
        let head = self.log.whole_head_from(fold.seq).await?;
        self.fold_range(fold, head).await
    }

    async fn fold_range(&self, mut fold: Fold, last: u64) -> Result<Arc<Fold>> {
        if last > fold.seq {
            for entry in self.log.range(fold.seq + 1, last).await? {
                fold = fold.next(&entry, &|id| self.tables.watermark(id))?;
            }
        }
        Ok(Arc::new(fold))
    }

    /// The fold after record `seq`.
    pub(super) async fn fold_at(&self, seq: u64) -> Result<Arc<Fold>> {
        let mut newest = self.current();
        if seq > newest.seq {
            newest = self.refresh().await?;
        }
        if seq == newest.seq {
            return Ok(newest);
        }
        let first = self.log.floor().await?.max(1);
        if seq < first || seq > newest.seq {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("snapshot {seq} does not exist"),
            )
            .hint(format!("Snapshots {first} to {} can be read.", newest.seq)));
        }
        if let Some(fold) = self.recent.lock().unwrap_or_else(PoisonError::into_inner).fold(seq) {
            return Ok(fold);
        }
        let start = checkpoint::newest(&self.log, seq).await?.map(|(fold, _)| fold);
        let fold = self.fold_range(start.unwrap_or_default(), seq).await?;
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).push_old(fold.clone());
        Ok(fold)
    }

    /// A record, from memory or from the log; none if its key is gone.
    pub(super) async fn entry(&self, seq: u64) -> Result<Option<Arc<Entry>>> {
        let kept = {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.entries.get(&seq).cloned()
        };
        match kept {
            Some(entry) => Ok(Some(entry)),
            None => Ok(self.log.get(seq).await?.map(Arc::new)),
        }
    }
}
