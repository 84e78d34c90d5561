//! What the calls of late took, from samples.

/// The quickest is looked for among so many samples, and those before.
const STRETCH: u32 = 32;
/// One sample's part in the mean is one in so many.
const WEIGHT: u64 = 16;

/// Latencies in microseconds.
#[derive(Debug, Default)]
pub(super) struct Latency {
    mean: u64,
    /// The least of the stretch before, and of the one that is being filled. The least over a
    /// while is what tells waiting that lasts from a burst (`CoDel`).
    before: Option<u64>,
    least: Option<u64>,
    count: u32,
}

impl Latency {
    /// Takes a sample; what took no microsecond counts as one.
    pub(super) fn sample(&mut self, took: u64) {
        let took = took.max(1);
        self.mean = if self.mean == 0 { took } else { (self.mean * (WEIGHT - 1) + took) / WEIGHT };
        self.least = Some(self.least.map_or(took, |least| least.min(took)));
        self.count += 1;
        if self.count == STRETCH {
            (self.before, self.least, self.count) = (self.least, None, 0);
        }
    }

    /// What the quickest of the last 32 to 63 took, once there were as many.
    pub(super) fn quickest(&self) -> Option<u64> {
        let before = self.before?;
        Some(self.least.map_or(before, |least| least.min(before)))
    }

    /// A moving average.
    pub(super) fn mean(&self) -> u64 {
        self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_of_late_follows_down_at_once_and_up_after_a_stretch() {
        let mut latency = Latency::default();
        (1..STRETCH).for_each(|_| latency.sample(500));
        assert_eq!(latency.quickest(), None, "too few to tell");
        latency.sample(900);
        assert_eq!(latency.quickest(), Some(500));
        latency.sample(20);
        assert_eq!(latency.quickest(), Some(20));
        (0..2 * STRETCH).for_each(|_| latency.sample(700));
        assert_eq!(latency.quickest(), Some(700));
        assert!((650..=700).contains(&latency.mean()), "{}", latency.mean());
    }

    #[test]
    fn no_latency_is_beyond_the_arithmetic() {
        let mut latency = Latency::default();
        for took in [0, u64::from(u32::MAX) * 1_000_000, 0] {
            latency.sample(took);
        }
        assert!(latency.mean() > 0);
    }
}
