//! How many calls run, and how many were answered, in one number.

use std::sync::atomic::{AtomicU64, Ordering};

/// Calls that run, in the low half, and calls that were answered, in the high half, which wraps:
/// one atomic operation moves a call from the one to the other. Relaxed: the
/// numbers bound work and order nothing.
#[derive(Debug, Default)]
pub(super) struct Tally(AtomicU64);

impl Tally {
    const ANSWERED: u64 = 1 << 32;

    /// Counts one more that runs, if fewer do than there are places.
    pub(super) fn enter(&self, places: u32) -> bool {
        let enter = |tally| (low(tally) < places).then_some(tally + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).is_ok()
    }

    pub(super) fn leave(&self, answered: bool) {
        let change = if answered { Self::ANSWERED - 1 } else { u64::MAX };
        // Wraps: the low half is at least one.
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    pub(super) fn running(&self) -> u32 {
        low(self.0.load(Ordering::Relaxed))
    }

    /// Calls that run, and calls that were answered.
    pub(super) fn read(&self) -> (u32, u32) {
        let tally = self.0.load(Ordering::Relaxed);
        (low(tally), low(tally >> 32))
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the half that is meant")]
fn low(tally: u64) -> u32 {
    tally as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_wraps_without_touching_what_runs() {
        let tally = Tally(AtomicU64::new(u64::from(u32::MAX) << 32));
        assert!(tally.enter(1));
        tally.leave(true);
        assert_eq!(tally.read(), (0, 0));
    }
}
