//! Pauses between dials. Pure.

use rpc_core::defaults;
use std::time::Duration;

/// Pauses that double, are capped, and jittered by half.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const fn new() -> Self {
        Self(defaults::REDIAL_MIN)
    }

    /// The next pause; `random` is in 0..1.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let pause = self.0.mul_f64(0.5 + random / 2.0);
        self.0 = (self.0 * 2).min(defaults::REDIAL_MAX);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_jittered_downwards() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..10).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(Backoff::new().next(0.0), Duration::from_millis(25));
    }
}
