//! The calls of one connection that run in tasks, by call id.

use rpc_core::transport::lock;
use std::{collections::HashMap, sync::Mutex};
use tokio::task::AbortHandle;

/// Running calls. Each method locks for a moment; no task is touched under the lock.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<u64, Option<AbortHandle>>>);

impl Running {
    /// Whether a call with this id runs.
    pub(crate) fn contains(&self, id: u64) -> bool {
        lock(&self.0).contains_key(&id)
    }

    /// A call is about to be started. Made before its task, which may end at once.
    pub(crate) fn begin(&self, id: u64) {
        lock(&self.0).insert(id, None);
    }

    /// The call's task, unless it has ended already.
    pub(crate) fn started(&self, id: u64, task: AbortHandle) {
        if let Some(entry) = lock(&self.0).get_mut(&id) {
            *entry = Some(task);
        }
    }

    /// The call has ended. False when it was cancelled: nobody waits for its answer.
    pub(crate) fn end(&self, id: u64) -> bool {
        lock(&self.0).remove(&id).is_some()
    }

    /// Drops the handler of a call; whether there was one.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let entry = lock(&self.0).remove(&id);
        let found = entry.is_some();
        if let Some(task) = entry.flatten() {
            task.abort();
        }
        found
    }

    /// Drops the handlers of all calls; how many there were.
    pub(crate) fn cancel_all(&self) -> usize {
        let calls = std::mem::take(&mut *lock(&self.0));
        for task in calls.values().flatten() {
            task.abort();
        }
        calls.len()
    }
}
