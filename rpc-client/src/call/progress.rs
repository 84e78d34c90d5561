//! What a call has been through so far.

use crate::{
    clock::Time,
    cluster::{Tried, Wish},
    connection::Connection,
    queue::Place as QueuePlace,
    verdict::{self, Ended},
};
use rpc_core::{Balance, RpcError, Trail, wire::Reason};
use std::sync::Arc;
use tokio::time::Instant;

/// Why a call is not tried again that could be.
pub(super) const NO_TIME: &str = "not enough time is left";

/// What a call has been through so far.
pub(super) struct Progress {
    pub(super) start: Instant,
    pub(super) deadline: Time,
    /// When the attempt began: the clock is read once for a call that need not wait.
    pub(super) now: Time,
    pub(super) attempts: u32,
    /// Further attempts that are left to pay with.
    pub(super) retries: u32,
    /// Attempts that were paid for.
    pub(super) paid: u32,
    pub(super) balance: Balance,
    /// Where the call's key is on the ring; for consistent hashing alone.
    pub(super) key: Option<u64>,
    /// The call may be made twice.
    pub(super) idempotent: bool,
    /// Where it has been.
    pub(super) tried: Vec<Tried>,
    /// Its place in the line, while everything is full.
    pub(super) place: Option<QueuePlace>,
    pub(super) last: Option<(Arc<Connection>, RpcError)>,
    /// The last attempt was refused because the provider is overloaded.
    pub(super) overloaded: bool,
    pub(super) trail: Trail,
}

impl Progress {
    /// An attempt that began at `self.now` has failed. The error as it is in view of the earlier
    /// ones.
    pub(super) fn failed(
        &mut self,
        connection: &Arc<Connection>,
        ended: Ended,
        error: RpcError,
        now: Time,
    ) -> RpcError {
        let (began, took) = (self.now.since(Time::of(self.start)), now.since(self.now));
        self.trail.push(rpc_core::Attempt::new(connection.addr, &error, began, took));
        let earlier = self.last.as_ref().map(|(_, error)| error.outcome());
        let outcome = verdict::overall(earlier, error.outcome());
        let error = error.with_outcome(outcome);
        self.overloaded = matches!(ended, Ended::Answered(Reason::Overloaded, _));
        self.tried.push(Tried::new(connection, verdict::only_connection(ended)));
        self.last = Some((Arc::clone(connection), error.clone()));
        error
    }

    /// Whether there is time for another attempt that begins now. The caller may have been polled
    /// long after what it waited for.
    pub(super) fn in_time(&mut self) -> bool {
        let in_time = self.now < self.deadline;
        if !in_time {
            self.trail.ended_because(NO_TIME);
        }
        in_time
    }

    /// What the next attempt needs.
    pub(super) fn wish(&self) -> Wish<'_> {
        let again = self.idempotent && self.retries > 0;
        Wish { balance: self.balance, key: self.key, tried: &self.tried, again, now: self.now }
    }
}
