//! How much of its share a new instance gets.
//!
//! A ramp over its age, relative to the oldest: when all are new, none is spared. Pure.

use std::time::Duration;

/// What an instance gets at first, of the share it will have.
const FIRST: f64 = 0.1;
/// All instances are warm enough on average that none gets more than twice its usual share.
const MEAN: f64 = 0.5;

/// All of an instance's share, in the numbers that [`warmths`] gives.
pub(super) const WARM: u32 = u32::MAX;

/// The warmth of each instance, given its age, in 2^32nds; empty when all are warm.
///
/// It rises in a line from a tenth to all over `ramp`. The warmest is counted as all, and where
/// most are cold they are counted as warmer, so that the few others are not flooded in turn.
pub(super) fn warmths(ages: &[Duration], ramp: Duration) -> Box<[u32]> {
    let risen = |age: Duration| {
        let share = if age >= ramp { 1.0 } else { age.as_secs_f64() / ramp.as_secs_f64() };
        FIRST + (1.0 - FIRST) * share
    };
    let oldest = ages.iter().copied().max().unwrap_or_default();
    if ages.iter().all(|age| *age >= ramp.min(oldest)) {
        return Box::default();
    }
    let mut warmths: Vec<f64> = ages.iter().map(|age| risen(*age) / risen(oldest)).collect();
    #[expect(clippy::cast_precision_loss, reason = "instances are few")]
    let mean = warmths.iter().sum::<f64>() / warmths.len() as f64;
    if mean < MEAN {
        // What is missing to warmth is taken off in proportion, until the mean is as wanted.
        let factor = (1.0 - MEAN) / (1.0 - mean);
        for warmth in &mut warmths {
            *warmth = 1.0 - (1.0 - *warmth) * factor;
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1")]
    warmths.into_iter().map(|warmth| (warmth * f64::from(WARM)) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In percent.
    fn percent(ages: &[u64], ramp: u64) -> Vec<u64> {
        let ages: Vec<_> = ages.iter().map(|age| Duration::from_secs(*age)).collect();
        let warmths = warmths(&ages, Duration::from_secs(ramp));
        warmths.iter().map(|w| (u64::from(*w) * 100 + (1 << 31)) >> 32).collect()
    }

    #[test]
    fn it_rises_in_a_line_from_a_tenth() {
        assert_eq!(percent(&[100, 0], 10), [100, 10]);
        assert_eq!(percent(&[100, 5], 10), [100, 55]);
        assert_eq!(percent(&[100, 9], 10), [100, 91]);
        assert!(percent(&[100, 10], 10).is_empty());
    }

    #[test]
    fn all_new_is_as_all_warm() {
        assert!(percent(&[0, 0, 0], 10).is_empty());
        assert!(percent(&[3, 3], 10).is_empty());
        assert!(percent(&[], 10).is_empty());
        assert!(percent(&[7], 10).is_empty());
        assert_eq!(percent(&[3, 0], 10), [100, 27], "relative to the oldest");
    }

    #[test]
    fn without_a_ramp_nobody_is_cold() {
        assert!(percent(&[0, 100], 0).is_empty());
    }

    #[test]
    fn the_few_that_are_warm_get_no_more_than_twice_their_share() {
        assert_eq!(percent(&[100, 0, 0], 10), [100, 25, 25]);
        let warmths = percent(&[100, 0, 0, 0, 0, 0, 0, 0, 0, 0], 10);
        assert_eq!((warmths[0], warmths.iter().sum::<u64>()), (100, 496), "{warmths:?}");
    }
}
