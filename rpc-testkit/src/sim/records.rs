//! What the simulated registry holds: sessions, nodes, and who does not reach it.

use rpc_core::discovery::{Announcement, Instance, Instances};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// What everybody who uses the registry shares.
#[derive(Debug)]
pub(super) struct Inner {
    state: Mutex<State>,
    pub(super) session: Duration,
    /// Counts changes.
    pub(super) changed: watch::Sender<u64>,
}

/// What the registry holds at one moment.
#[derive(Debug)]
pub(super) struct State {
    pub(super) random: fastrand::Rng,
    /// Since when it is away.
    pub(super) away: Option<Instant>,
    /// Processes that do not reach it, and since when.
    pub(super) cut: BTreeMap<Arc<str>, Instant>,
    pub(super) sessions: BTreeMap<u64, Held>,
    pub(super) nodes: BTreeMap<(String, SocketAddr), Node>,
    last: u64,
}

/// What is listed.
#[derive(Debug)]
pub(super) struct Node {
    /// 0: nobody's, so that it stays.
    pub(super) owner: u64,
    pub(super) instance: Arc<Instance>,
}

/// A session of a process, as the registry holds it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) process: Arc<str>,
    /// Its last sign of life.
    pub(super) heard: Instant,
}

impl Inner {
    /// Nobody has a session, and nothing is listed.
    pub(super) fn new(seed: u64, session: Duration) -> Self {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            away: None,
            cut: BTreeMap::new(),
            sessions: BTreeMap::new(),
            nodes: BTreeMap::new(),
            last: 0,
        };
        Self { state: Mutex::new(state), session, changed: watch::channel(0).0 }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
        result
    }
}

impl State {
    /// Why a process does not reach the registry, and since when.
    pub(super) fn unreachable(&self, process: &str) -> Option<(Instant, &'static str)> {
        let away = self.away.map(|since| (since, "the registry is down"));
        away.or_else(|| Some((*self.cut.get(process)?, "cut off from the registry")))
    }

    /// Whether sessions end at the moment.
    pub(super) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    pub(super) fn end_sessions(&mut self, ended: &[u64]) {
        self.sessions.retain(|session, _| !ended.contains(session));
        self.nodes.retain(|_, node| !ended.contains(&node.owner));
    }

    pub(super) fn new_session(&mut self, process: &Arc<str>) -> u64 {
        self.last += 1;
        let held = Held { process: Arc::clone(process), heard: Instant::now() };
        self.sessions.insert(self.last, held);
        self.last
    }

    /// Whether all nodes of an announcement are there and belong to this session.
    pub(super) fn is_announced(&self, announcement: &Announcement, session: u64) -> bool {
        let addr = announcement.instance.addr;
        announcement.services.iter().all(|service| {
            let node = self.nodes.get(&(service.clone(), addr));
            node.is_some_and(|node| node.owner == session)
        })
    }

    pub(super) fn announce(&mut self, announcement: &Announcement, session: u64) {
        for service in &announcement.services {
            let node = Node { owner: session, instance: Arc::clone(&announcement.instance) };
            self.nodes.insert((service.clone(), announcement.instance.addr), node);
        }
    }

    pub(super) fn instances(&self, service: &str) -> Instances {
        let nodes = self.nodes.iter().filter(|((name, _), _)| name == service);
        nodes.map(|((_, addr), node)| (*addr, Arc::clone(&node.instance))).collect()
    }
}
