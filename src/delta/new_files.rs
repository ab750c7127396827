//! The files that a transaction writes, known before they exist, so that none stays behind when it fails.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use object_store::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::task::TaskTracker;

/// Files of one transaction, relative to the warehouse. Clones note into the same list.
#[derive(Debug, Clone, Default)]
pub struct NewFiles {
    paths: Arc<Mutex<Vec<Path>>>,
    /// Files that are about to get their names.
    appearing: TaskTracker,
}

impl NewFiles {
    /// Notes a file that may appear from now on.
    pub fn note(&self, path: Path) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }

    /// Runs the step that gives a noted file its name. It goes on if the caller stops waiting: a file
    /// would otherwise appear behind the back of whoever deletes it.
    ///
    /// # Errors
    /// What the step answers with; 57014 once the files are settled; XX000 if it panicked.
    pub async fn appear<T: Send + 'static>(
        &self,
        step: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        // Whoever settles the files closes first and waits then: a step that comes later finds it closed.
        let started = self.appearing.token();
        if self.appearing.is_closed() {
            return Err(Error::new(SqlState::QueryCanceled, "the transaction has ended"));
        }
        let step = self.appearing.spawn(step);
        drop(started);
        step.await.map_err(|e| Error::internal(format!("a file was not finished: {e}")))?
    }

    /// True if no file was noted.
    pub fn is_empty(&self) -> bool {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// All files that were noted, once none of them can appear any more.
    pub async fn settled(self) -> Vec<Path> {
        self.appearing.close();
        self.appearing.wait().await;
        std::mem::take(&mut self.paths.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
