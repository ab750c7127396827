//! Who may cancel what: the running sessions by number and secret key.

use crate::session::CancelHandle;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All sessions of the server that a CancelRequest can reach.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<HashMap<i32, Entry>>);

#[derive(Debug)]
struct Entry {
    secret: Vec<u8>,
    handle: CancelHandle,
}

impl Registry {
    /// Makes a session reachable for as long as the guard lives.
    pub(super) fn register(
        self: &Arc<Self>,
        pid: i32,
        secret: Vec<u8>,
        handle: CancelHandle,
    ) -> Registered {
        self.entries().insert(pid, Entry { secret, handle });
        Registered { registry: Arc::clone(self), pid }
    }

    /// Cancels the running statement of a session, if the key is the session's.
    pub(super) fn cancel(&self, pid: i32, secret: &[u8]) {
        // The client is told nothing either way, as the protocol has it.
        let handle = self
            .entries()
            .get(&pid)
            .filter(|entry| same(&entry.secret, secret))
            .map(|entry| entry.handle.clone());
        if let Some(handle) = handle {
            tracing::debug!(pid, "cancel request");
            handle.cancel();
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares in a time that says nothing about where the keys differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

/// Takes a session out of the registry when it ends.
pub(super) struct Registered {
    registry: Arc<Registry>,
    pid: i32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.entries().remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_cancels_and_only_while_registered() {
        let registry = Arc::new(Registry::default());
        let handle = CancelHandle::default();
        let token = handle.arm(None);
        let guard = registry.register(7, vec![1, 2, 3, 4], handle.clone());
        registry.cancel(7, &[1, 2, 3]);
        registry.cancel(7, &[1, 2, 3, 5]);
        registry.cancel(8, &[1, 2, 3, 4]);
        assert!(!token.token().is_cancelled());
        registry.cancel(7, &[1, 2, 3, 4]);
        assert!(token.token().is_cancelled());
        let token = handle.arm(None);
        drop(guard);
        registry.cancel(7, &[1, 2, 3, 4]);
        assert!(!token.token().is_cancelled());
    }
}
