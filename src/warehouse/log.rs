//! The warehouse log as files: keys, the search for its head, reading and putting records.

use super::record::{Record, Staged};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::store::DurableStore;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use std::sync::Arc;

/// Folder of the records.
pub(super) const LOG_FOLDER: &str = "_cenote/log";
/// Folder of large bodies.
pub(super) const STAGED_FOLDER: &str = "_cenote/staged";
/// Folder of floors: keys of the log below one may be gone.
const FLOOR_FOLDER: &str = "_cenote/floor";
/// Records that are read at a time.
const READS_AT_ONCE: usize = 16;

/// A record as it was read: decoded, with its staged bodies fetched.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) checksum: String,
    /// Bytes that it takes in memory, about.
    pub(super) size: usize,
}

/// The log of one warehouse.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) durable: DurableStore,
}

/// The key of a record.
pub(super) fn key(seq: u64) -> Path {
    Path::from(format!("{LOG_FOLDER}/{seq:020}.json"))
}

/// The bytes of a file, or none if there is no such file.
pub(super) async fn read(store: &dyn ObjectStore, path: &Path) -> Result<Option<Bytes>> {
    match store.get(path).await {
        Ok(found) => Ok(Some(found.bytes().await?)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// True if there is such a file.
pub(super) async fn exists(store: &dyn ObjectStore, path: &Path) -> Result<bool> {
    match store.head(path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

impl Log {
    /// The record of this number, or none if there is no such key.
    pub(super) async fn get(&self, seq: u64) -> Result<Option<Entry>> {
        let Some(bytes) = read(self.store.as_ref(), &key(seq)).await? else { return Ok(None) };
        let (mut record, checksum) = Record::decode(&bytes, seq)?;
        let mut size = bytes.len();
        for txn in &mut record.txns {
            for commits in txn.tables.values_mut() {
                for commit in commits {
                    if let Some(staged) = &commit.staged {
                        commit.body = self.staged(staged).await?;
                        size += commit.body.len();
                    }
                }
            }
        }
        Ok(Some(Entry { record, checksum, size }))
    }

    async fn staged(&self, staged: &Staged) -> Result<String> {
        let bytes = read(self.store.as_ref(), &Path::from(staged.path.as_str())).await?;
        let damaged = || {
            let message = format!("the staged commit \"{}\" is missing or damaged", staged.path);
            Error::new(SqlState::DataCorrupted, message)
        };
        let bytes = bytes.ok_or_else(damaged)?;
        if blake3::hash(&bytes).to_hex().as_str() != staged.blake3 {
            return Err(damaged());
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| damaged())
    }

    /// The records `first..=last`, which must be there, in order.
    pub(super) async fn range(&self, first: u64, last: u64) -> Result<Vec<Entry>> {
        stream::iter(first..=last)
            .map(|seq| async move { self.get(seq).await?.ok_or_else(|| missing(seq)) })
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await
    }

    /// The number of the last record, given one that exists: gallops, then halves.
    pub(super) async fn head_from(&self, known: u64) -> Result<u64> {
        let store = self.store.as_ref();
        let (mut present, mut step) = (known, 1);
        let mut absent = loop {
            let probe = present + step;
            if !exists(store, &key(probe)).await? {
                break probe;
            }
            present = probe;
            step *= 2;
        };
        while absent - present > 1 {
            let middle = present + (absent - present) / 2;
            match exists(store, &key(middle)).await? {
                true => present = middle,
                false => absent = middle,
            }
        }
        Ok(present)
    }

    /// The same at a start, where a record that was lost must not be taken for the log's end; 0 for no record at all.
    ///
    /// # Errors
    /// XX001 if there are records behind one that is missing.
    pub(super) async fn whole_head_from(&self, known: u64) -> Result<u64> {
        let mut head = self.head_from(known).await?;
        loop {
            let behind = self
                .store
                .list_with_offset(Some(&Path::from(LOG_FOLDER)), &key(head))
                .try_any(|found| std::future::ready(is_record(&found.location)))
                .await?;
            if !behind {
                return Ok(head);
            }
            // Others may have committed since the head was found.
            let next = self.head_from(head).await?;
            if next == head {
                return Err(missing(head + 1));
            }
            head = next;
        }
    }

    /// Puts a record's bytes under its key, if nothing is there.
    pub(super) async fn put(&self, seq: u64, bytes: Bytes) -> object_store::Result<()> {
        self.store.put_opts(&key(seq), bytes.into(), PutMode::Create.into()).await.map(|_| ())
    }

    /// Makes records durable that another process may have put a moment ago: rule 2.
    pub(super) async fn sync(&self) -> Result<()> {
        self.durable.sync_folder(&Path::from(LOG_FOLDER)).await
    }

    /// The highest floor; keys of the log below it may be gone. 0 if nothing was ever removed.
    pub(super) async fn floor(&self) -> Result<u64> {
        let listed = self.store.list_with_delimiter(Some(&Path::from(FLOOR_FOLDER))).await?;
        Ok(listed
            .objects
            .iter()
            .filter_map(|o| o.location.filename()?.parse().ok())
            .max()
            .unwrap_or(0))
    }
}

fn is_record(path: &Path) -> bool {
    let number = path.filename().and_then(|name| name.strip_suffix(".json"));
    number.is_some_and(|n| n.len() == 20 && n.bytes().all(|b| b.is_ascii_digit()))
}

pub(super) fn missing(seq: u64) -> Error {
    Error::new(SqlState::DataCorrupted, format!("record {seq} of the warehouse log is missing"))
}
