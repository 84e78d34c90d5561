//! A number that every call adds to, without a line of memory that every thread writes to.

use crate::permits::{SHARES, own};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many calls there were.
#[derive(Debug, Default)]
pub(super) struct Count([Share; SHARES as usize]);

/// The calls of some threads. As wide as the two lines that processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Share(AtomicU64);

impl Count {
    /// Adds one; how many these threads had added before.
    #[inline]
    pub(super) fn add(&self) -> u64 {
        self.0[own()].0.fetch_add(1, Ordering::Relaxed)
    }

    /// All of them.
    pub(super) fn sum(&self) -> u64 {
        self.0.iter().map(|share| share.0.load(Ordering::Relaxed)).sum()
    }
}
