//! A handler that waits for a thread, and what it owes to the answers of others.

use crate::peers::Peer;
use std::{sync::Arc, time::Duration};

/// Answers are not kept for handlers that take longer: a write is nothing to them.
pub(super) const LONG: Duration = Duration::from_millis(1);

/// Counted in the [`Backlog`](crate::backlog::Backlog) until its first poll begins; its end sees to
/// the answers that were left before.
#[derive(Debug)]
pub(crate) struct Queued {
    peer: Arc<Peer>,
    waits: bool,
}

impl Queued {
    pub(super) fn new(peer: &Arc<Peer>) -> Self {
        peer.backlog.joined();
        Self { peer: Arc::clone(peer), waits: true }
    }

    /// Its first poll begins.
    pub(super) fn begins(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.peer.backlog.left();
        }
    }

    /// Its answer is in the outbox, which is its own to write: does that, or leaves it to the next.
    /// False: neither, since hardly any handler waits.
    pub(super) fn sends(self) -> bool {
        let (enough, link) = (self.peer.backlog.enough(), &self.peer.link);
        if enough <= 1 {
            return false;
        }
        if !link.outbox().leave_to_next(enough) {
            link.outbox().write_or_leave(link.stream());
        }
        true
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.begins();
        let link = &self.peer.link;
        link.outbox().write_left(self.peer.backlog.enough(), link.stream());
    }
}
