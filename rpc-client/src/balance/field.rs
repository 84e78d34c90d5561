//! The endpoints that a strategy chooses from, prepared so that a choice is cheap.
//!
//! Pure: turns, random numbers and the endpoints' load are arguments.

use super::Balance;
use rpc_core::wire::fnv1a_64;
use std::net::SocketAddr;

/// Points on the ring of an endpoint with the usual weight.
const POINTS: u64 = 160;
/// Longest order of the weighted round-robin; larger sums of weights are scaled down.
const LONGEST_ORDER: u64 = 4096;

/// What a strategy knows before a call.
#[derive(Debug)]
pub(crate) struct Field {
    balance: Balance,
    count: usize,
    /// Weighted random: sums of weights up to each endpoint.
    sums: Box<[u64]>,
    /// Weighted round-robin: whose turn it is.
    order: Box<[u32]>,
    /// Consistent hash: points and their endpoints, sorted.
    ring: Box<[(u64, u32)]>,
}

/// How busy an endpoint is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Calls in flight.
    pub(crate) active: usize,
    /// Estimated latency in ns; 0 when nothing is known.
    pub(crate) latency: f64,
}

impl Field {
    /// Prepares the choice among `endpoints`, each with its weight.
    pub(crate) fn new(balance: Balance, endpoints: &[(SocketAddr, u32)]) -> Self {
        let mut weights: Vec<u64> = endpoints.iter().map(|(_, w)| u64::from(*w)).collect();
        if weights.iter().all(|weight| *weight == 0) {
            // Nobody has a share: everybody has the same.
            weights.fill(1);
        }
        let (mut sums, mut order, mut ring) = (Vec::new(), Vec::new(), Vec::new());
        match balance {
            Balance::WeightedRandom => {
                let add = |sum: &mut u64, weight: &u64| {
                    *sum += weight;
                    Some(*sum)
                };
                sums = weights.iter().scan(0, add).collect();
            }
            Balance::WeightedRoundRobin => order = smooth(&weights),
            Balance::ConsistentHash => ring = points(endpoints, &weights),
            _ => {}
        }
        let count = endpoints.len();
        Self { balance, count, sums: sums.into(), order: order.into(), ring: ring.into() }
    }

    /// The endpoint to begin with, below the count (0 when there are none). `turn` counts calls,
    /// `random` is a random number, `key` the hash of the call's key.
    pub(crate) fn choose(
        &self,
        turn: usize,
        random: u64,
        key: Option<u64>,
        load: impl Fn(usize) -> Load,
    ) -> usize {
        if self.count <= 1 {
            return 0;
        }
        match self.balance {
            Balance::Random => scale(random, self.count),
            Balance::RoundRobin => turn % self.count,
            Balance::WeightedRandom => {
                let total = self.sums.last().copied().unwrap_or(1);
                let at = scale(random, usize::try_from(total).unwrap_or(usize::MAX)) as u64;
                self.sums.partition_point(|sum| *sum <= at)
            }
            Balance::WeightedRoundRobin => {
                let place = turn % self.order.len().max(1);
                self.order.get(place).map_or(0, |index| *index as usize)
            }
            Balance::ConsistentHash => {
                let Some(key) = key else { return scale(random, self.count) };
                let at = self.ring.partition_point(|(point, _)| *point < key);
                // Past the last point the ring begins again.
                self.ring.get(at).or(self.ring.first()).map_or(0, |(_, index)| *index as usize)
            }
            Balance::LeastActive => {
                // From a turning start, so that equals share.
                let start = turn % self.count;
                let all = (start..self.count).chain(0..start);
                all.min_by_key(|index| load(*index).active).unwrap_or(0)
            }
            Balance::PeakEwma => {
                let first = scale(random, self.count);
                let step = 1 + scale(random.rotate_left(32), self.count - 1);
                let second = (first + step) % self.count;
                if load(second).cost() < load(first).cost() { second } else { first }
            }
        }
    }
}

impl Load {
    fn cost(self) -> f64 {
        // An endpoint without a sample is tried, but not with everything at once.
        #[expect(clippy::cast_precision_loss, reason = "calls in flight are few")]
        let active = self.active as f64;
        if self.latency == 0.0 { active * 1e9 } else { self.latency * (active + 1.0) }
    }
}

/// A random number below `count`: the high half of a product spreads evenly without a division.
fn scale(random: u64, count: usize) -> usize {
    usize::try_from((u128::from(random) * count as u128) >> 64).unwrap_or(0)
}

/// Each index as often as its weight says, interleaved: nginx's smooth weighted round-robin.
fn smooth(weights: &[u64]) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let mut shares: Vec<u64> = weights.iter().map(|weight| weight / divisor).collect();
    let total: u64 = shares.iter().sum();
    if total > LONGEST_ORDER {
        for share in &mut shares {
            // Who has a share keeps one.
            *share = (*share * LONGEST_ORDER / total).max(u64::from(*share > 0));
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
    order
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The points of each endpoint on the ring: they depend on its address and weight alone, so that
/// the others' stay where they are when it comes or goes.
fn points(endpoints: &[(SocketAddr, u32)], weights: &[u64]) -> Vec<(u64, u32)> {
    let mut ring = Vec::new();
    for (index, ((addr, _), weight)) in (0u32..).zip(endpoints.iter().zip(weights)) {
        let usual = u64::from(rpc_core::defaults::WEIGHT);
        let count = if *weight == 0 { 0 } else { (POINTS * weight / usual).clamp(1, POINTS * 100) };
        for point in 0..count {
            ring.push((mix(fnv1a_64(format!("{addr}#{point}").as_bytes())), index));
        }
    }
    ring.sort_unstable();
    ring
}

/// Spreads the bits of a hash whose neighbours are alike (the finalizer of `MurmurHash3`).
pub(crate) fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests;
