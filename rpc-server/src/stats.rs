//! What a server has counted since it started.

use rpc_core::wire::Reason;
use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of a server's counters. They are read one after the other, so sums may be off by
/// the calls that end meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections that are open and greeted.
    pub connections: usize,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Calls that are held or running, without those that end where they were read.
    pub in_flight: usize,
    /// Bytes of request and reply bodies held for those.
    pub held_bytes: usize,
    /// Handlers that ended with an answer, be it a result or an error of their own.
    pub served: u64,
    /// Calls that were refused, by reason; no handler ran for them.
    pub refused: Refused,
    /// Handlers that panicked.
    pub panics: u64,
    /// Handlers that were dropped because the time for their call had passed.
    pub deadlines_passed: u64,
    /// Answers that could not be sent since they were larger than the client takes, or than what
    /// the server may hold for a client that does not read.
    pub bad_answers: u64,
    /// Calls that their caller gave up before they ended.
    pub cancelled: u64,
}

/// Refused calls by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Refused {
    /// The server was leaving.
    pub draining: u64,
    /// A limit was reached.
    pub overloaded: u64,
    /// Unknown service.
    pub unknown_service: u64,
    /// Unknown method.
    pub unknown_method: u64,
    /// The time for the call had passed on arrival.
    pub time_passed: u64,
    /// The arguments did not decode.
    pub bad_arguments: u64,
    /// The request was too large.
    pub too_large: u64,
    /// The client had not shown a token that is taken here.
    pub not_permitted: u64,
    /// An unknown flag or codec.
    pub unsupported: u64,
}

/// The counters. Relaxed throughout: nothing is derived from one about another.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    draining: AtomicU64,
    overloaded: AtomicU64,
    unknown_service: AtomicU64,
    unknown_method: AtomicU64,
    time_passed: AtomicU64,
    bad_arguments: AtomicU64,
    too_large: AtomicU64,
    not_permitted: AtomicU64,
    unsupported: AtomicU64,
    panics: AtomicU64,
    deadlines_passed: AtomicU64,
    bad_answers: AtomicU64,
}

impl Counters {
    /// Adds to a counter.
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts an error that was sent.
    pub(crate) fn failed(&self, reason: Reason) {
        let counter = match reason {
            Reason::Draining => &self.draining,
            Reason::Overloaded => &self.overloaded,
            Reason::UnknownService => &self.unknown_service,
            Reason::UnknownMethod => &self.unknown_method,
            Reason::TimePassed => &self.time_passed,
            Reason::BadArguments => &self.bad_arguments,
            Reason::TooLarge => &self.too_large,
            Reason::NotPermitted => &self.not_permitted,
            Reason::Unsupported | Reason::OtherRefusal => &self.unsupported,
            // Served, which is counted by method.
            Reason::Handler => return,
            Reason::Panicked => &self.panics,
            Reason::BadAnswer => &self.bad_answers,
            Reason::DeadlinePassed => &self.deadlines_passed,
        };
        Self::add(counter, 1);
    }

    /// Reads them all; connections, calls, bytes and what was served are filled in by who knows
    /// them.
    pub(crate) fn snapshot(&self) -> ServerStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ServerStats {
            accepted: read(&self.accepted),
            refused: Refused {
                draining: read(&self.draining),
                overloaded: read(&self.overloaded),
                unknown_service: read(&self.unknown_service),
                unknown_method: read(&self.unknown_method),
                time_passed: read(&self.time_passed),
                bad_arguments: read(&self.bad_arguments),
                too_large: read(&self.too_large),
                not_permitted: read(&self.not_permitted),
                unsupported: read(&self.unsupported),
            },
            panics: read(&self.panics),
            deadlines_passed: read(&self.deadlines_passed),
            bad_answers: read(&self.bad_answers),
            cancelled: read(&self.cancelled),
            ..ServerStats::default()
        }
    }
}
