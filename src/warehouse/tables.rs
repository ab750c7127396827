//! Table states in memory: loaded once through delta-rs, then advanced by the bodies in the records.

use super::fold::TableLog;
use crate::catalog::TableId;
use crate::delta::{TableState, log};
use crate::error::{Error, Result};
use object_store::ObjectStore;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// States of one table that stay in memory; they share all that did not change between them.
const STATES_KEPT: usize = 16;

/// The cache of one server.
#[derive(Debug, Default)]
pub(super) struct TableCache {
    tables: Mutex<HashMap<TableId, Cached>>,
    /// Up to which version each table's commits are published, compared and durable.
    watermarks: Mutex<HashMap<TableId, i64>>,
}

#[derive(Debug, Default)]
struct Cached {
    states: BTreeMap<i64, Arc<TableState>>,
    /// The version of the newest checkpoint that is known; none is known at first.
    checkpointed: Option<i64>,
    /// Whoever loads a state holds this, so that a table is loaded once.
    loading: Arc<tokio::sync::Mutex<()>>,
    /// Whoever publishes holds this, so that commits appear in order.
    publishing: Arc<tokio::sync::Mutex<()>>,
}

impl TableCache {
    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Cached) -> T) -> T {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        match tables.get_mut(id) {
            Some(cached) => act(cached),
            None => act(tables.entry(id.to_owned()).or_default()),
        }
    }

    /// The state of this version, if it is in memory.
    pub(super) fn cached(&self, id: &str, version: i64) -> Option<Arc<TableState>> {
        self.with(id, |c| c.states.get(&version).cloned())
    }

    /// Keeps a state.
    pub(super) fn insert(&self, id: &str, state: Arc<TableState>) {
        self.with(id, |c| {
            c.states.insert(state.version(), state);
            while c.states.len() > STATES_KEPT {
                c.states.pop_first();
            }
        });
    }

    /// Forgets the states of all other tables: they were dropped. Time travel reads them again.
    pub(super) fn keep(&self, exists: impl Fn(&TableId) -> bool) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|id, _| exists(id));
    }

    /// The lock of whoever publishes commits of a table.
    pub(super) fn publishing(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.with(id, |c| c.publishing.clone())
    }

    /// The version of a table's newest checkpoint, as far as is known; -1 if none is.
    pub(super) fn checkpointed(&self, id: &str) -> i64 {
        self.with(id, |c| c.checkpointed.unwrap_or(-1))
    }

    /// Notes the version of a table's newest checkpoint.
    pub(super) fn set_checkpointed(&self, id: &str, version: i64) {
        self.with(id, |c| c.checkpointed = Some(version));
    }

    /// Up to which version a table is published; -1 if no version is.
    pub(super) fn watermark(&self, id: &str) -> i64 {
        let watermarks = self.watermarks.lock().unwrap_or_else(PoisonError::into_inner);
        watermarks.get(id).copied().unwrap_or(-1)
    }

    /// Raises a watermark; it never falls.
    pub(super) fn raise(&self, id: &str, version: i64) {
        let mut watermarks = self.watermarks.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = watermarks.entry(id.to_owned()).or_insert(-1);
        *mark = version.max(*mark);
    }

    /// A table at a version not above the log's head of it.
    pub(super) async fn state(
        &self,
        store: &Arc<dyn ObjectStore>,
        id: &str,
        table: &TableLog,
        version: i64,
    ) -> Result<Arc<TableState>> {
        if let Some(state) = self.cached(id, version) {
            return Ok(state);
        }
        let loading = self.with(id, |c| c.loading.clone());
        let _one_at_a_time = loading.lock().await;
        if let Some(state) = self.cached(id, version) {
            return Ok(state);
        }
        let mut state = match self.below(id, table, version) {
            Some(state) => TableState::clone(&state),
            None => self.load(store, id, table, version).await?,
        };
        for next in state.version() + 1..=version {
            let body = table.bodies.get(&next).ok_or_else(|| {
                Error::internal(format!("the body of version {next} of table {id} is not at hand"))
            })?;
            state.commit(next, body.actions()?)?;
        }
        let state = Arc::new(state);
        self.insert(id, state.clone());
        Ok(state)
    }

    /// The newest state below `version` from which the bodies at hand lead to it.
    fn below(&self, id: &str, table: &TableLog, version: i64) -> Option<Arc<TableState>> {
        let (_, state) =
            self.with(id, |c| c.states.range(..version).next_back().map(|(v, s)| (*v, s.clone())))?;
        (state.version() + 1..=version).all(|v| table.bodies.contains_key(&v)).then_some(state)
    }

    async fn load(
        &self,
        store: &Arc<dyn ObjectStore>,
        id: &str,
        table: &TableLog,
        version: i64,
    ) -> Result<TableState> {
        let published = self.watermark(id).min(version);
        if published < 0 {
            return Ok(TableState::empty((*table.protocol).clone(), (*table.metadata).clone()));
        }
        log::load(store.clone(), &table.folder()?, published).await
    }
}
