//! How many connections an endpoint should have. Pure.

use rpc_core::defaults;
use std::time::Duration;
use tokio::time::Instant;

/// The bounds of a pool; `initial` lies between `min` and `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolSize {
    pub(crate) initial: u32,
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// What a pool aims for.
#[derive(Debug)]
pub(crate) struct Pool {
    size: PoolSize,
    wanted: usize,
    /// Since when fewer would do, and how many would have at most since then.
    fewer: Option<(Instant, usize)>,
}

impl Pool {
    pub(crate) fn new(size: PoolSize) -> Self {
        Self { size, wanted: size.initial as usize, fewer: None }
    }

    /// How many connections there should be.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }

    /// When fewer may be enough; `None` while there are no more than there must be.
    pub(crate) fn next(&self) -> Option<Duration> {
        (self.wanted > self.size.min as usize).then_some(Duration::from_secs(1))
    }

    /// Takes the `loads` of the open connections into account: 1 is one connection's fill. Grows
    /// at once, to twice the number at most, and shrinks when fewer have been enough for 60 s.
    pub(crate) fn weigh(&mut self, loads: impl IntoIterator<Item = f64>, now: Instant) {
        let (mut sum, mut open) = (0.0, 0);
        for load in loads {
            sum += load;
            open += 1;
        }
        let (min, max) = (self.size.min as usize, self.size.max as usize);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is capped")]
        let needed = (f64::min(sum, f64::from(self.size.max)).ceil() as usize).clamp(min, max);
        if needed >= self.wanted {
            self.fewer = None;
            // The loads are of the connections that are open: those on their way may be enough.
            if open >= self.wanted {
                self.wanted = needed.min(self.wanted * 2);
            }
            return;
        }
        let (since, most) = self.fewer.unwrap_or((now, 0));
        let most = most.max(needed);
        self.fewer = Some((since, most));
        if now.saturating_duration_since(since) >= defaults::CONNECTION_IDLE {
            self.wanted = most;
            self.fewer = None;
        }
    }

    /// Calls wait because all of the `open` ones are full.
    pub(crate) fn full(&mut self, open: usize) {
        if open >= self.wanted {
            self.wanted = (self.wanted * 2).min(self.size.max as usize);
            self.fewer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PoolSize = PoolSize { initial: 1, min: 1, max: 8 };

    #[tokio::test(start_paused = true)]
    async fn it_doubles_while_those_open_are_busy() {
        let (mut pool, now) = (Pool::new(SIZE), Instant::now());
        pool.weigh([0.9], now);
        assert_eq!((pool.wanted(), pool.next()), (1, None));
        pool.weigh([8.0], now);
        assert_eq!(pool.wanted(), 2);
        pool.weigh([8.0], now);
        assert_eq!(pool.wanted(), 2, "the second is on its way");
        pool.weigh([4.0, 3.0], now);
        pool.weigh([2.0; 4], now);
        assert_eq!(pool.wanted(), 8);
        pool.weigh([9.0; 8], now);
        pool.full(8);
        assert_eq!(pool.wanted(), 8, "that is the most");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_needed_for_a_minute_goes() {
        let (mut pool, start) = (Pool::new(SIZE), Instant::now());
        for _ in 0..3 {
            pool.full(pool.wanted());
        }
        let at = |seconds| start + Duration::from_secs(seconds);
        pool.weigh([0.1; 8], at(0));
        pool.weigh([0.3; 8], at(30));
        pool.weigh([0.0; 8], at(59));
        assert_eq!(pool.wanted(), 8);
        pool.weigh([0.0; 8], at(60));
        assert_eq!(pool.wanted(), 3, "as many as were needed in that minute");
        pool.weigh([0.0; 3], at(61));
        pool.weigh([0.0; 3], at(121));
        assert_eq!((pool.wanted(), pool.next()), (1, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bounds_hold() {
        let mut pool = Pool::new(PoolSize { initial: 3, min: 2, max: 3 });
        let now = Instant::now();
        assert_eq!(pool.wanted(), 3);
        pool.weigh([5.0; 3], now);
        assert_eq!(pool.wanted(), 3);
        pool.weigh([0.0; 3], now);
        pool.weigh([0.0; 3], now + defaults::CONNECTION_IDLE);
        assert_eq!((pool.wanted(), pool.next()), (2, None));
    }
}
