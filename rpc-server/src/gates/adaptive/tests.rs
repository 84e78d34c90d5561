//! Against a simulated service: so many workers, a queue in front of them, and callers that come
//! at random times whatever becomes of them. Time and chance are made up, so counts are exact.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "made-up times are small"
)]

use super::*;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Where an adaptive limit leads a service.
struct Simulation {
    limit: Adaptive,
    random: fastrand::Rng,
    now: f64,
    /// When each worker is free again.
    workers: BinaryHeap<Reverse<u64>>,
    /// The end of each call that runs, its beginning and whether it is a sample.
    running: BinaryHeap<Reverse<(u64, u64, bool)>>,
    total: u32,
    next_sample: u64,
    /// Whether calls fail, rather than being answered.
    fails: bool,
}

/// What became of the calls of one stretch.
#[derive(Debug, Default)]
struct Counts {
    refused: u32,
    /// Answered within a second.
    in_time: u32,
    late: u32,
}

impl Simulation {
    fn new(workers: usize, limit: Adaptive) -> Self {
        Self {
            limit,
            random: fastrand::Rng::with_seed(7),
            now: 0.0,
            workers: std::iter::repeat_n(Reverse(0), workers).collect(),
            running: BinaryHeap::new(),
            total: 0,
            next_sample: 0,
            fails: false,
        }
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.random.f64()).ln()
    }

    /// Calls come at `rate` a second for so many seconds, each is `work` microseconds on average.
    fn run(&mut self, seconds: f64, rate: f64, work: f64) -> Counts {
        let mut counts = Counts::default();
        let end = self.now + seconds * 1e6;
        while self.now < end {
            let pause = self.exponential(1e6 / rate);
            self.now += pause;
            let now = self.now as u64;
            self.complete(now, &mut counts);
            if self.running.len() >= self.limit.limit() as usize {
                counts.refused += 1;
                continue;
            }
            let Reverse(free) = self.workers.pop().unwrap();
            // Half of it always, half at random.
            let took = work / 2.0 + self.exponential(work / 2.0);
            let ends = free.max(now) + took as u64;
            self.workers.push(Reverse(ends));
            let sampled = now >= self.next_sample;
            if sampled {
                self.next_sample = now + 100;
            }
            self.running.push(Reverse((ends, now, sampled)));
        }
        counts
    }

    fn complete(&mut self, now: u64, counts: &mut Counts) {
        while let Some(Reverse((ends, began, sampled))) = self.running.peek().copied()
            && ends <= now
        {
            let running = u32::try_from(self.running.len()).unwrap();
            self.running.pop();
            let answered = !self.fails;
            self.total += u32::from(answered);
            let took = ends - began;
            *if took < 1_000_000 { &mut counts.in_time } else { &mut counts.late } += 1;
            if sampled {
                let total = self.total;
                self.limit.sample(Sample { at: ends, took, answered, running, total });
            }
        }
    }
}

const MS: f64 = 1_000.0;

#[test]
fn twice_the_capacity_is_served_at_capacity() {
    // Below, at and far above the limit that a server starts with.
    for (workers, work) in [(16, 2.0 * MS), (40, 10.0 * MS), (400, 20.0 * MS)] {
        let capacity = workers as f64 * 1e6 / work;
        let mut simulation = Simulation::new(workers, Adaptive::new(8, 10_000, 0.5));
        simulation.run(20.0, 2.0 * capacity, work);
        let counts = simulation.run(60.0, 2.0 * capacity, work);
        let share = f64::from(counts.in_time) / (60.0 * capacity);
        let limit = simulation.limit.limit();
        assert!(share > 0.9, "{workers} workers: {share} of what they can do");
        assert_eq!(counts.late, 0);
        let knee = u32::try_from(workers).unwrap();
        assert!((knee * 9 / 10..=knee * 2).contains(&limit), "{workers} workers: {limit}");
    }
}

#[test]
fn a_service_below_its_capacity_is_left_alone() {
    let (workers, work) = (100, 10.0 * MS);
    let mut simulation = Simulation::new(workers, Adaptive::new(8, 10_000, 0.5));
    // Once it was shown what it can do.
    simulation.run(10.0, 20_000.0, work);
    simulation.run(1.0, 1_000.0, work);
    for rate in [1_000.0, 5_000.0, 300.0, 7_000.0] {
        let counts = simulation.run(60.0, rate, work);
        assert!(
            f64::from(counts.refused) < rate * 60.0 / 1_000.0,
            "at {rate} a second: {counts:?}"
        );
    }
}

#[test]
fn a_service_that_becomes_slower_or_quicker_is_followed() {
    let workers = 50;
    let mut simulation = Simulation::new(workers, Adaptive::new(8, 10_000, 0.5));
    for work in [5.0 * MS, 50.0 * MS, 5.0 * MS] {
        let capacity = workers as f64 * 1e6 / work;
        // Within the longest time between two measurements and what these take.
        simulation.run(70.0, 2.0 * capacity, work);
        let counts = simulation.run(60.0, 2.0 * capacity, work);
        let share = f64::from(counts.in_time) / (60.0 * capacity);
        let limit = simulation.limit.limit();
        assert!(share > 0.9, "{work}: {share}");
        assert_eq!(counts.late, 0);
        assert!((45..=110).contains(&limit), "{work}: {limit}");
    }
}

#[test]
fn a_service_that_answers_nothing_is_asked_less() {
    let mut limit = Adaptive::new(8, 10_000, 0.5);
    for at in 0..2_000 {
        let at = at * 10_000;
        limit.sample(Sample { at, took: 1_000_000, answered: false, running: 40, total: 0 });
    }
    assert_eq!(limit.limit(), 8);
}

/// What it depends on is away for a while: calls fail at once, or after they have waited for it.
#[test]
fn an_outage_behind_the_service_costs_nothing_once_it_is_over() {
    let (workers, work, capacity) = (40, 10.0 * MS, 4_000.0);
    for fails_after in [0.05 * MS, 100.0 * MS] {
        let mut simulation = Simulation::new(workers, Adaptive::new(8, 10_000, 0.5));
        for _ in 0..3 {
            simulation.run(20.0, 2.0 * capacity, work);
            simulation.fails = true;
            simulation.run(10.0, 2.0 * capacity, fails_after);
            simulation.fails = false;
            // Those that still wait come to their end.
            simulation.run(2.0, 2.0 * capacity, work);
            let counts = simulation.run(10.0, 2.0 * capacity, work);
            let share = f64::from(counts.in_time) / (10.0 * capacity);
            assert!(share > 0.9, "{share} of what it can do, after failures of {fails_after} us");
        }
    }
}

/// A thread that is put aside after it read the clock tells late of a call that ended early.
#[test]
fn a_sample_that_comes_late_tells_no_rate() {
    let mut limit = Adaptive::new(8, 10_000, 0.5);
    let (mut total, mut random) = (0, fastrand::Rng::with_seed(7));
    for n in 0..100_000u64 {
        total += 20;
        // The last of a window, from any time before it.
        let late = if n % 200 == 199 { random.u64(..300_000) } else { 0 };
        let at = (1_000 * n).saturating_sub(late);
        limit.sample(Sample { at, took: 1_000, answered: true, running: limit.limit(), total });
        assert!(limit.max_rate < 0.021, "{} answers a microsecond", limit.max_rate);
    }
}

#[test]
fn too_few_calls_change_nothing() {
    let mut limit = Adaptive::new(8, 10_000, 0.5);
    for n in 0..500u32 {
        // One in 20 ms: 50 in a window.
        let at = u64::from(n) * 20_000;
        limit.sample(Sample { at, took: 1_000, answered: true, running: 40, total: n });
    }
    assert_eq!(limit.limit(), 40);
}
