//! How long the calls of a method take: after its 95th percentile a call is late, and may be
//! hedged.
//!
//! One call in eight is looked at, so that the others pay nothing.

mod histogram;

use crate::clock::Time;
use histogram::Histogram;
use rpc_core::{defaults, service::ServiceMeta};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The idempotent methods of a contract.
#[derive(Debug)]
pub(crate) struct Paces {
    ids: Box<[u32]>,
    paces: Box<[Pace]>,
}

/// One method.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The percentile in ns; 0 while it is not known, or is not to be used.
    late_after: AtomicU64,
    histogram: Mutex<Histogram>,
}

/// Times at which calls become late are multiples of this, a power of two of about 4 ms: so the
/// clock of the connections is looked at a few hundred times a second for all of them together.
const GRAIN: u64 = 1 << 22;

/// As many calls as are counted for one that is looked at.
const SAMPLED: u64 = 8;

impl Paces {
    /// Of the methods that may be hedged; of none when hedging is off.
    pub(crate) fn new(service: &ServiceMeta, hedging: bool) -> Self {
        let methods = service.methods.iter().filter(|method| hedging && method.idempotent);
        let ids: Box<[u32]> = methods.map(|method| method.id).collect();
        let paces = ids.iter().map(|_| Pace::default()).collect();
        Self { ids, paces }
    }

    /// The pace of a method that may be hedged.
    #[inline]
    pub(crate) fn of(&self, method: u32) -> Option<&Pace> {
        // A contract has a handful of methods.
        self.paces.get(self.ids.iter().position(|id| *id == method)?)
    }
}

impl Pace {
    /// When a call that begins `now` is late, after `earlier` other attempts: the first when it
    /// takes longer than most, each other one, and while that is not known, when half of its time
    /// is over.
    #[inline]
    pub(crate) fn late(&self, now: Time, deadline: Time, earlier: u32) -> Time {
        match self.late_after.load(Ordering::Relaxed) {
            after if after > 0 && earlier == 0 => {
                Time::from_nanos(now.nanos().saturating_add(after) | (GRAIN - 1))
            }
            _ => now.half_way_to(deadline).unwrap_or(Time::NEVER),
        }
    }

    /// Whether the call with this number is looked at: all of them until the pace is known.
    #[inline]
    pub(crate) fn samples(&self, number: u64) -> bool {
        number.is_multiple_of(SAMPLED) || self.late_after.load(Ordering::Relaxed) == 0
    }

    /// A call took so long. Of calls that end together one is counted.
    pub(crate) fn took(&self, time: Duration) {
        let Ok(mut histogram) = self.histogram.try_lock() else { return };
        if let Some(percentile) = histogram.add(time) {
            let late = percentile.max(defaults::HEDGE_MIN);
            let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
            self.late_after.store(late, Ordering::Relaxed);
        }
    }

    /// No hedge could be sent: calls are not late until the percentile is worked out anew.
    pub(crate) fn rest(&self) {
        self.late_after.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Time = Time::from_nanos(10_000_000_000);

    #[test]
    fn a_call_is_late_after_the_percentile_and_before_it_is_known_after_half_its_time() {
        let (pace, now) = (Pace::default(), Time::from_nanos(0));
        let half = Time::from_nanos(5_000_000_000);
        assert_eq!(pace.late(now, DEADLINE, 0), half);
        assert_eq!(pace.late(now, Time::from_nanos(9_999_999), 0), Time::NEVER, "too little");
        assert!(pace.samples(1), "everything, while nothing is known");
        (0..64).for_each(|_| pace.took(Duration::from_millis(20)));
        let late = pace.late(now, DEADLINE, 0).since(now);
        assert!((20_000_000..=28_000_000).contains(&late.as_nanos()), "{late:?}");
        assert_eq!(pace.late(now, DEADLINE, 1), half, "it has been sent again already");
        assert!(pace.samples(16) && !pace.samples(17));
        pace.rest();
        assert_eq!(pace.late(now, DEADLINE, 0), half);
    }

    #[test]
    fn quick_methods_are_late_after_the_least_time() {
        let pace = Pace::default();
        (0..64).for_each(|_| pace.took(Duration::from_micros(50)));
        let now = Time::from_nanos(0);
        let late = pace.late(now, DEADLINE, 0).since(now);
        assert!((5_000_000..=9_200_000).contains(&late.as_nanos()), "{late:?}");
    }
}
