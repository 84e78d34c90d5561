//! What is known of an endpoint's speed: an estimate that rises with the first slow reply, forgets
//! in 10 s, and counts failures as slowness.
//!
//! Peak EWMA as in Finagle: a sample above the estimate replaces it, one below pulls it down with a
//! weight that depends on the time since the last. Two things are added, so that an endpoint which
//! has recovered is found out in seconds and not in a multiple of the decay: the estimate never
//! exceeds the slowest sample of the last 4 to 8 s, and one without a sample for 5 s is forgotten,
//! so that a single call finds out anew: one that can be made again elsewhere, if what is forgotten
//! is a failure; and what calls met in a silence is forgotten when that ends: the endpoint was out
//! of rotation, and to avoid it for seconds more would only fill the others. And one so that a few
//! quick calls do not make an endpoint look as fast for others: a call that is not answered yet
//! counts with the time that it has taken. Time is an argument.

use super::Load;
use crate::clock::Time;
use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

/// The time in ns after which a sample has lost two thirds of its weight.
const DECAY: f64 = 10e9;
/// What a failure counts as at least, in ns (as in linkerd).
pub(super) const PENALTY: f64 = 5e9;
/// The slowest sample is kept for one to two such times.
const WINDOW: Duration = Duration::from_secs(4);
/// An idle endpoint's estimate is forgotten after this time.
const FORGOTTEN: Duration = Duration::from_secs(5);
/// After this time also that it was one of failures.
const FORGIVEN: Duration = Duration::from_secs(10);
/// A call that is not answered for so long says no more of others: it may be one of its own kind.
const LONG: Duration = Duration::from_secs(1);

/// What is known of one endpoint. Updates that race lose one another's samples, never more.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// The estimate in ns, as the bits of an `f64`; 0 when nothing is known.
    estimate: AtomicU64,
    /// When the last sample came.
    at: AtomicU64,
    /// The slowest samples in ns of this window and the one before, as the bits of `f64`s, and
    /// when this window began. Positive `f64`s sort as their bits do.
    slowest: AtomicU64,
    slowest_before: AtomicU64,
    window: AtomicU64,
    /// Since when a call has been in flight that began after the last answer; 0 if none is noted.
    waits: AtomicU64,
    /// When it went on after a silence; 0 if it never was silent.
    resumed: AtomicU64,
    /// The estimate that was forgotten last, as the bits of an `f64`, and whether it still counts
    /// as one of failures.
    forgotten: AtomicU64,
    failed: AtomicBool,
    /// The load that the last reply has reported.
    reported: AtomicU8,
}

/// What an attempt says about its endpoint besides the time it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// It answers in that time.
    Answered,
    /// It takes that time at least: the call's deadline passed, or its caller went away.
    AtLeast,
    /// It failed, however fast.
    Failed,
    /// It refused the call because it has enough: counted as load, not as time.
    Overloaded,
}

impl Gauge {
    /// An attempt begins. It is noted where nothing has come for longer than an answer is expected
    /// to take: while answers come they say more, and nothing is written.
    pub(crate) fn begin(&self, now: Time) {
        if self.waits.load(Ordering::Relaxed) == 0 && passed(time(&self.at), now) >= self.nanos() {
            self.waits.store(now.nanos(), Ordering::Relaxed);
        }
    }

    /// An attempt ended, and says nothing of speed.
    pub(crate) fn end(&self) {
        if self.waits.load(Ordering::Relaxed) != 0 {
            self.waits.store(0, Ordering::Relaxed);
        }
    }

    /// An attempt that began at `since` ended `now`.
    pub(crate) fn learn(&self, lesson: Lesson, since: Time, now: Time) {
        self.end();
        if lesson != Lesson::Overloaded && since < time(&self.resumed) {
            return;
        }
        let (known, latency) = (self.nanos(), passed(since, now));
        let sample = match lesson {
            Lesson::Answered => latency,
            // Of one that has never answered a lower bound says nothing: it may never answer.
            Lesson::AtLeast if known == 0.0 => PENALTY.max(latency),
            Lesson::AtLeast => known.max(latency),
            Lesson::Failed => PENALTY.max(latency),
            Lesson::Overloaded => return self.reported(u8::MAX),
        };
        let before = time(&self.at);
        self.at.store(now.nanos(), Ordering::Relaxed);
        let estimate = if sample > known {
            sample
        } else {
            sample + (known - sample) * kept(passed(before, now))
        };
        self.estimate.store(estimate.to_bits(), Ordering::Relaxed);
        if sample.to_bits() > self.slowest.load(Ordering::Relaxed) {
            self.slowest.store(sample.to_bits(), Ordering::Relaxed);
        }
    }

    /// The provider says how loaded it is, in 255ths of its limit.
    pub(crate) fn reported(&self, load: u8) {
        if self.reported.load(Ordering::Relaxed) != load {
            self.reported.store(load, Ordering::Relaxed);
        }
    }

    /// Forgets what is out of date. To be called about once a second; `awaited` says that calls to
    /// the endpoint were in flight since.
    pub(crate) fn review(&self, awaited: bool, now: Time) {
        if now.since(time(&self.window)) >= WINDOW {
            self.window.store(now.nanos(), Ordering::Relaxed);
            let last = self.slowest.swap(0, Ordering::Relaxed);
            let ceiling = self.slowest_before.swap(last, Ordering::Relaxed).max(last);
            // Without a sample in either window only the rule below applies.
            if ceiling != 0 && self.estimate.load(Ordering::Relaxed) > ceiling {
                self.estimate.store(ceiling, Ordering::Relaxed);
            }
        }
        let idle = now.since(time(&self.at));
        if !awaited && idle >= FORGOTTEN {
            let last = f64::from_bits(self.estimate.swap(0, Ordering::Relaxed));
            if last > 0.0 {
                self.forgotten.store(last.to_bits(), Ordering::Relaxed);
                self.failed.store(last >= PENALTY, Ordering::Relaxed);
            } else if idle >= FORGIVEN {
                self.failed.store(false, Ordering::Relaxed);
            }
        }
        if self.nanos() > 0.0 && now.since(time(&self.waits)) >= LONG {
            self.end();
        }
        // Who is avoided for its load sends no reply that would take it back.
        let reported = self.reported.load(Ordering::Relaxed);
        self.reported(reported / 2);
    }

    /// It goes on after a silence: what calls tell that began before says nothing of others.
    pub(crate) fn resumed(&self, now: Time) {
        self.forget();
        self.resumed.store(now.nanos(), Ordering::Relaxed);
    }

    /// Begins anew: another process answers.
    pub(crate) fn forget(&self) {
        let Self { estimate, slowest, slowest_before, waits, forgotten, .. } = self;
        for known in [estimate, slowest, slowest_before, waits, forgotten] {
            known.store(0, Ordering::Relaxed);
        }
        self.failed.store(false, Ordering::Relaxed);
        self.reported.store(0, Ordering::Relaxed);
    }

    /// What the strategies need `now`, with the number of calls in flight. `again`: for a call that
    /// can be made again elsewhere.
    #[inline]
    pub(crate) fn load(&self, active: usize, again: bool, now: Time) -> Load {
        let reported = self.reported.load(Ordering::Relaxed);
        let (latency, since) = (self.nanos(), time(&self.waits));
        let mut load = Load { active, latency, least: 0.0, reported };
        if latency == 0.0 {
            load.least = f64::from_bits(self.forgotten.load(Ordering::Relaxed));
            if !again && self.failed.load(Ordering::Relaxed) {
                load.latency = PENALTY;
            }
        }
        if since.nanos() > 0 {
            let waits = passed(since, now);
            let takes = if latency == 0.0 { &mut load.least } else { &mut load.latency };
            *takes = takes.max(waits);
        }
        load
    }

    /// The estimate, if anything is known.
    pub(crate) fn latency(&self) -> Option<Duration> {
        let known = self.nanos();
        (known > 0.0).then(|| Duration::from_secs_f64(known / 1e9))
    }

    /// The estimate in ns; 0 when nothing is known.
    pub(crate) fn nanos(&self) -> f64 {
        f64::from_bits(self.estimate.load(Ordering::Relaxed))
    }
}

/// A time that is kept as its nanoseconds.
fn time(at: &AtomicU64) -> Time {
    Time::from_nanos(at.load(Ordering::Relaxed))
}

/// Nanoseconds from one time to another; 0 if that is earlier.
#[expect(clippy::cast_precision_loss, reason = "times are short")]
fn passed(from: Time, to: Time) -> f64 {
    to.nanos().saturating_sub(from.nanos()) as f64
}

/// The weight that is left to the past after so many nanoseconds.
fn kept(passed: f64) -> f64 {
    let decays = passed / DECAY;
    // Calls mostly follow one another closely; the exponential is for the rest.
    if decays < 1e-3 { 1.0 - decays } else { (-decays).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Lesson::{Answered, AtLeast, Failed};

    const SECOND: u64 = 1_000_000;
    const MS: Duration = Duration::from_millis(1);

    fn at(micros: u64) -> Time {
        Time::from_nanos(micros * 1000)
    }

    /// After an attempt that took so long.
    fn learn(gauge: &Gauge, lesson: Lesson, took: Duration, now: u64) {
        let now = at(now);
        let took = u64::try_from(took.as_nanos()).unwrap();
        gauge.learn(lesson, Time::from_nanos(now.nanos() - took), now);
    }

    fn ms(gauge: &Gauge) -> f64 {
        gauge.load(0, true, at(0)).latency / 1e6
    }

    #[test]
    fn it_rises_at_once_and_falls_over_ten_seconds() {
        let gauge = Gauge::default();
        learn(&gauge, Answered, MS, SECOND);
        learn(&gauge, Answered, MS * 100, SECOND + 1);
        assert!((ms(&gauge) - 100.0).abs() < 1e-6);
        for tenth in 11..=110 {
            learn(&gauge, Answered, MS, tenth * SECOND / 10);
        }
        assert!((36.0..38.5).contains(&ms(&gauge)), "a good third is left: {}", ms(&gauge));
    }

    #[test]
    fn a_peak_is_forgotten_once_it_has_left_the_windows() {
        let gauge = Gauge::default();
        learn(&gauge, Answered, MS * 1000, 100 * SECOND);
        for second in 100..109 {
            learn(&gauge, Answered, MS, second * SECOND + 1);
            gauge.review(true, at(second * SECOND + 2));
            assert!(second >= 104 || ms(&gauge) > 300.0, "after {second}: {}", ms(&gauge));
        }
        assert!(ms(&gauge) < 1.01, "{}", ms(&gauge));
    }

    #[test]
    fn failures_are_slow_and_those_without_an_answer_never_look_fast() {
        let gauge = Gauge::default();
        learn(&gauge, Answered, MS * 10, SECOND);
        learn(&gauge, AtLeast, MS, 2 * SECOND);
        assert!((ms(&gauge) - 10.0).abs() < 1e-6);
        learn(&gauge, AtLeast, MS * 20, 2 * SECOND);
        assert!((ms(&gauge) - 20.0).abs() < 1e-6);
        learn(&gauge, Failed, MS, 3 * SECOND);
        assert!((ms(&gauge) - 5000.0).abs() < 1e-6);
    }

    #[test]
    fn who_has_never_answered_is_not_known_by_the_patience_of_callers() {
        let gauge = Gauge::default();
        learn(&gauge, AtLeast, MS, SECOND);
        assert!((ms(&gauge) - 5000.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_idle_is_forgotten_and_what_is_awaited_is_not() {
        let gauge = Gauge::default();
        learn(&gauge, Failed, MS, SECOND);
        gauge.review(false, at(5 * SECOND));
        assert!(ms(&gauge) > 0.0);
        gauge.review(true, at(60 * SECOND));
        assert!(ms(&gauge) > 0.0, "a call is on its way");
        gauge.review(false, at(61 * SECOND));
        assert!(ms(&gauge) == 0.0);
    }

    #[test]
    fn who_failed_is_tried_again_by_calls_first_that_can_be_made_again() {
        let gauge = Gauge::default();
        let costs = |again| gauge.load(0, again, at(0)).latency;
        learn(&gauge, Failed, MS, SECOND);
        gauge.review(false, at(6 * SECOND));
        assert!(costs(true) == 0.0 && costs(false) == PENALTY);
        gauge.review(false, at(10 * SECOND));
        assert!(costs(false) == PENALTY);
        gauge.review(false, at(11 * SECOND));
        assert!(costs(false) == 0.0, "there may be no such calls");
        learn(&gauge, Failed, MS, 11 * SECOND);
        gauge.review(false, at(16 * SECOND));
        learn(&gauge, Answered, MS, 17 * SECOND);
        assert!(costs(false) < 1.01e6, "it has recovered");
        gauge.review(false, at(22 * SECOND));
        assert!(costs(false) == 0.0);
    }

    #[test]
    fn what_calls_met_in_a_silence_is_forgotten_with_its_end() {
        let gauge = Gauge::default();
        learn(&gauge, Answered, MS, SECOND);
        learn(&gauge, Failed, MS * 2000, 3 * SECOND);
        gauge.resumed(at(6 * SECOND));
        assert!(gauge.latency().is_none());
        learn(&gauge, Failed, MS * 5000, 6 * SECOND + 1);
        learn(&gauge, Answered, MS * 4000, 6 * SECOND + 2);
        learn(&gauge, AtLeast, MS * 2, 6 * SECOND + 1_000);
        assert!(gauge.latency().is_none(), "they began before");
        learn(&gauge, Answered, MS, 6 * SECOND + 1_000);
        assert!((ms(&gauge) - 1.0).abs() < 1e-6);
        for review in 6..15 {
            gauge.review(true, at(review * SECOND));
            assert!((ms(&gauge) - 1.0).abs() < 1e-6, "after {review}: {}", ms(&gauge));
        }
    }

    #[test]
    fn a_reported_load_is_forgotten_unless_it_is_reported_again() {
        let gauge = Gauge::default();
        learn(&gauge, Lesson::Overloaded, MS, SECOND);
        assert_eq!(gauge.load(0, true, at(0)).reported, 255);
        for _ in 0..8 {
            gauge.review(false, at(0));
        }
        assert_eq!(gauge.load(0, true, at(0)).reported, 0);
    }

    /// What a call is expected to take at least, in ms.
    fn takes(gauge: &Gauge, now: u64) -> u128 {
        let Load { latency, least, .. } = gauge.load(1, true, at(now));
        Duration::from_secs_f64(latency.max(least) / 1e9).as_millis()
    }

    #[test]
    fn a_call_that_is_not_answered_counts_with_its_time() {
        let gauge = Gauge::default();
        gauge.begin(at(SECOND));
        gauge.begin(at(SECOND + 1_000));
        assert_eq!(takes(&gauge, SECOND + 5_000), 5, "the oldest one");
        assert!(gauge.latency().is_none(), "that is not known");
        learn(&gauge, Answered, MS * 6, SECOND + 6_000);
        gauge.begin(at(SECOND + 11_000));
        assert_eq!(takes(&gauge, SECOND + 30_000), 6, "what comes is as fast as it was");
        gauge.begin(at(SECOND + 12_000));
        assert_eq!(takes(&gauge, SECOND + 15_000), 6);
        assert_eq!(takes(&gauge, SECOND + 20_000), 8);
        gauge.end();
        assert_eq!(takes(&gauge, SECOND + 20_000), 6);
    }

    #[test]
    fn a_long_call_is_held_against_who_answers_others_for_a_second_or_two() {
        let gauge = Gauge::default();
        gauge.begin(at(SECOND));
        gauge.review(true, at(9 * SECOND));
        assert_eq!(takes(&gauge, 9 * SECOND), 8_000, "it may never answer");
        learn(&gauge, Answered, MS, 9 * SECOND);
        gauge.begin(at(10 * SECOND));
        gauge.review(true, at(11 * SECOND - 1));
        assert_eq!(takes(&gauge, 11 * SECOND), 1_000);
        gauge.review(true, at(11 * SECOND));
        assert_eq!(takes(&gauge, 12 * SECOND), 1);
    }

    #[test]
    fn what_it_was_before_is_remembered_until_another_process_answers() {
        let gauge = Gauge::default();
        learn(&gauge, Answered, MS * 20, SECOND);
        gauge.review(false, at(6 * SECOND));
        assert!(gauge.latency().is_none());
        gauge.begin(at(7 * SECOND));
        assert_eq!(takes(&gauge, 7 * SECOND), 20);
        assert_eq!(takes(&gauge, 7 * SECOND + 30_000), 30);
        gauge.forget();
        assert_eq!(takes(&gauge, 8 * SECOND), 0);
    }
}
