//! Consistent hashing with bounded load.
//!
//! A ring with points by weight, after Karger and others (1997). An endpoint takes at most 1.25
//! times its fair share of the calls in flight; what is beyond goes on to the next on the ring
//! (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016).

use super::Query;
use rpc_core::{defaults, wire::fnv1a_64};
use std::net::SocketAddr;

/// Points of an endpoint with the usual weight.
const POINTS: u64 = 160;
/// Points of all endpoints together; beyond, each has half as many, or a quarter, and so on.
const MOST_POINTS: u64 = 1 << 17;
/// An endpoint with fewer calls in flight than this is not loaded, whatever the others have: few
/// calls overload nobody, and a key that moves costs a cold cache.
const FEW: usize = 32;
/// The fair share is that of so many endpoints; beyond, of a sample of them.
const SAMPLE: usize = 32;
/// Points that are passed before a call goes where its key belongs after all.
const LONGEST_WALK: usize = 256;

/// The points of each endpoint on a circle of 64 bits.
#[derive(Debug)]
pub(super) struct Ring {
    /// Sorted, each with its endpoint.
    points: Box<[(u64, u32)]>,
}

impl Ring {
    /// Points depend on an endpoint's address and weight alone, so that the others' stay where
    /// they are when it comes or goes, and every client has them at the same place.
    pub(super) fn new(endpoints: &[(SocketAddr, u32)], weights: &[u64]) -> Self {
        let usual = u64::from(defaults::WEIGHT);
        let total = POINTS * weights.iter().sum::<u64>() / usual;
        let mut halvings = 0;
        while total >> halvings > MOST_POINTS {
            halvings += 1;
        }
        let mut points = Vec::new();
        for (index, ((addr, _), weight)) in (0u32..).zip(endpoints.iter().zip(weights)) {
            if *weight == 0 {
                continue;
            }
            let own = fnv1a_64(addr.to_string().as_bytes());
            for point in 0..((POINTS * weight / usual) >> halvings).max(1) {
                points.push((mix(own ^ mix(point)), index));
            }
        }
        points.sort_unstable();
        Self { points: points.into() }
    }

    /// The endpoint for a key: the first on the ring that fits and is not overloaded, `None` when
    /// those near the key are all out of use.
    pub(super) fn choose(
        &self,
        key: u64,
        weights: &[u64],
        query: &mut impl Query,
    ) -> Option<usize> {
        let at = self.points.partition_point(|(point, _)| *point < key);
        let (before, from) = self.points.split_at(at);
        let (mut home, mut rate) = (None, None);
        for (_, index) in from.iter().chain(before).take(LONGEST_WALK) {
            let index = *index as usize;
            if home == Some(index) || !query.fits(index) {
                continue;
            }
            let active = query.load(index).active;
            if active < FEW {
                return Some(index);
            }
            let rate = *rate.get_or_insert_with(|| calls_per_weight(weights, index, query));
            if (active as u64) < bound(rate, weights[index]) {
                return Some(index);
            }
            home = home.or(Some(index));
        }
        home
    }
}

/// Calls in flight, the one to come included, and the sum of the weights that they are for.
fn calls_per_weight(weights: &[u64], from: usize, query: &mut impl Query) -> (u64, u64) {
    let (mut calls, mut weight) = (1, 0);
    for step in 1..=weights.len().min(SAMPLE) {
        let index = (from + step) % weights.len();
        calls += query.load(index).active as u64;
        weight += weights[index];
    }
    (calls, weight)
}

/// The calls in flight that an endpoint of this weight takes: ⌈1.25 × its fair share⌉.
fn bound((calls, of_weight): (u64, u64), weight: u64) -> u64 {
    (5 * calls * weight).div_ceil(4 * of_weight.max(1))
}

/// Where a key is on the ring.
pub(crate) fn position(key: &[u8]) -> u64 {
    mix(fnv1a_64(key))
}

/// Spreads the bits of a hash whose neighbours are alike (the finalizer of `MurmurHash3`).
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests;
