//! What a registry in memory holds, and what those who follow it are shown.

use crate::discovery::{Instance, Instances, Notice, RegistrationState, Source, View};
use dashmap::DashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::watch, time::Instant};

/// The state of a registry, which its clones share.
#[derive(Debug)]
pub(super) struct Shared {
    name: Box<str>,
    services: DashMap<String, Service>,
    /// What was told last of each service.
    pub(super) notices: DashMap<String, Notice>,
    condition: Mutex<Condition>,
    /// The state of every announcement: it depends on nothing but whether the registry answers.
    pub(super) registration: watch::Sender<RegistrationState>,
}

/// How the registry as a whole behaves.
#[derive(Debug)]
pub(super) struct Condition {
    /// Why it cannot be reached and since when.
    pub(super) outage: Option<(Arc<str>, Instant)>,
    pub(super) hidden: BTreeSet<SocketAddr>,
    pub(super) removals_are_final: bool,
    /// Tells one announcement of an address from the next.
    announcements: u64,
}

/// What is known of one service, and who follows it.
#[derive(Debug)]
pub(super) struct Service {
    /// The instances and the number of the announcement that each came with.
    pub(super) listed: BTreeMap<SocketAddr, (u64, Arc<Instance>)>,
    pub(super) disabled: Arc<BTreeSet<SocketAddr>>,
    pub(super) weights: Arc<BTreeMap<SocketAddr, u32>>,
    pub(super) view: watch::Sender<View>,
}

impl Shared {
    /// That of a registry with this name, which answers and lists nothing.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            services: DashMap::new(),
            notices: DashMap::new(),
            condition: Mutex::new(Condition {
                outage: None,
                hidden: BTreeSet::new(),
                removals_are_final: true,
                announcements: 0,
            }),
            registration: watch::channel(RegistrationState::Registered).0,
        }
    }

    /// The lock order is condition, then service; neither is held across anything that waits.
    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it cannot be reached, while it cannot.
    pub(super) fn outage(&self) -> Option<String> {
        self.condition().outage.as_ref().map(|(reason, _)| reason.to_string())
    }

    /// The number of a new announcement.
    pub(super) fn next_announcement(&self) -> u64 {
        let mut condition = self.condition();
        condition.announcements += 1;
        condition.announcements
    }

    /// Changes what is known of a service, and shows it.
    pub(super) fn change(&self, service: &str, change: impl FnOnce(&mut Service)) {
        let condition = self.condition();
        let mut known = self
            .services
            .entry(service.to_owned())
            .or_insert_with(|| Service::new(self.place(service), &condition));
        change(&mut known);
        known.publish(&condition);
    }

    /// Changes how the registry behaves, and shows it.
    pub(super) fn set(&self, change: impl FnOnce(&mut Condition)) {
        let mut condition = self.condition();
        change(&mut condition);
        for known in &self.services {
            known.publish(&condition);
        }
        self.registration.send_if_modified(|state| {
            let now = condition.registration();
            let changed = *state != now;
            *state = now;
            changed
        });
    }

    fn place(&self, service: &str) -> Arc<str> {
        format!("{service} in memory://{}", self.name).into()
    }
}

impl Condition {
    fn source(&self) -> Source {
        match &self.outage {
            None => Source::Live { since: Instant::now() },
            Some((reason, since)) => Source::Stale { since: *since, reason: Arc::clone(reason) },
        }
    }

    fn registration(&self) -> RegistrationState {
        match &self.outage {
            None => RegistrationState::Registered,
            Some((reason, _)) => RegistrationState::Pending(reason.as_ref().to_owned()),
        }
    }
}

impl Service {
    fn new(place: Arc<str>, condition: &Condition) -> Self {
        // A list that was never read is awaited, not stale.
        let source = match condition.source() {
            Source::Stale { since, reason } => Source::Connecting { since, reason },
            live => live,
        };
        let view = View {
            instances: Arc::default(),
            disabled: Arc::default(),
            weights: Arc::default(),
            source,
            place,
            removals_are_final: condition.removals_are_final,
        };
        Self {
            listed: BTreeMap::new(),
            disabled: Arc::default(),
            weights: Arc::default(),
            view: watch::channel(view).0,
        }
    }

    /// Brings the view up to date as far as the condition of the registry lets it be seen.
    fn publish(&self, condition: &Condition) {
        let instances = || -> Instances {
            let seen = self.listed.iter().filter(|(addr, _)| !condition.hidden.contains(addr));
            seen.map(|(addr, (_, instance))| (*addr, Arc::clone(instance))).collect()
        };
        self.view.send_if_modified(|view| {
            let mut changed = false;
            match (&view.source, condition.source()) {
                (Source::Live { .. }, Source::Live { .. })
                | (Source::Connecting { .. } | Source::Stale { .. }, Source::Stale { .. }) => {}
                (_, source) => {
                    view.source = source;
                    changed = true;
                }
            }
            if condition.outage.is_some() {
                return changed;
            }
            let instances = instances();
            changed |= *view.instances != instances
                || view.disabled != self.disabled
                || view.weights != self.weights
                || view.removals_are_final != condition.removals_are_final;
            view.instances = Arc::new(instances);
            view.disabled = Arc::clone(&self.disabled);
            view.weights = Arc::clone(&self.weights);
            view.removals_are_final = condition.removals_are_final;
            changed
        });
    }
}
