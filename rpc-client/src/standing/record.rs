//! When an endpoint has failed often enough to be taken out of rotation, and when it comes back.
//!
//! Pure: times are arguments, in ms of one clock. After Finagle's failure accrual, with figures
//! that work with two providers and a call a second: five faults in a row, or fewer than 80 % of at
//! least five results good within 30 s.

use rpc_core::defaults;
use std::{fmt, time::Duration};

/// Parts of the window in which results are counted.
const PARTS: usize = 10;
/// Results below which their share says nothing.
const LEAST_RESULTS: u32 = 5;
/// A call that cannot be made again elsewhere probes only when no other has come for this long.
const PROBE_PATIENCE: u64 = 1_000;
/// A call that probes and says nothing for this long, or never will, keeps no other from it.
const PROBE_LONGEST: u64 = 5_000;

/// What a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A connection broke or fell silent: a ping shows whether it is over.
    Connection,
    /// A call failed: only a call shows whether it is over.
    Calls,
    /// It does not know the service at all, which needs no second time: only a call shows
    /// whether that is over.
    Service,
    /// It wants another token than this client shows: the same holds.
    Access,
}

/// Why an endpoint is out of rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) cause: Cause,
    pub(crate) in_a_row: u32,
    /// Of this many results in the window...
    pub(crate) results: u32,
    /// ... so many were faults.
    pub(crate) faults: u32,
}

/// Whether an endpoint is trusted with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is.
    Trusted,
    /// It should be taken out; whether it is, depends on how many others are.
    Tripped { why: Why, since: u64 },
    /// It is out until then.
    Ejected { why: Why, since: u64, until: u64 },
    /// It is out, and is being tried: since when the call that tries it has been out.
    Probing { why: Why, since: u64, out: Option<u64>, good: u32 },
}

/// The faults of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    phase: Phase,
    in_a_row: u32,
    /// When the last fault was; 0 when none is on record.
    last_fault: u64,
    window: Window,
    /// Ejections that followed one another.
    ejections: u32,
    /// When it was trusted again.
    back: u64,
}

impl Default for Record {
    fn default() -> Self {
        let window = Window::default();
        Self { phase: Phase::Trusted, in_a_row: 0, last_fault: 0, window, ejections: 0, back: 0 }
    }
}

impl Record {
    /// Good probes in a row after which an endpoint is trusted again.
    pub(crate) const GOOD_PROBES: u32 = 2;

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether no fault is on record.
    pub(crate) fn is_clean(&self) -> bool {
        self.last_fault == 0
    }

    /// Faults in a row, then faults and results within the window.
    pub(crate) fn faults(&self, now: u64) -> (u32, u32, u32) {
        let (good, bad) = self.window.sums(now);
        (self.in_a_row, bad, good + bad)
    }

    /// A fault, after this many `successes`. Says whether the phase has changed.
    pub(crate) fn failed(&mut self, now: u64, successes: u32, cause: Cause) -> bool {
        match self.phase {
            Phase::Trusted => {}
            // What was under way when it was taken out says nothing new.
            Phase::Tripped { .. } | Phase::Ejected { .. } => return false,
            Phase::Probing { out: None, .. } if cause != Cause::Connection => return false,
            Phase::Probing { .. } => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.last_fault = now.max(1);
                return self.trip(now, cause);
            }
        }
        self.count(now, successes);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if matches!(cause, Cause::Service | Cause::Access) {
            self.last_fault = now.max(1);
            return self.trip(now, cause);
        }
        if self.is_clean() {
            // The window begins with the first fault and does not count it: a fault that opens
            // its own window would make every share look worse than it is.
            self.last_fault = now.max(1);
            return false;
        }
        self.last_fault = now.max(1);
        self.window.add(now, 0, 1);
        let (good, bad) = self.window.sums(now);
        let often = good + bad >= LEAST_RESULTS
            && u64::from(good) * 100 < u64::from(good + bad) * u64::from(defaults::GOOD_SHARE);
        if self.in_a_row < defaults::FAULTS_IN_A_ROW && !often {
            return false;
        }
        // Who has served for a minute begins anew.
        if now.saturating_sub(self.back) >= ms(defaults::EJECTION_MAX) {
            self.ejections = 0;
        }
        self.trip(now, cause)
    }

    fn trip(&mut self, now: u64, cause: Cause) -> bool {
        let (in_a_row, faults, results) = self.faults(now);
        self.phase = Phase::Tripped { why: Why { cause, in_a_row, results, faults }, since: now };
        true
    }

    /// A success while it is being probed. Says whether the phase has changed.
    pub(crate) fn succeeded(&mut self, now: u64) -> bool {
        let Phase::Probing { out: out @ Some(_), good, .. } = &mut self.phase else { return false };
        *out = None;
        *good += 1;
        if *good < Self::GOOD_PROBES {
            return true;
        }
        self.clear(now);
        true
    }

    /// It has answered a ping. Says whether the phase has changed.
    pub(crate) fn answered_ping(&mut self, now: u64) -> bool {
        let Phase::Probing { why: Why { cause: Cause::Connection, .. }, .. } = self.phase else {
            return false;
        };
        self.clear(now);
        // It has not done any work yet: the next fault is one too many.
        self.in_a_row = defaults::FAULTS_IN_A_ROW - 1;
        self.last_fault = now.max(1);
        true
    }

    /// What time does: an ejection ends, faults are forgotten, a probe that was given up is
    /// given again, as is one of which nothing is heard. `idle` says that no call is running.
    pub(crate) fn pass(&mut self, now: u64, successes: u32, idle: bool) {
        match &mut self.phase {
            Phase::Trusted => self.count(now, successes),
            Phase::Ejected { why, until, .. } if now >= *until => {
                self.phase = Phase::Probing { why: *why, since: now, out: None, good: 0 };
            }
            Phase::Probing { out: out @ Some(_), .. } => {
                out.take_if(|since| idle || now.saturating_sub(*since) >= PROBE_LONGEST);
            }
            _ => {}
        }
        let forgotten = now.saturating_sub(self.last_fault) >= ms(defaults::FAULT_WINDOW);
        if self.phase == Phase::Trusted && self.in_a_row == 0 && forgotten {
            self.last_fault = 0;
            self.window = Window::default();
        }
    }

    /// When [`pass`](Self::pass) will do something; `None` when only calls can.
    pub(crate) fn next(&self) -> Option<u64> {
        match self.phase {
            // A row that no success has ended is not forgotten by itself.
            Phase::Trusted if self.is_clean() => None,
            Phase::Trusted => Some(self.last_fault + ms(defaults::FAULT_WINDOW)),
            Phase::Tripped { since, .. } => Some(since),
            Phase::Ejected { until, .. } => Some(until),
            Phase::Probing { out, since, .. } => Some(out.unwrap_or(since) + PROBE_PATIENCE),
        }
    }

    /// Takes it out: for 1 s, doubling up to 60 s, shortened by up to half as `random` in 0..1 says.
    pub(crate) fn eject(&mut self, now: u64, random: f64) {
        let Phase::Tripped { why, .. } = self.phase else { return };
        let longest = defaults::EJECTION_MIN.saturating_mul(1 << self.ejections.min(16));
        let time = longest.min(defaults::EJECTION_MAX).mul_f64(0.5 + random / 2.0);
        self.ejections = self.ejections.saturating_add(1);
        self.phase = Phase::Ejected { why, since: now, until: now + ms(time) };
    }

    /// Trusted again, for want of others.
    pub(crate) fn pardon(&mut self, now: u64) {
        if self.phase != Phase::Trusted {
            self.clear(now);
        }
    }

    /// Takes the right to send one call to an endpoint that is out, to see how it fares.
    pub(crate) fn try_probe(&mut self, now: u64, again: bool) -> bool {
        let Phase::Probing { out: out @ None, since, why, .. } = &mut self.phase else {
            return false;
        };
        let may = why.cause != Cause::Connection
            && (again || now.saturating_sub(*since) >= PROBE_PATIENCE);
        if may {
            *out = Some(now);
        }
        may
    }

    fn count(&mut self, now: u64, successes: u32) {
        if successes > 0 && !self.is_clean() {
            self.in_a_row = 0;
            self.window.add(now, successes, 0);
        }
    }

    fn clear(&mut self, now: u64) {
        self.phase = Phase::Trusted;
        self.in_a_row = 0;
        self.last_fault = 0;
        self.window = Window::default();
        self.back = now;
    }
}

/// Good and bad results of the last 30 s, in parts that are forgotten one by one.
#[derive(Debug, Clone, Default)]
struct Window([Part; PARTS]);

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    number: u64,
    good: u32,
    bad: u32,
}

impl Window {
    fn number(now: u64) -> u64 {
        // Numbers begin at one: zero marks a part that was never used.
        now / (ms(defaults::FAULT_WINDOW) / PARTS as u64) + 1
    }

    fn add(&mut self, now: u64, good: u32, bad: u32) {
        let number = Self::number(now);
        let part = &mut self.0[usize::try_from(number).unwrap_or(0) % PARTS];
        if part.number != number {
            *part = Part { number, good: 0, bad: 0 };
        }
        part.good = part.good.saturating_add(good);
        part.bad = part.bad.saturating_add(bad);
    }

    fn sums(&self, now: u64) -> (u32, u32) {
        let number = Self::number(now);
        let recent = |part: &&Part| part.number > 0 && part.number + PARTS as u64 > number;
        self.0.iter().filter(recent).fold((0, 0), |(good, bad): (u32, u32), part| {
            (good.saturating_add(part.good), bad.saturating_add(part.bad))
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.cause {
            Cause::Connection => "its connections broke or fell silent",
            Cause::Calls => "calls to it failed",
            Cause::Service => {
                return f.write_str("it does not serve the service that it is listed for");
            }
            Cause::Access => return f.write_str("it wants another token than this client shows"),
        };
        if self.in_a_row >= defaults::FAULTS_IN_A_ROW {
            write!(f, "{what} {} times in a row", self.in_a_row)
        } else if self.results >= LEAST_RESULTS {
            let window = defaults::FAULT_WINDOW.as_secs();
            write!(f, "{} of {} results within {window} s were faults", self.faults, self.results)
        } else {
            write!(f, "{what} when it was tried again")
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
