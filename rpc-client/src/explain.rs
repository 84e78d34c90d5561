//! Why each endpoint of a service gets calls, or gets none.

mod part;

use crate::{
    client::Client,
    cluster::{Cluster, Roster},
    endpoint::{EndpointReport, EndpointState, TAKES_CALLS, span},
    pressure::Pressure,
};
use part::Part;
use rpc_core::discovery::{Source, View};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio::time::Instant;

/// What a client knows of a service at one moment; see [`Client::explain`]. Its `Display` is the
/// same for people.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// `name` or `name@version`, as it was asked for.
    pub service: String,
    /// What is known; `None` when the client has no proxy of that service.
    pub known: Option<Knowledge>,
    /// The services that the client has proxies of, sorted.
    pub services: Vec<String>,
}

/// What a client knows of a service that it has a proxy of.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Knowledge {
    /// Whether the registry can be read: `connecting`, `snapshot` (the list is one
    /// that was kept in a file), `live` or `stale`.
    pub registry: &'static str,
    /// What the registry says, in words: where it keeps the service, how many instances it lists,
    /// how old the list is.
    pub registry_says: String,
    /// Instances on the list.
    pub listed: usize,
    /// The strategy that chooses an endpoint for calls that name none.
    pub balance: String,
    /// Every instance that is listed, in use, or was given up lately, by address.
    pub endpoints: Vec<EndpointReport>,
    /// How full the service is for this client.
    pub load: Pressure,
}

impl Client {
    /// Why each provider of `service` (`name` or `name@version`) gets calls from this client, or
    /// gets none: its state with the reason, its connections, faults and load, and what the
    /// registry says. For people and for tools; it takes a look at every endpoint and is not
    /// meant for the path of a call.
    ///
    /// For a service that the client has no proxy of, [`Explanation::known`] is `None`.
    #[must_use]
    pub fn explain(&self, service: &str) -> Explanation {
        let mut clusters: BTreeMap<_, _> = self.clusters();
        let services = clusters.keys().cloned().collect();
        let known = clusters.remove(service).map(|cluster| knowledge(&cluster, self.warm_up()));
        Explanation { service: service.to_owned(), known, services }
    }
}

fn knowledge(cluster: &Cluster, warm_up: Duration) -> Knowledge {
    let now = Instant::now();
    let Roster { view, endpoints, picks, gone } = cluster.roster();
    let mut reports = BTreeMap::new();
    for gone in &gone {
        reports.insert(gone.addr, EndpointReport::gone(gone, now));
    }
    let idle = format!(
        "not dialled: of {} listed instances this client uses {}, as many as its load needs",
        view.instances.len(),
        endpoints.len()
    );
    for (addr, instance) in view.instances.iter() {
        let disabled = view.disabled.contains(addr);
        let weight = view.weights.get(addr).copied();
        reports.insert(*addr, EndpointReport::idle(instance, weight, disabled, &idle));
    }
    let sides = picks.sides();
    for endpoint in endpoints {
        let mut report = endpoint.report(now);
        let number = endpoint.standing.number;
        match sides.iter().find(|side| side.number == number) {
            Some(side) => {
                let Part { eligible, says } = part::of(cluster.balance, warm_up, side, &sides);
                report.eligible = eligible;
                if let Some(says) = says {
                    report.why = match report.state {
                        EndpointState::Serving => report.why.replacen(TAKES_CALLS, &says, 1),
                        _ => format!("{}; {says}", report.why),
                    };
                }
            }
            None => unchosen(&mut report, picks.is_in_reserve(number), sides.is_empty()),
        }
        reports.insert(report.addr, report);
    }
    Knowledge {
        registry: match view.source {
            Source::Connecting { .. } => "connecting",
            Source::Snapshot { .. } => "snapshot",
            Source::Live { .. } => "live",
            Source::Stale { .. } => "stale",
        },
        registry_says: registry_says(&view, now),
        listed: view.instances.len(),
        balance: cluster.balance.to_string(),
        endpoints: reports.into_values().collect(),
        load: cluster.pressure(None),
    }
}

/// An endpoint that no strategy chooses from. It may be one that gets calls if there is `nobody`
/// else.
fn unchosen(report: &mut EndpointReport, in_reserve: bool, nobody: bool) {
    report.eligible = in_reserve && nobody;
    match (report.state, in_reserve) {
        (EndpointState::Serving, true) => {
            let calls = if nobody {
                "calls, as no known one answers"
            } else {
                "no calls while a known one answers"
            };
            report.why = format!("{STRANGER}; it takes {calls}");
        }
        (EndpointState::Serving, false) => {
            report.why = format!("{STRANGER}; the other addresses are tried first");
        }
        _ => {}
    }
}

/// Of an endpoint that is known from a snapshot alone.
const STRANGER: &str = "another instance answers here than the one in the snapshot";

fn registry_says(view: &View, now: Instant) -> String {
    let ago = |since: &Instant| span(now.saturating_duration_since(*since));
    let (place, listed) = (&view.place, view.instances.len());
    match &view.source {
        Source::Connecting { since, reason } => {
            let why = if reason.is_empty() { "no answer yet" } else { reason };
            format!("{place} could not be read for {}: {why}", ago(since))
        }
        Source::Snapshot { since, reason, age } => {
            let why = if reason.is_empty() { "no answer yet" } else { reason };
            let old = span(*age + now.saturating_duration_since(*since));
            format!(
                "{place} could not be read for {}: {why}; a snapshot that was taken {old} before \
                 lists {listed}, of which those are used that answer as the same instances",
                ago(since)
            )
        }
        Source::Live { since } => {
            format!("{place} lists {listed}, and has been followed for {}", ago(since))
        }
        Source::Stale { since, reason } => format!(
            "{place} could not be read for {} ({reason}); until then it listed {listed}",
            ago(since)
        ),
    }
}

/// Idle endpoints that are listed one by one.
const NAMED: usize = 8;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(known) = &self.known else {
            write!(f, "{}: this client has no proxy of that service; ", self.service)?;
            return match &*self.services {
                [] => write!(f, "it has none at all"),
                services => write!(f, "it has proxies of {}", services.join(", ")),
            };
        };
        let eligible = known.endpoints.iter().filter(|e| e.eligible).count();
        let all = known.endpoints.iter().filter(|e| e.state != EndpointState::Gone).count();
        writeln!(f, "{}: {eligible} of {all} endpoints take calls", self.service)?;
        writeln!(f, "registry: {}", known.registry_says)?;
        writeln!(f, "strategy: {}", known.balance)?;
        write!(f, "load: {}", known.load)?;
        let mut idle = 0;
        for endpoint in &known.endpoints {
            idle += usize::from(endpoint.state == EndpointState::Idle);
            if endpoint.state != EndpointState::Idle || idle <= NAMED {
                write!(f, "\n  {endpoint}")?;
            }
        }
        if idle > NAMED {
            write!(f, "\n  and {} more idle ones", idle - NAMED)?;
        }
        Ok(())
    }
}
