//! The task that keeps an endpoint connected, with as many connections as it needs.

use super::{Endpoint, Known, backoff::Backoff};
use crate::{
    clock::{sooner, until},
    connection::{Connection, DialError},
    shared::Shared,
    standing::{Cause, OnChange, Phase, Standing},
};
use rpc_core::{BoxFuture, defaults, transport::lock};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::Instant;

/// A connection that served for this long is dialled again without a pause when it is lost.
const SETTLED: Duration = Duration::from_secs(1);
/// Connections that break within this time do so for one reason.
const TOGETHER: Duration = Duration::from_millis(100);

/// The fault of an endpoint that answers no ping.
const SILENT: &str = "it was connected and did not answer a ping";

type Dialled = Result<Arc<Connection>, DialError>;

pub(super) struct Keeper {
    endpoint: Weak<Endpoint>,
    standing: Arc<Standing>,
    shared: Arc<Shared>,
    /// Tells the service.
    changed: OnChange,
    backoff: Backoff,
    /// When it may be dialled again.
    dial_at: Instant,
    dialling: Option<BoxFuture<'static, Dialled>>,
    /// Connections that were silent at the last look.
    silent: usize,
    /// When trouble was counted last.
    troubled: Option<Instant>,
    /// Pings were sent to see whether an ejected endpoint is back.
    asked: bool,
}

/// What is to be done after a look.
struct Step {
    dial: bool,
    /// Something is different for who picks.
    changed: bool,
    /// When to look again, whatever happens.
    next: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(endpoint: &Arc<Endpoint>, shared: Arc<Shared>, changed: OnChange) -> Self {
        Self {
            endpoint: Arc::downgrade(endpoint),
            standing: Arc::clone(&endpoint.standing),
            shared,
            changed,
            backoff: Backoff::new(),
            dial_at: Instant::now(),
            dialling: None,
            silent: 0,
            troubled: None,
            asked: false,
        }
    }

    pub(super) async fn run(mut self) {
        let nudge = Arc::clone(&self.standing.endpoint);
        let mut nudged = false;
        while let Some(step) = self.review() {
            if step.dial {
                self.dialling = Some(self.dial());
            }
            // A nudge is passed on whatever it was about: a call may have seen a connection in a
            // state that it has left again, and waits for the next list.
            if step.changed || nudged {
                self.changed.notify_one();
            }
            let next = step.next;
            nudged = false;
            // Cancel safe: a dial that is under way goes on in the next round.
            tokio::select! {
                dialled = under_way(&mut self.dialling) => {
                    self.dialling = None;
                    self.dialled(dialled);
                    nudged = true;
                }
                () = nudge.notified() => nudged = true,
                () = until(next) => {}
            }
        }
    }

    fn dial(&self) -> BoxFuture<'static, Dialled> {
        let (dialer, standing) = (Arc::clone(&self.shared.dialer), Arc::clone(&self.standing));
        Box::pin(async move { dialer.dial(&standing).await })
    }

    fn dialled(&mut self, dialled: Dialled) {
        let endpoint = self.endpoint.upgrade();
        match (dialled, endpoint) {
            (Ok(connection), Some(endpoint)) => lock(&endpoint.known).connections.push(connection),
            (Ok(connection), None) => connection.retire(),
            (Err(e), endpoint) => {
                self.pause();
                if let Some(endpoint) = endpoint {
                    let mut known = lock(&endpoint.known);
                    known.failure = Arc::from(format!("dialling failed: {e}"));
                }
            }
        }
    }

    fn pause(&mut self) {
        self.dial_at = Instant::now() + self.backoff.next(fastrand::f64());
    }

    /// Looks at the connections and decides what to do; `None` when the endpoint is gone.
    fn review(&mut self) -> Option<Step> {
        let endpoint = self.endpoint.upgrade()?;
        self.shared.reviewed();
        let now = Instant::now();
        let mut known = lock(&endpoint.known);
        let before = known.connections.len();
        let mut next = None;
        self.leave(&mut known, now);
        let broken = self.take_out(&mut known, now, &mut next);
        let trouble = self.suspect(&known, broken > 0);
        let what = if broken > 0 { Arc::clone(&known.failure) } else { Arc::from(SILENT) };
        shrink(&mut known, now);
        if let Some(pause) = known.pool.next() {
            sooner(&mut next, Some(now + pause));
        }
        let dial = self.wants_to_dial(&mut known, now, &mut next);
        let changed = known.connections.len() != before;
        drop(known);
        let counted = |at: Instant| now.saturating_duration_since(at) < TOGETHER;
        if trouble && !self.troubled.is_some_and(counted) {
            self.troubled = Some(now);
            self.standing.failed(Cause::Connection, &what);
        }
        self.ask(&endpoint);
        Some(Step { dial, changed, next })
    }

    /// Forgets connections that have ended, and those that turn out to be of no use: the provider
    /// says nothing in time, or it is one that has said before that it leaves. Returns how many
    /// broke that should not have.
    fn take_out(&mut self, known: &mut Known, now: Instant, next: &mut Option<Instant>) -> usize {
        let mut broken = 0;
        for connection in std::mem::take(&mut known.connections) {
            if connection.is_ended() {
                broken += usize::from(self.ended(known, &connection, now));
                continue;
            }
            let mute = !connection.is_greeted() && connection.takes_calls();
            let late = connection.began() + defaults::DIAL_TIMEOUT;
            let of_no_use = if mute {
                now >= late
            } else {
                let instance = connection.instance();
                instance.is_some() && instance == known.left && connection.takes_calls()
            };
            if of_no_use {
                connection.retire();
                known.failure = Arc::from(if mute {
                    "connected, but the provider does not greet"
                } else {
                    "the provider leaves"
                });
                self.pause();
                continue;
            }
            if mute {
                sooner(next, Some(late));
            }
            known.connections.push(connection);
        }
        broken
    }

    /// Notes that a connection has ended; says whether that speaks against the endpoint.
    fn ended(&mut self, known: &mut Known, connection: &Connection, now: Instant) -> bool {
        if connection.is_retired() {
            return false;
        }
        known.failure = connection.why();
        if self.settled(connection, now) {
            // Most likely only the connection was lost.
            self.dial_at = now;
        } else {
            self.pause();
        }
        connection.is_greeted()
    }

    /// Notes that the provider leaves: its connections close when their last calls have ended.
    /// Another provider may come in its place.
    fn leave(&mut self, known: &mut Known, now: Instant) {
        let leaves = |c: &&Arc<Connection>| c.is_leaving() && !c.is_retired();
        let leaving: Vec<_> = known.connections.iter().filter(leaves).cloned().collect();
        for connection in &leaving {
            if known.left.is_none() || known.left != connection.instance() {
                known.left = connection.instance();
                known.failure = connection.why();
                self.settled(connection, now);
            }
            connection.retire();
        }
        if !leaving.is_empty() {
            // It may go on accepting connections, and say the same on each.
            self.pause();
        }
    }

    /// Whether a connection has served for a while: then the next is dialled without much ado.
    fn settled(&mut self, connection: &Connection, now: Instant) -> bool {
        let lived = now.saturating_duration_since(connection.began());
        let settled = connection.is_greeted() && lived > SETTLED;
        if settled {
            self.backoff = Backoff::new();
        }
        settled
    }

    /// When one connection is in trouble, the others are asked whether they are, too. Says whether
    /// one is.
    fn suspect(&mut self, known: &Known, broken: bool) -> bool {
        let silent = known.connections.iter().filter(|c| c.is_silent()).count();
        let trouble = broken || silent > self.silent;
        self.silent = silent;
        if trouble {
            known.connections.iter().filter(|c| c.is_usable()).for_each(|c| c.suspect());
        }
        trouble
    }

    fn wants_to_dial(
        &mut self,
        known: &mut Known,
        now: Instant,
        next: &mut Option<Instant>,
    ) -> bool {
        if std::mem::take(&mut known.renewed) {
            self.backoff = Backoff::new();
            self.dial_at = now;
        }
        let open = known.connections.iter().filter(|c| c.takes_calls());
        // One that is about to end is waited for: how it has ended decides about the pause.
        let ending =
            known.connections.iter().any(|c| !c.takes_calls() && !c.is_retired() && !c.is_ended());
        // One that nobody answers on is enough to find out.
        let answers = known.connections.iter().any(|c| c.is_usable() && c.is_greeted());
        let wanted = if answers { known.pool.wanted() } else { 1 };
        // What the registry does not list is kept, and dialled once more if only its connection
        // was lost.
        let is_kept = known.vanished().is_none() || known.was_just_lost(now);
        let is_free = self.dialling.is_none() && !ending;
        known.redial = None;
        if !is_kept || !is_free || open.count() >= wanted {
            return false;
        }
        if now < self.dial_at {
            sooner(next, Some(self.dial_at));
            known.redial = Some(self.dial_at);
            return false;
        }
        true
    }

    /// An endpoint that was ejected because of its connections comes back through a ping.
    fn ask(&mut self, endpoint: &Endpoint) {
        let probing = self.standing.read(|record| {
            matches!(record.phase(), Phase::Probing { why, .. } if why.cause == Cause::Connection)
        });
        let asked = std::mem::replace(&mut self.asked, probing);
        if !probing {
            return;
        }
        let known = lock(&endpoint.known);
        let mut open = known.connections.iter().filter(|c| c.is_usable() && c.is_greeted());
        if !asked {
            open.for_each(|c| c.suspect());
        } else if open.any(|c| !c.is_suspected()) {
            self.standing.answered_ping();
        }
    }
}

/// Whoever drops this task takes no calls away from connections that still answer.
impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(endpoint) = self.endpoint.upgrade() {
            endpoint.retire();
        }
    }
}

/// Closes connections that are not needed any more, the least busy first.
fn shrink(known: &mut Known, now: Instant) {
    let mut open: Vec<_> =
        known.connections.iter().filter(|c| c.is_usable() && c.is_greeted()).cloned().collect();
    known.pool.weigh(open.iter().map(|c| c.carries()), now);
    open.sort_by_key(|c| std::cmp::Reverse(c.in_flight()));
    open.iter().skip(known.pool.wanted()).for_each(|c| c.retire());
}

async fn under_way(dialling: &mut Option<BoxFuture<'static, Dialled>>) -> Dialled {
    match dialling {
        Some(dialling) => dialling.await,
        None => std::future::pending().await,
    }
}
