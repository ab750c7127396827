//! The commit: check against the winners, number, stamp, put, and settle the outcome.

use super::draft::Draft;
use super::fold::Fold;
use super::log::{self, Entry, STAGED_FOLDER};
use super::open::Warehouse;
use super::record::{FORMAT, Quarantine, Record, Staged, TxnRecord};
use super::snapshot::Snapshot;
use super::transaction::quarantined;
use crate::catalog::{TableId, random_id};
use crate::delta::TableState;
use crate::error::{Error, Notice, Result};
use crate::sqlstate::SqlState;
use bytes::Bytes;
use futures::future::join_all;
use object_store::PutMode;
use object_store::path::Path;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bodies above this size are staged in files of their own, so that the log stays quick to read.
const STAGE_ABOVE: usize = 1 << 20;
/// How often a store operation is tried whose outcome is not known.
const ATTEMPTS: usize = 3;

/// What a commit says of itself.
#[derive(Debug, Clone, Default)]
pub struct CommitInfo {
    /// The statement, or the first of them, for people.
    pub statement: String,
    /// The caller runs the statement again at the new head if it loses: any loss is 40001, also that
    /// of a name, which is 42P07 otherwise.
    pub retriable: bool,
    /// More to keep in the record.
    pub info: serde_json::Map<String, serde_json::Value>,
}

/// A commit that stands.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The record's number.
    pub seq: u64,
    /// The record's time: microseconds since 1970, UTC.
    pub time: i64,
    /// The warehouse right after it: OIDs and model versions are final here.
    pub snapshot: Snapshot,
    /// What went wrong afterwards.
    pub warnings: Vec<Notice>,
}

/// A commit that failed.
pub(super) struct Failed {
    pub(super) error: Error,
    /// A record was put, perhaps: files of the transaction must stay.
    pub(super) put_tried: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, put_tried: false }
    }
}

/// A record that is ready to be put.
struct Attempt {
    entry: Entry,
    bytes: Bytes,
    fold: Arc<Fold>,
    states: Vec<(TableId, TableState)>,
}

/// Who has the key.
#[derive(PartialEq, Eq)]
enum Put {
    Won,
    Lost,
}

impl Warehouse {
    /// Puts a transaction's record behind the head, and publishes it.
    pub(super) async fn append(self: &Arc<Self>, draft: Draft) -> Result<Committed, Failed> {
        let fold = self.append_record(&draft).await?;
        let warnings = self.publish_tables(&fold, draft.written()).await;
        self.maintain_if_due(&fold);
        let snapshot = Snapshot::new(self.clone(), fold);
        Ok(Committed { seq: snapshot.seq(), time: snapshot.time(), snapshot, warnings })
    }

    async fn append_record(&self, draft: &Draft) -> Result<Arc<Fold>, Failed> {
        let _one_put_in_flight = self.committing.lock().await;
        let mut checked = draft.snapshot.seq();
        let mut put_tried = false;
        loop {
            let attempt = async {
                let head = self.refresh().await?;
                self.check_winners(draft, checked, &head).await?;
                checked = head.seq;
                let time = self.options.clock.now_micros().max(head.time + 1);
                let txn = draft.record(&head, time)?;
                if self.broken_into(&head, &txn).await? {
                    return Ok(None);
                }
                self.prepare(&head, txn, time).await.map(Some)
            };
            let attempt = attempt.await.map_err(|error| Failed { error, put_tried })?;
            let Some(attempt) = attempt else { continue };
            put_tried = true;
            let put = self.put(&attempt).await.map_err(|error| Failed { error, put_tried })?;
            if put == Put::Won {
                return Ok(self.won(attempt));
            }
        }
    }

    /// Checks a draft against the records after `checked`.
    async fn check_winners(&self, draft: &Draft, checked: u64, head: &Fold) -> Result<()> {
        if head.seq > checked
            && let Some(error) = draft.name_taken(head)
        {
            return Err(error);
        }
        for seq in checked + 1..=head.seq {
            let Some(entry) = self.entry(seq).await? else {
                return Err(Error::new(
                    SqlState::SerializationFailure,
                    "could not serialize access: the transaction is too old",
                )
                .detail(format!("Record {seq} of the warehouse log has been cleaned up."))
                .hint("Run the transaction again."));
            };
            for winner in &entry.record.txns {
                draft.check(winner, seq)?;
            }
        }
        Ok(())
    }

    /// Looks for commits of others where the new ones are to go. True if the head has moved.
    ///
    /// Another server of this warehouse publishes only what its record promised, so a file that is
    /// still ahead of the log after another look at it is foreign.
    async fn broken_into(&self, head: &Fold, txn: &TxnRecord) -> Result<bool> {
        let mut paths = Vec::new();
        for (id, commits) in &txn.tables {
            if let (Some(table), Some(commit)) = (head.tables.get(id), commits.first()) {
                paths.push((id.clone(), commit.version, table.commit_file(commit.version)?));
            }
        }
        let probes = paths.into_iter().map(|(id, version, path)| {
            let store = self.log.store.clone();
            async move { (log::exists(store.as_ref(), &path).await, id, version) }
        });
        for (there, id, version) in join_all(probes).await {
            let there = there?;
            if !there {
                continue;
            }
            if self.refresh().await?.seq > head.seq {
                return Ok(true);
            }
            let reason = format!("Someone else wrote version {version} of it.");
            self.put_quarantine(&id, Quarantine { version, reason: reason.clone() }).await?;
            return Err(quarantined(&head.table_name(&id), &reason));
        }
        Ok(false)
    }

    /// Encodes the record that follows `head`, and folds it: what cannot be folded is never put.
    async fn prepare(&self, head: &Fold, txn: TxnRecord, time: i64) -> Result<Attempt> {
        let mut record = Record {
            format: FORMAT,
            needs: Vec::new(),
            warehouse: head.warehouse.clone(),
            seq: head.seq + 1,
            record: random_id(),
            previous: head.checksum.clone(),
            time,
            txns: vec![txn],
        };
        let bodies = self.stage(&mut record).await?;
        let (bytes, checksum) = record.encode();
        let size = bytes.len();
        for (place, body) in bodies {
            if let Some(commit) = record.txns[0].tables.get_mut(&place).and_then(|c| c.first_mut())
            {
                commit.body = body;
            }
        }
        let entry = Entry { record, checksum, size };
        let fold = Arc::new(head.next(&entry, &|id| self.tables.watermark(id))?);
        let states = self.advance(&fold)?;
        Ok(Attempt { entry, bytes: bytes.into(), fold, states })
    }

    /// The new states of tables whose old ones are in memory. Fails if a removed file is not live.
    fn advance(&self, next: &Fold) -> Result<Vec<(TableId, TableState)>> {
        let mut states = Vec::new();
        for id in next.written.iter() {
            let Some(log) = next.tables.get(id) else { continue };
            let Some(body) = log.bodies.get(&log.head) else { continue };
            let before = match log.head {
                0 => TableState::empty((*log.protocol).clone(), (*log.metadata).clone()),
                version => match self.tables.cached(id, version - 1) {
                    Some(state) => TableState::clone(&state),
                    None => continue,
                },
            };
            let mut state = before;
            state.commit(log.head, body.actions()?)?;
            states.push((id.clone(), state));
        }
        Ok(states)
    }

    /// Moves large bodies into files of their own; returns them by table.
    async fn stage(&self, record: &mut Record) -> Result<BTreeMap<TableId, String>> {
        let mut taken = BTreeMap::new();
        let (seq, txn) = (record.seq, &mut record.txns[0]);
        for (id, commits) in &mut txn.tables {
            for commit in commits.iter_mut().filter(|c| c.body.len() > STAGE_ABOVE) {
                let body = std::mem::take(&mut commit.body);
                let path = format!("{STAGED_FOLDER}/{}/{id}-{seq}.json", txn.id);
                commit.staged = Some(Staged {
                    length: body.len() as u64,
                    blake3: blake3::hash(body.as_bytes()).to_hex().to_string(),
                    path: path.clone(),
                });
                let payload = Bytes::from(body.clone()).into();
                let path = Path::from(path);
                self.log.store.put_opts(&path, payload, PutMode::Overwrite.into()).await?;
                taken.insert(id.clone(), body);
            }
        }
        Ok(taken)
    }

    /// Puts a record and finds out who has its key: rule 3.
    ///
    /// # Errors
    /// 08007 if that cannot be found out; anything else means that the key is not ours and, on a local
    /// disk, where no put is under way any more, will not be.
    async fn put(&self, attempt: &Attempt) -> Result<Put> {
        let seq = attempt.entry.record.seq;
        let mut first_error = None;
        let mut absent = false;
        for _ in 0..ATTEMPTS {
            let error = match self.log.put(seq, attempt.bytes.clone()).await {
                Ok(()) => return self.confirm(seq).await,
                Err(error) => error,
            };
            // AlreadyExists may be our own success, if the store tried twice.
            match self.log.get(seq).await {
                Ok(Some(found)) if found.record.record == attempt.entry.record.record => {
                    self.log.sync().await.map_err(unknown)?;
                    return self.confirm(seq).await;
                }
                Ok(Some(_)) => return Ok(Put::Lost),
                Ok(None) => absent = true,
                Err(_) => absent = false,
            }
            first_error.get_or_insert(error);
            if self.log.durable.poison().is_some() {
                break;
            }
        }
        let error = first_error.map_or_else(|| Error::internal("no put was tried"), Error::from);
        if absent { Err(error) } else { Err(unknown(error)) }
    }

    /// Rule 1: a key that was won counts only if no floor has passed it.
    async fn confirm(&self, seq: u64) -> Result<Put> {
        let mut floor = self.log.floor().await;
        for _ in 1..ATTEMPTS {
            if floor.is_err() {
                floor = self.log.floor().await;
            }
        }
        match floor {
            Ok(floor) if floor <= seq => Ok(Put::Won),
            Ok(_) => Err(unknown(Error::internal("the record's place in the log was cleaned up"))),
            Err(error) => Err(unknown(error)),
        }
    }

    fn won(&self, attempt: Attempt) -> Arc<Fold> {
        for (id, state) in attempt.states {
            self.tables.insert(&id, Arc::new(state));
        }
        self.install(Arc::new(attempt.entry), attempt.fold.clone());
        attempt.fold
    }

    /// Records that a table takes no writes any more. The caller holds `committing`.
    async fn put_quarantine(&self, id: &str, quarantine: Quarantine) -> Result<()> {
        loop {
            let head = self.refresh().await?;
            let known = head.tables.get(id).is_none_or(|log| log.quarantine.is_some());
            if known {
                return Ok(());
            }
            let txn = TxnRecord {
                id: random_id(),
                base: head.seq,
                role: self.options.owner.clone(),
                keys: Vec::new(),
                ops: Vec::new(),
                tables: BTreeMap::new(),
                reads: BTreeMap::new(),
                quarantine: [(id.to_owned(), quarantine.clone())].into(),
                info: serde_json::Map::new(),
            };
            let time = self.options.clock.now_micros().max(head.time + 1);
            let attempt = self.prepare(&head, txn, time).await?;
            if self.put(&attempt).await? == Put::Won {
                self.won(attempt);
                return Ok(());
            }
        }
    }

    /// Records that a table takes no writes any more.
    pub(super) async fn quarantine(&self, id: &str, quarantine: Quarantine) -> Result<()> {
        let _one_put_in_flight = self.committing.lock().await;
        self.put_quarantine(id, quarantine).await
    }
}

fn unknown(cause: Error) -> Error {
    Error::new(SqlState::TransactionResolutionUnknown, "the outcome of the commit is not known")
        .detail(format!("{}.", cause.message()))
        .hint("Look whether the changes are there before running the transaction again.")
        .source(cause)
}
