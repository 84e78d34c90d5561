//! Numbers that every call adds to, without a line of memory that every thread writes to.

use crate::permits::{SHARES, own};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many calls there were.
#[derive(Debug, Default)]
pub(super) struct Count([Share; SHARES as usize]);

/// The calls of some threads. As wide as the two lines that processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Share {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Count {
    /// A call begins; how many had begun on these threads before.
    #[inline]
    pub(super) fn begin(&self) -> u64 {
        self.0[own()].begun.fetch_add(1, Ordering::Relaxed)
    }

    /// One has ended, wherever it began.
    #[inline]
    pub(super) fn end(&self) {
        self.0[own()].ended.fetch_add(1, Ordering::Relaxed);
    }

    /// All that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.0.iter().map(|share| share.begun.load(Ordering::Relaxed)).sum()
    }

    /// Those that have not ended.
    pub(super) fn in_flight(&self) -> u64 {
        // In this order: what begins and ends meanwhile may be counted, and never the other way
        // round.
        let ended: u64 = self.0.iter().map(|share| share.ended.load(Ordering::Relaxed)).sum();
        self.begun().saturating_sub(ended)
    }
}
