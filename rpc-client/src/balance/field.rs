//! The endpoints that a strategy chooses from, prepared so that a choice is cheap.

use super::{
    Load,
    alias::Alias,
    chance::{happens, scale},
    gauge::PENALTY,
    ring::Ring,
    smooth, warmth,
};
use rpc_core::{Balance, defaults};
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// What a strategy may ask for while it chooses; whatever it does not need is not asked for.
pub(crate) trait Query {
    /// Counts the choices of strategies that take turns.
    fn turn(&mut self) -> usize;
    /// A random number.
    fn random(&mut self) -> u64;
    /// How busy an endpoint is.
    fn load(&self, index: usize) -> Load;
    /// Whether an endpoint can take the call.
    fn fits(&mut self, index: usize) -> bool;
}

/// An endpoint, as far as a field is made of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) addr: SocketAddr,
    pub(crate) weight: u32,
    /// Since its instance was first seen to take calls.
    pub(crate) age: Duration,
}

/// The endpoints of a list, and what the strategies know of them before a call.
#[derive(Debug)]
pub(crate) struct Field {
    known: Arc<Known>,
    /// What each endpoint gets of its share, in 2^32nds; empty when all are warm.
    warmths: Box<[u32]>,
}

/// What addresses and weights decide. Tables are made when a strategy first needs them.
#[derive(Debug)]
struct Known {
    endpoints: Box<[(SocketAddr, u32)]>,
    weights: Box<[u64]>,
    /// Those whose weight is not 0.
    live: Box<[u32]>,
    /// Weights differ among those.
    differ: bool,
    alias: OnceLock<Alias>,
    order: OnceLock<Box<[u32]>>,
    ring: OnceLock<Ring>,
}

/// Draws before everybody is asked in turn.
const DRAWS: usize = 8;
/// Endpoints that least-active compares, and peak-ewma when two are not enough.
const LOOKS: usize = 8;

impl Field {
    /// Prepares the choice among `members`; `earlier` lends its tables if it is of the same
    /// addresses and weights. New instances get less than their share for the time `warm_up`.
    pub(crate) fn new(members: &[Member], warm_up: Duration, earlier: Option<&Self>) -> Self {
        let ages: Vec<_> = members.iter().map(|member| member.age).collect();
        let endpoints = members.iter().map(|member| (member.addr, member.weight));
        let known = match earlier {
            Some(Self { known, .. }) if known.endpoints.iter().copied().eq(endpoints.clone()) => {
                Arc::clone(known)
            }
            _ => Arc::new(Known::new(endpoints.collect())),
        };
        Self { known, warmths: warmth::warmths(&ages, warm_up) }
    }

    /// Makes the tables of a strategy now rather than in the first call that uses it.
    pub(crate) fn prepare(&self, balance: Balance) {
        match balance {
            Balance::WeightedRandom => drop(self.known.alias()),
            Balance::WeightedRoundRobin => drop(self.known.order()),
            Balance::ConsistentHash => drop(self.known.ring()),
            _ => {}
        }
    }

    /// The endpoint to begin with; `None` when none fits, and then all have been asked. `key` is
    /// the call's position on the ring, if it has one.
    pub(crate) fn choose(
        &self,
        balance: Balance,
        key: Option<u64>,
        query: &mut impl Query,
    ) -> Option<usize> {
        let known = &*self.known;
        if known.live.len() > 1 {
            if let (Balance::ConsistentHash, Some(key)) = (balance, key) {
                let chosen = known.ring().choose(key, &known.weights, query);
                return chosen.or_else(|| self.any(query));
            }
            for draw in 0..DRAWS {
                let index = self.draw(balance, draw, query);
                if query.fits(index) {
                    return Some(index);
                }
            }
        }
        self.any(query)
    }

    /// What the strategy would have. Turns are taken once; what follows is drawn.
    fn draw(&self, balance: Balance, draw: usize, query: &mut impl Query) -> usize {
        let known = &*self.known;
        match balance {
            Balance::RoundRobin if draw == 0 => known.nth(query.turn() % known.live.len()),
            Balance::WeightedRandom => self.warm(query, |query| known.alias().draw(query.random())),
            Balance::WeightedRoundRobin => {
                let order = known.order();
                let mut first = draw == 0;
                self.warm(query, |query| {
                    let turns = std::mem::take(&mut first);
                    let place = if turns {
                        query.turn() % order.len()
                    } else {
                        scale(query.random(), order.len())
                    };
                    order[place] as usize
                })
            }
            Balance::LeastActive => self.least(LOOKS, Load::calls, query).0,
            Balance::PeakEwma => match self.least(2, Load::time, query) {
                // Two that do nothing but fail are not to get what a third would do: of three they
                // would be drawn together each third time.
                (_, cost) if cost >= PENALTY => self.least(LOOKS, Load::time, query).0,
                (index, _) => index,
            },
            _ => known.nth(scale(query.random(), known.live.len())),
        }
    }

    /// What `draw` gives, where a cold endpoint keeps only a part of what it is given.
    fn warm<Q: Query>(&self, query: &mut Q, mut draw: impl FnMut(&mut Q) -> usize) -> usize {
        let mut index = draw(query);
        if self.warmths.is_empty() {
            return index;
        }
        for _ in 0..DRAWS {
            if happens(query.random(), self.warmth(index)) {
                break;
            }
            index = draw(query);
        }
        index
    }

    /// The one with the lowest cost, and that: of all, or of `looks` random ones when there are
    /// more. Among equals the first, and where that is, is random.
    fn least<Q: Query>(
        &self,
        looks: usize,
        cost: impl Fn(Load) -> f64,
        query: &mut Q,
    ) -> (usize, f64) {
        let known = &*self.known;
        let count = known.live.len();
        let random = query.random();
        let start = scale(random, count);
        let step = if looks < count {
            // Never zero, so that two are never the same.
            1 + scale(random.rotate_left(32), count - 1)
        } else {
            // One way or the other round, so that equals share what a busy one between them would
            // have had.
            [1, count - 1][(random & 1) as usize]
        };
        let mut best = known.nth(start);
        let mut least = cost(query.load(best));
        for look in 1..looks.min(count) {
            let other = known.nth((start + look * step) % count);
            let mut others = cost(query.load(other));
            if least >= PENALTY || others >= PENALTY {
                // Only under peak EWMA does anything cost so much.
                let less = f64::min(least, others);
                if less > 0.0 && less < PENALTY {
                    // This one is known. The other may not be, and is compared with it then.
                    (least, others) = Load::times(query.load(best), query.load(other));
                }
            }
            if self.is_better((other, others), (best, least), query) {
                (best, least) = (other, others);
            }
        }
        (best, least)
    }

    /// Whether the first costs less than the second, each an endpoint and its cost. Who has less
    /// weight or warmth is compared as it is as often as in proportion to that, otherwise at a
    /// cost that is higher by as much.
    #[inline]
    fn is_better(&self, a: (usize, f64), b: (usize, f64), query: &mut impl Query) -> bool {
        let (mut a_cost, mut b_cost) = (a.1, b.1);
        if self.known.differ || !self.warmths.is_empty() {
            let (a_share, b_share) = (self.share(a.0), self.share(b.0));
            #[expect(clippy::cast_precision_loss, reason = "a ratio")]
            let ratio = a_share.min(b_share) as f64 / a_share.max(b_share) as f64;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1")]
            let chance = (ratio * f64::from(u32::MAX)) as u32;
            if a_share != b_share && !happens(query.random(), chance) {
                let lesser = if a_share < b_share { &mut a_cost } else { &mut b_cost };
                *lesser /= ratio;
            }
        }
        a_cost < b_cost
    }

    /// Weight times warmth; not 0 for who is live.
    fn share(&self, index: usize) -> u64 {
        self.known.weights[index] * u64::from(self.warmth(index))
    }

    fn warmth(&self, index: usize) -> u32 {
        self.warmths.get(index).copied().unwrap_or(warmth::WARM)
    }

    /// Anyone that fits, those with weight 0 last.
    fn any(&self, query: &mut impl Query) -> Option<usize> {
        let known = &*self.known;
        let count = known.live.len();
        let start = if count > 1 { scale(query.random(), count) } else { 0 };
        (start..count)
            .chain(0..start)
            .map(|nth| known.nth(nth))
            .chain((0..known.weights.len()).filter(|index| known.weights[*index] == 0))
            .find(|index| query.fits(*index))
    }
}

impl Known {
    fn new(endpoints: Box<[(SocketAddr, u32)]>) -> Self {
        let mut weights: Box<[u64]> = endpoints.iter().map(|(_, w)| u64::from(*w)).collect();
        if weights.iter().all(|weight| *weight == 0) {
            // Nobody has a share: everybody has the same.
            weights.fill(u64::from(defaults::WEIGHT));
        }
        let live: Box<[u32]> = (0..)
            .zip(&weights)
            .filter(|(_, weight)| **weight > 0)
            .map(|(index, _)| index)
            .collect();
        let first = live.first().map(|index| weights[*index as usize]);
        let differ = live.iter().any(|index| Some(weights[*index as usize]) != first);
        Self {
            endpoints,
            weights,
            live,
            differ,
            alias: OnceLock::new(),
            order: OnceLock::new(),
            ring: OnceLock::new(),
        }
    }

    /// The index of the `nth` that is live.
    fn nth(&self, nth: usize) -> usize {
        self.live[nth] as usize
    }

    fn alias(&self) -> &Alias {
        self.alias.get_or_init(|| Alias::new(&self.weights))
    }

    fn order(&self) -> &[u32] {
        self.order.get_or_init(|| smooth::order(&self.weights))
    }

    fn ring(&self) -> &Ring {
        self.ring.get_or_init(|| Ring::new(&self.endpoints, &self.weights))
    }
}

#[cfg(test)]
mod tests;
