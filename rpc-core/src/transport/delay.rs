//! Time that a request lost on the way, without comparing two machines' clocks.
//!
//! Each request carries its sender's clock, counted from the sender's preface, and is compared with
//! the receiver's own, counted from the same. The smallest recent difference is taken for no delay at
//! all; what a request has above that, it spent in buffers, on the network, or in front of a process
//! that stood still. The preface is the first to be compared, with a difference of nothing: so a
//! request is found late though none was in time before.

use std::time::Duration;

/// Measures the delay of one connection's requests.
#[derive(Debug)]
pub struct DelayMeter {
    /// Of the current period, and of the one before it in which anything came.
    current: Option<Least>,
    previous: Option<Least>,
    period: u64,
}

/// The smallest difference of a period.
#[derive(Debug, Clone, Copy)]
struct Least {
    /// In ms; it can be negative.
    difference: i64,
    at_ms: u64,
}

impl Least {
    /// Two clocks drift apart by 100 ppm each at most: half a second in 42 minutes.
    const DRIFT: u64 = 5_000;

    /// The largest difference that is no delay at `now_ms`.
    fn at(self, now_ms: u64) -> i64 {
        let drift = now_ms.saturating_sub(self.at_ms) / Self::DRIFT;
        self.difference.saturating_add_unsigned(drift)
    }
}

impl Default for DelayMeter {
    /// Of a connection whose preface was just read.
    fn default() -> Self {
        Self { current: Some(Least { difference: 0, at_ms: 0 }), previous: None, period: 0 }
    }
}

impl DelayMeter {
    /// The smallest difference is forgotten after one to two periods, since clocks drift apart.
    const PERIOD_MS: u64 = 30_000;

    /// The delay of a request that was sent at `sent_ms` on the peer's clock and read at `now` on
    /// ours, both counted from the peer's preface.
    pub fn excess(&mut self, now: Duration, sent_ms: u32) -> Duration {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let period = now_ms / Self::PERIOD_MS;
        if period != self.period {
            // After a rest of any length, the last known figure is the only one there is.
            self.previous = self.current.take();
            self.period = period;
        }
        // The peer's clock is 32 bits wide and comes around after 49 days, so compare modulo.
        let difference = i64::from(crate::wire::clock_ms(now).wrapping_sub(sent_ms).cast_signed());
        let least = match self.current {
            Some(least) if least.difference <= difference => least,
            _ => Least { difference, at_ms: now_ms },
        };
        self.current = Some(least);
        let base = self.previous.map_or(i64::MAX, |previous| previous.at(now_ms));
        let base = base.min(least.difference);
        Duration::from_millis(u64::try_from(difference - base).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn only_what_exceeds_the_smallest_difference_counts() {
        let mut meter = DelayMeter::default();
        assert_eq!(meter.excess(ms(10), 7), ms(3), "quicker than the preface it was not");
        assert_eq!(meter.excess(ms(20), 22), ms(0), "a smaller difference is the new zero");
        assert_eq!(meter.excess(ms(5_030), 32), ms(5_000), "stood still for five seconds");
        assert_eq!(meter.excess(ms(5_040), 5_042), ms(0));
    }

    #[test]
    fn the_first_requests_are_compared_with_the_preface() {
        let mut meter = DelayMeter::default();
        assert_eq!(meter.excess(ms(4_000), 40), ms(3_960));
        assert_eq!(meter.excess(ms(4_000), 3_000), ms(1_000));
        assert_eq!(meter.excess(ms(4_001), 4_001), ms(0));
    }

    #[test]
    fn the_first_request_after_a_long_rest_is_compared_with_the_last_known_figure() {
        let mut meter = DelayMeter::default();
        meter.excess(ms(10), 10);
        // But for 40 ms that the clocks may have drifted apart.
        assert_eq!(meter.excess(ms(200_010), 195_010), ms(4_960));
    }

    #[test]
    fn drift_during_a_long_rest_is_no_delay() {
        for ppm in [-90, 50, 190] {
            let mut meter = DelayMeter::default();
            meter.excess(ms(10), 10);
            for step in 0..1_000 {
                let now = 86_400_000 + step * 100;
                let sent = i64::try_from(now).unwrap() * (1_000_000 - ppm) / 1_000_000;
                let excess = meter.excess(ms(now), u32::try_from(sent).unwrap());
                assert!(excess <= ms(20), "{excess:?} at {ppm} ppm");
            }
        }
    }

    #[test]
    fn clocks_that_drift_are_followed() {
        let mut meter = DelayMeter::default();
        for step in 0..1000u64 {
            let now = step * 1000;
            // The sender's clock loses a millisecond each ten seconds.
            let sent = u32::try_from(now - now / 10_000).unwrap();
            assert!(meter.excess(ms(now), sent) <= ms(7));
        }
    }

    #[test]
    fn the_peers_clock_may_come_around() {
        let mut meter = DelayMeter::default();
        let before = u64::from(u32::MAX) - 5;
        meter.excess(ms(before), u32::MAX - 5);
        assert_eq!(meter.excess(ms(before + 10), 4), ms(0));
    }
}
