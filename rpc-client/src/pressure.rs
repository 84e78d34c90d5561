//! What is known when all connections to all providers of a service are full, and who is told.
//!
//! In reading order: `need` is how many more providers the load would need, `watchman` decides
//! when people are told, both pure; `teller` tells the log and hands the rest to `outlet`s, each a
//! task of its own: the registry, a `webhook`, a `command`; `hook` is a thread that runs code of the
//! program.

mod command;
mod hook;
mod need;
mod outlet;
mod teller;
mod watchman;
#[cfg(feature = "webhook")]
mod webhook;

pub(crate) use command::Command;
pub(crate) use hook::Hook;
pub(crate) use need::{Flow, more_providers};
pub(crate) use teller::{Audience, Teller};
pub(crate) use watchman::{Report, Watchman};
#[cfg(feature = "webhook")]
pub(crate) use webhook::Webhook;

use crate::clock::seconds;
use serde::Serialize;
use std::{fmt, time::Duration};

/// How full the connections to all providers of a service are.
///
/// It is what a program's hook, a webhook, a command and the node in the registry are told when
/// calls wait, or are refused, because every connection is full, or fail because the providers
/// refuse them as overloaded; see
/// [`ClientBuilder::on_pressure`](crate::ClientBuilder::on_pressure). One service is told of at
/// most once per window, first one second after calls began to wait, if they still do, and a last
/// time with [`over`](Self::over). It is also a part of what
/// [`Client::explain`](crate::Client::explain) returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pressure {
    /// `name` or `name@version`.
    pub service: String,
    /// Whether this is the last word of it: no call waits, and for a window none began to and none
    /// was refused.
    pub over: bool,
    /// Endpoints that take calls.
    pub endpoints: usize,
    /// Connections to them.
    pub connections: usize,
    /// Calls in flight on them.
    pub in_flight: usize,
    /// Calls that they take at once.
    pub capacity: usize,
    /// Calls that wait for room now.
    pub waiting: usize,
    /// The most that waited at once, since people were told last.
    pub most_waiting: usize,
    /// Calls that may wait at most.
    pub max_waiting: usize,
    /// Calls that were refused because too many waited: since people were told last; in an
    /// [`Explanation`](crate::Explanation) since the client began.
    pub refused: u64,
    /// Calls that failed because the providers that they were tried at refused them as overloaded:
    /// in the same time.
    pub turned_away: u64,
    /// How long calls have been waiting, or were turned away, breaks shorter than a window
    /// included; when it is over, how long they were. In an [`Explanation`](crate::Explanation)
    /// without a break, and zero when none waits. In seconds when serialized.
    #[serde(serialize_with = "seconds")]
    pub lasting: Duration,
    /// How many more providers like those that there are the load would need at least, so that no
    /// call waits. Zero when it is over. An estimate: where calls come faster than they
    /// find room, as many times more as they come faster; otherwise, and at most, as many as would
    /// hold what is in flight and what waits.
    pub more_providers: usize,
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoints, connections, in_flight, capacity, waiting, most_waiting, .. } = self;
        write!(f, "{in_flight} of {capacity} calls in flight on {connections} connections to ")?;
        write!(f, "{endpoints} endpoints, {waiting} wait for room")?;
        if !self.over && !self.lasting.is_zero() {
            write!(f, " (for {:.1} s)", self.lasting.as_secs_f32())?;
        }
        if most_waiting > waiting {
            write!(f, ", {most_waiting} did at once")?;
        }
        if self.refused > 0 {
            write!(f, ", {} were refused because {} waited", self.refused, self.max_waiting)?;
        }
        if self.turned_away > 0 {
            write!(f, ", {} failed because the providers are overloaded", self.turned_away)?;
        }
        match self.more_providers {
            0 => Ok(()),
            1 => f.write_str("; at least 1 more provider is needed"),
            more => write!(f, "; at least {more} more providers are needed"),
        }
    }
}
