//! What all sessions of a process share.

use crate::catalog::CatalogState;
use crate::config::Settings;
use crate::error::Result;
use crate::planner::{CATALOG, Limits, Services};
use crate::system::{SessionInfo, Setting, System, SystemContext};
use crate::warehouse::{self, Warehouse};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The role that everybody has until there are logins.
pub(super) const ROLE: &str = "cenote";

/// How an engine is opened.
#[derive(Clone, Default)]
pub struct EngineOptions {
    /// How the warehouse is opened.
    pub warehouse: warehouse::Options,
    /// How much it may use.
    pub limits: Limits,
}

/// A warehouse with all that runs statements on it.
pub struct Engine {
    services: Arc<Services>,
    next_pid: AtomicI32,
    sessions: Mutex<BTreeMap<i32, Arc<Activity>>>,
    maintaining: AtomicBool,
    started_at: DateTime<Utc>,
}

/// What a session is doing, for pg_stat_activity.
pub(super) struct Activity {
    role: String,
    application: String,
    state: Mutex<(bool, String)>,
}

impl Activity {
    pub(super) fn begin(&self, query: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (true, query.chars().take(1024).collect());
    }

    pub(super) fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Engine {
    /// Opens the warehouse in a folder with the default limits.
    ///
    /// # Errors
    /// 58P01, 42501, 55000 … with a hint if the folder is no warehouse that can be used.
    pub async fn open(data: &Path) -> Result<Arc<Self>> {
        Self::open_with(data, EngineOptions::default()).await
    }

    /// Opens the warehouse in a folder; queries and training share this much memory.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_within(data: &Path, memory_bytes: Option<usize>) -> Result<Arc<Self>> {
        let limits = Limits::of_memory(memory_bytes);
        Self::open_with(data, EngineOptions { limits, ..EngineOptions::default() }).await
    }

    /// Opens the warehouse in a folder.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_with(data: &Path, options: EngineOptions) -> Result<Arc<Self>> {
        let warehouse = Warehouse::open(data, options.warehouse).await?;
        let services = Services::new(warehouse, &options.limits)?;
        Ok(Arc::new(Self {
            services,
            // PostgreSQL's process numbers are never small; clients show them.
            next_pid: AtomicI32::new(1000),
            sessions: Mutex::default(),
            maintaining: AtomicBool::new(false),
            started_at: Utc::now(),
        }))
    }

    /// The runtime that sessions and their queries run on.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        self.services.compute()
    }

    /// What statements share.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    pub(super) fn enter(&self, role: &str, application: &str) -> (i32, Arc<Activity>) {
        let pid = self.next_pid.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity {
            role: role.to_owned(),
            application: application.to_owned(),
            state: Mutex::default(),
        });
        self.lock().insert(pid, activity.clone());
        (pid, activity)
    }

    pub(super) fn leave(&self, pid: i32) {
        self.lock().remove(&pid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, Arc<Activity>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has checkpoints written in the background, one round at a time.
    pub(super) fn maintain_later(self: &Arc<Self>) {
        if self.maintaining.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = self.clone();
        self.runtime().spawn(async move {
            if let Err(error) = engine.services.warehouse.maintain().await {
                tracing::warn!(%error, "background maintenance failed");
            }
            engine.maintaining.store(false, Ordering::Release);
        });
    }

    pub(super) fn system_context(
        &self,
        catalog: Arc<CatalogState>,
        role: &str,
        pid: i32,
        settings: &Settings,
    ) -> Arc<System> {
        let sessions = self
            .lock()
            .iter()
            .map(|(pid, activity)| {
                let state = activity.state.lock().unwrap_or_else(PoisonError::into_inner);
                SessionInfo {
                    pid: *pid,
                    role: activity.role.clone(),
                    application_name: activity.application.clone(),
                    state: if state.0 { "active" } else { "idle" }.to_owned(),
                    query: state.1.clone(),
                }
            })
            .collect();
        System::new(SystemContext {
            catalog,
            role: role.to_owned(),
            database: CATALOG.to_owned(),
            search_path: settings.search_path(role),
            settings: settings
                .all()
                .map(|(s, value)| Setting {
                    name: s.name.to_owned(),
                    value: value.to_owned(),
                    description: s.doc.to_owned(),
                })
                .collect(),
            sessions,
            pid,
            server_version: crate::config::SERVER_VERSION.to_owned(),
            started_at: self.started_at.timestamp_micros(),
        })
    }
}
