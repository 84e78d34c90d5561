//! One address of a service: what is known about it, and the connections to it.
//!
//! In reading order: `state` is the table of its states, `keeper` the task that keeps it
//! connected, `pool` how many connections it has, `backoff` the pauses between dials.

mod backoff;
mod keeper;
mod pool;
mod report;
mod state;

pub(crate) use pool::PoolSize;
pub use report::EndpointReport;
pub(crate) use report::{Gone, span};
pub use state::EndpointState;
pub(crate) use state::{Listing, Reach, Trust, combine};

use crate::{
    connection::Connection,
    queue::Queue,
    shared::Shared,
    standing::{OnChange, Standing},
};
use keeper::Keeper;
use pool::Pool;
use rpc_core::{
    defaults,
    discovery::{Instance, InstanceId},
    transport::lock,
};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

/// What is known about an address, and the connections to it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// What calls say of it.
    pub(crate) standing: Arc<Standing>,
    known: Mutex<Known>,
    /// Ends the task that keeps the connections.
    _stop: DropGuard,
}

#[derive(Debug)]
struct Known {
    instance: Arc<Instance>,
    /// Those that have not ended: also silent ones, and those that are being left.
    connections: Vec<Arc<Connection>>,
    pool: Pool,
    /// The share of the calls that the registry, or an operator, gives it under weighted strategies.
    weight: u32,
    /// The instance that answered last, and since when it has: a new one warms up, the same one on
    /// another connection does not.
    answered: Option<(Option<InstanceId>, Instant)>,
    /// An instance that has said that it leaves: a connection to it is of no use.
    left: Option<InstanceId>,
    /// A connection to it was lost before, or the address is doubted.
    lost_before: bool,
    /// It took calls when it was looked at last.
    reached: bool,
    /// Since when no call can be put on it.
    lost: Instant,
    failure: Arc<str>,
    listed: Listed,
    /// Another process may listen here now: it is dialled without further pause.
    renewed: bool,
    /// The state that was published last, and since when.
    state: (EndpointState, Instant),
}

/// What the registry has said last.
#[derive(Debug, Clone, Copy)]
enum Listed {
    Here,
    /// Here, but an operator does not want it used.
    Disabled,
    /// Not here since then; whether it is known to be gone.
    Missing {
        since: Instant,
        removed: bool,
    },
}

/// An endpoint at one moment.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) listing: Listing,
    pub(crate) reach: Reach,
    /// Connections that take calls.
    pub(crate) usable: Vec<Arc<Connection>>,
    /// Connections that would, if there are no others: their providers have not greeted yet.
    pub(crate) greeting: Vec<Arc<Connection>>,
    /// Its share of the calls under weighted strategies.
    pub(crate) weight: u32,
    /// Since when its instance has been seen to answer.
    pub(crate) since: Instant,
    /// When it was lost, and why; while it is.
    pub(crate) lost: Option<(Instant, Arc<str>)>,
    /// No call is running on it.
    pub(crate) idle: bool,
}

impl Endpoint {
    /// An endpoint that begins to dial. `weight` is what an operator gives it, `changed` is told
    /// when it is to be looked at.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        instance: Arc<Instance>,
        weight: Option<u32>,
        changed: &OnChange,
        queue: &Arc<Queue>,
    ) -> Arc<Self> {
        let stop = shared.end.child_token();
        let addr = instance.addr;
        let now = Instant::now();
        let standing = Arc::new(Standing::new(addr, Arc::clone(changed), Arc::clone(queue)));
        let endpoint = Arc::new(Self {
            standing: Arc::clone(&standing),
            known: Mutex::new(Known {
                weight: weight.unwrap_or(instance.weight),
                instance,
                connections: Vec::new(),
                pool: Pool::new(shared.settings.pool),
                answered: None,
                left: None,
                lost_before: false,
                reached: false,
                lost: now,
                failure: Arc::from("being dialled"),
                listed: Listed::Here,
                renewed: false,
                state: (EndpointState::Connecting, now),
            }),
            _stop: stop.clone().drop_guard(),
        });
        let keeper = Keeper::new(&endpoint, Arc::clone(shared), Arc::clone(changed));
        shared.dialer.tasks.spawn(async move {
            stop.run_until_cancelled_owned(keeper.run()).await;
        });
        endpoint
    }

    /// Nobody vouches for the address: a connection to it is used once its provider has greeted.
    pub(crate) fn doubt(&self) {
        lock(&self.known).lost_before = true;
    }

    /// What can be done with it now.
    pub(crate) fn look(&self, now: Instant) -> Look {
        let mut known = lock(&self.known);
        let listing = known.listing(now);
        // Each connection is looked at once: what follows must not be of different moments.
        let glances = known.glances();
        let reach = known.reach(&glances);
        let pick = |what: Glance| {
            let fits = glances.iter().zip(&known.connections).filter(|(is, _)| **is == what);
            fits.map(|(_, connection)| Arc::clone(connection)).collect::<Vec<_>>()
        };
        let usable = pick(Glance::Usable);
        // After a loss a connection is used once its provider has greeted: a listener that is
        // being closed still accepts, and what is sent to it is lost.
        let greeting = if known.lost_before { Vec::new() } else { pick(Glance::Greeting) };
        let since = match (usable.first().map(|c| c.instance()), known.answered) {
            (None, _) => now,
            (Some(answers), Some((before, since))) if answers == before => since,
            (Some(answers), before) => {
                if before.is_some() {
                    // Another process: what was said of the one before is not about it.
                    self.standing.forget();
                }
                known.answered = Some((answers, now));
                now
            }
        };
        let reached = !usable.is_empty() || !greeting.is_empty();
        if known.reached && !reached {
            known.lost = now;
        }
        known.reached = reached;
        let lost = || (known.lost, known.failure(reach));
        Look {
            listing,
            reach,
            weight: known.weight,
            since,
            lost: (!reached).then(lost),
            idle: known.connections.iter().all(|c| c.in_flight() == 0),
            usable,
            greeting,
        }
    }

    /// The registry lists this instance here, and an operator may have disabled it, or given it a
    /// weight.
    pub(crate) fn listed(&self, instance: &Arc<Instance>, disabled: bool, weight: Option<u32>) {
        let mut known = lock(&self.known);
        known.weight = weight.unwrap_or(instance.weight);
        known.listed = if disabled { Listed::Disabled } else { Listed::Here };
        if Arc::ptr_eq(&known.instance, instance) {
            return;
        }
        let another = known.instance.id != instance.id;
        known.instance = Arc::clone(instance);
        if another && !known.reached {
            // It was listed just now: calls wait for it as for one that was just lost.
            known.lost = Instant::now();
            known.renewed = true;
            drop(known);
            self.standing.endpoint.notify_one();
        }
    }

    /// The registry lists nothing here any more; `removed` when that is known to be right.
    pub(crate) fn vanished(&self, now: Instant, removed: bool) {
        let mut known = lock(&self.known);
        let since = known.vanished().unwrap_or(now);
        known.listed = Listed::Missing { since, removed };
    }

    /// When time alone changes what the registry's silence means.
    pub(crate) fn probation_ends(&self) -> Option<Instant> {
        lock(&self.known).vanished().map(|since| since + defaults::PROBATION)
    }

    /// Notes the state that calls see from now on.
    pub(crate) fn enter(&self, state: EndpointState, now: Instant) {
        let mut known = lock(&self.known);
        if known.state.0 != state {
            known.state = (state, now);
        }
    }

    /// Calls wait although all its connections are full: it gets another, if it may.
    pub(crate) fn grow(&self) {
        let mut known = lock(&self.known);
        let open = known.connections.iter().filter(|c| c.is_usable()).count();
        // Before a provider has greeted it takes few calls; soon it will take many more.
        let full =
            known.connections.iter().all(|c| !c.is_usable() || c.is_greeted() && c.is_full());
        if open == 0 || !full {
            return;
        }
        let before = known.pool.wanted();
        known.pool.full(open);
        if known.pool.wanted() > before {
            drop(known);
            self.standing.endpoint.notify_one();
        }
    }

    /// The instance that answered last, as far as it said who it is.
    pub(crate) fn answered(&self) -> Option<InstanceId> {
        lock(&self.known).answered.and_then(|(answers, _)| answers)
    }

    /// Takes no more calls; each connection closes when its last call has ended.
    pub(crate) fn retire(&self) {
        for connection in &lock(&self.known).connections {
            connection.retire();
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.retire();
    }
}

/// A connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glance {
    Usable,
    /// Open; its provider has not said who it is.
    Greeting,
    Silent,
    Leaving,
    /// Over, or about to be.
    Closed,
}

impl Glance {
    fn at(connection: &Connection) -> Self {
        if connection.is_ended() {
            Self::Closed
        } else if connection.is_leaving() {
            Self::Leaving
        } else if !connection.takes_calls() {
            Self::Closed
        } else if connection.is_silent() {
            Self::Silent
        } else if connection.is_greeted() {
            Self::Usable
        } else {
            Self::Greeting
        }
    }
}

impl Known {
    /// Since when the registry has not listed it.
    fn vanished(&self) -> Option<Instant> {
        match self.listed {
            Listed::Missing { since, .. } => Some(since),
            _ => None,
        }
    }

    fn listing(&self, now: Instant) -> Listing {
        let over = |since| now.saturating_duration_since(since) >= defaults::PROBATION;
        match self.listed {
            Listed::Here => Listing::Listed,
            Listed::Disabled => Listing::Disabled,
            Listed::Missing { since, removed } if removed || over(since) => Listing::Removed,
            Listed::Missing { .. } => Listing::Vanished,
        }
    }

    fn glances(&self) -> Vec<Glance> {
        self.connections.iter().map(|connection| Glance::at(connection)).collect()
    }

    fn reach(&self, glances: &[Glance]) -> Reach {
        if let Some(usable) = glances.iter().position(|glance| *glance == Glance::Usable) {
            return match (self.instance.id, self.connections[usable].instance()) {
                (Some(listed), Some(answers)) if listed != answers => Reach::Stranger,
                // A registry may know no instances.
                _ => Reach::Answers,
            };
        }
        let is = |glance| glances.contains(&glance);
        if is(Glance::Silent) {
            Reach::Silent
        } else if is(Glance::Greeting) {
            Reach::Greeting
        } else if is(Glance::Leaving) {
            Reach::Leaves
        } else {
            Reach::Nothing
        }
    }

    /// Why no call can be put on it.
    fn failure(&self, reach: Reach) -> Arc<str> {
        match reach {
            Reach::Greeting => Arc::from("connected, not greeted yet"),
            Reach::Leaves => Arc::from("the provider leaves"),
            _ => match self.connections.iter().find(|c| c.is_ended()) {
                // Its keeper is about to note it.
                Some(ended) => ended.why(),
                None => Arc::clone(&self.failure),
            },
        }
    }
}
