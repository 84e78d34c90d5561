//! Several attempts of one call at the same time: beside a provider that has fallen silent, and
//! beside one that takes longer than usual (a hedged request). The first answer wins, and the
//! others are cancelled. Only for idempotent methods.

mod racer;

use super::{Attempt, Metadata, Observer, Progress, Route, request, waker};
use crate::{
    clock::Time,
    cluster::{Pick, Tried, Wish},
    connection::{Connection, Waiter},
    standing::Cause,
    verdict::{self, Ended},
};
use racer::{Over, Racer, next};
use rpc_core::{Call, transport::Body};
use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::Waker,
};

/// Why another attempt is to run beside those that do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The call is late.
    Hedge,
    /// Nobody who has the call answers.
    Rescue,
    /// Half of the time that was left is over: whoever has the call may live, and never answer it.
    Overdue,
}

impl Route {
    /// Goes on with an attempt that is late or whose provider is silent, and with others beside
    /// it when they can be had and paid for. Returns the answer that came first, or the last of the
    /// failures, when all have failed, and when; the earlier ones are noted.
    pub(super) async fn race<'a>(
        &'a self,
        call: &mut Call<'_>,
        (first, waiter, observer): (&'a Arc<Connection>, &'a mut Waiter<'_>, Observer<'a>),
        progress: &mut Progress,
        metadata: &'a Metadata,
        silent: bool,
    ) -> (Attempt, Time) {
        let began = progress.now;
        // When the call has waited for too long; never for methods that are not hedged.
        let mut overdue = self.pace_of(call).and_then(|_| began.half_way_to(progress.deadline));
        let mut wanted = Some(match overdue {
            _ if silent => Wanted::Rescue,
            Some(at) if at <= Time::now() => Wanted::Overdue,
            _ => Wanted::Hedge,
        });
        // Never empty: the last one that ends decides.
        let mut racers = vec![Racer::of_first(first, waiter, observer, silent)];
        let mut published = self.cluster.published();
        loop {
            published.mark_unchanged();
            if let Some(want) = wanted {
                progress.now = Time::now();
                let waker = waker().await;
                let racer = self.enter(call, &racers, progress, metadata, want, &waker);
                if racer.is_some() || want != Wanted::Rescue {
                    wanted = None;
                }
                match want {
                    // Another call may have more luck; this one waits for the answer it asked for.
                    Wanted::Hedge if racer.is_none() => {
                        self.pace_of(call).inspect(|pace| pace.rest());
                    }
                    Wanted::Overdue => overdue = progress.now.half_way_to(progress.deadline),
                    _ => {}
                }
                racers.extend(racer);
            }
            let waits = self.until(overdue.filter(|_| progress.retries > 0 && wanted.is_none()));
            let over = tokio::select! {
                biased;
                over = poll_fn(|cx| next(&mut racers, cx)) => over,
                Ok(()) = published.changed(), if wanted.is_some() => None,
                () = waits => {
                    wanted = Some(Wanted::Overdue);
                    None
                }
            };
            if let Some(Over { racer, mut attempt, at }) = over {
                progress.now = racer.began;
                if racers.is_empty() || verdict::settles(attempt.ended, attempt.at_fault) {
                    if attempt.result.is_ok() {
                        self.won(&racer, &racers, progress.deadline);
                    }
                    attempt.by =
                        (!Arc::ptr_eq(&racer.connection, first)).then_some(racer.connection);
                    return (attempt, at);
                }
                attempt.report(&racer.connection);
                if let Err(error) = attempt.result {
                    progress.failed(&racer.connection, attempt.ended, error, at);
                }
            }
            if wanted.is_none() && racers.iter().all(Racer::is_silent) {
                wanted = Some(Wanted::Rescue);
            }
        }
    }

    /// One has an answer, the others have lost.
    fn won(&self, winner: &Racer<'_>, losers: &[Racer<'_>], deadline: Time) {
        if winner.hedge {
            self.shared.dialer.counters.hedges_won.fetch_add(1, Ordering::Relaxed);
        }
        // A provider that answers pings alone would never be found out otherwise. Silence speaks
        // for itself.
        for loser in losers.iter().filter(|loser| !loser.is_silent()) {
            if loser.began.half_way_to(deadline).is_some_and(|half| half <= winner.began) {
                let what = "no answer in half of the time of a call that another provider answered";
                loser.connection.standing.failed(Cause::Calls, what);
            }
        }
    }

    /// Begins another attempt, at an endpoint that the call has not been at, if there is one that
    /// takes it, and if it can be paid for. `waker` is that of the poll which goes on.
    fn enter<'a>(
        &'a self,
        call: &mut Call<'_>,
        racers: &[Racer<'_>],
        progress: &mut Progress,
        metadata: &'a Metadata,
        want: Wanted,
        waker: &Waker,
    ) -> Option<Racer<'a>> {
        if progress.retries == 0 {
            return None;
        }
        let mut tried = progress.tried.clone();
        tried.extend(racers.iter().map(|racer| Tried::new(&racer.connection, false)));
        let wish = Wish { tried: &tried, ..progress.wish() };
        let place = loop {
            // One that is trusted: whether another has recovered is for calls to find out that
            // need it.
            let Pick::Found(connection) = self.cluster.look(&wish) else { return None };
            // One that admits nothing any more is not found again.
            if let Ok(place) = connection.reserve(progress.deadline, waker.clone()) {
                break place;
            }
        };
        let mut body = Body::to_encode();
        call.args.encode(call.service.codec, body.buffer()).ok()?;
        let paid = match want {
            Wanted::Hedge => self.pay_hedge(progress),
            Wanted::Rescue => self.pay_retry(Ended::Unknown, progress),
            // It may as well be the method that is slow: no debts are made for that.
            Wanted::Overdue => self.pay_retry(Ended::Deadline, progress),
        };
        if !paid {
            return None;
        }
        progress.attempts += 1;
        let request = request(call, progress, metadata);
        Some(Racer::at(place, request, body, want == Wanted::Hedge))
    }

    /// Waits until then; for ever without a time.
    pub(super) async fn until(&self, at: Option<Time>) {
        let Some(at) = at else { return std::future::pending().await };
        if !self.sleeps_until(at.instant()).await {
            // Who waits for an answer is told of it.
            std::future::pending::<()>().await;
        }
    }

    /// Pays for a hedge, and counts it.
    fn pay_hedge(&self, progress: &mut Progress) -> bool {
        let counters = &self.shared.dialer.counters;
        if !self.cluster.budget.pay_hedge(progress.now) {
            counters.hedges_refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        progress.paid += 1;
        counters.hedges.fetch_add(1, Ordering::Relaxed);
        true
    }
}
