//! How large an adaptive limit is; see [`Limit::adaptive_between`](crate::Limit::adaptive_between)
//! for the sources.
//!
//! By Little's law a service that answers `rate` calls a second in `latency` each has `rate ×
//! latency` of them. The highest rate times the latency without load is thus what keeps it busy
//! without anything waiting. The limit is `max_rate × ((2 + explore) × min_latency − latency)`:
//! this concurrency and a bit more while nothing waits, less as latency grows.
//!
//! Time is an argument throughout, in microseconds.

use rpc_core::defaults;

/// A window ends with this many samples, or after this time if it has the least by then.
const LEAST_SAMPLES: u32 = 100;
const MOST_SAMPLES: u32 = 200;
const WINDOW: u64 = 1_000_000;
/// Share by which the limit is above what is known to work, and its step.
const LEAST_EXPLORE: f64 = 0.06;
const MOST_EXPLORE: f64 = 0.3;
const EXPLORE_STEP: f64 = 0.02;
/// Weight of a lower latency, and of a lower rate, in their averages.
const LATENCY_WEIGHT: f64 = 0.1;
const RATE_WEIGHT: f64 = 0.01;
/// The latency without load is measured again this often; the first time early, as the limit
/// that a server starts with may be far too high.
const MEASURE_EVERY: u64 = 50_000_000;
const MEASURE_FIRST: u64 = 2_000_000;
/// What the limit is lowered to meanwhile. A bRPC server goes to 0.9; a larger step can be told
/// from noise, and so be repeated when it pays.
const LOWERED: f64 = 0.8;
/// A lowered limit has paid when latency fell below this share while the rate did not.
const PAID: f64 = 0.9;

/// One call that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// When it ended.
    pub(super) at: u64,
    /// How long it took.
    pub(super) took: u64,
    /// Whether its handler did its work, rather than failing, being stopped or given up.
    pub(super) answered: bool,
    /// Calls that ran then, this one included.
    pub(super) running: u32,
    /// Calls answered since the beginning, sampled or not; wraps.
    pub(super) total: u32,
}

/// A limit and what it follows from.
#[derive(Debug)]
pub(super) struct Adaptive {
    least: u32,
    most: u32,
    limit: u32,
    min_latency: Option<f64>,
    /// Answers in a microsecond.
    max_rate: f64,
    explore: f64,
    /// When the latest call ended that is known of.
    now: u64,
    window: Option<Window>,
    phase: Phase,
    /// When the latency is to be measured next, and after how long again.
    measure_at: u64,
    measure_every: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Steady,
    /// The limit was lowered; calls from before are still ending.
    Draining {
        until: u64,
        before: Seen,
    },
    /// The first window with the lowered limit.
    Measuring {
        before: Seen,
    },
}

/// What one window has shown.
#[derive(Debug, Clone, Copy)]
struct Seen {
    rate: f64,
    latency: f64,
}

#[derive(Debug)]
struct Window {
    began: u64,
    total: u32,
    answered: u32,
    failed: u32,
    took: u64,
    peak: u32,
}

impl Adaptive {
    /// A limit between `least` and `most`. `jitter`, 0 to 1, keeps servers from measuring in step.
    pub(super) fn new(least: u32, most: u32, jitter: f64) -> Self {
        let part = |time: u64| scale(time, 0.5 + jitter / 2.0);
        Self {
            least,
            most,
            limit: defaults::ADAPTIVE_START.clamp(least, most),
            min_latency: None,
            max_rate: 0.0,
            explore: MOST_EXPLORE,
            now: 0,
            window: None,
            phase: Phase::Steady,
            measure_at: part(MEASURE_FIRST),
            measure_every: part(MEASURE_EVERY),
        }
    }

    /// The limit now.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// A call has ended.
    pub(super) fn sample(&mut self, mut sample: Sample) {
        // Its thread may have been put aside before it told of it. All that was answered meanwhile
        // is in its total, and must not seem to have taken less time.
        self.now = self.now.max(sample.at);
        sample.at = self.now;
        if let Phase::Draining { until, before } = self.phase {
            if sample.at < until {
                return;
            }
            self.phase = Phase::Measuring { before };
            self.window = None;
        }
        let window = self.window.get_or_insert_with(|| Window::new(sample));
        // What went wrong counts as if the answers had taken so much longer.
        window.took = window.took.saturating_add(sample.took);
        window.peak = window.peak.max(sample.running);
        *if sample.answered { &mut window.answered } else { &mut window.failed } += 1;
        let age = sample.at - window.began;
        match window.answered + window.failed {
            ..LEAST_SAMPLES if age < WINDOW => return,
            // Too few to tell anything.
            ..LEAST_SAMPLES => {}
            ..MOST_SAMPLES if age < WINDOW => return,
            _ => self.end_window(sample),
        }
        self.window = None;
    }

    fn end_window(&mut self, sample: Sample) {
        let Some(window) = self.window.take() else { return };
        let time = sample.at - window.began;
        if time == 0 {
            return;
        }
        if window.answered == 0 {
            // What fails sooner than it could be answered fails for other reasons than load.
            let latency = float(window.took) / f64::from(window.failed);
            let is_quick = self.min_latency.is_some_and(|min| latency < min * (1.0 + MOST_EXPLORE));
            if is_quick || window.peak < self.limit / 2 {
                return;
            }
            self.set(f64::from(self.limit) / 2.0);
            return;
        }
        let answers = f64::from(sample.total.wrapping_sub(window.total));
        let seen = Seen {
            rate: answers / float(time),
            latency: float(window.took) / f64::from(window.answered),
        };
        let min_latency = self.learn(seen);
        if let Phase::Measuring { before } = std::mem::replace(&mut self.phase, Phase::Steady)
            && seen.latency < before.latency * PAID
            && seen.rate > before.rate * PAID
        {
            // Less ran at a time and as much was done: what was taken for work was waiting.
            return self.lower(sample.at, seen);
        }
        if sample.at >= self.measure_at {
            self.measure_at = sample.at + self.measure_every;
            self.min_latency = None;
            // A limit that nobody feels hides nothing: latency is measured as it is.
            if window.peak >= self.limit {
                return self.lower(sample.at, seen);
            }
        }
        let factor = 2.0 + self.explore - seen.latency / min_latency;
        let limit = self.max_rate * min_latency * factor.max(1.0);
        // What comes says little of what the service can do as long as the limit has room: then it
        // is lowered only when calls wait all the same, and not at all when it is hardly used.
        let waits = seen.latency > min_latency * (1.0 + MOST_EXPLORE);
        let is_felt = window.peak >= self.limit || waits || limit > f64::from(self.limit);
        if is_felt && window.peak >= self.limit / 2 {
            self.set(limit);
        }
    }

    /// Takes a window into the averages; the latency without load.
    fn learn(&mut self, seen: Seen) -> f64 {
        let min_latency = match self.min_latency {
            _ if matches!(self.phase, Phase::Measuring { .. }) => seen.latency,
            Some(min) if seen.latency >= min => min,
            Some(min) => min + (seen.latency - min) * LATENCY_WEIGHT,
            None => seen.latency,
        };
        self.min_latency = Some(min_latency);
        let fallen = self.max_rate + (seen.rate - self.max_rate) * RATE_WEIGHT;
        self.max_rate = seen.rate.max(fallen);
        let room = 1.0 + LEAST_EXPLORE;
        let goes_well = seen.latency <= min_latency * room || seen.rate * room <= self.max_rate;
        let step = if goes_well { EXPLORE_STEP } else { -EXPLORE_STEP };
        self.explore = (self.explore + step).clamp(LEAST_EXPLORE, MOST_EXPLORE);
        min_latency
    }

    /// Lowers the limit to see what latency is with less.
    fn lower(&mut self, now: u64, before: Seen) {
        self.set(f64::from(self.limit) * LOWERED);
        self.phase = Phase::Draining { until: now + scale(1, 2.0 * before.latency), before };
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
    fn set(&mut self, limit: f64) {
        self.limit = limit.ceil().clamp(f64::from(self.least), f64::from(self.most)) as u32;
    }
}

impl Window {
    fn new(first: Sample) -> Self {
        Self { began: first.at, total: first.total, answered: 0, failed: 0, took: 0, peak: 0 }
    }
}

#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn float(count: u64) -> f64 {
    count as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts from floats saturate"
)]
fn scale(time: u64, by: f64) -> u64 {
    (float(time) * by) as u64
}

#[cfg(test)]
mod tests;
