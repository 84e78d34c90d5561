//! How much of what a connection can carry it carries.
//!
//! The reader counts answers in passing; the timekeeper looks ten times a second. Nothing is done
//! for a single call.

use crate::clock::Time;
use rpc_core::transport::lock;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Time between two samples.
const INTERVAL: Duration = Duration::from_millis(100);
/// A load counts when it has lasted for this many samples.
const LASTING: usize = 3;
/// Large bodies on their way at once from which a second connection helps.
const LARGE_AT_ONCE: f64 = 2.0;
/// Bytes of large bodies a second below which they do not keep a connection busy: whoever is slow
/// then, it is not the copying at the ends of one stream.
const LARGE_RATE: f64 = 64.0 * 1024.0 * 1024.0;
/// Answers a second near what one reader can take on a core of its own.
const ANSWER_RATE: f64 = 500_000.0;
/// Cores from which a second reader has one of its own: the calls need two themselves.
const CORES: usize = 4;
/// Share of the calls that a connection takes from which it counts as full.
const FULL: f64 = 0.75;

/// The counts of one connection.
#[derive(Debug, Default)]
pub(super) struct Meter {
    answers: AtomicU64,
    large: AtomicU64,
    bytes: AtomicU64,
    samples: Mutex<Samples>,
    /// The load that has lasted, in thousandths.
    load: AtomicU64,
}

#[derive(Debug, Default)]
struct Samples {
    at: Option<Time>,
    answers: u64,
    large: u64,
    bytes: u64,
    loads: [f64; LASTING],
    next: usize,
}

/// What happened between two samples.
#[derive(Debug, Clone, Copy)]
struct Sample {
    time: Duration,
    in_flight: usize,
    /// Calls that the provider takes at once.
    limit: usize,
    answers: u64,
    /// Large bodies that were sent or received, and their bytes.
    large: u64,
    bytes: u64,
    cores: usize,
}

impl Meter {
    /// So many answers have come.
    pub(super) fn answered(&self, count: usize) {
        self.answers.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// A large body has been sent or received.
    pub(super) fn carried(&self, bytes: usize) {
        self.large.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Takes a sample if it is time for one. Says whether the connection has more than it carries
    /// well.
    pub(super) fn sample(&self, now: Time, in_flight: usize, limit: usize, cores: usize) -> bool {
        let mut samples = lock(&self.samples);
        let Some(at) = samples.at else {
            samples.at = Some(now);
            return false;
        };
        let time = now.since(at);
        if time < INTERVAL {
            return false;
        }
        let answers = self.answers.load(Ordering::Relaxed);
        let large = self.large.load(Ordering::Relaxed);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let load = load(&Sample {
            time,
            in_flight,
            limit,
            answers: answers - samples.answers,
            large: large - samples.large,
            bytes: bytes - samples.bytes,
            cores,
        });
        let next = (samples.next + 1) % LASTING;
        samples.loads[next] = load;
        *samples = Samples { at: Some(now), answers, large, bytes, next, loads: samples.loads };
        let lasting = samples.loads.iter().copied().fold(f64::INFINITY, f64::min);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is small")]
        self.load.store((lasting * 1000.0) as u64, Ordering::Relaxed);
        lasting > 1.0
    }

    /// How many connections what this one carries would fill.
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    pub(super) fn load(&self) -> f64 {
        self.load.load(Ordering::Relaxed) as f64 / 1000.0
    }
}

/// How many connections would carry well what was seen. Small calls share one connection best, so
/// they count only near the limits; large bodies are copied by one core at each end of a stream.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn load(sample: &Sample) -> f64 {
    let seconds = sample.time.as_secs_f64();
    let in_flight = sample.in_flight as f64;
    let by_calls = in_flight / (sample.limit.max(1) as f64 * FULL);
    let answer_rate = sample.answers as f64 / seconds;
    let by_answers = if sample.cores >= CORES { answer_rate / ANSWER_RATE } else { 0.0 };
    // Of the calls in flight as many are large as of those that were answered.
    let share = (sample.large as f64 / sample.answers.max(1) as f64).min(1.0);
    let busy = sample.bytes as f64 / seconds >= LARGE_RATE;
    let by_bytes = if busy { in_flight * share / LARGE_AT_ONCE } else { 0.0 };
    by_calls.max(by_answers).max(by_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Sample = Sample {
        time: Duration::from_millis(100),
        in_flight: 512,
        limit: 16_384,
        answers: 150_000,
        large: 0,
        bytes: 0,
        cores: 2,
    };
    const LARGE: Sample =
        Sample { in_flight: 64, answers: 3_000, large: 6_000, bytes: 6_000 * 65_536, ..SMALL };

    #[test]
    fn small_calls_fill_a_connection_near_its_limit_or_that_of_a_core() {
        assert!(load(&SMALL) < 0.1);
        assert!(load(&Sample { in_flight: 14_000, ..SMALL }) > 1.0);
        assert!(load(&Sample { cores: 8, ..SMALL }) > 2.9);
    }

    #[test]
    fn large_bodies_fill_it_when_many_are_on_their_way_and_move() {
        assert!((load(&LARGE) - 32.0).abs() < 0.01);
        let slow = Sample { answers: 10, large: 20, bytes: 20 * 65_536, ..LARGE };
        assert!(load(&slow) < 0.1, "the handlers are slow, not the stream");
        let two = Sample { in_flight: 2, answers: 25, large: 50, bytes: 50 << 22, ..LARGE };
        assert!(load(&two) <= 1.0, "two at a time");
        let mixed = Sample { in_flight: 18, answers: 13_000, large: 50, bytes: 50 << 22, ..LARGE };
        assert!(load(&mixed) < 0.1, "two large ones among small ones");
    }

    #[test]
    fn a_load_counts_when_it_lasts() {
        let meter = Meter::default();
        let mut now = Time::from_nanos(1);
        assert!(!meter.sample(now, 90, 100, 2));
        let mut second = |in_flight| {
            now = now + INTERVAL;
            meter.sample(now, in_flight, 100, 2)
        };
        assert_eq!([second(90), second(90), second(90)], [false, false, true]);
        assert!((meter.load() - 1.2).abs() < 0.01);
        assert!(!meter.sample(now + INTERVAL / 2, 0, 100, 2), "too early to look again");
        assert!(meter.load() > 1.0);
        assert!(!meter.sample(now + INTERVAL, 0, 100, 2));
        assert!(meter.load() < 0.01);
    }
}
