//! One service: its endpoints, kept as the registry and their connections say.
//!
//! A task owns the endpoints and publishes an immutable list of those that take calls. A call
//! reads that list without a lock, and has the last word about an endpoint itself: a connection
//! that has broken admits nothing, however new the list is.

mod outlook;

pub(crate) use outlook::{Outlook, Past, outlook};

use crate::{
    balance::Field,
    connection::{Connection, OnChange},
    endpoint::Endpoint,
    shared::Shared,
};
use arc_swap::ArcSwap;
use rpc_core::{
    defaults,
    discovery::{Instances, Subscription, View},
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The endpoints of a service, for the calls to it.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// `name` or `name@version`.
    pub(crate) service: Arc<str>,
    picks: ArcSwap<Picks>,
    turn: AtomicUsize,
    /// Changes with every published list.
    published: watch::Receiver<u64>,
    /// Over when the task that keeps the list is.
    over: CancellationToken,
}

/// What a call chooses from.
#[derive(Debug)]
pub(crate) struct Picks {
    /// Connections that take calls.
    ready: Line,
    /// Connections whose providers have not greeted yet; used when there are no others.
    greeting: Line,
    /// What is known about the rest, for calls that find nothing.
    pub(crate) outlook: Outlook,
}

/// Connections to choose from, and what the strategy knows of them.
#[derive(Debug)]
struct Line {
    connections: Box<[Arc<Connection>]>,
    field: Field,
}

impl Line {
    fn new(shared: &Shared, connections: Vec<(Arc<Connection>, u32)>) -> Self {
        let weights: Vec<_> = connections.iter().map(|(c, weight)| (c.addr, *weight)).collect();
        let field = Field::new(shared.settings.balance, &weights);
        Self { connections: connections.into_iter().map(|(c, _)| c).collect(), field }
    }
}

/// What a call finds.
#[derive(Debug)]
pub(crate) enum Pick {
    /// A connection that takes it.
    Found(Arc<Connection>),
    /// All that take calls have as many as they can; one of them.
    Full(Arc<Connection>),
    /// No connection takes calls.
    Nobody,
}

impl Picks {
    /// Whether one of the connections has gone since: another list is about to be published.
    pub(crate) fn is_outdated(&self) -> bool {
        let all = self.ready.connections.iter().chain(&self.greeting.connections);
        !all.map(AsRef::as_ref).all(Connection::is_usable)
    }
}

impl Cluster {
    /// Starts to follow a service. Called within the client's runtime.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        service: &str,
        subscription: Subscription,
    ) -> Arc<Self> {
        let view = subscription.current();
        let (publish, published) = watch::channel(0);
        let over = CancellationToken::new();
        let picks = Picks {
            ready: Line::new(shared, Vec::new()),
            greeting: Line::new(shared, Vec::new()),
            outlook: Outlook::new(&view),
        };
        let cluster = Arc::new(Self {
            service: Arc::from(service),
            picks: ArcSwap::from_pointee(picks),
            turn: AtomicUsize::new(fastrand::usize(..)),
            published,
            over: over.clone(),
        });
        let mut task = Task {
            cluster: Arc::downgrade(&cluster),
            shared: Arc::clone(shared),
            subscription,
            endpoints: BTreeMap::new(),
            changed: OnChange::default(),
            publish,
            order: RandomState::new(),
            past: Past::default(),
            _over: over.drop_guard(),
        };
        // Before the first call looks: a list that is there already is dialled now.
        task.review();
        let end = shared.end.clone();
        shared.dialer.tasks.spawn(async move {
            end.run_until_cancelled_owned(task.run()).await;
        });
        cluster
    }

    /// A connection that takes calls and is not among `tried`: the one that the strategy chooses,
    /// or the next that fits. `key` is the hash of the call's key, if it has one.
    pub(crate) fn pick(&self, key: Option<u64>, tried: &[u64]) -> Pick {
        let picks = self.picks.load();
        let mut full = None;
        let mut fits = |c: &&Arc<Connection>| {
            if !c.is_usable() || tried.contains(&c.number) {
                return false;
            }
            if c.is_full() {
                full.get_or_insert_with(|| Arc::clone(c));
                return false;
            }
            true
        };
        for list in [&picks.ready, &picks.greeting] {
            if list.connections.is_empty() {
                continue;
            }
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let load = |index: usize| list.connections[index].load();
            let start = list.field.choose(turn, fastrand::u64(..), key, load);
            let (before, from) = list.connections.split_at(start);
            if let Some(connection) = from.iter().chain(before).find(&mut fits) {
                return Pick::Found(Arc::clone(connection));
            }
        }
        full.map_or(Pick::Nobody, Pick::Full)
    }

    /// What is known when no connection takes calls.
    pub(crate) fn picks(&self) -> Arc<Picks> {
        self.picks.load_full()
    }

    /// A handle that sees the next published list.
    pub(crate) fn published(&self) -> watch::Receiver<u64> {
        self.published.clone()
    }

    /// Whether the task that keeps the list has ended: nothing will change any more.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Endpoints that take calls now.
    pub(crate) fn ready(&self) -> usize {
        self.picks.load().ready.connections.len()
    }
}

/// Owns the endpoints of a service.
struct Task {
    cluster: std::sync::Weak<Cluster>,
    shared: Arc<Shared>,
    subscription: Subscription,
    endpoints: BTreeMap<SocketAddr, Arc<Endpoint>>,
    changed: OnChange,
    publish: watch::Sender<u64>,
    /// The order in which this client prefers instances when there are more than it dials.
    order: RandomState,
    past: Past,
    _over: DropGuard,
}

/// How often endpoints are looked at when nothing happens: probation ends, graces pass.
const REVIEW: Duration = Duration::from_secs(1);

impl Task {
    async fn run(mut self) {
        let mut registry_ended = false;
        loop {
            self.review();
            // Cancel safe: a lost wake-up is made good by the review after it.
            tokio::select! {
                view = self.subscription.changed(), if !registry_ended => {
                    registry_ended = view.is_none();
                }
                () = self.changed.notified() => {}
                () = tokio::time::sleep(REVIEW) => {}
            }
        }
    }

    /// Brings the endpoints in line with the registry and publishes what takes calls.
    fn review(&mut self) {
        let view = self.subscription.current();
        let now = tokio::time::Instant::now();
        self.endpoints.retain(|addr, endpoint| {
            let stays = match view.instances.get(addr) {
                Some(instance) => {
                    endpoint.listed(instance);
                    true
                }
                None => !view.removals_are_final && endpoint.vanished(now),
            };
            if !stays {
                endpoint.retire();
                self.past.gone = Some(now);
            }
            stays
        });
        for addr in self.wanted(&view.instances) {
            let instance = &view.instances[&addr];
            self.endpoints.entry(addr).or_insert_with(|| {
                Endpoint::start(&self.shared, Arc::clone(instance), &self.changed)
            });
        }
        self.publish(&view);
    }

    /// The addresses to dial: all of them, or as many as are dialled ahead of need and one more
    /// for each of those that cannot be reached.
    fn wanted(&self, instances: &Instances) -> Vec<SocketAddr> {
        if instances.len() <= defaults::MAX_DIALLED {
            return instances.keys().copied().collect();
        }
        let lost = self.endpoints.values().filter(|e| e.lost().is_some()).count();
        let mut order: Vec<_> =
            instances.keys().map(|addr| (self.order.hash_one(addr), *addr)).collect();
        order.sort_unstable();
        let count = defaults::MAX_DIALLED + lost.min(defaults::MAX_DIALLED);
        order.into_iter().take(count).map(|(_, addr)| addr).collect()
    }

    fn publish(&mut self, view: &View) {
        let Some(cluster) = self.cluster.upgrade() else { return };
        let enabled = self.endpoints.iter().filter(|(addr, _)| !view.disabled.contains(addr));
        let open = enabled.filter_map(|(_, e)| Some((e.connection()?, e.weight())));
        let (ready, greeting): (Vec<_>, Vec<_>) =
            open.filter(|(c, _)| c.is_usable()).partition(|(c, _)| c.is_greeted());
        let line = |connections| Line::new(&self.shared, connections);
        let (ready, greeting) = (line(ready), line(greeting));
        let outlook = Outlook::of(view, &self.endpoints, &mut self.past);
        let picks = Picks { ready, greeting, outlook };
        cluster.picks.store(Arc::new(picks));
        self.publish.send_modify(|version| *version += 1);
    }
}
