//! What a person is told about an endpoint.

use super::{Endpoint, EndpointState, Listed, Reach, Removal, why};
use crate::clock::{Time, now_ms, seconds};
use rpc_core::{defaults, discovery::Instance, transport::lock};
use serde::{Serialize, Serializer};
use std::{fmt, net::SocketAddr, time::Duration};
use tokio::time::Instant;

/// One endpoint of a service, as its client sees it at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EndpointReport {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What it is used for.
    pub state: EndpointState,
    /// Why it is in that state, in words.
    pub why: String,
    /// How long it has been in that state; in seconds when serialized.
    #[serde(serialize_with = "seconds")]
    pub lasting: Duration,
    /// Whether the balance strategy may choose it for any call.
    pub eligible: bool,
    /// The id that the registry lists, 16 hex digits, if it lists one.
    pub instance: Option<String>,
    /// Its weight: what an operator gives it, or else what it was registered with. Most strategies
    /// give it that share of the calls; 0 keeps calls away under every one, while others take them.
    pub weight: u32,
    /// Connections that are open, in whatever condition.
    pub connections: usize,
    /// Calls in flight on them.
    pub in_flight: usize,
    /// Its latency as the strategies see it, if it is known; in seconds when serialized.
    #[serde(serialize_with = "maybe_seconds")]
    pub latency: Option<Duration>,
    /// How full it says it is, 0 to 1: running calls by limit. What was said fades within seconds.
    pub load: f64,
    /// The last thing that counted against it, since its process was first reached.
    pub last_fault: Option<String>,
    /// Faults in a row that are on record; five eject it.
    pub faults_in_a_row: u32,
    /// Faults within the last 30 s, not counting the first.
    pub recent_faults: u32,
    /// Results within the last 30 s, as far as they were counted: from the first fault on.
    pub recent_results: u32,
}

/// An endpoint that was given up.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    pub(crate) addr: SocketAddr,
    pub(crate) at: Instant,
    why: String,
}

impl EndpointReport {
    /// An instance that is listed and not dialled.
    /// `weight` is what an operator gives it.
    pub(crate) fn idle(
        instance: &Instance,
        weight: Option<u32>,
        disabled: bool,
        why: &str,
    ) -> Self {
        let (state, why) = if disabled {
            (EndpointState::Disabled, why::disabled(0))
        } else {
            (EndpointState::Idle, why.to_owned())
        };
        Self {
            instance: instance.id.map(|id| id.to_string()),
            weight: weight.unwrap_or(instance.weight),
            ..Self::bare(instance.addr, state, why)
        }
    }

    pub(crate) fn gone(gone: &Gone, now: Instant) -> Self {
        let lasting = now.saturating_duration_since(gone.at);
        Self { lasting, ..Self::bare(gone.addr, EndpointState::Gone, gone.why.clone()) }
    }

    fn bare(addr: SocketAddr, state: EndpointState, why: String) -> Self {
        Self {
            addr,
            state,
            why,
            lasting: Duration::ZERO,
            eligible: false,
            instance: None,
            weight: 0,
            connections: 0,
            in_flight: 0,
            latency: None,
            load: 0.0,
            last_fault: None,
            faults_in_a_row: 0,
            recent_faults: 0,
            recent_results: 0,
        }
    }
}

impl Endpoint {
    /// What is known of it, for people.
    pub(crate) fn report(&self, now: Instant) -> EndpointReport {
        let (phase, (in_a_row, faults, results)) =
            self.standing.read(|record| (record.phase(), record.faults(now_ms(now))));
        let known = lock(&self.known);
        let (state, since) = known.state;
        let in_flight = known.connections.iter().map(|c| c.in_flight()).sum();
        let load = self.standing.gauge.load(in_flight, true, Time::of(now));
        let last = self.standing.last_fault();
        EndpointReport {
            why: known.why(phase, last.as_deref(), in_flight, now),
            lasting: now.saturating_duration_since(since),
            instance: known.instance.id.map(|id| id.to_string()),
            weight: known.weight,
            connections: known.connections.iter().filter(|c| !c.is_ended()).count(),
            in_flight,
            latency: self.standing.gauge.latency(),
            load: load.reported_share(),
            last_fault: last.map(|last| last.to_string()),
            faults_in_a_row: in_a_row,
            recent_faults: faults,
            recent_results: results,
            ..EndpointReport::bare(known.instance.addr, state, String::new())
        }
    }

    /// What is remembered of it when it is given up.
    pub(crate) fn gone(&self, now: Instant) -> Gone {
        let known = lock(&self.known);
        let reach = known.reach(&known.glances(), now);
        let why = match known.listed {
            Listed::Missing { removed: Some(Removal::Final), .. } => {
                "the registry has taken it off its list for good".to_owned()
            }
            Listed::Missing { removed: Some(Removal::Disabled), .. } => {
                "the registry no longer lists it, and an operator has disabled it".to_owned()
            }
            Listed::Missing { since, .. } => {
                let missing = now.saturating_duration_since(since);
                if missing >= defaults::PROBATION {
                    format!("the registry has not listed it for {}", span(missing))
                } else if reach == Reach::Stranger {
                    "the registry no longer lists it, and another instance answers there".to_owned()
                } else {
                    format!("the registry no longer lists it, and {}", known.failure(reach))
                }
            }
            _ => "it is not needed".to_owned(),
        };
        Gone { addr: known.instance.addr, at: now, why }
    }
}

/// A time as people say it.
pub(crate) fn span(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..=9 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[expect(clippy::ref_option, reason = "serde asks for it")]
fn maybe_seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

impl fmt::Display for EndpointReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.addr, self.state)?;
        if !self.lasting.is_zero() {
            write!(f, " for {}", span(self.lasting))?;
        }
        write!(f, ": {}", self.why)?;
        if self.connections > 0 {
            let s = if self.connections == 1 { "" } else { "s" };
            write!(f, " ({} connection{s}, {} in flight", self.connections, self.in_flight)?;
            if let Some(latency) = self.latency {
                write!(f, ", {latency:.1?}")?;
            }
            if self.load > 0.0 {
                write!(f, ", {:.0} % full", self.load * 100.0)?;
            }
            write!(f, ", weight {}", self.weight)?;
            if self.faults_in_a_row > 0 {
                write!(f, ", {} faults in a row", self.faults_in_a_row)?;
            }
            if self.recent_faults > 0 {
                let Self { recent_faults: faults, recent_results: results, .. } = self;
                write!(f, ", {faults} of the {results} results since the first fault were faults")?;
            }
            if let Some(last) = &self.last_fault
                && self.state != EndpointState::Ejected
                && self.faults_in_a_row + self.recent_faults > 0
            {
                write!(f, ", the last: {last}")?;
            }
            write!(f, ")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let said = [12, 1_500, 12_345, 119_000, 600_000, 7_300_000, 200_000_000];
        let said = said.map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(said, ["12 ms", "1.5 s", "12 s", "119 s", "10 min", "2 h", "2 days"]);
    }
}
