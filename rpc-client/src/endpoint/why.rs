//! Why an endpoint is in its state, in words.

use super::{EndpointState, Known, Reach, span};
use crate::{
    clock::now_ms,
    standing::{Cause, Phase, Record},
};
use rpc_core::defaults;
use std::time::Duration;
use tokio::time::Instant;

impl Known {
    /// Why it is in its state. What its part among the others is, is for
    /// [`explain`](crate::explain) to say.
    pub(super) fn why(
        &self,
        phase: Phase,
        last: Option<&str>,
        in_flight: usize,
        now: Instant,
    ) -> String {
        let reach = self.reach(&self.glances(), now);
        let unlisted =
            if self.vanished().is_some() { "; the registry no longer lists it" } else { "" };
        match self.state.0 {
            EndpointState::Connecting => self.unreached(reach, now) + &self.given_up(now),
            EndpointState::Serving if reach == Reach::Stranger => {
                format!("{TAKES_CALLS}; another instance answers here than the registry lists")
            }
            EndpointState::Serving => TAKES_CALLS.to_owned(),
            EndpointState::Silent => format!(
                "connected, but it does not answer a ping; no new calls until it does, {}{unlisted}",
                calls(in_flight, "waits for it", "wait for it")
            ),
            EndpointState::Probation => {
                let missing =
                    self.vanished().map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
                format!(
                    "the registry has not listed it for {}, but it answers as the same instance; it \
                     is given up in {}",
                    span(missing),
                    span(defaults::PROBATION.saturating_sub(missing))
                )
            }
            EndpointState::Ejected => ejected(phase, last, now) + unlisted,
            EndpointState::Leaving => format!(
                "its provider has said that it leaves; {}",
                calls(in_flight, "still runs on it", "still run on it")
            ),
            EndpointState::Disabled => disabled(in_flight),
            EndpointState::Idle | EndpointState::Gone => String::new(),
        }
    }

    /// Why nobody answers.
    fn unreached(&self, reach: Reach, now: Instant) -> String {
        let mut text = self.failure(reach).to_string();
        if reach != Reach::Greeting && self.answered.is_none() {
            text.push_str("; it has not been reached yet");
        }
        let again = self.redial.map(|at| span(at.saturating_duration_since(now)));
        text + &again.map_or(String::new(), |left| format!("; it is dialled again in {left}"))
    }

    /// Until when an instance is waited for that the registry does not list.
    fn given_up(&self, now: Instant) -> String {
        if self.vanished().is_none() {
            return String::new();
        }
        let left = self.grace_ends().saturating_duration_since(now);
        format!("; the registry no longer lists it, and it is given up in {}", span(left))
    }
}

/// What is said of an endpoint about which there is nothing to say.
pub(crate) const TAKES_CALLS: &str = "it takes calls";

pub(super) fn disabled(in_flight: usize) -> String {
    let text = "an operator has disabled it in the configuration of the service";
    match in_flight {
        0 => text.to_owned(),
        _ => format!("{text}; {}", calls(in_flight, "still runs on it", "still run on it")),
    }
}

/// So many calls, and what they do.
fn calls(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => format!("no call {one}"),
        1 => format!("1 call {one}"),
        _ => format!("{count} calls {many}"),
    }
}

fn ejected(phase: Phase, last: Option<&str>, now: Instant) -> String {
    let last = last.map_or(String::new(), |last| format!(" (the last time: {last})"));
    match phase {
        Phase::Ejected { why, until, .. } => {
            let left = Duration::from_millis(until.saturating_sub(now_ms(now)));
            let how = match why.cause {
                Cause::Calls | Cause::Service | Cause::Access => "single calls try it",
                Cause::Connection => "a ping tries it",
            };
            format!("{why}{last}; it is out for another {}, then {how}", span(left))
        }
        Phase::Probing { why, good, .. } if why.cause != Cause::Connection => {
            let needed = Record::GOOD_PROBES;
            format!(
                "{why}{last}; its time is over and single calls try it: {needed} in a row that go \
                 well bring it back, {good} did so far"
            )
        }
        Phase::Probing { why, .. } => {
            format!("{why}{last}; its time is over and it was sent a ping, which it has to answer")
        }
        Phase::Trusted | Phase::Tripped { .. } => "it is about to come back".to_owned(),
    }
}
