//! Which methods may be polled where their request was read, without a task of their own.
//!
//! A task for each request costs two thirds of the throughput of short handlers; handlers that
//! compute, polled one after the other by the reader, hold up everything behind them on a machine
//! with idle cores. So a method starts in tasks and earns the short way by being short.

use rpc_core::defaults;
use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// First polls in a row that must be short.
const TO_EARN: u8 = 16;
/// What a short poll takes at most. Unoptimised code takes several times as long for the same work.
const SHORT: Duration = Duration::from_micros(if cfg!(debug_assertions) { 200 } else { 20 });
/// What giving a request to a task takes at most, as a rule.
const TO_SPAWN: Duration = Duration::from_micros(1);
/// Polls after which the clock is read at the latest: a single poll of a millisecond among them
/// makes their average too long, and a reader is not held up for longer than that unnoticed.
const BATCH: usize = 16;

/// A request of more bytes has a task of its own in any case, and how long it takes says nothing of
/// its method: reading and writing as much takes longer than the short polls of others may.
pub(crate) const HEAVY: usize = 2 * defaults::CHUNK as usize;

/// How one method has behaved. Relaxed: a stale value costs a task or a short delay.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU8);

impl Pace {
    /// Whether the method may be polled inline.
    pub(crate) fn is_short(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= TO_EARN
    }

    /// How long a first poll in a task took.
    pub(crate) fn record(&self, took: Duration) {
        if took >= SHORT {
            self.0.store(0, Ordering::Relaxed);
        } else if !self.is_short() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Back to tasks.
    fn lose(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Times the inline polls of one reader, by a clock reading for each batch of them.
#[derive(Debug)]
pub(crate) struct Meter<R> {
    since: Instant,
    polled: Vec<R>,
    /// Requests that were given to tasks meanwhile.
    spawned: u32,
}

impl<R: Copy> Meter<R> {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), polled: Vec::with_capacity(BATCH), spawned: 0 }
    }

    /// A batch begins; the clock was read at `now`.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.polled.clear();
        (self.since, self.spawned) = (now, 0);
    }

    /// A request was given to a task, which takes time too.
    pub(crate) fn spawned(&mut self) {
        self.spawned += 1;
    }

    /// A method was polled; `pace` finds a method's record.
    pub(crate) fn polled<'a>(&mut self, method: R, pace: impl Fn(R) -> &'a Pace) {
        self.polled.push(method);
        if self.polled.len() >= BATCH {
            self.settle(pace);
        }
    }

    /// A batch ends: when its polls were long on average, its methods lose the short way.
    pub(crate) fn settle<'a>(&mut self, pace: impl Fn(R) -> &'a Pace) {
        let Ok(polls @ 1..) = u32::try_from(self.polled.len()) else { return };
        let now = Instant::now();
        if now - self.since > SHORT * polls + TO_SPAWN * self.spawned {
            self.polled.iter().for_each(|method| pace(*method).lose());
        }
        self.begin(now);
    }

    /// The clock when the batch began.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Whether anything was polled in it.
    pub(crate) fn has_polled(&self) -> bool {
        !self.polled.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_micros(3);

    #[test]
    fn short_polls_in_a_row_earn_the_short_way_and_a_long_one_loses_it() {
        let pace = Pace::default();
        for _ in 0..TO_EARN {
            assert!(!pace.is_short());
            pace.record(QUICK);
        }
        assert!(pace.is_short());
        pace.record(SHORT);
        assert!(!pace.is_short());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_batch_loses_it_for_its_methods_alone() {
        let paces = [Pace::default(), Pace::default()];
        for pace in &paces {
            (0..TO_EARN).for_each(|_| pace.record(QUICK));
        }
        let mut meter = Meter::new();
        meter.polled(0, |method: usize| &paces[method]);
        tokio::time::advance(Duration::from_millis(1)).await;
        meter.settle(|method| &paces[method]);
        assert!(!paces[0].is_short());
        assert!(paces[1].is_short());
    }
}
