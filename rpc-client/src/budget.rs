//! What further attempts of the calls of one service may cost.
//!
//! The algorithm is that of Finagle's retry budget: calls earn tokens, retries spend them. It is
//! kept for each service of a client by itself: a service that fails spends what its own callers
//! have earned, and neither the retries of its neighbours nor what their success has saved up.
//!
//! A call that succeeds adds one to two counters of its thread. Everything else is worked out when
//! somebody asks.

mod bucket;
mod count;

pub(crate) use bucket::Inflow;

use crate::clock::Time;
use bucket::Bucket;
use count::Count;
use rpc_core::{defaults, transport::lock};
use std::sync::Mutex;

/// Seconds whose tokens are kept while nobody takes any.
const KEPT_SECONDS: f64 = 10.0;

/// Hedges that are kept while nobody sends any: those of 200 calls.
const HEDGES_KEPT: f64 = 10.0;

/// The tokens are settled at every call of a thread whose number ends in so many zero bits, so that
/// a burst after an idle hour is not taken for calls that came evenly during that hour.
const SETTLE_BITS: u32 = 10;

/// The budget of one service.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Calls that have begun, and those that have ended.
    calls: Count,
    retries: Mutex<Bucket>,
    hedges: Mutex<Bucket>,
    /// Nothing is ever paid for.
    none: bool,
}

/// What an attempt that wants to be paid for follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// A provider's answer.
    Answer,
    /// The loss of a provider, which concerns all the calls that it had at once, and no later
    /// ones.
    Loss,
}

/// A call to the service, in flight until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    budget: &'a Budget,
    /// Its number among those of some threads.
    pub(crate) number: u64,
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        self.budget.calls.end();
    }
}

/// The share of calls, and the number a second, that may be retried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RetryBudget {
    pub(crate) share: f64,
    pub(crate) per_second: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { share: defaults::RETRY_SHARE, per_second: defaults::RETRIES_PER_SECOND }
    }
}

impl Budget {
    pub(crate) fn new(retries: RetryBudget, hedges: f64, now: Time) -> Self {
        let per_second = f64::from(retries.per_second);
        let kept = per_second * KEPT_SECONDS;
        let inflow = Inflow { share: retries.share, per_second, kept };
        // None to begin with, and none for the time alone: calls must have been there to be hedged.
        let hedges = Inflow { share: hedges, per_second: 0.0, kept: HEDGES_KEPT };
        Self {
            calls: Count::default(),
            retries: Mutex::new(Bucket::new(inflow, kept, now)),
            hedges: Mutex::new(Bucket::new(hedges, 0.0, now)),
            none: retries.share == 0.0 && retries.per_second == 0,
        }
    }

    /// Counts a call that begins.
    #[inline]
    pub(crate) fn earn(&self, now: Time) -> Turn<'_> {
        let number = self.calls.begin();
        if number.trailing_zeros() >= SETTLE_BITS {
            self.settle(now);
        }
        Turn { budget: self, number }
    }

    #[cold]
    fn settle(&self, now: Time) {
        let calls = self.calls.begun();
        lock(&self.retries).settle(calls, now);
        lock(&self.hedges).settle(calls, now);
    }

    /// Pays for a hedge; `false`: there is no money left, or none for retries: then too much fails
    /// for calls that are merely late to add to it.
    pub(crate) fn pay_hedge(&self, now: Time) -> bool {
        let calls = self.calls.begun();
        let spent = !self.none && lock(&self.retries).is_spent(calls, now);
        !spent && lock(&self.hedges).take(calls, now, 0)
    }

    /// Pays for a retry; `false`: there is no money left.
    ///
    /// After a loss it may be owed, by as many calls as the service has in flight: they are at most
    /// the ones that were lost together. They cost nobody more than the provider that is gone did,
    /// and what is owed is paid back before a retry after an answer is paid for again.
    pub(crate) fn pay_retry(&self, after: After, now: Time) -> bool {
        let debt = match after {
            After::Answer => 0,
            After::Loss => u32::try_from(self.calls.in_flight()).unwrap_or(u32::MAX),
        };
        let calls = self.calls.begun();
        !self.none && lock(&self.retries).take(calls, now, debt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn calls_that_were_lost_together_are_all_paid_for_and_later_answers_pay_it_back() {
        let budget = Budget::new(RetryBudget::default(), 0.05, at(0));
        let calls: Vec<_> = (0..1_000).map(|_| budget.earn(at(0))).collect();
        assert!((0..1_000).all(|_| budget.pay_retry(After::Loss, at(0))));
        drop(calls);
        assert!(!budget.pay_retry(After::Answer, at(0)));
        // 700 are owed: 3,500 calls pay them back.
        for _ in 0..3_500 {
            budget.earn(at(0));
        }
        assert!(!budget.pay_retry(After::Answer, at(0)));
        for _ in 0..50 {
            budget.earn(at(0));
        }
        assert!(budget.pay_retry(After::Answer, at(0)));
    }

    #[test]
    fn a_burst_after_an_idle_hour_earns_its_share() {
        let budget = Budget::new(RetryBudget { share: 0.2, per_second: 0 }, 0.05, at(0));
        for _ in 0..20_000 {
            budget.earn(at(3_600_000));
        }
        let paid = (0..20_000).filter(|_| budget.pay_retry(After::Answer, at(3_600_000))).count();
        assert!((3_790..=4_000).contains(&paid), "{paid}");
    }

    #[test]
    fn a_budget_of_nothing_pays_nothing_not_even_after_a_loss() {
        let budget = Budget::new(RetryBudget { share: 0.0, per_second: 0 }, 0.05, at(0));
        let _calls = [(); 100].map(|()| budget.earn(at(0)));
        assert!(!budget.pay_retry(After::Loss, at(10_000)));
    }

    #[test]
    fn as_much_is_owed_as_calls_to_the_service_are_in_flight() {
        let none = RetryBudget { share: 0.0, per_second: 1 };
        let budget = Budget::new(none, 0.0, at(0));
        while budget.pay_retry(After::Answer, at(0)) {}
        let owed = || (0..100).filter(|_| budget.pay_retry(After::Loss, at(0))).count();
        assert_eq!(owed(), 0);
        let mut calls = [(); 5].map(|()| Some(budget.earn(at(0))));
        assert_eq!(owed(), 5);
        calls[0] = None;
        assert_eq!(owed(), 0);
        let _more = [(); 2].map(|()| budget.earn(at(0)));
        assert_eq!(owed(), 1, "six are in flight, five are owed");
    }

    #[test]
    fn nothing_is_hedged_while_the_retries_are_spent_unless_there_are_never_any() {
        let paid = |per_second| {
            let budget = Budget::new(RetryBudget { share: 0.0, per_second }, 0.05, at(0));
            (0..100).for_each(|_| _ = budget.earn(at(0)));
            let before = budget.pay_hedge(at(0));
            while budget.pay_retry(After::Answer, at(0)) {}
            (before, budget.pay_hedge(at(0)), budget.pay_hedge(at(1_000)))
        };
        assert_eq!(paid(1), (true, false, true));
        assert_eq!(paid(0), (true, true, true));
    }

    #[test]
    fn one_call_in_twenty_is_hedged_and_none_for_the_time_alone() {
        let budget = Budget::new(RetryBudget::default(), 0.05, at(0));
        assert!(!budget.pay_hedge(at(1_000_000)));
        let mut paid = 0;
        for ms in 0..10_000 {
            budget.earn(at(1_000_000 + ms));
            paid += u32::from(budget.pay_hedge(at(1_000_000 + ms)));
        }
        assert!((495..=500).contains(&paid), "{paid}");
        // A quiet service saves up for ten.
        for n in 0..1_000 {
            budget.earn(at(2_000_000 + n * 1_000));
        }
        let burst = (0..100).filter(|_| budget.pay_hedge(at(3_100_000))).count();
        assert_eq!(burst, 10);
    }
}
