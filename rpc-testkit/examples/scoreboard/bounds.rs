//! What a fault may cost at most, and what it did cost beyond that. Pure.
//!
//! While a provider can answer, an idempotent call that may be retried never fails. Any other call
//! fails only for one of the [`Cause`]s, and nothing that must not run twice ever does.

use crate::{
    fault::{Act, Addr, Lie, Manner},
    figures::{Figures, latency, quantile},
    scenario::Scenario,
    stage::Mark,
    traffic::{DEADLINE, Kind},
};
use rpc_core::{Outcome, RpcCode, RpcError};
use rpc_testkit::{journal::Executions, load::Call};
use std::{collections::BTreeSet, fmt::Write as _, net::SocketAddr, time::Duration};
use tokio::time::Instant;

/// Why calls may fail, and those made or in flight from when to when.
#[derive(Debug, Clone, Copy)]
struct Cause {
    what: What,
    /// The provider.
    addr: Option<SocketAddr>,
    from: Instant,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A process was killed: calls in flight, and those that start before it is seen.
    Broken,
    /// A provider answers nothing for longer than a deadline: calls put on it before that is seen.
    Silent,
    /// A provider answers with errors: the same, and 5 in a hundred to find out when it is well.
    Failing,
    /// A provider does not know the service: what it refuses before that is seen.
    Stranger,
    /// More calls than all providers can do: what they refuse.
    Overload,
    /// A provider is away, and the others are limited: what they refuse when all happen to be full.
    Short,
}

/// A broken connection is seen within this time.
const SEEN: Duration = Duration::from_millis(50);
/// Silence is seen within this time, as soon as calls wait, and by a client that has its turn.
const SILENCE: Duration = Duration::from_millis(2_200);
/// What is listed by hand is found, dialled and greeted within this time.
const FOUND: Duration = Duration::from_secs(1);
/// A provider that answers with errors has lost most of its calls after this time.
const JUDGED: Duration = Duration::from_secs(2);

/// The causes that the acts of a scenario gave.
fn causes(marks: &[Mark], limited: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (at, mark) in marks.iter().enumerate() {
        let ended = |act| next(&marks[at..], act).map_or(Instant::now(), |end| end.ended);
        let back = match mark.act {
            Act::Kill(index) => Some(Act::Start(index, Addr::New)),
            Act::Pause(index) => Some(Act::Resume(index)),
            _ => None,
        };
        if let Some(back) = back.filter(|_| limited) {
            let until = ended(back) + FOUND;
            causes.push(Cause { what: What::Short, addr: None, from: mark.began, until });
        }
        let (what, until) = match mark.act {
            Act::Kill(_) => (What::Broken, mark.ended + SEEN),
            Act::Pause(at) if ended(Act::Resume(at)) - mark.began + SILENCE > DEADLINE => {
                (What::Silent, mark.ended + SILENCE)
            }
            // Nothing is put on one that does not greet.
            Act::List(Lie::Deaf) => (What::Silent, mark.ended + FOUND + SILENCE),
            // Nothing but the end of a call's time tells.
            Act::List(Lie::Stuck) => (What::Silent, mark.ended + FOUND + DEADLINE),
            Act::List(Lie::OtherService) => (What::Stranger, mark.ended + FOUND),
            Act::Behave(at, Manner::Failing) => {
                (What::Failing, ended(Act::Behave(at, Manner::Well)))
            }
            Act::Surge(true) => (What::Overload, ended(Act::Surge(false))),
            _ => continue,
        };
        causes.push(Cause { what, addr: mark.addr, from: mark.began, until });
    }
    causes
}

/// The first of the marks that is this act.
fn next(marks: &[Mark], act: Act) -> Option<&Mark> {
    marks.iter().find(|mark| mark.act == act)
}

impl Cause {
    /// Whether a call may fail for it if it fails so.
    fn excuses(&self, call: &Call, error: &RpcError) -> bool {
        let there = self.addr.is_none() || error.endpoint() == self.addr;
        let made = (self.from..=self.until).contains(&call.began);
        match self.what {
            What::Broken => error.outcome() == Outcome::Unknown && self.in_flight(call) && there,
            What::Silent => {
                let before = call.began < self.from && call.ended > self.from;
                error.outcome() == Outcome::Unknown && (made || before) && there
            }
            What::Failing => error.outcome() == Outcome::Ran && self.in_flight(call) && there,
            What::Stranger => error.outcome() == Outcome::Refused && made && there,
            What::Overload | What::Short => {
                // A call that was lost to another fault before, and then refused, may have run.
                let refused = matches!(error.outcome(), Outcome::Refused | Outcome::NotSent);
                (refused || error.code() == RpcCode::ResourceExhausted) && self.in_flight(call)
            }
        }
    }

    fn in_flight(&self, call: &Call) -> bool {
        call.began <= self.until && call.ended >= self.from
    }

    /// How many of these calls may fail for it.
    fn allows(&self, calls: &[&Call], providers: usize) -> usize {
        let in_flight = |from, until| {
            let cause = Self { from, until, ..*self };
            calls.iter().filter(|call| cause.in_flight(call)).count()
        };
        match self.what {
            What::Broken | What::Overload | What::Short => in_flight(self.from, self.until),
            What::Silent | What::Stranger => in_flight(self.from, self.until).div_ceil(providers),
            What::Failing => {
                let judged = (self.from + JUDGED).min(self.until);
                let first = in_flight(self.from, judged);
                first.div_ceil(providers) + (in_flight(self.from, self.until) - first) / 20
            }
        }
    }
}

/// What the calls of one kind were allowed, and what they broke.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    pub(crate) failed: usize,
    /// Second executions of idempotent calls.
    pub(crate) second: usize,
    pub(crate) broken: Vec<String>,
}

/// At most so many instances of what is broken are told.
const TOLD: usize = 5;

/// Judges the calls of one kind.
pub(crate) fn judge(
    scenario: &Scenario,
    marks: &[Mark],
    kind: Kind,
    calls: &[&Call],
    executions: &Executions,
    figures: &Figures,
) -> Verdict {
    let mut causes = causes(marks, scenario.load.limit > 0);
    causes.retain(|cause| match cause.what {
        What::Overload => true,
        // What is refused may be sent again whatever it is.
        What::Stranger | What::Short => !kind.retries,
        _ => !(kind.idempotent && kind.retries),
    });
    let allowed: usize = causes.iter().map(|cause| cause.allows(calls, scenario.providers)).sum();
    // Causes may overlap.
    let allowed = allowed.min(calls.len());
    let mut verdict = Verdict { failed: allowed, second: second(kind, calls), broken: Vec::new() };
    if figures.failed > allowed {
        verdict.broken.push(format!("{} failed, {allowed} are allowed", figures.failed));
    }
    let mut unexcused = Vec::new();
    let mut wrong = Vec::new();
    for call in calls {
        if let Err(error) = &call.result
            && !causes.iter().any(|cause| cause.excuses(call, error))
        {
            unexcused.push(format!("without a cause {}", describe(call, error, marks)));
        }
        let runs = executions.get(&call.key).map_or(&[][..], Vec::as_slice);
        wrong.extend(call.disagreements(runs, DEADLINE));
    }
    tell(&mut verdict.broken, unexcused);
    tell(&mut verdict.broken, wrong);
    if figures.second > verdict.second {
        let Figures { second, .. } = figures;
        verdict.broken.push(format!("{second} second runs, {} are allowed", verdict.second));
    }
    if surge(marks).is_some() && figures.recovered > RECOVERED {
        let after = figures.recovered.as_secs_f32();
        verdict.broken.push(format!("as before only {after:.1} s after the overload"));
    }
    refusals(kind, marks, calls, &mut verdict.broken);
    verdict
}

/// What the retry budget (20 % and 10 a second) and hedging (5 %) allow to run again.
fn second(kind: Kind, calls: &[&Call]) -> usize {
    if !kind.idempotent {
        return 0;
    }
    let hedges = calls.len() / 20;
    let (Some(first), Some(last), true) = (calls.first(), calls.last(), kind.retries) else {
        return hedges;
    };
    let seconds = last.due.saturating_duration_since(first.due).as_secs();
    hedges + calls.len() / 5 + 10 * usize::try_from(seconds).unwrap_or(usize::MAX)
}

/// A refusal takes no longer than this (99 of a hundred): at once, or after the attempts elsewhere
/// with their pauses.
const REFUSAL: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];
/// What may be sent again waits for so long at most for a provider that was killed or does not
/// answer, when others refuse it.
const LOST: Duration = Duration::from_secs(5);
/// After an overload all is as before within this time.
const RECOVERED: Duration = Duration::from_secs(2);
/// Of what the providers can do, this share is done under overload.
const GOODPUT: f64 = 0.8;

fn refusals(kind: Kind, marks: &[Mark], calls: &[&Call], broken: &mut Vec<String>) {
    let refused = calls.iter().filter_map(|call| {
        let error = call.result.as_ref().err()?;
        let took = call.ended - told(call, marks);
        (error.outcome() == Outcome::Refused).then_some((took, *call, error))
    });
    let refused: Vec<_> = refused.collect();
    let p99 = quantile(&mut refused.iter().map(|(took, ..)| *took).collect::<Vec<_>>(), 99);
    let waits = if away(marks) > 0 && kind.retries { LOST } else { Duration::ZERO };
    let limit = REFUSAL[usize::from(kind.retries)] + waits;
    if p99 > limit {
        broken.push(format!("99 % of the refusals take {p99:.0?}, {limit:.0?} are allowed"));
        let slow = refused.iter().filter(|(took, ..)| *took > limit);
        tell(broken, slow.map(|(_, call, error)| describe(call, error, marks)).collect());
    }
}

/// When a call could be refused: at once, or when a provider went on that may have had it when it
/// was paused, or was given it before that was seen.
fn told(call: &Call, marks: &[Mark]) -> Instant {
    let resumed = marks.iter().enumerate().filter_map(|(at, mark)| {
        let Act::Pause(index) = mark.act else { return None };
        let had = (call.began <= mark.ended + SILENCE).then_some(&marks[at..])?;
        next(had, Act::Resume(index)).map(|mark| mark.began).filter(|at| *at <= call.ended)
    });
    resumed.fold(call.began, Instant::max)
}

/// Providers that can do nothing for some of the time.
fn away(marks: &[Mark]) -> usize {
    let away = marks.iter().filter_map(|mark| match mark.act {
        Act::Kill(index) | Act::Pause(index) => Some(index),
        _ => None,
    });
    away.collect::<BTreeSet<_>>().len()
}

fn surge(marks: &[Mark]) -> Option<(Instant, Instant)> {
    let at = |on| next(marks, Act::Surge(on)).map(|mark| mark.ended);
    Some((at(true)?, at(false)?))
}

/// Calls a second that ended well during an overload, and what they have to be at least: what those
/// providers can do that are there all the time. `None` without one.
pub(crate) fn goodput(scenario: &Scenario, marks: &[Mark], calls: &[Call]) -> Option<(f64, f64)> {
    // Until the queues are full more may be done.
    const SETTLED: Duration = Duration::from_secs(1);
    let (from, until) = surge(marks)?;
    let from = from + SETTLED;
    let in_time = |call: &&Call| (from..until).contains(&call.ended);
    let well = calls.iter().filter(|call| call.result.is_ok()).filter(in_time).count();
    let seconds = until.saturating_duration_since(from).as_secs_f64();
    let capacity = scenario.load.capacity(scenario.providers.saturating_sub(away(marks)))?;
    Some((f64::from(u32::try_from(well).ok()?) / seconds, GOODPUT * capacity))
}

fn tell(broken: &mut Vec<String>, mut instances: Vec<String>) {
    let count = instances.len();
    instances.truncate(TOLD);
    broken.extend(instances);
    if count > TOLD {
        broken.push(format!("and {} more like this", count - TOLD));
    }
}

/// A failed call in words, with the act before it.
fn describe(call: &Call, error: &RpcError, marks: &[Mark]) -> String {
    let mut text = format!(
        "call {} failed: {error} [{:?}, {} attempts, made {:.0?} late, ended {:.0?} after it was due]",
        call.key,
        error.outcome(),
        error.attempts(),
        call.began.saturating_duration_since(call.due),
        latency(call),
    );
    for mark in marks.iter().filter(|mark| mark.began <= call.ended).rev().take(3) {
        let (sign, apart) = if call.began >= mark.began {
            ("after", call.began - mark.began)
        } else {
            ("before", mark.began - call.began)
        };
        let _ = write!(text, "; {apart:.1?} {sign} {:?}", mark.act);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::{Fault, Times},
        figures::tests::{call, failed},
        scenario::{Setting, combined},
    };

    const S: Duration = Duration::from_secs(1);

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn broken(outcome: Outcome, port: u16) -> RpcError {
        let place = rpc_core::Place {
            service: "scoreboard.Ledger",
            method: "book",
            endpoint: Some(addr(port)),
            attempts: 1,
            elapsed: S,
            outcome: None,
        };
        RpcError::unavailable("gone").with_outcome(outcome).placed(place)
    }

    fn refused() -> RpcError {
        RpcError::resource_exhausted("full").with_outcome(Outcome::Refused)
    }

    fn verdict(kind: Kind, fault: Fault, marks: &[Mark], calls: &[Call]) -> Verdict {
        let times = Times { before: S, after: S, pause: 5 * S, outage: S, spell: S };
        let setting = Setting { providers: 3, rate: None, times, between: S };
        let executions = Executions::new();
        let calls: Vec<_> = calls.iter().filter(|call| Kind::of(call) == kind).collect();
        let reference = crate::figures::Reference { fault: calls[0].due, slow: S };
        let figures = Figures::new(&calls, &executions, reference);
        judge(&combined(&[fault], &setting), marks, kind, &calls, &executions, &figures)
    }

    #[test]
    fn a_kill_excuses_what_was_in_flight_there_and_may_not_be_repeated() {
        let start = Instant::now();
        let at = start + S;
        let kill = Mark { act: Act::Kill(0), addr: Some(addr(1)), began: at, ended: at };
        let calls = |outcome, port, due| {
            // One of each kind.
            Vec::from([6, 2, 1, 0].map(|n| failed(start, n, due, 20, broken(outcome, port))))
        };
        let count = |outcome, port, due| {
            let calls = calls(outcome, port, due);
            Kind::ALL.map(|kind| {
                verdict(kind, Fault::Kill, std::slice::from_ref(&kill), &calls).broken.len()
            })
        };
        // That it failed, and how.
        assert_eq!(count(Outcome::Unknown, 1, 990), [2, 0, 0, 0]);
        assert_eq!(count(Outcome::Unknown, 1, 1_040), [2, 0, 0, 0], "not seen yet");
        assert_eq!(count(Outcome::Unknown, 1, 1_200), [2, 2, 2, 2], "too late");
        assert_eq!(count(Outcome::Unknown, 2, 990), [2, 1, 1, 1], "elsewhere");
        assert_eq!(count(Outcome::NotSent, 1, 990), [2, 1, 1, 1], "could have been moved");
    }

    #[test]
    fn only_a_pause_beyond_the_deadline_excuses_anything() {
        let start = Instant::now();
        let calls =
            [failed(start, 1, 0, 10_000, broken(Outcome::Unknown, 1)), call(start, 3, 0, 1)];
        for (length, excused) in [(5, false), (15, true)] {
            let mark = |act, at| Mark { act, addr: Some(addr(1)), began: at, ended: at };
            let marks = [mark(Act::Pause(0), start), mark(Act::Resume(0), start + length * S)];
            let verdict = verdict(Kind::ALL[2], Fault::Pause, &marks, &calls);
            assert_eq!(verdict.failed, usize::from(excused));
            // The call that ended well never ran: that is told in either case.
            assert_eq!(verdict.broken.len(), if excused { 1 } else { 3 }, "{verdict:?}");
        }
    }

    #[test]
    fn refusals_are_quick_but_by_who_was_paused() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let call = failed(start, 0, 0, 4_900, refused());
        let mark =
            |act, at| Mark { act, addr: Some(addr(1)), began: start + at, ended: start + at };
        let holds = |pause, resume| {
            let marks = [mark(Act::Pause(0), ms(pause)), mark(Act::Resume(0), ms(resume))];
            let mut broken = Vec::new();
            refusals(Kind::ALL[3], &marks, &[&call], &mut broken);
            broken.is_empty()
        };
        assert!(holds(200, 4_890));
        assert!(!holds(200, 4_800), "long after it went on");
        assert!(!holds(200, 4_901), "it went on only after the refusal");
        assert!(!holds(10_000, 20_000), "it stopped later");
    }

    #[test]
    fn the_others_may_refuse_what_is_not_sent_again_while_one_is_away_and_they_are_limited() {
        let start = Instant::now();
        let mark = |act, at| Mark { act, addr: Some(addr(1)), began: at, ended: at };
        let marks = [mark(Act::Pause(0), start + S), mark(Act::Resume(0), start + 3 * S)];
        let excuses = |limited, due| {
            let call = failed(start, 1, due, 1, refused());
            let causes = causes(&marks, limited);
            causes.iter().any(|cause| cause.excuses(&call, call.result.as_ref().unwrap_err()))
        };
        assert!(excuses(true, 2_000) && excuses(true, 3_900));
        assert!(!excuses(true, 900) && !excuses(true, 4_100) && !excuses(false, 2_000));
    }

    #[test]
    fn what_runs_again_is_bounded_by_budget_and_hedges() {
        let start = Instant::now();
        let calls: Vec<_> = (0..1_000).map(|n| call(start, n, n * 10, 5)).collect();
        let calls: Vec<_> = calls.iter().collect();
        assert_eq!(Kind::ALL.map(|kind| second(kind, &calls)), [50 + 200 + 90, 50, 0, 0]);
    }
}
