//! The policy of one call, in the order in which it is applied.
//!
//! Deadline, then a connection, then an attempt, then the verdict on how it ended: again at another
//! endpoint, or back to the caller with what is known. `progress` is what the call has been through,
//! `find` where it waits for a connection, `attempt` what one attempt came to, `retry` whether and
//! when a call that may be retried is, `backoff` how long it waits before, `sleep` how a call waits
//! for a time, `stranded` what becomes of it when its provider falls silent, `race` what runs beside
//! an attempt.

mod attempt;
mod backoff;
mod find;
mod metadata;
mod progress;
mod race;
mod retry;
mod sleep;
mod stranded;

use crate::{
    clock::Time,
    cluster::{Cluster, Pick},
    connection::{Connection, Ending, Refused, Request, Sending},
    pace::{Pace, Paces},
    shared::{Life, Shared},
    verdict::{self, Ended, Verdict},
};
use attempt::{Attempt, Observer, ended, too_large};
use metadata::{Metadata, key, metadata};
use progress::Progress;
use rpc_core::{
    Balance, BoxFuture, Call, CallOptions, Invoke, Outcome, Place, RawReply, RpcError, Trail,
    transport::Body,
};
use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Poll, Waker},
    time::Duration,
};
use tokio::time::Instant;

/// Carries the calls of one service.
pub(crate) struct Route {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) paces: Arc<Paces>,
    pub(crate) _life: Arc<Life>,
}

impl Invoke for Route {
    fn invoke<'a>(&'a self, mut call: Call<'a>) -> BoxFuture<'a, Result<RawReply, RpcError>> {
        // Lent: a future keeps what it is given twice.
        Box::pin(async move { self.run(&mut call).await })
    }
}

/// Longest time of a call: what a request can say. Longer ones are cut.
const LONGEST: Duration = Duration::from_millis(u32::MAX as u64);

impl Route {
    async fn run(&self, call: &mut Call<'_>) -> Result<RawReply, RpcError> {
        let mut progress = self.begin(call);
        if progress.deadline <= progress.now {
            let e = RpcError::deadline_exceeded("no time was left when the call was made");
            return Err(place(call, &progress, e.with_outcome(Outcome::NotSent)));
        }
        let _in_flight = match self.shared.enter() {
            Ok(in_flight) => in_flight,
            Err(e) => return Err(place(call, &progress, e)),
        };
        let metadata = match prepare(call, &mut progress) {
            Ok(metadata) => metadata,
            Err(e) => return Err(place(call, &progress, e.with_outcome(Outcome::NotSent))),
        };
        let turn = self.cluster.budget.earn(progress.now);
        let pace = self.pace_of(call);
        loop {
            // What a call has to wait for is boxed, here and below: so the future of one that need
            // not wait is small.
            let connection = match self.cluster.pick(&progress.wish()) {
                Pick::Found(connection) if progress.place.is_none() => connection,
                _ => match Box::pin(self.connection(&mut progress)).await {
                    Ok(connection) => connection,
                    Err(e) => return Err(self.given_up(call, &progress, e)),
                },
            };
            let attempt = self.attempt(call, &connection, &mut progress, &metadata, pace);
            // Without one it admitted nothing.
            let Some((attempt, now)) = attempt.await else { continue };
            attempt.report(attempt.by.as_ref().unwrap_or(&connection));
            let connection = attempt.by.unwrap_or(connection);
            let error = match attempt.result {
                Ok((answer, codec)) => {
                    if let Some(pace) = pace.filter(|pace| pace.samples(turn.number)) {
                        pace.took(now.since(Time::of(progress.start)));
                    }
                    return Ok(RawReply {
                        answer,
                        codec,
                        endpoint: connection.addr,
                        attempts: progress.attempts,
                        began: progress.start,
                    });
                }
                Err(error) => error,
            };
            let counters = &self.shared.dialer.counters;
            let verdict = verdict::decide(attempt.ended, call.method.idempotent);
            let error = progress.failed(&connection, attempt.ended, error, now);
            progress.now = now;
            match verdict {
                Verdict::Move if progress.in_time() => {
                    counters.moves.fetch_add(1, Ordering::Relaxed);
                }
                Verdict::Retry if Box::pin(self.retry(attempt.ended, &mut progress)).await => {}
                _ => return Err(self.given_up(call, &progress, error)),
            }
        }
    }

    /// The error of a call that is not tried any more.
    fn given_up(&self, call: &Call<'_>, progress: &Progress, error: RpcError) -> RpcError {
        if progress.overloaded {
            self.cluster.queue.turned_away();
        }
        place(call, progress, error)
    }

    /// What a call has been through that is made now.
    fn begin(&self, call: &Call<'_>) -> Progress {
        let start = Instant::now();
        let now = Time::of(start);
        let mut deadline = now + self.timeout(call).min(LONGEST);
        if let Some(inherited) = call.context.deadline() {
            deadline = deadline.min(Time::of(inherited));
        }
        Progress {
            start,
            deadline,
            now,
            attempts: 0,
            retries: self.retries(call),
            paid: 0,
            balance: self.balance(call.options),
            key: None,
            idempotent: call.method.idempotent,
            tried: Vec::new(),
            place: None,
            last: None,
            overloaded: false,
            trail: Trail::default(),
        }
    }

    /// Call over method over contract over client over the default.
    fn timeout(&self, call: &Call<'_>) -> Duration {
        call.options
            .settings()
            .timeout
            .or(call.method.timeout)
            .unwrap_or(self.shared.settings.timeout)
    }

    /// Call over client over the default; none for what is a retry itself.
    fn retries(&self, call: &Call<'_>) -> u32 {
        if call.context.is_retry() {
            return 0;
        }
        call.options.settings().retries.unwrap_or(self.shared.settings.retries)
    }

    /// Call over service over client over the default.
    fn balance(&self, options: &CallOptions) -> Balance {
        options.settings().balance.unwrap_or(self.cluster.balance)
    }

    /// One attempt at one endpoint, and when it ended. `None` when the connection admits no call
    /// any more.
    async fn attempt(
        &self,
        call: &mut Call<'_>,
        connection: &Arc<Connection>,
        progress: &mut Progress,
        metadata: &Metadata,
        pace: Option<&Pace>,
    ) -> Option<(Attempt, Time)> {
        let waker = waker().await;
        let late = match pace {
            Some(pace) if progress.retries > 0 => {
                pace.late(progress.now, progress.deadline, progress.attempts)
            }
            _ => Time::NEVER,
        };
        let mut waiter = match connection.admit(progress.deadline, late, waker) {
            Ok(waiter) => waiter,
            Err(Refused::Closed | Refused::Full) => return None,
        };
        if let Some(place) = progress.place.take() {
            place.admitted();
        }
        let mut body = Body::to_encode();
        if let Err(e) = call.args.encode(call.service.codec, body.buffer()) {
            return Some((Attempt::failed(Ended::Final, e).not_sent(), Time::now()));
        }
        if body.len() > self.shared.settings.limits.max_message as usize {
            let attempt = too_large(body.len(), self.shared.settings.limits.max_message);
            return Some((attempt, Time::now()));
        }
        progress.attempts += 1;
        let observer = Observer::begin(&connection.standing.gauge, progress.now);
        // Not kept: this future need not be larger.
        let sending = connection.send(&mut waiter, &request(call, progress, metadata), &body);
        let ending = match sending {
            Sending::Done => None,
            Sending::Leads => {
                connection.lead(&mut waiter).await;
                None
            }
            Sending::Waits => {
                let elsewhere = || self.elsewhere(connection, progress);
                let request = request(call, progress, metadata);
                Box::pin(connection.send_slowly(&mut waiter, request, &body, elsewhere)).await
            }
            Sending::Ended(ending) => Some(ending),
        };
        drop(body);
        let ending = match ending {
            Some(ending) => ending,
            None => connection.wait(&mut waiter).await,
        };
        let ending = match ending {
            Ending::Silent => Box::pin(self.stranded(connection, &mut waiter, progress)).await,
            ending => ending,
        };
        if matches!(ending, Ending::Silent | Ending::Late) {
            let race = Box::pin(self.race(
                call,
                (connection, &mut waiter, observer),
                progress,
                metadata,
                matches!(ending, Ending::Silent),
            ));
            return Some(race.await);
        }
        Some(observer.saw(ended(ending)))
    }

    /// How long the calls of the method take, if it may be hedged.
    fn pace_of(&self, call: &Call<'_>) -> Option<&Pace> {
        if call.method.idempotent { self.paces.of(call.method.id) } else { None }
    }
}

/// What the request of an attempt that begins now says.
fn request<'a>(call: &Call<'_>, progress: &Progress, metadata: &'a Metadata) -> Request<'a> {
    Request {
        service: call.service.id,
        method: call.method,
        codec: call.service.codec,
        trace: call.options.settings().trace.or_else(|| call.context.trace_id()),
        metadata: &metadata.0,
        retry: progress.paid > 0 || call.context.is_retry(),
        now: progress.now,
        deadline: progress.deadline,
    }
}

/// Where the call's key is, and what it takes along.
fn prepare(call: &mut Call<'_>, progress: &mut Progress) -> Result<Metadata, RpcError> {
    progress.key = key(progress.balance, call)?;
    metadata(call.context, call.options)
}

/// The error as the caller gets it: with the place of its call.
fn place(call: &Call<'_>, progress: &Progress, error: RpcError) -> RpcError {
    let endpoint = progress.last.as_ref().map(|(connection, _)| connection.addr);
    error
        .placed(Place {
            service: call.service.registered,
            method: call.method.name,
            endpoint,
            attempts: progress.attempts,
            elapsed: progress.start.elapsed(),
            outcome: None,
        })
        .with_trail(progress.trail.clone())
}

/// The waker of the task that runs here.
async fn waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Larger than a kilobyte, its memory would come by the allocator's slow path.
    #[test]
    fn the_future_of_a_call_is_small() {
        fn size<'a, F: Future>(_: impl FnOnce(&'a Route, &'a mut Call<'a>) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(Route::run) + size_of::<Call<'_>>();
        assert!(size <= 1000, "{size} bytes");
    }
}
