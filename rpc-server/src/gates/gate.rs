//! One limit: the calls that run under it, what they took, and why a call is refused.

use super::{
    Kind, Limit,
    adaptive::{Adaptive, Sample},
    latency::Latency,
    tally::Tally,
};
use crate::method_stats::{LatencyStats, LimitStats};
use rpc_core::transport::lock;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// At most one call in this time is timed.
const SAMPLE_EVERY: u64 = 100;
/// The refusals of a limit are logged this often at most, in milliseconds.
const WARN_EVERY: u64 = 10_000;

/// One limit and the calls that count against it.
#[derive(Debug)]
pub(crate) struct Gate {
    /// `service` or `service/method`.
    name: String,
    limit: Limit,
    /// Calls that may run now.
    places: AtomicU32,
    tally: Tally,
    refused: AtomicU64,
    made: Instant,
    /// When refusals are logged again, in milliseconds since it was made.
    warn_at: AtomicU64,
    next_sample: AtomicU64,
    /// What the quickest of the latest samples took; 0 while that is not known.
    quickest: AtomicU64,
    mean: AtomicU64,
    estimates: Mutex<Estimates>,
}

#[derive(Debug)]
struct Estimates {
    latency: Latency,
    adaptive: Option<Adaptive>,
}

impl Gate {
    pub(crate) fn new(name: String, limit: Limit) -> Self {
        let (places, adaptive) = match limit.0 {
            Kind::None => (u32::MAX, None),
            Kind::Fixed(calls) => (calls, None),
            Kind::Adaptive { least, most } => {
                let adaptive = Adaptive::new(least, most, fastrand::f64());
                (adaptive.limit(), Some(adaptive))
            }
        };
        Self {
            name,
            limit,
            places: AtomicU32::new(places),
            tally: Tally::default(),
            refused: AtomicU64::new(0),
            made: Instant::now(),
            warn_at: AtomicU64::new(0),
            next_sample: AtomicU64::new(0),
            quickest: AtomicU64::new(0),
            mean: AtomicU64::new(0),
            estimates: Mutex::new(Estimates { latency: Latency::default(), adaptive }),
        }
    }

    /// Whether there is a limit at all.
    pub(super) fn is_limited(&self) -> bool {
        self.limit != Limit::none()
    }

    /// Looks or enters, by `ask`, which is told how many places there are.
    pub(super) fn ask(
        &self,
        left: Duration,
        ask: impl FnOnce(&Tally, u32) -> bool,
    ) -> Result<(), String> {
        let limit = self.places.load(Ordering::Relaxed);
        let quickest = Duration::from_micros(self.quickest.load(Ordering::Relaxed));
        let places = places(limit, left, quickest);
        if ask(&self.tally, places) {
            return Ok(());
        }
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let text = self.text(limit, (places < limit).then_some((left, quickest)));
        self.warn(refused, &text);
        Err(text)
    }

    /// Counts a call that no limit applies to.
    pub(super) fn count(&self) {
        self.tally.enter(u32::MAX);
    }

    /// A call has ended, with an answer or without.
    pub(super) fn leave(&self, answered: bool) {
        self.tally.leave(answered);
    }

    /// Tells the server's own people, now and then.
    fn warn(&self, refused: u64, text: &str) {
        let now = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.warn_at.load(Ordering::Relaxed);
        let next = now.saturating_add(WARN_EVERY);
        let swap =
            || self.warn_at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if now >= due && swap().is_ok() {
            tracing::warn!(limit = self.name, refused, "calls are refused: {text}");
        }
    }

    /// Why a call is refused; `late` if it would have run out of time anyway.
    fn text(&self, limit: u32, late: Option<(Duration, Duration)>) -> String {
        let Self { name, tally, .. } = self;
        let (running, kind) = (tally.running(), self.kind());
        let more = match self.limit.0 {
            Kind::Adaptive { .. } => "add instances".to_owned(),
            _ => format!("raise .limit({name:?}, ..)"),
        };
        match late {
            None => format!(
                "{name} has reached its limit: {running} calls run, {limit} may ({kind}): call \
                 another instance, call less at a time, or {more}"
            ),
            Some((left, quickest)) => format!(
                "{name} is near its limit: {running} calls run, {limit} may ({kind}), and the last \
                 places are for calls with time left: this one had {left:?}, of late even the \
                 quickest took {quickest:?}: call another instance, call less at a time, or give \
                 calls more time"
            ),
        }
    }

    fn kind(&self) -> &'static str {
        if matches!(self.limit.0, Kind::Adaptive { .. }) { "adaptive" } else { "fixed" }
    }

    /// How full it is, in 255ths.
    pub(super) fn load(&self) -> u8 {
        if !self.is_limited() {
            return 0;
        }
        let (running, places) = (self.tally.running(), self.places.load(Ordering::Relaxed));
        let share = u64::from(running) * 255 / u64::from(places.max(1));
        u8::try_from(share).unwrap_or(u8::MAX)
    }

    /// Whether a call that begins now is to be timed.
    pub(super) fn wants_sample(&self, now: u64) -> bool {
        let next = self.next_sample.load(Ordering::Relaxed);
        let later = now.saturating_add(SAMPLE_EVERY);
        now >= next
            && self
                .next_sample
                .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// A timed call has ended, but still counts as running.
    pub(super) fn sample(&self, at: u64, took: u64, answered: bool) {
        let mut estimates = lock(&self.estimates);
        // Within the lock, so that no total is older than the one before it.
        let (running, total) = self.tally.read();
        estimates.latency.sample(took);
        self.quickest.store(estimates.latency.quickest().unwrap_or(0), Ordering::Relaxed);
        self.mean.store(estimates.latency.mean(), Ordering::Relaxed);
        if let Some(adaptive) = &mut estimates.adaptive {
            adaptive.sample(Sample { at, took, answered, running, total });
            self.places.store(adaptive.limit(), Ordering::Relaxed);
        }
    }

    /// Calls that run.
    pub(crate) fn running(&self) -> u32 {
        self.tally.running()
    }

    /// The limit and what became of it, if there is one.
    pub(crate) fn stats(&self) -> Option<LimitStats> {
        self.is_limited().then(|| LimitStats {
            running: self.running(),
            limit: self.places.load(Ordering::Relaxed),
            adaptive: matches!(self.limit.0, Kind::Adaptive { .. }),
            refused: self.refused.load(Ordering::Relaxed),
        })
    }

    /// What the calls that were timed took, once there were some.
    pub(crate) fn latency(&self) -> Option<LatencyStats> {
        let read = |micros: &AtomicU64| Duration::from_micros(micros.load(Ordering::Relaxed));
        let quickest = read(&self.quickest);
        (!quickest.is_zero()).then(|| LatencyStats { quickest, mean: read(&self.mean) })
    }
}

/// How many places there are for a call with this much time left. Keeping the last ones of a
/// resource for those who are worth more is trunk reservation in telephony; refusing what would
/// run out of time is what bRPC's timeout limiter does, by the average. Here it is by the
/// quickest, which is above a call's time only when there is hardly a doubt.
fn places(limit: u32, left: Duration, quickest: Duration) -> u32 {
    if left < quickest { limit - limit / 4 } else { limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_logged_now_and_then() {
        let gate = Gate::new("a.Shop/get".into(), Limit::fixed(1));
        let enter = || gate.ask(Duration::from_secs(10), Tally::enter);
        enter().unwrap();
        let mut logged = 0;
        for _ in 0..2_501 {
            let before = gate.warn_at.load(Ordering::Relaxed);
            assert!(enter().is_err());
            logged += usize::from(gate.warn_at.load(Ordering::Relaxed) != before);
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(logged, 3, "at once, and twice in 25 s");
    }
}
