//! The policy of one call, in the order in which it is applied.
//!
//! Deadline, then a connection, then an attempt, then the verdict on how it ended: again at another
//! endpoint, or back to the caller with what is known. `retry` is whether and when a call that may
//! be retried is, `backoff` how long it waits before, `race` what runs beside an attempt.

mod backoff;
mod race;
mod retry;

use crate::{
    balance::{self, Gauge, Lesson},
    clock::Time,
    cluster::{Cluster, Pick, Tried, Wish, outlook},
    connection::{Connection, Ending, Refused, Request, Sending, bad_reply},
    pace::{Pace, Paces},
    queue::Place as QueuePlace,
    shared::{Life, Shared},
    standing::Cause,
    verdict::{self, Ended, Opinion, Verdict},
};
use rpc_core::{
    Answer, Balance, BoxFuture, Call, CallContext, CallOptions, Invoke, MetadataEntry, Outcome,
    Place, RawReply, RpcError, Trail,
    codec::Codec,
    transport::Body,
    wire::{Kind, Reason, put_metadata, read_error},
};
use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Poll, Waker},
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};

/// Carries the calls of one service.
pub(crate) struct Route {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) paces: Arc<Paces>,
    pub(crate) _life: Arc<Life>,
}

impl Invoke for Route {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<RawReply, RpcError>> {
        Box::pin(self.run(call))
    }
}

/// What one attempt came to.
struct Attempt {
    ended: Ended,
    /// The instance says that it is to blame.
    at_fault: bool,
    result: Result<(Answer, Codec), RpcError>,
    /// When it ended; `None`: just now.
    at: Option<Time>,
    /// Who answered, when it was not the provider that was asked first.
    by: Option<Arc<Connection>>,
}

impl Attempt {
    fn failed(ended: Ended, error: RpcError) -> Self {
        let error = error.with_outcome(verdict::outcome(ended));
        Self { ended, at_fault: false, result: Err(error), at: None, by: None }
    }
}

/// What a call has been through so far.
struct Progress {
    start: Instant,
    deadline: Time,
    /// When the attempt began: the clock is read once for a call that need not wait.
    now: Time,
    attempts: u32,
    /// Further attempts that are left to pay with.
    retries: u32,
    /// Attempts that were paid for.
    paid: u32,
    balance: Balance,
    /// Where the call's key is on the ring; for consistent hashing alone.
    key: Option<u64>,
    /// The call may be made twice.
    idempotent: bool,
    /// Where it has been.
    tried: Vec<Tried>,
    /// Its place in the line, while everything is full.
    place: Option<QueuePlace>,
    last: Option<(Arc<Connection>, RpcError)>,
    trail: Trail,
}

impl Progress {
    /// An attempt that began at `self.now` has failed. The error as it is in view of the earlier
    /// ones.
    fn failed(
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
        self.tried.push(Tried::new(connection, verdict::only_connection(ended)));
        self.last = Some((Arc::clone(connection), error.clone()));
        error
    }

    /// What the next attempt needs.
    fn wish(&self) -> Wish<'_> {
        let again = self.idempotent && self.retries > 0;
        Wish { balance: self.balance, key: self.key, tried: &self.tried, again }
    }
}

/// Why a call waits for room.
const FULL: &str = "every connection to every provider has as many calls in flight as it takes";

/// Longest time of a call: what a request can say. Longer ones are cut.
const LONGEST: Duration = Duration::from_millis(u32::MAX as u64);

impl Route {
    async fn run(&self, mut call: Call<'_>) -> Result<RawReply, RpcError> {
        let mut progress = self.begin(&call);
        if progress.deadline <= progress.now {
            let e = RpcError::deadline_exceeded("no time was left when the call was made");
            return Err(place(&call, &progress, e.with_outcome(Outcome::NotSent)));
        }
        let _in_flight = match self.shared.enter() {
            Ok(in_flight) => in_flight,
            Err(e) => return Err(place(&call, &progress, e)),
        };
        let prepared = key(progress.balance, &mut call)
            .and_then(|key| Ok((key, metadata(call.context, call.options)?)));
        let metadata = match prepared {
            Ok((key, metadata)) => {
                progress.key = key;
                metadata
            }
            Err(e) => return Err(place(&call, &progress, e.with_outcome(Outcome::NotSent))),
        };
        let number = self.cluster.budget.earn(progress.now);
        let pace = self.pace_of(&call);
        loop {
            // What a call has to wait for is boxed, here and below: so the future of one that need
            // not wait is small.
            let connection = match self.cluster.pick(&progress.wish()) {
                Pick::Found(connection) if progress.place.is_none() => connection,
                _ => match Box::pin(self.connection(&mut progress)).await {
                    Ok(connection) => connection,
                    Err(e) => return Err(place(&call, &progress, e)),
                },
            };
            let observer = Observer { gauge: &connection.standing.gauge, since: progress.now };
            let attempt =
                self.attempt(&mut call, &connection, &mut progress, &metadata, pace).await;
            // Without one it admitted nothing.
            let Some((attempt, now)) = observer.saw(attempt) else { continue };
            attempt.report(attempt.by.as_ref().unwrap_or(&connection));
            let connection = attempt.by.unwrap_or(connection);
            let error = match attempt.result {
                Ok((answer, codec)) => {
                    if let Some(pace) = pace.filter(|pace| pace.samples(number)) {
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
                Verdict::Move => {
                    counters.moves.fetch_add(1, Ordering::Relaxed);
                }
                Verdict::Retry if Box::pin(self.retry(attempt.ended, &mut progress)).await => {}
                _ => return Err(place(&call, &progress, error)),
            }
        }
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

    /// A connection that has not been tried, waiting for one while that makes sense.
    async fn connection(&self, progress: &mut Progress) -> Result<Arc<Connection>, RpcError> {
        if Handle::try_current().is_err() {
            let why = "the call has to wait for one, and is not polled within a tokio runtime";
            return Err(self.nobody(progress, why));
        }
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
            let pick = match &progress.place {
                // Others have waited for longer.
                None if self.cluster.queue.is_busy() && progress.tried.is_empty() => Pick::Full,
                Some(place) if !called && !place.is_next() => Pick::Full,
                place => self.cluster.pick_from(&picks, &progress.wish(), place.is_some()),
            };
            let full = matches!(pick, Pick::Full);
            let until = match pick {
                Pick::Found(connection) => return Ok(connection),
                Pick::Full if progress.place.is_none() => {
                    progress.place = self.cluster.queue.join(progress.tried.is_empty());
                    if progress.place.is_none() {
                        return Err(self.line_is_full());
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
            called = tokio::select! {
                _ = published.changed() => true,
                () = room(progress.place.as_ref()) => true,
                () = tokio::time::sleep_until(until.min(deadline)) => false,
                () = self.cluster.over() => {
                    return Err(self.nobody(progress, "the client or its runtime was shut down"));
                }
            };
        }
    }

    /// So many calls wait already that another one would hardly have its turn.
    fn line_is_full(&self) -> RpcError {
        let limit = self.cluster.queue.limit();
        let text = format!(
            "{limit} calls of {} wait for room already, and {FULL}; slow down, start more \
             providers, or raise the client's `max_waiting`",
            self.cluster.service
        );
        RpcError::resource_exhausted(text).with_outcome(Outcome::NotSent)
    }

    /// No endpoint takes the call: the last attempt's error if there was one, else what is known.
    fn nobody(&self, progress: &mut Progress, why: &str) -> RpcError {
        if let Some((_, error)) = &progress.last {
            return error.clone();
        }
        RpcError::unavailable(format!("no provider of {} takes calls: {why}", self.cluster.service))
            .with_outcome(Outcome::NotSent)
    }

    /// One attempt at one endpoint. `None` when the connection admits no call any more.
    async fn attempt(
        &self,
        call: &mut Call<'_>,
        connection: &Arc<Connection>,
        progress: &mut Progress,
        metadata: &Metadata,
        pace: Option<&Pace>,
    ) -> Option<Attempt> {
        let (waker, idempotent) = (waker().await, call.method.idempotent);
        let late = match pace {
            Some(pace) if progress.attempts == 0 && progress.retries > 0 => pace.late(progress.now),
            _ => Time::NEVER,
        };
        let mut waiter = match connection.admit(progress.deadline, late, idempotent, waker) {
            Ok(waiter) => waiter,
            Err(Refused::Closed | Refused::Full) => return None,
        };
        if let Some(place) = progress.place.take() {
            place.admitted();
        }
        let codec = call.service.codec;
        let mut body = Body::new();
        if let Err(e) = call.args.encode(codec, body.buffer()) {
            return Some(Attempt::failed(Ended::Final, e).not_sent());
        }
        if body.len() > self.shared.settings.limits.max_message as usize {
            return Some(too_large(body.len(), self.shared.settings.limits.max_message));
        }
        progress.attempts += 1;
        let request = Request {
            service: call.service.id,
            method: call.method,
            codec,
            trace: call.options.settings().trace.or_else(|| call.context.trace_id()),
            metadata: &metadata.0,
            retry: progress.paid > 0 || call.context.is_retry(),
            now: progress.now,
            deadline: progress.deadline,
        };
        let ending = match connection.send(&mut waiter, &request, &body) {
            Sending::Done => None,
            Sending::Leads => {
                connection.lead(&mut waiter).await;
                None
            }
            Sending::Waits => Box::pin(connection.send_slowly(&mut waiter, &request, &body)).await,
            Sending::Ended(ending) => Some(ending),
        };
        drop(body);
        let ending = match ending {
            Some(ending) => ending,
            None => connection.wait(&mut waiter).await,
        };
        if matches!(ending, Ending::Silent | Ending::Late) {
            let first = (connection, &mut waiter);
            return Some(Box::pin(self.race(call, first, progress, metadata, ending)).await);
        }
        Some(ended(ending))
    }

    /// How long the calls of the method take, if it may be hedged.
    fn pace_of(&self, call: &Call<'_>) -> Option<&Pace> {
        if call.method.idempotent { self.paces.of(call.method.id) } else { None }
    }
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

impl Attempt {
    /// Tells the endpoint what the attempt says of it.
    fn report(&self, connection: &Connection) {
        match verdict::opinion(self.ended, self.at_fault) {
            Opinion::Good => connection.standing.succeeded(),
            Opinion::Fault => connection.standing.failed(Cause::Calls),
            Opinion::None => {}
        }
    }

    fn not_sent(mut self) -> Self {
        self.result = self.result.map_err(|e| e.with_outcome(Outcome::NotSent));
        self
    }
}

/// Where the call's key is on the ring, if the strategy has one: that of its options, or of the
/// argument that its method names.
fn key(balance: Balance, call: &mut Call<'_>) -> Result<Option<u64>, RpcError> {
    if balance != Balance::ConsistentHash {
        return Ok(None);
    }
    if let Some(key) = &call.options.settings().hash_key {
        return Ok(Some(balance::position(key.as_bytes())));
    }
    // Encoded into memory that is used again.
    let mut key = Body::new();
    let named = call.args.key(call.service.codec, key.buffer())?;
    Ok(named.then(|| balance::position(&key)))
}

/// Tells an endpoint's gauge how an attempt ended, also when its caller goes away.
struct Observer<'a> {
    gauge: &'a Gauge,
    since: Time,
}

impl Observer<'_> {
    /// The attempt, if there was one, is over; it and when it ended.
    fn saw(self, attempt: Option<Attempt>) -> Option<(Attempt, Time)> {
        let Self { gauge, since } = *std::mem::ManuallyDrop::new(self);
        let attempt = attempt?;
        let now = attempt.at.unwrap_or_else(Time::now);
        let code = attempt.result.as_ref().err().map(RpcError::code);
        let lesson = if attempt.by.is_some() {
            // Another provider was faster.
            Some(Lesson::AtLeast)
        } else {
            verdict::lesson(attempt.ended, code)
        };
        if let Some(lesson) = lesson {
            gauge.learn(lesson, since, now);
        }
        Some((attempt, now))
    }
}

impl Drop for Observer<'_> {
    fn drop(&mut self) {
        self.gauge.learn(Lesson::AtLeast, self.since, Time::now());
    }
}

/// Waits for the turn of a call that is in the line; for ever when it is in none.
async fn room(place: Option<&QueuePlace>) {
    match place {
        Some(place) => place.called().await,
        None => std::future::pending().await,
    }
}

/// The encoded metadata section of a call; empty when it carries none.
struct Metadata(Vec<u8>);

/// What propagates from the context, under what the options say.
fn metadata(context: &CallContext, options: &CallOptions) -> Result<Metadata, RpcError> {
    let own = &options.settings().metadata;
    let inherited = context.entries();
    let mut section = Vec::new();
    if own.is_empty() && inherited.is_empty() {
        return Ok(Metadata(section));
    }
    let hidden = |m: &&MetadataEntry| m.propagates && !own.iter().any(|o| o.key == m.key);
    let mut entries = own.iter().chain(inherited.iter().filter(hidden)).peekable();
    if entries.peek().is_some() {
        put_metadata(&mut section, entries)?;
    }
    Ok(Metadata(section))
}

fn too_large(length: usize, limit: u32) -> Attempt {
    let text = format!(
        "the request is {length} bytes, the largest message is {limit}; send less, or raise \
         `max_message` on both sides"
    );
    Attempt::failed(Ended::Final, RpcError::resource_exhausted(text)).not_sent()
}

/// The waker of the task that runs here.
async fn waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

fn answered(answer: Answer, codec: Codec, at_fault: bool, at: Time) -> Attempt {
    let result = Ok((answer, codec));
    Attempt { ended: Ended::Application, at_fault, result, at: Some(at), by: None }
}

/// How an attempt ended, in words and for the verdict.
fn ended(ending: Ending) -> Attempt {
    match ending {
        Ending::Answer { kind, at_fault, codec, body, at } => match kind {
            Kind::Reply => answered(Answer::Ok(body), codec, at_fault, at),
            Kind::AppError => answered(Answer::App(body), codec, at_fault, at),
            Kind::Error => {
                let (reason, error) = read_error(&body);
                let ended = Ended::Answered(reason, error.code());
                // What a handler returned is remote. The rest is about this very call, and is the
                // caller's own: nobody takes a deadline deeper in the system for it.
                let error = match reason {
                    Reason::Handler => error,
                    _ => RpcError::new(error.code(), error.message()),
                };
                Attempt { at_fault, ..Attempt::failed(ended, error) }
            }
            _ => Attempt::failed(Ended::Final, bad_reply()),
        },
        Ending::Broken { why, sent: false } => {
            let text = format!("{why}; the request did not reach a provider");
            Attempt::failed(Ended::NotSent, RpcError::unavailable(text))
        }
        Ending::Broken { why, sent: true } => {
            let text = format!(
                "{why}, with the request sent and no reply received; if calling the method twice \
                 does no harm, mark it #[rpc(idempotent)] and it will be sent again"
            );
            Attempt::failed(Ended::Unknown, RpcError::unavailable(text))
        }
        Ending::Leaving => Attempt::failed(
            Ended::NotSent,
            RpcError::unavailable("the provider leaves; the request had not been sent"),
        ),
        Ending::TooLarge { limit } => {
            let text = format!(
                "the provider takes messages of at most {limit} bytes; send less, or raise its \
                 `max_message`"
            );
            Attempt::failed(Ended::Final, RpcError::resource_exhausted(text)).not_sent()
        }
        Ending::Silent | Ending::Late => Attempt::failed(
            Ended::Unknown,
            RpcError::unavailable("the provider is connected but does not answer"),
        ),
        Ending::Deadline { sent } => {
            let text = if sent {
                "no reply in time; the provider was told to stop"
            } else {
                "the request could not be sent in time"
            };
            let error = RpcError::deadline_exceeded(text);
            if sent {
                Attempt::failed(Ended::Deadline, error)
            } else {
                Attempt::failed(Ended::Final, error).not_sent()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Larger than a kilobyte, its memory would come by the allocator's slow path.
    #[test]
    fn the_future_of_a_call_is_small() {
        fn size<'a, F: Future>(_: impl FnOnce(&'a Route, Call<'a>) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(Route::run);
        assert!(size <= 1000, "{size} bytes");
    }
}
