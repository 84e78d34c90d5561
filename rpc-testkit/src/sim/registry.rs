//! A registry that behaves as ZooKeeper does: sessions, nodes that end with them, news that take a
//! moment, outages that keep what was read.

use super::{
    records::{Inner, Node},
    session,
};
use rpc_core::discovery::{
    Announcement, Instance, Instances, Register, Registered, RegistrationState, Source,
    Subscription, View, Watch,
};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// News reach whoever follows a service within this time.
const NEWS: Duration = Duration::from_millis(20);

/// A simulated registry. Clones are the same registry.
#[derive(Debug, Clone)]
pub struct SimRegistry(Arc<Inner>);

/// A registry as one process sees it, which may be cut off from it. What a builder's `registry`
/// takes.
#[derive(Debug, Clone)]
pub struct SimRegistryHandle {
    inner: Arc<Inner>,
    process: Arc<str>,
}

impl SimRegistry {
    /// A registry whose sessions end after this time without a sign of life. Within a runtime,
    /// in which its clock runs.
    pub fn new(seed: u64, session: Duration) -> Self {
        let inner = Arc::new(Inner::new(seed, session));
        tokio::spawn(session::expire(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// The registry as the process called `process` sees it.
    pub fn handle(&self, process: &str) -> SimRegistryHandle {
        SimRegistryHandle { inner: Arc::clone(&self.0), process: process.into() }
    }

    /// Takes the registry down, or up again. Meanwhile nothing is read or written, and no session
    /// ends; afterwards each has its whole time again.
    pub fn set_away(&self, away: bool) {
        self.0.change(|state| {
            let now = Instant::now();
            state.away = if away { state.away.or(Some(now)) } else { None };
            for session in state.sessions.values_mut() {
                session.heard = now;
            }
        });
    }

    /// Deletes everything: nodes and sessions.
    pub fn wipe(&self) {
        self.0.change(|state| {
            state.nodes.clear();
            state.sessions.clear();
        });
    }

    /// Cuts a process off from the registry, or connects it again. Its session ends when it has
    /// not been back in time.
    pub fn cut(&self, process: &str, cut: bool) {
        self.0.change(|state| {
            if cut {
                state.cut.entry(process.into()).or_insert_with(Instant::now);
            } else {
                state.cut.remove(process);
            }
        });
    }

    /// Ends the session of a process now, with its nodes.
    pub fn expire(&self, process: &str) {
        self.0.change(|state| {
            let ended: Vec<_> = state
                .sessions
                .iter()
                .filter(|(_, held)| &*held.process == process)
                .map(|(session, _)| *session)
                .collect();
            state.end_sessions(&ended);
        });
    }

    /// Deletes the nodes of an address, though their session lives.
    pub fn delete(&self, addr: SocketAddr) {
        self.0.change(|state| state.nodes.retain(|(_, at), _| *at != addr));
    }

    /// Lists an instance that nobody has announced, until its address is
    /// [deleted](Self::delete): a registry may lie.
    pub fn list(&self, service: &str, instance: Instance) {
        self.0.change(|state| {
            let node = Node { owner: 0, instance: Arc::new(instance) };
            state.nodes.insert((service.to_owned(), node.instance.addr), node);
        });
    }

    /// The addresses that are listed for a service.
    pub fn listed(&self, service: &str) -> BTreeSet<SocketAddr> {
        let state = self.0.lock();
        state.nodes.keys().filter(|(name, _)| name == service).map(|(_, addr)| *addr).collect()
    }
}

impl Register for SimRegistryHandle {
    fn register(&self, announcement: Announcement) -> Box<dyn Registered> {
        let pending = RegistrationState::Pending("not announced yet".to_owned());
        let (publish, state) = watch::channel(pending);
        let end = CancellationToken::new();
        tokio::spawn(session::keep(
            Arc::clone(&self.inner),
            Arc::clone(&self.process),
            announcement,
            publish,
            end.clone(),
        ));
        Box::new(session::Announced { state, end })
    }
}

impl Watch for SimRegistryHandle {
    fn watch(&self, service: &str) -> Subscription {
        let view = View {
            instances: Arc::default(),
            disabled: Arc::default(),
            weights: Arc::default(),
            source: Source::Connecting { since: Instant::now(), reason: Arc::from("") },
            place: format!("{service} in the simulated registry").into(),
            removals_are_final: false,
        };
        let (publish, seen) = watch::channel(view);
        let end = CancellationToken::new();
        let follow =
            follow(Arc::clone(&self.inner), Arc::clone(&self.process), service.to_owned(), publish);
        tokio::spawn(end.clone().run_until_cancelled_owned(follow));
        Subscription::new(seen, Some(end.drop_guard()))
    }
}

/// Tells who follows a service what has changed, each time a little later.
async fn follow(
    registry: Arc<Inner>,
    process: Arc<str>,
    service: String,
    publish: watch::Sender<View>,
) {
    let mut changed = registry.changed.subscribe();
    loop {
        let delay = NEWS.mul_f64(registry.lock().random.f64());
        sleep(delay).await;
        changed.mark_unchanged();
        {
            let state = registry.lock();
            let read = match state.unreachable(&process) {
                Some((since, why)) => Err((since, why)),
                None => Ok(state.instances(&service)),
            };
            drop(state);
            publish.send_if_modified(|view| update(view, read));
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

fn update(view: &mut View, read: Result<Instances, (Instant, &'static str)>) -> bool {
    match (read, &view.source) {
        (Ok(instances), Source::Live { .. }) if *view.instances == instances => return false,
        (Ok(instances), source) => {
            if !matches!(source, Source::Live { .. }) {
                view.source = Source::Live { since: Instant::now() };
            }
            view.instances = Arc::new(instances);
        }
        (Err((_, why)), Source::Connecting { since, .. } | Source::Snapshot { since, .. }) => {
            view.source = Source::Connecting { since: *since, reason: why.into() };
        }
        (Err(_), Source::Stale { .. }) => return false,
        (Err((since, why)), Source::Live { .. }) => {
            view.source = Source::Stale { since, reason: why.into() };
        }
    }
    true
}
