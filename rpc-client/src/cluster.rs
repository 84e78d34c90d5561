//! One service: its endpoints, kept as the registry and their connections say.
//!
//! A task owns the endpoints and publishes an immutable list of those that take calls. A call
//! reads that list without a lock, and has the last word about an endpoint itself: a connection
//! that has broken admits nothing, however new the list is.

mod outlook;
mod proof;

pub(crate) use outlook::{Outlook, Past, outlook};

use self::proof::Proof;
use crate::{
    balance::{Field, Load, Member, Query},
    budget::Budget,
    clock::Time,
    connection::{Connection, OnChange},
    endpoint::{Endpoint, Look},
    shared::Shared,
};
use arc_swap::ArcSwap;
use rpc_core::{
    Balance, defaults,
    discovery::{Source, Subscription, View},
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
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The endpoints of a service, for the calls to it.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// `name` or `name@version`.
    pub(crate) service: Arc<str>,
    /// Of calls that name no strategy.
    pub(crate) balance: Balance,
    picks: ArcSwap<Picks>,
    turn: AtomicUsize,
    /// What further attempts may cost.
    pub(crate) budget: Budget,
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
    /// Connections whose providers have not greeted yet, or are not those that were known; used
    /// when there are no others.
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
    /// `earlier` is the line that this one takes the place of.
    fn new(
        connections: Vec<(Arc<Connection>, Member)>,
        warm_up: Duration,
        earlier: Option<&Self>,
    ) -> Self {
        let (connections, members): (Vec<_>, Vec<_>) = connections.into_iter().unzip();
        let field = Field::new(&members, warm_up, earlier.map(|line| &line.field));
        Self { connections: connections.into(), field }
    }
}

/// What a call says about how it is to be placed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) balance: Balance,
    /// Where the call's key is on the ring; for consistent hashing alone.
    pub(crate) key: Option<u64>,
}

/// What a call finds.
#[derive(Debug)]
pub(crate) enum Pick {
    /// A connection that takes it.
    Found(Arc<Connection>),
    /// All that take calls have as many as they can; one of them.
    Full(Arc<Connection>),
    /// No connection takes calls, but some did when the list was made: the next one, which knows
    /// what has become of them, is on its way.
    Outdated,
    /// No connection takes calls.
    Nobody,
}

impl Picks {
    /// A connection that takes calls and is not among `tried`: the one that the strategy chooses,
    /// or another that fits. `turn` counts calls.
    fn choose(&self, wish: Wish, turn: &AtomicUsize, tried: &[u64]) -> Pick {
        let (mut full, mut outdated) = (None, false);
        for line in [&self.ready, &self.greeting] {
            let connections = &line.connections;
            let mut look = Choice { connections, turn, tried, full, outdated };
            let chosen = line.field.choose(wish.balance, wish.key, &mut look);
            if let Some(index) = chosen {
                return Pick::Found(Arc::clone(&connections[index]));
            }
            (full, outdated) = (look.full, look.outdated);
        }
        let none = if outdated { Pick::Outdated } else { Pick::Nobody };
        full.map_or(none, |full| Pick::Full(Arc::clone(full)))
    }
}

/// What a strategy may ask while it chooses from a line, and what comes of asking.
struct Choice<'a> {
    connections: &'a [Arc<Connection>],
    turn: &'a AtomicUsize,
    tried: &'a [u64],
    /// One that has as many calls as it can.
    full: Option<&'a Arc<Connection>>,
    /// One no longer takes calls.
    outdated: bool,
}

impl Query for Choice<'_> {
    fn turn(&mut self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&mut self) -> u64 {
        fastrand::u64(..)
    }

    fn load(&self, index: usize) -> Load {
        let connection = &self.connections[index];
        connection.gauge.load(connection.in_flight())
    }

    fn fits(&mut self, index: usize) -> bool {
        let connection = &self.connections[index];
        if !connection.is_usable() {
            self.outdated = true;
            return false;
        }
        if self.tried.contains(&connection.number) {
            return false;
        }
        if connection.is_full() {
            self.full.get_or_insert(connection);
            return false;
        }
        true
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
            ready: Line::new(Vec::new(), Duration::ZERO, None),
            greeting: Line::new(Vec::new(), Duration::ZERO, None),
            outlook: Outlook::new(&view),
        };
        let cluster = Arc::new(Self {
            service: Arc::from(service),
            balance: shared.settings.balance_of(service),
            picks: ArcSwap::from_pointee(picks),
            turn: AtomicUsize::new(fastrand::usize(..)),
            budget: Budget::new(shared.settings.retry_budget, Time::now()),
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
            reviewed: Instant::now(),
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

    /// Chooses from the newest list, see [`Picks::choose`].
    pub(crate) fn pick(&self, wish: Wish, tried: &[u64]) -> Pick {
        self.picks.load().choose(wish, &self.turn, tried)
    }

    /// Chooses from a certain list.
    pub(crate) fn pick_from(&self, picks: &Picks, wish: Wish, tried: &[u64]) -> Pick {
        picks.choose(wish, &self.turn, tried)
    }

    /// The newest list, for who looks at several sides of it.
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
    /// When what the connections know of their providers was last looked through.
    reviewed: Instant,
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
        let now = Instant::now();
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
        let doubtful = matches!(view.source, Source::Snapshot { .. });
        for addr in self.wanted(&view, now) {
            let instance = &view.instances[&addr];
            self.endpoints.entry(addr).or_insert_with(|| {
                let new = Endpoint::start(&self.shared, Arc::clone(instance), &self.changed);
                if doubtful {
                    new.doubt();
                }
                new
            });
        }
        self.publish(&view, now);
    }

    /// The addresses to dial: all of them, or as many of those that take calls as are dialled
    /// ahead of need, and one more for each of these that cannot be reached.
    fn wanted(&self, view: &View, now: Instant) -> Vec<SocketAddr> {
        if view.instances.len() <= defaults::MAX_DIALLED {
            return view.instances.keys().copied().collect();
        }
        let enabled = |addr: &&SocketAddr| !view.disabled.contains(*addr);
        // One that is being dialled is not lost yet.
        let is_lost = |endpoint: &Endpoint| match endpoint.look() {
            Look::Usable { .. } => false,
            Look::Silent => true,
            Look::Lost { since, .. } => now - since > defaults::DIAL_TIMEOUT,
        };
        let lost = self.endpoints.iter().filter(|(addr, e)| enabled(addr) && is_lost(e)).count();
        let mut order: Vec<_> = (view.instances.keys().filter(enabled))
            .map(|addr| (self.order.hash_one(addr), *addr))
            .collect();
        order.sort_unstable();
        let count = defaults::MAX_DIALLED + lost.min(defaults::MAX_DIALLED);
        order.into_iter().take(count).map(|(_, addr)| addr).collect()
    }

    fn publish(&mut self, view: &View, now: Instant) {
        let Some(cluster) = self.cluster.upgrade() else { return };
        // Each endpoint is looked at once: a list and an outlook from different moments could
        // know of a connection in neither.
        let looks: Vec<_> = self.endpoints.iter().map(|(addr, e)| (*addr, e.look())).collect();
        let outlook = Outlook::of(view, &looks, &mut self.past);
        let review = now.duration_since(self.reviewed) >= REVIEW;
        if review {
            self.reviewed = now;
        }
        let (mut ready, mut greeting) = (Vec::new(), Vec::new());
        for (addr, look) in looks {
            if let Look::Usable { connection, weight, since } = look
                && !view.disabled.contains(&addr)
            {
                if review {
                    connection.gauge.review(connection.in_flight(), Time::of(now));
                }
                let line = match Proof::of(view, addr, connection.instance(), now) {
                    Proof::Good if connection.is_greeted() => &mut ready,
                    Proof::Good | Proof::Poor => &mut greeting,
                    Proof::Awaited => continue,
                };
                // What an operator says holds.
                let weight = view.weights.get(&addr).copied().unwrap_or(weight);
                line.push((connection, Member { addr, weight, age: now.duration_since(since) }));
            }
        }
        let earlier = cluster.picks.load();
        let warm_up = self.shared.settings.warm_up;
        let ready = Line::new(ready, warm_up, Some(&earlier.ready));
        ready.field.prepare(cluster.balance);
        let greeting = Line::new(greeting, Duration::ZERO, None);
        let picks = Picks { ready, greeting, outlook };
        cluster.picks.store(Arc::new(picks));
        self.publish.send_modify(|version| *version += 1);
    }
}
