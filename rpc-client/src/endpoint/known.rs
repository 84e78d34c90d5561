//! What is known about an address, and what follows from it at one moment.

use super::{EndpointState, Listing, Reach};
use crate::connection::Connection;
use crate::pool::Pool;
use rpc_core::{
    defaults,
    discovery::{Instance, InstanceId},
};
use std::sync::Arc;
use tokio::time::Instant;

/// What is known about an address, and the connections to it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) instance: Arc<Instance>,
    /// Those that have not ended: also silent ones, and those that are being left.
    pub(super) connections: Vec<Arc<Connection>>,
    pub(super) pool: Pool,
    /// The share of the calls that the registry, or an operator, gives it under weighted strategies.
    pub(super) weight: u32,
    /// The instance that answered last, and since when it has: a new one warms up, the same one on
    /// another connection does not.
    pub(super) answered: Option<(Option<InstanceId>, Instant)>,
    /// An instance that has said that it leaves: a connection to it is of no use.
    pub(super) left: Option<InstanceId>,
    /// It took calls when it was looked at last.
    pub(super) reached: bool,
    /// Since when no call can be put on it.
    pub(super) lost: Instant,
    pub(super) failure: Arc<str>,
    /// When it is dialled again.
    pub(super) redial: Option<Instant>,
    pub(super) listed: Listed,
    /// Another process may listen here now: it is dialled without further pause.
    pub(super) renewed: bool,
    /// The state that was published last, and since when.
    pub(super) state: (EndpointState, Instant),
}

/// What the registry has said last.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed {
    Here,
    /// Here, but an operator does not want it used.
    Disabled,
    /// Not here since then; whether it is known to be gone.
    Missing {
        since: Instant,
        removed: Option<Removal>,
    },
}

/// Why an instance that is not listed is not even kept on probation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// What this registry takes off its list is gone.
    Final,
    /// An operator has disabled it.
    Disabled,
}

/// A connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glance {
    Usable,
    /// Open; its provider has not said who it is.
    Greeting,
    Silent,
    Leaving,
    /// Over, or about to be.
    Closed,
}

impl Glance {
    pub(super) fn at(connection: &Connection) -> Self {
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
    pub(super) fn vanished(&self) -> Option<Instant> {
        match self.listed {
            Listed::Missing { since, .. } => Some(since),
            _ => None,
        }
    }

    pub(super) fn listing(&self, now: Instant) -> Listing {
        let over = |since| now.saturating_duration_since(since) >= defaults::PROBATION;
        match self.listed {
            Listed::Here => Listing::Listed,
            Listed::Disabled => Listing::Disabled,
            Listed::Missing { since, removed } if removed.is_some() || over(since) => {
                Listing::Removed
            }
            Listed::Missing { .. } => Listing::Vanished,
        }
    }

    pub(super) fn glances(&self) -> Vec<Glance> {
        self.connections.iter().map(|connection| Glance::at(connection)).collect()
    }

    /// It answered, and its connection was lost less than the grace of calls ago, without a word:
    /// perhaps only the connection.
    pub(super) fn was_just_lost(&self, now: Instant) -> bool {
        let left = |(instance, _)| self.left.is_some() && self.left == instance;
        (self.reached || now < self.grace_ends())
            && self.answered.is_some_and(|answered| !left(answered))
    }

    /// Until when calls wait for an instance that was lost.
    pub(super) fn grace_ends(&self) -> Instant {
        self.lost + defaults::ENDPOINT_GRACE
    }

    pub(super) fn reach(&self, glances: &[Glance], now: Instant) -> Reach {
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
        } else if self.was_just_lost(now) {
            Reach::Lost
        } else {
            Reach::Nothing
        }
    }

    /// Why no call can be put on it.
    pub(super) fn failure(&self, reach: Reach) -> Arc<str> {
        match reach {
            Reach::Greeting => Arc::from("connected, but the provider has not greeted yet"),
            Reach::Leaves => Arc::from("the provider leaves"),
            _ => match self.connections.iter().find(|c| c.is_ended()) {
                // Its keeper is about to note it.
                Some(ended) => ended.why(),
                None => Arc::clone(&self.failure),
            },
        }
    }
}
