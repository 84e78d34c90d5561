//! What a client counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters; relaxed, off the path of a call that succeeds at once.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) dials: AtomicU64,
    pub(crate) moves: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) retries_refused: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) hedges_won: AtomicU64,
    pub(crate) hedges_refused: AtomicU64,
    pub(crate) late_replies: AtomicU64,
    pub(crate) reviews: AtomicU64,
}

/// What a client has done since it was built; see [`Client::stats`](crate::Client::stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Calls that have begun and not ended.
    pub in_flight: u32,
    /// Connections that were made.
    pub dials: u64,
    /// Attempts that followed one that had not been sent, or that a leaving provider refused.
    pub moves: u64,
    /// Attempts that were paid for as retries.
    pub retries: u64,
    /// Retries that the budget had nothing left for.
    pub retries_refused: u64,
    /// Attempts that were started beside one that took longer than usual.
    pub hedges: u64,
    /// Those of them that answered first.
    pub hedges_won: u64,
    /// Hedges that their budget had nothing left for.
    pub hedges_refused: u64,
    /// Replies that came after their callers had gone, and were dropped.
    pub late_replies: u64,
    /// Times that the client's tasks have looked at an endpoint, or at all endpoints of a service.
    /// It grows with what happens to them, and at most a few times a second without.
    pub reviews: u64,
}

impl Counters {
    pub(crate) fn read(&self, in_flight: u32) -> ClientStats {
        ClientStats {
            in_flight,
            dials: self.dials.load(Ordering::Relaxed),
            moves: self.moves.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            retries_refused: self.retries_refused.load(Ordering::Relaxed),
            hedges: self.hedges.load(Ordering::Relaxed),
            hedges_won: self.hedges_won.load(Ordering::Relaxed),
            hedges_refused: self.hedges_refused.load(Ordering::Relaxed),
            late_replies: self.late_replies.load(Ordering::Relaxed),
            reviews: self.reviews.load(Ordering::Relaxed),
        }
    }
}
