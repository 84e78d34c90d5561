//! Why each endpoint of a service gets calls, or gets none.

use crate::{
    client::Client,
    cluster::{Cluster, Proof},
    endpoint::{EndpointReport, EndpointState, span},
    pressure::Pressure,
};
use rpc_core::discovery::{Source, View};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};
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
        let known = clusters.remove(service).map(|cluster| knowledge(&cluster));
        Explanation { service: service.to_owned(), known, services }
    }
}

fn knowledge(cluster: &Cluster) -> Knowledge {
    let now = Instant::now();
    let (view, endpoints, gone) = cluster.roster();
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
        reports.insert(*addr, EndpointReport::idle(instance, disabled, &idle));
    }
    let mut poor = Vec::new();
    for endpoint in endpoints {
        let mut report = endpoint.report(now);
        match Proof::of(&view, report.addr, endpoint.answered(), now) {
            _ if report.state != EndpointState::Serving => {}
            Proof::Good => {}
            Proof::Awaited => {
                report.eligible = false;
                report.why = format!("{STRANGER}; the other addresses are tried first");
            }
            Proof::Poor => poor.push(report.addr),
        }
        reports.insert(report.addr, report);
    }
    // They are chosen when there is nobody else.
    let others = reports.values().any(|report| report.eligible && !poor.contains(&report.addr));
    for addr in poor {
        if let Some(report) = reports.get_mut(&addr) {
            report.eligible = !others;
            let calls = if others {
                "no calls while a known one answers"
            } else {
                "calls, as no known one answers"
            };
            report.why = format!("{STRANGER}; it takes {calls}");
        }
    }
    let registry = match view.source {
        Source::Connecting { .. } => "connecting",
        Source::Snapshot { .. } => "snapshot",
        Source::Live { .. } => "live",
        Source::Stale { .. } => "stale",
    };
    Knowledge {
        registry,
        registry_says: registry_says(&view, now),
        listed: view.instances.len(),
        endpoints: reports.into_values().collect(),
        load: cluster.pressure(None),
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
