//! One connection to a provider: many calls at once, each matched to its reply by the call id.
//!
//! `request` is how a call's request leaves, `slots` where it waits, `reader` how its answer comes.
//! How a connection ends is one function, [`Connection::end`], with a fixed order of steps.

#[cfg(feature = "bench")]
pub(crate) mod bench;
mod dial;
#[cfg(any(test, feature = "bench"))]
mod fixture;
mod meter;
mod reader;
mod request;
mod slots;
mod vigil;

pub(crate) use dial::{DialError, Dialer};
pub(crate) use request::{Request, Sending};
pub(crate) use slots::{Arrival, Refused, Reserved, Waiter};

use crate::{clock::Time, standing::Standing};
use meter::Meter;
use rpc_core::{
    RpcError,
    codec::Codec,
    discovery::InstanceId,
    transport::{Body, Link},
    wire::{Kind, flag, put_signal},
};
use slots::Slots;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vigil::Vigil;

/// An open or ended connection.
pub(crate) struct Connection {
    /// Unique in the process, so that an attempt can say which connection it has tried.
    pub(crate) number: u64,
    pub(crate) addr: SocketAddr,
    link: Link,
    slots: Slots,
    vigil: Vigil,
    meter: Meter,
    /// When our preface was written; the zero of the `sent` clock.
    began: Time,
    instance: OnceLock<Option<InstanceId>>,
    /// The provider has said that it leaves.
    leaving: CancellationToken,
    /// The registry has dropped the instance: no new calls, and close when the last has ended.
    retired: AtomicBool,
    /// A call was given up since the reader last looked: what it has of a reply can go.
    given_up: AtomicBool,
    why: OnceLock<Arc<str>>,
    ended: CancellationToken,
    dialer: Arc<Dialer>,
    /// Its endpoint, as calls know it.
    pub(crate) standing: Arc<Standing>,
}

/// How an attempt on one connection ended.
pub(crate) enum Ending {
    /// The peer's answer, and when it was read. `at_fault`: the instance says that it is to blame.
    Answer { kind: Kind, at_fault: bool, codec: Codec, body: Body, at: Time },
    /// The connection ended, or was not open; why, and whether the request may have left.
    Broken { why: Arc<str>, sent: bool },
    /// No new calls on this connection; nothing was sent.
    Leaving,
    /// The provider gave no room for the whole request, and another may.
    Stuck,
    /// The request is larger than the peer takes.
    TooLarge { limit: u32 },
    /// The provider is silent; the attempt can be waited for again.
    Silent,
    /// It takes longer than most calls of its method; the attempt can be waited for again.
    Late,
    /// The deadline passed.
    Deadline { sent: bool },
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Connection {
    fn new(link: Link, dialer: Arc<Dialer>, standing: Arc<Standing>) -> Self {
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            addr: standing.addr,
            link,
            slots: Slots::new(),
            vigil: Vigil::new(),
            meter: Meter::default(),
            began: Time::now(),
            instance: OnceLock::new(),
            leaving: CancellationToken::new(),
            retired: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            why: OnceLock::new(),
            ended: CancellationToken::new(),
            dialer,
            standing,
        }
    }

    /// Whether new calls may be put on it.
    pub(crate) fn is_usable(&self) -> bool {
        self.slots.is_open() && !self.vigil.is_silent()
    }

    /// Whether the provider's preface has been read.
    pub(crate) fn is_greeted(&self) -> bool {
        self.instance.get().is_some()
    }

    /// How many calls the provider takes at once.
    pub(crate) fn capacity(&self) -> usize {
        self.link.credit().peer().max_in_flight as usize
    }

    /// Whether as many calls are in flight as the provider takes.
    pub(crate) fn is_full(&self) -> bool {
        self.slots.in_flight() >= self.capacity()
    }

    /// Sees to it that places which were given back are seen, for a call that waits for one.
    pub(crate) fn look_closely(&self) {
        self.slots.look_closely();
    }

    /// Open, but the provider does not answer at the moment.
    pub(crate) fn is_silent(&self) -> bool {
        self.vigil.is_silent() && !self.ended.is_cancelled()
    }

    /// Whether the provider has been asked whether it is in trouble, and has not answered.
    pub(crate) fn is_suspected(&self) -> bool {
        self.vigil.is_suspected()
    }

    /// Whether anything has come since another connection to the same endpoint broke.
    pub(crate) fn has_outlived(&self) -> bool {
        self.vigil.heard_at() >= self.standing.broke()
    }

    /// Something speaks against the provider: it is asked to show that it lives.
    pub(crate) fn suspect(&self) {
        let now = Time::now();
        if self.vigil.suspect(now) {
            self.ping(now);
        }
    }

    /// A call was not answered in time: is anybody there?
    fn ask(&self) {
        let now = Time::now();
        if self.vigil.ask(now) {
            self.ping(now);
        }
    }

    fn ping(&self, now: Time) {
        let _ = self.link.send(|out| put_signal(out, Kind::Ping, now.nanos()));
    }

    /// Whether calls are admitted, silent or not.
    pub(crate) fn takes_calls(&self) -> bool {
        self.slots.is_open()
    }

    /// Whether it was closed because it is not needed.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// When it was made.
    pub(crate) fn began(&self) -> Instant {
        self.began.instant()
    }

    /// How much of what a connection carries well it has carried lately: 1 is its fill.
    pub(crate) fn carries(&self) -> f64 {
        self.meter.load()
    }

    /// Whether the provider has said that it leaves.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// Whether the connection is over.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Who the provider says it is.
    pub(crate) fn instance(&self) -> Option<InstanceId> {
        self.instance.get().copied().flatten()
    }

    /// Calls that wait for their replies.
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.in_flight()
    }

    /// Why it takes no calls any more.
    pub(crate) fn why(&self) -> Arc<str> {
        let open =
            if self.is_leaving() { "the provider leaves" } else { "the connection is closed" };
        self.why.get().cloned().unwrap_or_else(|| Arc::from(open))
    }

    /// No new calls; the connection closes when the last running one has ended.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        if self.slots.stop_admitting() {
            self.link.shutdown();
        }
        self.standing.endpoint.notify_one();
    }

    /// Takes a place in the table of calls, before anything is sent, so that whatever becomes of
    /// the caller the place is given back. At `late` it is told that it is. `waker` is that of the
    /// poll which goes on.
    pub(crate) fn admit(
        &self,
        deadline: Time,
        late: Time,
        waker: Waker,
    ) -> Result<Waiter<'_>, Refused> {
        let limit = self.link.credit().peer().max_in_flight;
        let waiter = Slots::admit(self, deadline, late, limit as usize, waker)?;
        if self.vigil.is_silent() {
            // Since it was chosen, and those who waited have been told already.
            return Err(Refused::Closed);
        }
        self.dialer.timekeeper.expect(deadline.min(late));
        Ok(waiter)
    }

    /// Takes a place for a call that goes on in a future of its own.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        deadline: Time,
        waker: Waker,
    ) -> Result<Reserved, Refused> {
        let waiter = self.admit(deadline, Time::NEVER, waker)?;
        Ok(Reserved::new(Arc::clone(self), waiter))
    }

    /// Waits for what becomes of a call whose request is on its way. After [`Ending::Silent`] it
    /// may be called again.
    pub(crate) async fn wait(&self, waiter: &mut Waiter<'_>) -> Ending {
        let arrival = (&mut *waiter).await;
        self.judge(waiter, arrival)
    }

    /// What an arrival means for the attempt.
    fn judge(&self, waiter: &mut Waiter<'_>, arrival: Arrival) -> Ending {
        match arrival {
            Arrival::Answer { kind, flags, aux, body, at } => {
                let codec = Codec::from_wire((aux & 0xff) as u8).unwrap_or_default();
                let at_fault = kind != Kind::Reply && flags & flag::FAULT != 0;
                Ending::Answer { kind, at_fault, codec, body, at }
            }
            Arrival::Broken { written } => {
                Ending::Broken { why: self.why(), sent: waiter.left_by(written) }
            }
            Arrival::Silent => Ending::Silent,
            Arrival::Late => Ending::Late,
            Arrival::Deadline => {
                let sent = waiter.stop();
                if sent {
                    self.ask();
                }
                Ending::Deadline { sent }
            }
        }
    }

    /// Nobody waits for this call any more.
    fn cancel(&self, id: u64) {
        self.given_up.store(true, Ordering::Release);
        if let Ok(sent) = self.link.outbox().append(|out| put_signal(out, Kind::Cancel, id))
            && sent.owner
        {
            // The flusher gathers the cancels of callers that are dropped together.
            self.link.outbox().leave();
        }
    }

    /// The last call that had a place has given it back. Another may have been admitted since, before
    /// it was retired.
    fn last_place_freed(&self) {
        if self.retired.load(Ordering::Relaxed) && self.slots.stop_admitting() {
            self.link.shutdown();
        }
    }

    /// The provider leaves: no request after our answer.
    fn leave(&self) {
        if self.is_leaving() {
            return;
        }
        self.leaving.cancel();
        self.slots.stop_admitting();
        let left = self.link.outbox().seal(|out| put_signal(out, Kind::Left, 0));
        if left.is_ok_and(|sent| sent.owner) {
            self.link.outbox().write_or_leave(self.link.stream());
        }
        self.standing.endpoint.notify_one();
    }

    /// Ends the connection. The order matters:
    ///
    /// 1. the reason is stored, so that whoever is told finds it, and that the endpoint is in doubt;
    /// 2. no call is admitted any more, so no attempt starts after the end was seen;
    /// 3. nothing is written any more, so the written position is final;
    /// 4. everybody who waits is told that position, from which each knows whether it has left;
    /// 5. the socket goes, and the endpoint learns that it may dial again.
    fn end(&self, why: &str) {
        let _ = self.why.set(Arc::from(why));
        if !self.is_leaving() && !self.is_retired() {
            self.standing.connection_broke(Time::now());
        }
        self.slots.close();
        let written = self.link.close();
        self.slots.fail_all(written);
        self.link.shutdown();
        self.ended.cancel();
        self.standing.endpoint.notify_one();
    }

    /// What the timekeeper does for this connection: deadlines, pings, silence, and callers who
    /// are to write for all, or to take room, and are not polled. Returns the next deadline.
    pub(crate) fn tick(&self, now: Time) -> Time {
        let next = self.slots.expire(now);
        self.link.outbox().relieve();
        match self.vigil.look(now, self.slots.in_flight() > 0) {
            vigil::Look::Fine => {}
            vigil::Look::Ping => self.ping(now),
            vigil::Look::Silent => {
                self.slots.tell_silent();
                self.standing.endpoint.notify_one();
            }
        }
        // Before the provider has greeted it takes few calls; soon it will take many more.
        if self.is_greeted()
            && self.meter.sample(now, self.slots.in_flight(), self.capacity(), self.dialer.cores)
        {
            // There is more than it carries well: perhaps another is needed beside it.
            self.standing.endpoint.notify_one();
        }
        self.standing.review_gauge(self.slots.in_flight(), now);
        self.standing.queue.relieve(now);
        next
    }
}

/// The error of a reply frame that a client cannot make sense of.
pub(crate) fn bad_reply() -> RpcError {
    RpcError::internal("the provider sent a reply that this client cannot read")
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("number", &self.number)
            .field("addr", &self.addr)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
