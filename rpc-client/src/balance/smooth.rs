//! The order of the weighted round-robin: nginx's smooth weighted round-robin, worked out ahead.

/// Longest order; larger sums of weights are scaled down.
const LONGEST: u64 = 4096;

/// Each index as often as its weight says, interleaved. Who has a share keeps one.
///
/// Takes the length of the order times the number of indices: of those that are dialled ahead of
/// need, a millisecond at worst.
pub(super) fn order(weights: &[u64]) -> Box<[u32]> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let mut shares: Vec<u64> = weights.iter().map(|weight| weight / divisor).collect();
    if shares.iter().all(|share| *share == 1) {
        return (0..).take(shares.len()).collect();
    }
    let total: u64 = shares.iter().sum();
    if total > LONGEST {
        for share in &mut shares {
            *share = (*share * LONGEST / total).max(u64::from(*share > 0));
        }
    }
    let total: u64 = shares.iter().sum();
    let mut current = vec![0i64; shares.len()];
    let mut order = Vec::new();
    for _ in 0..total {
        for (current, share) in current.iter_mut().zip(&shares) {
            *current += share.cast_signed();
        }
        let best = (0..current.len()).rev().max_by_key(|index| current[*index]).unwrap_or(0);
        current[best] -= total.cast_signed();
        order.push(u32::try_from(best).unwrap_or(0));
    }
    order.into()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_interleaved() {
        assert_eq!(*order(&[500, 100, 100]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(*order(&[7, 7, 7]), [0, 1, 2]);
        assert_eq!(*order(&[0, 2, 4]), [2, 1, 2]);
    }

    #[test]
    fn the_order_is_bounded_and_leaves_out_nobody() {
        let weights = [10_000, 9_999, 1];
        let order = order(&weights);
        assert!(order.len() as u64 <= LONGEST + weights.len() as u64);
        assert_eq!(order.iter().filter(|index| **index == 2).count(), 1);
    }
}
