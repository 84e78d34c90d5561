//! Handlers of a connection that wait for a thread, and answers that leave together.
//!
//! Handlers that compute end one by one, and an answer that is written by itself costs a system
//! call here and a wake-up at the client. To give way as leaders do does not help: it is to go
//! behind all handlers that wait. But while those do, an answer may wait for the next ones, a few
//! of them: with n calls in flight the last of k answers comes after k/n of the time that a call
//! takes (Little's law).

use crate::peers::Peer;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// For each of the answers that leave together so many handlers wait.
const WAITING: u32 = 4;
/// So many answers leave together at most.
const MOST: u32 = 8;
/// Answers are not kept for handlers that take longer: a write is nothing to them.
pub(crate) const LONG: Duration = Duration::from_millis(1);

/// How many handlers wait for their first poll.
///
/// Sequentially consistent: who leaves an answer then looks at the number. As long as handlers
/// wait, each of them will look when it has ended.
#[derive(Debug, Default)]
pub(crate) struct Backlog(AtomicU32);

impl Backlog {
    /// How many answers are enough to be written.
    fn enough(&self) -> u32 {
        u32::min(self.0.load(Ordering::SeqCst) / WAITING, MOST)
    }
}

/// A handler that is counted until its first poll begins, and whose end sees to the answers that
/// were left before.
#[derive(Debug)]
pub(crate) struct Queued {
    peer: Arc<Peer>,
    waits: bool,
}

impl Queued {
    pub(crate) fn new(peer: &Arc<Peer>) -> Self {
        peer.backlog.0.fetch_add(1, Ordering::SeqCst);
        Self { peer: Arc::clone(peer), waits: true }
    }

    /// Its first poll begins.
    pub(crate) fn begins(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.peer.backlog.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Its answer is the outbox's, which is its own to write. False: and so it stays, since hardly
    /// any handler waits.
    pub(crate) fn sends(self) -> bool {
        let enough = self.peer.backlog.enough();
        if enough > 1 && !self.peer.link.outbox().leave_to_next(enough) {
            self.peer.link.outbox().write_or_leave(self.peer.link.stream());
        }
        enough > 1
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.begins();
        self.peer.link.outbox().write_left(self.peer.backlog.enough(), self.peer.link.stream());
    }
}
