//! When people are told that a service is full. Pure.
//!
//! ```text
//! Quiet ─(a call waits, or fails)─► Settling ─(1 or 2 s, and it is still so)─► Told
//!   ▲                                  │                                        │ ▲
//!   ├──────────────(it was a moment)───┘                                        ├─┘ again, a window later
//!   └───────────────────(a window in which no call came to wait: over)──────────┘
//! ```
//!
//! A call that the line has no room for is told in any case. One that providers turn away is told if
//! that goes on for two seconds: a limit that refuses a few for a moment does its work.
//! Whatever happens, two reports of one service are a window apart.

#[cfg(test)]
mod tests;

use super::Flow;
use crate::queue::Waiting;
use rpc_core::defaults;
use std::time::Duration;
use tokio::time::Instant;

/// What people are to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// It has ended.
    pub(crate) over: bool,
    /// How long it has been going on, or was.
    pub(crate) lasting: Duration,
    /// What came and was let in since the last report, or since it began.
    pub(crate) flow: Flow,
    /// Calls that were refused in that time.
    pub(crate) refused: u64,
    /// Calls that providers turned away in that time.
    pub(crate) turned_away: u64,
}

/// Looks at the line of waiting calls of one service.
#[derive(Debug)]
pub(crate) struct Watchman {
    window: Duration,
    state: State,
    /// The line when it was looked at last.
    seen: Option<Waiting>,
    /// No report before this.
    not_before: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Quiet,
    Settling {
        until: Instant,
        trouble: Trouble,
        /// Calls that providers had turned away a second ago; `None` in the first second.
        turned_away: Option<u64>,
    },
    Told {
        /// When to report again.
        next: Instant,
        trouble: Trouble,
    },
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    began: Instant,
    /// The last time that it was seen.
    last: Instant,
    /// The counts at the last report.
    base: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    joined: u64,
    admitted: u64,
    refused: u64,
    turned_away: u64,
}

impl From<&Waiting> for Counts {
    fn from(line: &Waiting) -> Self {
        Self {
            joined: line.joined,
            admitted: line.admitted,
            refused: line.refused,
            turned_away: line.turned_away,
        }
    }
}

impl Watchman {
    /// One that reports every `window` at most.
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, state: State::Quiet, seen: None, not_before: None }
    }

    /// When to look again, whatever happens.
    pub(crate) fn next(&self) -> Option<Instant> {
        match &self.state {
            State::Quiet => None,
            State::Settling { until: at, .. } | State::Told { next: at, .. } => Some(*at),
        }
    }

    /// Looks at the line; says what people are to be told now.
    pub(crate) fn look(&mut self, line: &Waiting, now: Instant) -> Option<Report> {
        let before = self.seen.as_ref().map(Counts::from).unwrap_or_default();
        self.seen = Some(*line);
        let failed = line.refused > before.refused || line.turned_away > before.turned_away;
        match &mut self.state {
            State::Quiet => {
                if line.now > 0 || failed {
                    let began = line.since.unwrap_or(now);
                    let until = now + defaults::PRESSURE_AFTER;
                    let until = self.not_before.map_or(until, |earliest| earliest.max(until));
                    let trouble = Trouble { began, last: now, base: before };
                    self.state = State::Settling { until, trouble, turned_away: None };
                }
                None
            }
            State::Settling { until, trouble, turned_away } => {
                if now < *until {
                    return None;
                }
                let mut trouble = *trouble;
                if line.now == 0 && line.refused == trouble.base.refused {
                    match turned_away {
                        Some(earlier) if line.turned_away > *earlier => {}
                        None if line.turned_away > trouble.base.turned_away => {
                            *turned_away = Some(line.turned_away);
                            *until = now + defaults::PRESSURE_AFTER;
                            return None;
                        }
                        _ => {
                            self.state = State::Quiet;
                            return None;
                        }
                    }
                }
                trouble.saw(line, true, now);
                Some(self.report(trouble, line, now))
            }
            State::Told { next, trouble } => {
                trouble.saw(line, failed, now);
                if now < *next {
                    return None;
                }
                let trouble = *trouble;
                Some(self.report(trouble, line, now))
            }
        }
    }

    fn report(&mut self, trouble: Trouble, line: &Waiting, now: Instant) -> Report {
        let (base, counts) = (trouble.base, Counts::from(line));
        let refused = counts.refused - base.refused;
        let turned_away = counts.turned_away - base.turned_away;
        let joined = counts.joined - base.joined;
        let told = matches!(self.state, State::Told { .. });
        let over = told && line.now == 0 && joined + refused + turned_away == 0;
        let next = now + self.window;
        if over {
            self.state = State::Quiet;
            self.not_before = Some(next);
        } else {
            self.state = State::Told { next, trouble: Trouble { base: counts, ..trouble } };
        }
        let end = if over { trouble.last } else { now };
        Report {
            over,
            lasting: end.saturating_duration_since(trouble.began),
            flow: Flow { came: joined + refused, admitted: counts.admitted - base.admitted },
            refused,
            turned_away,
        }
    }
}

impl Trouble {
    /// Remembers when calls waited last, or failed.
    fn saw(&mut self, line: &Waiting, failed: bool, now: Instant) {
        if line.now > 0 || failed {
            self.last = now;
        }
        self.last = line.ended.map_or(self.last, |ended| ended.max(self.last));
    }
}
