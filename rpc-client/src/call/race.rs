//! Several attempts of one call at the same time: beside a provider that has fallen silent, and
//! beside one that takes longer than usual (a hedged request). The first answer wins, and the
//! others are cancelled. Only for idempotent methods.

use super::{Attempt, Metadata, Observer, Progress, Route, ended, waker};
use crate::{
    clock::Time,
    cluster::{Pick, Tried, Wish},
    connection::{Connection, Ending, Request, Sending, Waiter},
    verdict::{self, Ended, Verdict},
};
use rpc_core::{
    BoxFuture, Call, Outcome, RpcError, TraceId, codec::Codec, service::MethodMeta, transport::Body,
};
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::watch;

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

/// An attempt beside the first.
struct Racer<'a> {
    connection: Arc<Connection>,
    /// Its provider has fallen silent.
    silent: Arc<AtomicBool>,
    hedge: bool,
    began: Time,
    future: BoxFuture<'a, Option<(Attempt, Time)>>,
}

/// What a racer's request says, without its arguments.
struct Ask<'a> {
    service: u64,
    method: &'static MethodMeta,
    codec: Codec,
    trace: Option<TraceId>,
    metadata: &'a [u8],
    deadline: Time,
    now: Time,
}

/// What one of the attempts has come to.
enum Event {
    /// One more is silent.
    Silent,
    Ended {
        attempt: Attempt,
        at: Time,
        by: Option<Arc<Connection>>,
        began: Time,
        hedge: bool,
    },
    /// Its connection admitted nothing.
    Nothing,
}

impl Route {
    /// Goes on with an attempt that is late or whose provider is silent, and with others beside
    /// it when they can be had and paid for. Returns the answer that came first, or the last of the
    /// failures, when all have failed; the earlier ones are noted.
    pub(super) async fn race(
        &self,
        call: &mut Call<'_>,
        (first, waiter): (&Arc<Connection>, &mut Waiter<'_>),
        progress: &mut Progress,
        metadata: &Metadata,
        cue: Ending,
    ) -> Attempt {
        let began = progress.now;
        // When the call has waited for too long; never for methods that are not hedged.
        let mut overdue = self.pace_of(call).and_then(|_| began.half_way_to(progress.deadline));
        let mut silent = matches!(cue, Ending::Silent);
        let mut wanted = Some(match overdue {
            _ if silent => Wanted::Rescue,
            Some(at) if at <= Time::now() => Wanted::Overdue,
            _ => Wanted::Hedge,
        });
        let mut over = false;
        let mut racers: Vec<Racer<'_>> = Vec::new();
        let mut published = self.cluster.published();
        loop {
            published.mark_unchanged();
            if let Some(want) = wanted {
                progress.now = Time::now();
                if let Some(racer) = self.enter(call, first, &racers, progress, metadata, want) {
                    racers.push(racer);
                    wanted = None;
                } else if want == Wanted::Hedge {
                    // Another call may have more luck; this one waits for the answer it asked for.
                    self.pace_of(call).inspect(|pace| pace.rest());
                    wanted = None;
                } else if want == Wanted::Overdue {
                    wanted = None;
                }
                if want == Wanted::Overdue {
                    overdue = progress.now.half_way_to(progress.deadline);
                }
            }
            let waits = self.until(overdue.filter(|_| progress.retries > 0 && wanted.is_none()));
            let event = tokio::select! {
                biased;
                ending = first.wait(waiter), if !over => match ending {
                    Ending::Silent => {
                        silent = true;
                        Event::Silent
                    }
                    Ending::Late => Event::Nothing,
                    ending => {
                        let attempt = ended(ending);
                        let at = attempt.at.unwrap_or_else(Time::now);
                        Event::Ended { attempt, at, by: None, began, hedge: false }
                    }
                },
                event = poll_fn(|cx| poll(&mut racers, cx)) => event,
                Ok(()) = published.changed(), if wanted.is_some() => Event::Nothing,
                () = waits => {
                    wanted = Some(Wanted::Overdue);
                    Event::Nothing
                }
            };
            if let Event::Ended { mut attempt, at, by, began, hedge } = event {
                over |= by.is_none();
                let others = racers.len() + usize::from(!over);
                if others == 0 || is_final(&attempt) {
                    if hedge && attempt.result.is_ok() {
                        self.shared.dialer.counters.hedges_won.fetch_add(1, Ordering::Relaxed);
                    }
                    progress.now = began;
                    attempt.by = by;
                    return attempt;
                }
                attempt.report(by.as_ref().unwrap_or(first));
                if let Err(error) = attempt.result {
                    if by.is_none()
                        && let Some(lesson) =
                            verdict::lesson(attempt.ended, Some(error.code()), attempt.at_fault)
                    {
                        first.standing.gauge.learn(lesson, began, at);
                    }
                    progress.now = began;
                    progress.failed(by.as_ref().unwrap_or(first), attempt.ended, error, at);
                }
            }
            let quiet = |racer: &Racer<'_>| racer.silent.load(Ordering::Relaxed);
            if wanted.is_none() && (over || silent) && racers.iter().all(quiet) {
                wanted = Some(Wanted::Rescue);
            }
        }
    }

    /// Begins another attempt, at an endpoint that the call has not been at, if there is one that
    /// takes it, and if it can be paid for.
    fn enter<'a>(
        &'a self,
        call: &mut Call<'_>,
        first: &Arc<Connection>,
        racers: &[Racer<'_>],
        progress: &mut Progress,
        metadata: &'a Metadata,
        want: Wanted,
    ) -> Option<Racer<'a>> {
        if progress.retries == 0 {
            return None;
        }
        let mut tried = progress.tried.clone();
        tried.push(Tried::new(first, false));
        tried.extend(racers.iter().map(|racer| Tried::new(&racer.connection, false)));
        let wish = Wish { tried: &tried, ..progress.wish() };
        // One that is trusted: whether another has recovered is for calls to find out that need it.
        let Pick::Found(connection) = self.cluster.look(&wish) else {
            return None;
        };
        let mut body = Body::to_encode();
        call.args.encode(call.service.codec, body.buffer()).ok()?;
        let hedge = want == Wanted::Hedge;
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
        let silent = Arc::new(AtomicBool::new(false));
        let ask = Ask {
            service: call.service.id,
            method: call.method,
            codec: call.service.codec,
            trace: call.options.settings().trace.or_else(|| call.context.trace_id()),
            metadata: &metadata.0,
            deadline: progress.deadline,
            now: progress.now,
        };
        let (flag, published) = (Arc::clone(&silent), self.cluster.published());
        let future = Box::pin(run(Arc::clone(&connection), ask, body, flag, published));
        Some(Racer { connection, silent, hedge, began: progress.now, future })
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

/// Whether an attempt decides the call while others go on. What has not run, or may be tried again,
/// does not: an attempt beside another must not make a call fail that would succeed without it.
fn is_final(attempt: &Attempt) -> bool {
    let may_have_run = |e: &RpcError| !matches!(e.outcome(), Outcome::NotSent | Outcome::Refused);
    let stops = verdict::decide(attempt.ended, true) == Verdict::Stop;
    attempt.result.as_ref().err().is_none_or(|error| stops && may_have_run(error))
}

/// One attempt, whatever its provider takes for it; `None` when its connection admits nothing.
async fn run(
    connection: Arc<Connection>,
    ask: Ask<'_>,
    body: Body,
    silent: Arc<AtomicBool>,
    published: watch::Receiver<u64>,
) -> Option<(Attempt, Time)> {
    let waker = waker().await;
    let mut waiter = connection.admit(ask.deadline, Time::NEVER, true, waker).ok()?;
    let observer = Observer { gauge: &connection.standing.gauge, since: ask.now };
    let Ask { service, method, codec, trace, metadata, deadline, now } = ask;
    let request = Request { service, method, codec, trace, metadata, retry: true, now, deadline };
    let ending = match connection.send(&mut waiter, &request, &body) {
        Sending::Done => None,
        Sending::Leads => {
            connection.lead(&mut waiter).await;
            None
        }
        Sending::Waits => {
            // Another may do better, and the first attempt goes on.
            let falls_silent = || falls_silent(&connection, published.clone());
            connection.send_slowly(&mut waiter, &request, &body, falls_silent).await
        }
        Sending::Ended(ending) => Some(ending),
    };
    drop(body);
    let mut ending = match ending {
        Some(ending) => ending,
        None => connection.wait(&mut waiter).await,
    };
    while matches!(ending, Ending::Silent | Ending::Late) {
        silent.store(true, Ordering::Relaxed);
        ending = connection.wait(&mut waiter).await;
    }
    observer.saw(Some(ended(ending)))
}

/// Ends when the provider of a connection falls silent: a new list of endpoints follows that.
async fn falls_silent(connection: &Connection, mut published: watch::Receiver<u64>) {
    loop {
        published.mark_unchanged();
        if connection.is_silent() {
            return;
        }
        if published.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The next thing that happens to one of them.
fn poll(racers: &mut Vec<Racer<'_>>, cx: &mut Context<'_>) -> Poll<Event> {
    let mut silent = false;
    for index in 0..racers.len() {
        let racer = &mut racers[index];
        let was_silent = racer.silent.load(Ordering::Relaxed);
        if let Poll::Ready(ended) = racer.future.as_mut().poll(cx) {
            let Racer { connection, hedge, began, .. } = racers.swap_remove(index);
            let Some((attempt, at)) = ended else { return Poll::Ready(Event::Nothing) };
            return Poll::Ready(Event::Ended { attempt, at, by: Some(connection), began, hedge });
        }
        silent |= !was_silent && racer.silent.load(Ordering::Relaxed);
    }
    if silent { Poll::Ready(Event::Silent) } else { Poll::Pending }
}
