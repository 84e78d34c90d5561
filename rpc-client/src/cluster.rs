//! One service: its endpoints, kept as the registry, their connections and calls say.
//!
//! A task owns the endpoints and publishes an immutable list of those that take calls. A call
//! reads that list without a lock, and has the last word about an endpoint itself: a connection
//! that has broken admits nothing, however new the list is.
//!
//! In reading order: `picks` is what a call chooses from, `task` what keeps it, `subset` and
//! `ejection` two decisions of the task, `proof` how far an old list is trusted, `outlook` what a
//! call that finds nothing is told, `sides` what people are.

mod ejection;
mod outlook;
mod picks;
mod proof;
mod sides;
mod subset;
mod task;

pub(crate) use outlook::{Outlook, Past, outlook};
pub(crate) use picks::{Pick, Picks, Tried, Wish};
pub(crate) use sides::Side;

use crate::{
    budget::Budget,
    clock::Time,
    endpoint::{Endpoint, Gone},
    pressure::{Flow, Pressure, Report, more_providers},
    queue::{Queue, Waiting},
    shared::Shared,
    standing::OnChange,
};
use arc_swap::ArcSwap;
use rpc_core::{
    Balance,
    discovery::{Subscription, View},
    transport::lock,
};
use std::{
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};
use task::Task;
use tokio::sync::watch;

/// The endpoints of a service, for the calls to it.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// `name` or `name@version`.
    pub(crate) service: Arc<str>,
    /// Of calls that name no strategy.
    pub(crate) balance: Balance,
    picks: ArcSwap<Picks>,
    turn: AtomicUsize,
    /// Calls that wait because everything is full.
    pub(crate) queue: Arc<Queue>,
    /// What further attempts may cost.
    pub(crate) budget: Budget,
    /// Changes with every published list.
    published: watch::Receiver<u64>,
    /// What the list was made of, for people.
    roster: Mutex<Roster>,
}

/// What is known of a service, all of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    pub(crate) view: View,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// What calls choose from.
    pub(crate) picks: Arc<Picks>,
    /// Those that were given up lately.
    pub(crate) gone: Vec<Gone>,
}

impl Cluster {
    /// Starts to follow a service. Called within the client's runtime.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        service: &str,
        subscription: Subscription,
    ) -> Arc<Self> {
        let view = subscription.current();
        let picks = Arc::new(Picks::empty(Outlook::new(&view)));
        let (publish, published) = watch::channel(0);
        let changed = OnChange::default();
        let cluster = Arc::new(Self {
            service: Arc::from(service),
            balance: shared.settings.balance_of(service),
            picks: ArcSwap::new(Arc::clone(&picks)),
            turn: AtomicUsize::new(fastrand::usize(..)),
            budget: Budget::new(shared.settings.retry_budget, shared.settings.hedging, Time::now()),
            queue: Queue::new(shared.settings.max_waiting as usize, Arc::clone(&changed)),
            published,
            roster: Mutex::new(Roster { view, endpoints: Vec::new(), picks, gone: Vec::new() }),
        });
        let mut task = Task::new(&cluster, shared, subscription, changed, publish);
        // Before the first call looks: a list that is there already is dialled now.
        task.review();
        let end = shared.end.clone();
        shared.dialer.tasks.spawn(async move {
            end.run_until_cancelled_owned(task.run()).await;
        });
        cluster
    }

    /// Chooses from the newest list, see [`Picks::choose`]. While calls wait for room, a new one
    /// goes behind them.
    pub(crate) fn pick(&self, wish: &Wish<'_>) -> Pick {
        if self.queue.is_busy() && wish.tried.is_empty() {
            return Pick::Full;
        }
        self.picks.load().choose(&self.turn, wish)
    }

    /// What a call would find, of which it makes no use.
    pub(crate) fn look(&self, wish: &Wish<'_>) -> Pick {
        self.picks.load().choose_trusted(&self.turn, wish)
    }

    /// Chooses from a certain list. `closely`: it misses no place that was given back before.
    pub(crate) fn pick_from(&self, picks: &Picks, wish: &Wish<'_>, closely: bool) -> Pick {
        if closely {
            picks.look_closely();
        }
        picks.choose(&self.turn, wish)
    }

    /// The newest list, for who looks at several sides of it.
    pub(crate) fn picks(&self) -> Arc<Picks> {
        self.picks.load_full()
    }

    /// A handle that sees the next published list, and whether the task that keeps it has ended.
    pub(crate) fn published(&self) -> watch::Receiver<u64> {
        self.published.clone()
    }

    /// The newest list and what it was made of.
    pub(crate) fn roster(&self) -> Roster {
        lock(&self.roster).clone()
    }

    /// How full it is; with a `report`, as people are told of it.
    pub(crate) fn pressure(&self, report: Option<&Report>) -> Pressure {
        let Waiting { now, since, refused, turned_away, most, .. } = self.queue.look();
        let picks = self.picks.load();
        let connections = || picks.ready.candidates.iter().flat_map(picks::Candidate::connections);
        let endpoints = picks.ready.candidates.len();
        let in_flight = connections().map(|c| c.in_flight()).sum();
        let capacity = connections().map(|c| c.capacity()).sum();
        // When the most waited, every connection was full.
        let demand = usize::max(in_flight + now, if most > 0 { capacity + most } else { 0 });
        let more_providers = match report {
            Some(report) if report.over => 0,
            Some(report) => more_providers(endpoints, capacity, demand, report.flow).max(1),
            None if now == 0 => 0,
            None => more_providers(endpoints, capacity, in_flight + now, Flow::default()),
        };
        Pressure {
            service: self.service.to_string(),
            over: report.is_some_and(|report| report.over),
            endpoints,
            connections: connections().count(),
            in_flight,
            capacity,
            waiting: now,
            most_waiting: most,
            max_waiting: self.queue.limit(),
            refused: report.map_or(refused, |report| report.refused),
            turned_away: report.map_or(turned_away, |report| report.turned_away),
            lasting: match report {
                Some(report) => report.lasting,
                None => since.map_or(Duration::ZERO, |since| since.elapsed()),
            },
            more_providers,
        }
    }

    /// Endpoints that take calls now.
    pub(crate) fn ready(&self) -> usize {
        self.picks.load().ready.candidates.len()
    }
}
