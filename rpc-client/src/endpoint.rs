//! One address of a service: what is known about it, and the connections to it.
//!
//! In reading order: `state` is the table of its states, `known` what they follow from, `keeper` the
//! task that keeps it connected, `backoff` the pauses between dials, `report` and `why` what people
//! are told. How many connections it has is decided in [`pool`](crate::pool).

mod backoff;
mod keeper;
mod known;
mod report;
mod state;
mod why;

pub use report::EndpointReport;
pub(crate) use report::{Gone, span};
pub use state::EndpointState;
pub(crate) use state::{Listing, Reach, Trust, combine};
pub(crate) use why::TAKES_CALLS;

use crate::{
    connection::Connection,
    pool::Pool,
    queue::Queue,
    shared::Shared,
    standing::{OnChange, Standing},
};
use keeper::Keeper;
pub(crate) use known::Removal;
use known::{Glance, Known, Listed};
use rpc_core::{defaults, discovery::Instance, transport::lock};
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

/// An endpoint at one moment.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) listing: Listing,
    pub(crate) reach: Reach,
    /// Connections that take calls.
    pub(crate) usable: Vec<Arc<Connection>>,
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
                reached: false,
                lost: now,
                failure: Arc::from("being dialled"),
                redial: None,
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

    /// What can be done with it now.
    pub(crate) fn look(&self, now: Instant) -> Look {
        let mut known = lock(&self.known);
        let listing = known.listing(now);
        // Each connection is looked at once: what follows must not be of different moments.
        let glances = known.glances();
        let reach = known.reach(&glances, now);
        // Once its provider has greeted: one that never answers, and a listener that is being
        // closed, accept connections too.
        let fits = glances.iter().zip(&known.connections).filter(|(is, _)| **is == Glance::Usable);
        let usable: Vec<_> = fits.map(|(_, connection)| Arc::clone(connection)).collect();
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
        let reached = !usable.is_empty();
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

    /// The registry lists nothing here any more; `removed` when that is not to be doubted.
    pub(crate) fn vanished(&self, now: Instant, removed: Option<Removal>) {
        let mut known = lock(&self.known);
        let since = known.vanished().unwrap_or(now);
        known.listed = Listed::Missing { since, removed };
    }

    /// When time alone changes what follows from the registry's silence, next.
    pub(crate) fn given_up(&self, now: Instant) -> Option<Instant> {
        let known = lock(&self.known);
        let vanished = known.vanished()?;
        let lost = (!known.reached).then(|| known.grace_ends());
        let ends = [Some(vanished + defaults::PROBATION), lost];
        ends.into_iter().flatten().filter(|end| *end > now).min()
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
        // One whose provider is about to greet will have room.
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
