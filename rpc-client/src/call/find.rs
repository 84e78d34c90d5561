//! A connection for a call that does not find one at once.

use super::{Progress, Route};
use crate::{
    clock::Time,
    cluster::{Pick, Tried, Wish, outlook},
    connection::Connection,
    queue::Place,
    verdict,
};
use rpc_core::{Outcome, RpcError};
use std::sync::Arc;
use tokio::time::Instant;

/// Why a call waits for room.
const FULL: &str = "every connection to every provider has as many calls in flight as it takes";

impl Route {
    /// A connection that has not been tried, waiting for one while that makes sense.
    pub(super) async fn connection(
        &self,
        progress: &mut Progress,
    ) -> Result<Arc<Connection>, RpcError> {
        let deadline = progress.deadline.instant();
        let mut published = self.cluster.published();
        // A place was offered: by who left the line before this call, or by a new list.
        let mut called = true;
        loop {
            published.mark_unchanged();
            // Looked for again after the mark, so that no list is missed.
            let now = Instant::now();
            progress.now = Time::of(now);
            // The choice and the outlook are of one list.
            let picks = self.cluster.picks();
            if let Some(place) = &progress.place {
                place.looks();
            }
            let pick = match &progress.place {
                // Others have waited for longer.
                None if self.cluster.queue.is_busy() && progress.tried.is_empty() => Pick::Full,
                Some(place) if !called && !place.is_next() => Pick::Full,
                place => self.cluster.pick_from(&picks, &progress.wish(), place.is_some()),
            };
            let full = matches!(pick, Pick::Full);
            let until = match pick {
                Pick::Found(connection) if now < deadline => return Ok(connection),
                Pick::Found(_) => return Err(self.too_late(progress)),
                Pick::Full if progress.place.is_none() => {
                    progress.place = self.cluster.queue.join(progress.tried.is_empty());
                    if progress.place.is_none() {
                        return Err(self.line_is_full(progress));
                    }
                    // Looked at again, now that whoever makes room sees the call.
                    called = false;
                    continue;
                }
                Pick::Full | Pick::Outdated => Some(deadline),
                Pick::Nobody => outlook(&picks.outlook, now),
            };
            if !full {
                progress.place = None;
            }
            let Some(until) = until.filter(|_| now < deadline) else {
                let why = if full { FULL.to_owned() } else { picks.outlook.describe(now) };
                return Err(self.nobody(progress, &why));
            };
            if called
                && let Some(place) = &progress.place
                && !progress.tried.is_empty()
            {
                // What room there is may be where this call has been.
                place.pass_on();
            }
            let woken = tokio::select! {
                changed = published.changed() => changed.ok().map(|()| true),
                () = room(progress.place.as_ref()) => Some(true),
                lives = self.sleeps_until(until.min(deadline)) => lives.then_some(false),
            };
            called = match woken {
                Some(called) => called,
                None => {
                    return Err(self.nobody(progress, "the client or its runtime was shut down"));
                }
            };
        }
    }

    /// Ends when a request that waits for `connection` to take it is better made at another
    /// endpoint: when its provider is silent, or half of the call's time is over, and another is
    /// there. If none is, it looks again when there is a new list, or half of what is left is over.
    pub(super) async fn elsewhere(&self, connection: &Connection, progress: &Progress) {
        let another = || self.has_another(connection, progress);
        let mut published = self.cluster.published();
        let mut half = Time::now().half_way_to(progress.deadline);
        loop {
            published.mark_unchanged();
            if connection.is_silent() && another() {
                return;
            }
            tokio::select! {
                Ok(()) = published.changed() => {}
                () = self.until(half) => {
                    if another() {
                        return;
                    }
                    half = Time::now().half_way_to(progress.deadline);
                }
            }
        }
    }

    /// Whether an endpoint that the call has not tried would take it in place of `connection`'s.
    pub(super) fn has_another(&self, connection: &Connection, progress: &Progress) -> bool {
        let mut tried = progress.tried.clone();
        tried.push(Tried::new(connection, false));
        let wish = Wish { tried: &tried, ..progress.wish() };
        matches!(self.cluster.look(&wish), Pick::Found(_))
    }

    /// So many calls wait already that another one would hardly have its turn.
    fn line_is_full(&self, progress: &Progress) -> RpcError {
        let service = &self.cluster.service;
        let waits = match self.cluster.queue.limit() {
            0 => format!("no call of {service} may wait for room"),
            1 => format!("1 call of {service} waits for room already"),
            limit => format!("{limit} calls of {service} wait for room already"),
        };
        let text = format!(
            "{waits}, and {FULL}; slow down, start more providers, or raise the client's \
             `max_waiting`"
        );
        let earlier = progress.last.as_ref().map(|(_, error)| error.outcome());
        let outcome = verdict::overall(earlier, Outcome::NotSent);
        RpcError::resource_exhausted(text).with_outcome(outcome)
    }

    /// A connection was found when the time of the call had passed: a caller that is polled late.
    fn too_late(&self, progress: &mut Progress) -> RpcError {
        if let Some((_, error)) = &progress.last {
            let error = error.clone();
            progress.in_time();
            return error;
        }
        let text = format!(
            "the call's time had passed when a provider of {} was found",
            self.cluster.service
        );
        RpcError::deadline_exceeded(text).with_outcome(Outcome::NotSent)
    }

    /// No endpoint takes the call: the last attempt's error if there was one, else what is known.
    fn nobody(&self, progress: &mut Progress, why: &str) -> RpcError {
        if let Some((_, error)) = &progress.last {
            return error.clone();
        }
        RpcError::unavailable(format!("no provider of {} takes calls: {why}", self.cluster.service))
            .with_outcome(Outcome::NotSent)
    }
}

/// Waits for the turn of a call that is in the line; for ever when it is in none.
async fn room(place: Option<&Place>) {
    match place {
        Some(place) => place.called().await,
        None => std::future::pending().await,
    }
}
