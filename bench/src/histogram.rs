//! A log-linear histogram of nanoseconds: 64 steps to each power of two, so within 1.6 %.

const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
/// Enough for 2^37 ns, over two minutes; what is longer counts as that.
pub const BUCKETS: usize = STEPS * 32;

/// The bucket of a value.
pub fn bucket(nanos: u64) -> usize {
    let bits = 64 - (nanos | 1).leading_zeros();
    let shift = bits.saturating_sub(STEP_BITS + 1);
    let index = ((shift as usize) << STEP_BITS) + (nanos >> shift) as usize;
    index.min(BUCKETS - 1)
}

/// The middle of a bucket.
fn value(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let shift = (bucket >> STEP_BITS) - 1;
    let first = ((STEPS + bucket % STEPS) as u64) << shift;
    first + (1 << shift) / 2
}

#[derive(Clone, Debug)]
pub struct Histogram(pub Vec<u64>);

impl Histogram {
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The value below which `share` of all lie, in microseconds; NaN without any.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let rank = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return value(bucket) as f64 / 1000.0;
            }
        }
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_continuous_and_values_lie_in_them() {
        let mut last = 0;
        for nanos in 0..100_000 {
            assert!(bucket(nanos) == last || bucket(nanos) == last + 1);
            last = bucket(nanos);
        }
        for nanos in (0..100_000).chain((0..37).map(|bits| 1 << bits)) {
            let middle = value(bucket(nanos));
            assert_eq!(bucket(middle), bucket(nanos));
            assert!(middle.abs_diff(nanos) * 64 <= nanos);
        }
    }

    #[test]
    fn a_quantile_is_where_its_share_is_reached() {
        let mut counts = vec![0; BUCKETS];
        for micros in 1..=1000_u64 {
            counts[bucket(micros * 1000)] += 1;
        }
        let histogram = Histogram(counts);
        assert!((histogram.quantile_us(0.5) - 500.0).abs() < 8.0);
        assert!((histogram.quantile_us(0.999) - 999.0).abs() < 16.0);
    }
}
