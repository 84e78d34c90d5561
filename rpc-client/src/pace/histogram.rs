//! A percentile of times of late, from a histogram whose bounds grow by an eighth. Pure.

use rpc_core::defaults;
use std::time::Duration;

/// Bounds for each doubling of the time.
const STEPS: u32 = 8;
/// Doublings: from 8 µs to 9 min.
const DOUBLINGS: u32 = 26;
/// Times up to 2^13 ns are one.
const FIRST: u32 = 13;
/// Samples after which half of their weight is taken from all, so that new ones count.
const MANY: u32 = 1024;
/// Samples before a percentile means anything, and after which it is worked out again.
const FEW: u32 = 32;

/// Times, by how long they are.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: [u32; (STEPS * DOUBLINGS) as usize],
    total: u32,
    added: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; (STEPS * DOUBLINGS) as usize], total: 0, added: 0 }
    }
}

impl Histogram {
    /// Adds a time; now and then the percentile.
    pub(super) fn add(&mut self, time: Duration) -> Option<Duration> {
        self.counts[index(time)] += 1;
        self.total += 1;
        self.added += 1;
        if self.total >= MANY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
        self.added.is_multiple_of(FEW).then(|| self.percentile())
    }

    /// The time that [`HEDGE_QUANTILE`](defaults::HEDGE_QUANTILE) of the samples did not exceed.
    fn percentile(&self) -> Duration {
        let wanted = f64::from(self.total) * defaults::HEDGE_QUANTILE;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if f64::from(seen) >= wanted {
                return bound(index);
            }
        }
        Duration::MAX
    }
}

fn index(time: Duration) -> usize {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let Some(above) = nanos.checked_ilog2().and_then(|log| log.checked_sub(FIRST)) else {
        return 0;
    };
    // The three bits behind the highest one.
    let step = (nanos >> (above + FIRST - 3)) & 7;
    let index = (above * STEPS) as usize + step as usize;
    index.min((STEPS * DOUBLINGS) as usize - 1)
}

/// What times with this index do not exceed.
fn bound(index: usize) -> Duration {
    let (above, step) = (index / STEPS as usize, index % STEPS as usize);
    Duration::from_nanos((9 + step as u64) << (above + FIRST as usize - 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The last percentile that was told of `times`.
    fn after(histogram: &mut Histogram, times: impl Iterator<Item = Duration>) -> Duration {
        times.filter_map(|time| histogram.add(time)).last().unwrap()
    }

    #[test]
    fn a_time_is_within_an_eighth_below_the_bound_of_its_index() {
        for nanos in (13..39).flat_map(|log| [1_u64 << log, (1 << log) + (1 << (log - 1)) + 1]) {
            let time = Duration::from_nanos(nanos);
            let bound = bound(index(time));
            assert!(time <= bound && bound <= time.mul_f64(1.1251), "{time:?}: {bound:?}");
        }
        assert_eq!(index(Duration::ZERO), 0);
        assert_eq!(index(Duration::MAX), 207);
    }

    #[test]
    fn a_tail_of_four_in_a_hundred_is_above_the_percentile_and_one_of_six_is_not() {
        let times = |slow| (0..6_400).map(move |n| if n % 100 < slow { ms(300) } else { ms(10) });
        let four = after(&mut Histogram::default(), times(4));
        let six = after(&mut Histogram::default(), times(6));
        assert!((ms(10)..ms(12)).contains(&four), "{four:?}");
        assert!((ms(300)..ms(340)).contains(&six), "{six:?}");
    }

    #[test]
    fn it_forgets_what_was_long_ago() {
        let mut histogram = Histogram::default();
        after(&mut histogram, std::iter::repeat_n(ms(500), 100_000));
        let now = after(&mut histogram, std::iter::repeat_n(ms(5), 6_400));
        assert!(now < ms(6), "{now:?}");
    }
}
