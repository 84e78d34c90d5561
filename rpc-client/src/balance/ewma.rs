//! A latency estimate that rises with the first slow reply and forgets slowly.
//!
//! Peak EWMA as in Finagle: a sample above the estimate replaces it, one below pulls it down with a
//! weight that depends on the time since the last. Time is an argument.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The time after which a sample has lost two thirds of its weight.
const DECAY: Duration = Duration::from_secs(10);

/// The estimate of one connection. Updates that race lose one another's samples, never more.
#[derive(Debug, Default)]
pub(crate) struct Ewma {
    /// The estimate in ns, as the bits of an `f64`.
    estimate: AtomicU64,
    /// When the last sample came, in ms.
    at: AtomicU64,
}

impl Ewma {
    /// A reply took `latency`; `now` is in ms.
    pub(crate) fn sample(&self, latency: Duration, now: u64) {
        let sample = latency.as_secs_f64() * 1e9;
        let before = self.at.swap(now, Ordering::Relaxed);
        let estimate = f64::from_bits(self.estimate.load(Ordering::Relaxed));
        let passed = Duration::from_millis(now.saturating_sub(before));
        let kept = (-passed.as_secs_f64() / DECAY.as_secs_f64()).exp();
        // Samples of one millisecond would weigh nothing: each counts for 0.1 ms at least.
        let kept = kept.min(0.999_99);
        let new = if sample > estimate { sample } else { estimate * kept + sample * (1.0 - kept) };
        self.estimate.store(new.to_bits(), Ordering::Relaxed);
    }

    /// Begins anew: another process answers.
    pub(crate) fn forget(&self) {
        self.estimate.store(0, Ordering::Relaxed);
    }

    /// The estimate in ns; 0 before the first sample.
    pub(crate) fn nanos(&self) -> f64 {
        f64::from_bits(self.estimate.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_at_once_and_falls_over_ten_seconds() {
        let ewma = Ewma::default();
        let ms = Duration::from_millis;
        ewma.sample(ms(1), 1_000);
        ewma.sample(ms(100), 1_001);
        assert!((ewma.nanos() - 1e8).abs() < 1.0);
        for now in (1_100..11_100).step_by(100) {
            ewma.sample(ms(1), now);
        }
        assert!((3e7..4.5e7).contains(&ewma.nanos()), "a third is left: {}", ewma.nanos());
        for now in (11_100..71_100).step_by(100) {
            ewma.sample(ms(1), now);
        }
        assert!(ewma.nanos() < 1.5e6);
    }
}
