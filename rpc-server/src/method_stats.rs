//! What a server has counted for each of its methods.

use crate::stats::Counters;
use rpc_core::wire::Reason;
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What has been counted for one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodStats {
    /// `name` or `name@version` of the service.
    pub service: &'static str,
    /// The method's wire name.
    pub method: &'static str,
    /// Handlers that ended with an answer, be it a result or an error of their own.
    pub served: u64,
    /// Those of them that ended with an error.
    pub errors: u64,
    /// Handlers that panicked, were dropped because the time for their call had passed, or whose
    /// answer could not be sent.
    pub failed: u64,
    /// Calls that were refused once the method was known, for limits or other reasons.
    pub refused: u64,
    /// Calls that run now. Without a limit those that end where they were read are left out.
    pub running: u32,
    /// The method's own limit.
    pub limit: Option<LimitStats>,
    /// The limit of its service, which all methods of the service share.
    pub service_limit: Option<LimitStats>,
    /// What its calls took of late, from samples. Without a limit those that end where they were
    /// read are left out.
    pub latency: Option<LatencyStats>,
}

/// A limit as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitStats {
    /// Calls that count against it.
    pub running: u32,
    /// How many may.
    pub limit: u32,
    /// Whether that follows what the service can do.
    pub adaptive: bool,
    /// Calls that this limit has refused.
    pub refused: u64,
}

/// What calls took, from when they were read until their handlers ended; from samples, at most one
/// each 100 µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LatencyStats {
    /// The quickest of the last 32 to 63 samples.
    pub quickest: Duration,
    /// A moving average over some 16 samples.
    pub mean: Duration,
}

impl fmt::Display for MethodStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, method, served, errors, failed, refused, running, .. } = self;
        write!(
            f,
            "{service}/{method}: {running} running; {served} served, {errors} of them with errors, \
             {failed} failed, {refused} refused"
        )?;
        if let Some(limit) = self.limit {
            write!(f, "; {limit}")?;
        }
        if let Some(limit) = self.service_limit {
            write!(f, "; of its service {limit}")?;
        }
        if let Some(LatencyStats { quickest, mean }) = self.latency {
            write!(f, "; calls take {mean:?}, the quickest {quickest:?}")?;
        }
        Ok(())
    }
}

/// As in `limit 3 of 4 (fixed), 12 refused`.
impl fmt::Display for LimitStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { running, limit, adaptive, refused } = self;
        let kind = if *adaptive { "adaptive" } else { "fixed" };
        write!(f, "limit {running} of {limit} ({kind}), {refused} refused")
    }
}

/// The counters of one method; relaxed, too.
#[derive(Debug, Default)]
pub(crate) struct MethodCounters {
    served: AtomicU64,
    errors: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl MethodCounters {
    /// Counts answers.
    pub(crate) fn add_served(&self, count: u64) {
        Counters::add(&self.served, count);
    }

    /// Counts an application's error, which is counted as served beside.
    pub(crate) fn app_error(&self) {
        Counters::add(&self.errors, 1);
    }

    /// Counts a framework error.
    pub(crate) fn failed(&self, reason: Reason) {
        match reason {
            Reason::Handler => {
                self.add_served(1);
                self.app_error();
            }
            Reason::Panicked | Reason::BadAnswer | Reason::DeadlinePassed => {
                Counters::add(&self.failed, 1);
            }
            _ => Counters::add(&self.refused, 1),
        }
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Reads them all; what runs, limits and latency are filled in by who knows them.
    pub(crate) fn snapshot(&self, service: &'static str, method: &'static str) -> MethodStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MethodStats {
            service,
            method,
            served: self.served(),
            errors: read(&self.errors),
            failed: read(&self.failed),
            refused: read(&self.refused),
            running: 0,
            limit: None,
            service_limit: None,
            latency: None,
        }
    }
}
