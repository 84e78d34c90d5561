//! How many of the listed instances are dialled. Pure.

use rpc_core::defaults;
use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
};
use tokio::time::Instant;

/// Calls in flight that one more endpoint of a subset is dialled for.
const CALLS_PER_ENDPOINT: usize = 8;

/// How many endpoints there should be, of more than are dialled anyway.
#[derive(Debug, Default)]
pub(super) struct Subset {
    size: usize,
    /// Since when fewer would do, and how many would have at most since then.
    fewer: Option<(Instant, usize)>,
}

impl Subset {
    /// How many of `listed` instances to dial, with `in_flight` calls on those that are, `lost` of
    /// which cannot be used. Grows at once, shrinks when fewer have been enough for a minute.
    pub(super) fn size(
        &mut self,
        listed: usize,
        in_flight: usize,
        lost: usize,
        now: Instant,
    ) -> usize {
        if listed <= defaults::MAX_DIALLED {
            *self = Self { size: listed, fewer: None };
            return listed;
        }
        let needed = in_flight.div_ceil(CALLS_PER_ENDPOINT).max(defaults::MIN_SUBSET);
        // One that cannot be reached is made up for, but not without end.
        let needed = (needed + lost.min(defaults::MAX_DIALLED)).min(listed);
        if needed >= self.size {
            *self = Self { size: needed, fewer: None };
            return needed;
        }
        let (since, most) = self.fewer.unwrap_or((now, 0));
        let most = most.max(needed);
        self.fewer = Some((since, most));
        if now.saturating_duration_since(since) >= defaults::CONNECTION_IDLE {
            *self = Self { size: most, fewer: None };
        }
        self.size
    }
}

/// Addresses in the order in which one client prefers them: its own, so that the clients of a
/// service spread over all instances, and one that hardly changes with the list, so that a client
/// keeps its connections.
pub(super) fn order(
    addrs: impl IntoIterator<Item = SocketAddr>,
    client: &RandomState,
) -> Vec<SocketAddr> {
    let mut order: Vec<_> = addrs.into_iter().map(|addr| (client.hash_one(addr), addr)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, addr)| addr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, time::Duration};

    #[tokio::test(start_paused = true)]
    async fn it_grows_with_load_and_loss_and_shrinks_after_a_minute() {
        let (mut subset, start) = (Subset::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(subset.size(64, 0, 0, at(0)), 64);
        assert_eq!(subset.size(65, 0, 0, at(0)), 64, "one more is no reason to close others");
        let mut subset = Subset::default();
        assert_eq!(subset.size(10_000, 0, 0, at(0)), 12);
        assert_eq!(subset.size(10_000, 800, 0, at(1)), 100);
        assert_eq!(subset.size(10_000, 800, 3, at(2)), 103);
        assert_eq!(subset.size(10_000, 0, 0, at(3)), 103);
        assert_eq!(subset.size(10_000, 400, 0, at(30)), 103);
        assert_eq!(subset.size(10_000, 0, 0, at(63)), 50, "the most of that minute");
        assert_eq!(subset.size(10_000, 100_000, 0, at(64)), 10_000);
        assert_eq!(subset.size(10_000, 0, 9_000, at(200)), 10_000);
    }

    #[test]
    fn clients_prefer_different_instances_evenly_and_keep_their_preference() {
        let addr = |n: u16| SocketAddr::from(([10, 0, 0, 1], n));
        let mut chosen = BTreeMap::new();
        for _ in 0..1_000 {
            let client = RandomState::new();
            let all = order((1..=100).map(addr), &client);
            for first in &all[..12] {
                *chosen.entry(*first).or_insert(0) += 1;
            }
            let without: Vec<_> = all.iter().copied().filter(|a| *a != addr(50)).collect();
            assert_eq!(order((1..=100).filter(|n| *n != 50).map(addr), &client), without);
        }
        let (least, most) = (chosen.values().min().unwrap(), chosen.values().max().unwrap());
        // 120 each, standard deviation 10.
        assert!(chosen.len() == 100 && *least > 60 && *most < 180, "{least}..{most}");
    }
}
