//! Whether a call that may be retried is, and when.

use super::{Progress, Route, backoff, progress::NO_TIME};
use crate::{
    budget::After,
    clock::Time,
    cluster::{Pick, Tried},
    verdict::Ended,
};
use std::sync::atomic::Ordering;
use tokio::time::Instant;

impl Route {
    /// Decides about an attempt that may be paid for, pays, and waits until it is time for it.
    /// `false`: the call ends with what it has.
    pub(super) async fn retry(&self, ended: Ended, progress: &mut Progress) -> bool {
        if progress.retries == 0 || !self.may_help(ended, progress) {
            return false;
        }
        let pause = backoff::pause(ended, progress.paid, fastrand::f64());
        let until = progress.now + pause;
        if until >= progress.deadline {
            progress.trail.ended_because(NO_TIME);
            return false;
        }
        if !self.pay_retry(ended, progress) {
            return false;
        }
        if !pause.is_zero() {
            if !self.sleeps_until(until.instant()).await {
                progress.trail.ended_because("the client or its runtime was shut down");
                return false;
            }
            progress.now = Time::now();
        }
        progress.in_time()
    }

    /// Pays for a further attempt, and counts it.
    pub(super) fn pay_retry(&self, ended: Ended, progress: &mut Progress) -> bool {
        let after = match ended {
            Ended::Unknown => After::Loss,
            _ => After::Answer,
        };
        let counters = &self.shared.dialer.counters;
        if !self.cluster.budget.pay_retry(after, progress.now) {
            counters.retries_refused.fetch_add(1, Ordering::Relaxed);
            progress.trail.ended_because("the retry budget of the service is spent");
            return false;
        }
        // What was refused before, for a second attempt beside a slow one, is paid for now.
        progress.trail.goes_on();
        progress.retries -= 1;
        progress.paid += 1;
        counters.retries.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether another endpoint is there, or worth waiting for: a provider that was lost, by this
    /// call or lately by anybody, may come back, one that answered with an error is not asked again.
    fn may_help(&self, ended: Ended, progress: &Progress) -> bool {
        if matches!(ended, Ended::Unknown) || progress.tried.iter().any(Tried::may_come_back) {
            return true;
        }
        match self.cluster.look(&progress.wish()) {
            Pick::Found(_) | Pick::Full | Pick::Outdated => true,
            Pick::Nobody => self.cluster.picks().outlook.may_come_back(Instant::now()),
        }
    }
}
