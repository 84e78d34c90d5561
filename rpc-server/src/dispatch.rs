//! One request, policy by policy: admit, route, deadline, run, answer.
//!
//! [`Dispatcher::admit`] decides from the head of a request alone, so that a large body is not
//! even received when it is refused. [`Dispatcher::run`] is the only place that starts user code.

use crate::{
    gates::{Gates, Place},
    handler::{Ended, Handler},
    inline::{HEAVY, Meter},
    limits::Permit,
    peers::Peer,
    reply::{CallRef, Outgoing, Refusal},
    router::{NoRoute, Route},
    serving::Access,
    task::{First, Task},
};
use rpc_core::{
    CallContext, MetadataEntry, TraceId,
    codec::Codec,
    transport::{Body, DelayMeter},
    wire::{
        CALL_FLAGS_UNDERSTOOD, Header, ProtocolError, Reason, RequestHead, flag, read_metadata,
    },
};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// Calls that have less time left than this are not polled behind others by the clock as it was
/// read before those: a single poll may have blocked for that long.
const NEAR: Duration = Duration::from_secs(1);
/// After so many tasks that a reader begins, others have a turn: what has ended is not held by
/// thousands that have not begun, and who does not read its answers is noticed.
const TURN: u32 = 64;

/// Decides about the requests of one connection; the reader owns it.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    peer: Arc<Peer>,
    delay: DelayMeter,
    /// When the peer's preface was read: where both clocks start.
    greeted: Instant,
    meter: Meter<Route>,
    /// Tasks that were begun since others had a turn.
    begun: u32,
    /// The memory of a context, for the next handler that is polled here.
    spare: CallContext,
    /// Whether new calls are refused; looked at once for a batch.
    draining: bool,
    /// Answers since the last [`settle`](Self::settle), so that short calls share one counting.
    served: Option<(Route, u64)>,
}

/// The head of a request, as it was read.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) id: u64,
    pub(crate) codec: Codec,
    pub(crate) head: RequestHead,
    /// It says that it is a retry.
    pub(crate) retry: bool,
    pub(crate) metadata: &'a [u8],
    /// Bytes of the body, which may not be there yet.
    pub(crate) size: usize,
    /// When it was read.
    pub(crate) at: Instant,
}

/// A request that may run.
#[derive(Debug)]
pub(crate) struct Admitted {
    call: CallRef,
    deadline: Instant,
    trace: Option<TraceId>,
    metadata: Option<Arc<[MetadataEntry]>>,
    retry: bool,
    /// When its body was there, and its place within the limits of its method, if there are any.
    at: Instant,
    place: Option<Place>,
    /// Held while the body arrives.
    permit: Option<Permit>,
}

impl Dispatcher {
    pub(crate) fn new(peer: Arc<Peer>, greeted: Instant) -> Self {
        let (delay, meter) = (DelayMeter::default(), Meter::new());
        Self {
            peer,
            delay,
            greeted,
            meter,
            begun: 0,
            spare: CallContext::default(),
            draining: false,
            served: None,
        }
    }

    /// Whether the request may run.
    ///
    /// # Errors
    ///
    /// The outer one ends the connection, the inner one is for this call.
    pub(crate) fn admit(
        &mut self,
        arrival: &Arrival<'_>,
    ) -> Result<Result<Admitted, Refusal>, ProtocolError> {
        let metadata = match arrival.metadata {
            [] => None,
            section => Some(read_metadata(section)?),
        };
        Ok(self.decide(arrival, metadata))
    }

    fn decide(
        &mut self,
        arrival: &Arrival<'_>,
        metadata: Option<Arc<[MetadataEntry]>>,
    ) -> Result<Admitted, Refusal> {
        self.not_draining()?;
        self.within_limits(arrival.size, metadata_bytes(metadata.as_deref()))?;
        let route = self.route(arrival.head)?;
        let deadline = self.deadline(arrival).map_err(|refusal| refusal.of(route))?;
        let call = CallRef { id: arrival.id, codec: arrival.codec, route };
        let (trace, retry, at) = (arrival.head.trace, arrival.retry, arrival.at);
        let (place, permit) = (None, None);
        let admitted = Admitted { call, deadline, trace, metadata, retry, at, place, permit };
        // The place is taken when the body is there: one that is slow to come keeps nobody out.
        self.limits(&admitted, |gates| gates.check(deadline - arrival.at))?;
        Ok(admitted)
    }

    /// The codec of a request, if the peer may call and this version understands all that it needs.
    /// In this order, so that who may not call learns nothing.
    pub(crate) fn codec(&self, header: Header) -> Result<Codec, Refusal> {
        let shown = match self.peer.access {
            Access::Granted => return understood(header),
            Access::NoToken => "none",
            Access::WrongToken => "another",
        };
        let text = format!(
            "this provider takes calls from those clients alone that show a token of its own, and \
             the caller's showed {shown}: set `token` of the client, or the variable RPC_TOKEN"
        );
        Err(Refusal::new(Reason::NotPermitted, text))
    }

    /// Runs an admitted request whose body was there at `now`. An answer that is ready at once is
    /// appended to `out`.
    ///
    /// # Errors
    ///
    /// Since it was admitted its time has passed, or the limits of its method have been reached.
    pub(crate) fn run(
        &mut self,
        mut admitted: Admitted,
        body: Body,
        mut now: Instant,
        cx: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut left = admitted.deadline - now;
        if left < NEAR && self.meter.has_polled() {
            now = Instant::now();
            left = admitted.deadline - now;
            if left.is_zero() {
                let text = "the time for the call passed behind others of its connection";
                return Err(Refusal::new(Reason::TimePassed, text).of(admitted.call.route));
            }
        }
        admitted.place = self.limits(&admitted, |gates| gates.enter(now, left))?;
        admitted.at = now;
        if body.total() > HEAVY {
            self.run_in_task(admitted, body, First::Heavy);
        } else if self.peer.serving.router.pace(admitted.call.route).is_short() {
            self.run_here(admitted, body, cx, out);
        } else {
            self.run_in_task(admitted, body, First::Timed);
        }
        Ok(())
    }

    /// A large body is about to arrive: counts it as held from now on.
    pub(crate) fn hold(&self, admitted: &mut Admitted, size: usize) {
        let size = size + metadata_bytes(admitted.metadata.as_deref());
        admitted.permit = Some(self.peer.admission.permit(size));
    }

    /// A batch of requests begins; the clock was read at `now`.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.meter.begin(now);
        self.draining = self.peer.serving.draining().is_cancelled();
    }

    /// The clock as it was read last: when the batch began, or since.
    pub(crate) fn now(&self) -> Instant {
        self.meter.since()
    }

    /// Whether others are to have their turn now, because of all that was begun.
    pub(crate) fn takes_turns(&mut self) -> bool {
        let many = self.begun >= TURN;
        if many {
            self.begun = 0;
        }
        many
    }

    /// A batch of requests ends.
    pub(crate) fn settle(&mut self) {
        let router = &self.peer.serving.router;
        self.meter.settle(|route| router.pace(route));
        if let Some((route, count)) = self.served.take() {
            router.counters(route).add_served(count);
        }
    }

    /// Counts an answer together with those before it of the same method.
    fn count_served(&mut self, route: Route) {
        match &mut self.served {
            Some((same, count)) if *same == route => *count += 1,
            other => {
                if let Some((route, count)) = other.replace((route, 1)) {
                    self.peer.serving.router.counters(route).add_served(count);
                }
            }
        }
    }

    fn not_draining(&self) -> Result<(), Refusal> {
        if self.draining {
            let text = "this server is leaving and takes no new calls; another instance will";
            return Err(Refusal::new(Reason::Draining, text));
        }
        Ok(())
    }

    fn within_limits(&self, size: usize, metadata: usize) -> Result<(), Refusal> {
        let largest = self.peer.serving.limits.max_message;
        if size > largest as usize {
            let text = format!(
                "the request is {size} bytes, this server takes at most {largest}: send less at a \
                 time, or raise the server's `max_message`"
            );
            return Err(Refusal::new(Reason::TooLarge, text));
        }
        let refuse = |text| Refusal::new(Reason::Overloaded, text);
        self.peer.admission.check(size + metadata).map_err(refuse)
    }

    fn route(&self, head: RequestHead) -> Result<Route, Refusal> {
        let router = &self.peer.serving.router;
        router.find(head.service, head.method).map_err(|missing| match missing {
            NoRoute::Service => Refusal::new(
                Reason::UnknownService,
                format!(
                    "no service with the id {:#018x} is served here; these are: {}",
                    head.service,
                    listed(&router.registered())
                ),
            ),
            NoRoute::Method(service) => Refusal::new(
                Reason::UnknownMethod,
                format!(
                    "{} has no method with the id {:#010x} here: the caller's contract is newer or older \
                     than this provider; it has: {}",
                    service.registered,
                    head.method,
                    listed(&service.methods.iter().map(|m| m.name).collect::<Vec<_>>())
                ),
            ),
        })
    }

    /// When the call must end: what was left for it, less what it lost on the way.
    fn deadline(&mut self, arrival: &Arrival<'_>) -> Result<Instant, Refusal> {
        let remaining = Duration::from_millis(arrival.head.remaining_ms.into());
        let lost = self.delay.excess(arrival.at - self.greeted, arrival.head.sent_ms);
        match remaining.checked_sub(lost) {
            Some(left) if !left.is_zero() => Ok(arrival.at + left),
            _ => Err(Refusal::new(
                Reason::TimePassed,
                format!(
                    "the time for the call had passed when it arrived: {remaining:?} was left for \
                     it and it spent {lost:?} on the way"
                ),
            )),
        }
    }

    /// Asks the limits of the method, if it has any.
    fn limits<T>(
        &self,
        admitted: &Admitted,
        ask: impl FnOnce(&Arc<Gates>) -> Result<T, String>,
    ) -> Result<Option<T>, Refusal> {
        let route = admitted.call.route;
        let Some(gates) = self.peer.serving.router.limits(route) else { return Ok(None) };
        ask(gates).map(Some).map_err(|text| Refusal::new(Reason::Overloaded, text).of(route))
    }

    /// Polls the handler once, here; if it waits it goes on in a task.
    fn run_here(
        &mut self,
        admitted: Admitted,
        body: Body,
        cx: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let size = body.total();
        let spare = std::mem::take(&mut self.spare);
        let mut handler = self.handler(&admitted, body, spare);
        let router = &self.peer.serving.router;
        let polled = handler.poll(router, cx);
        self.meter.polled(admitted.call.route, |route| router.pace(route));
        match polled {
            Poll::Ready(ended) => {
                self.spare = handler.into_context();
                self.answer(admitted, ended, out);
            }
            Poll::Pending => self.running_task(admitted, size).spawn_rest(handler),
        }
    }

    fn run_in_task(&mut self, admitted: Admitted, body: Body, first: First) {
        let size = body.total();
        let handler = self.handler(&admitted, body, CallContext::default());
        self.meter.spawned();
        self.begun += 1;
        self.running_task(admitted, size).spawn_run(handler, first);
    }

    fn answer(&mut self, mut admitted: Admitted, ended: Ended, out: &mut Vec<u8>) {
        // First, so that the answer tells the load without this call.
        if let Some(place) = admitted.place.take()
            && ended.is_success()
        {
            place.answered();
        }
        let outgoing = Outgoing::of(ended, admitted.call, &self.peer);
        if outgoing.is_answer() {
            self.count_served(admitted.call.route);
            outgoing.count_app_error(&self.peer.serving);
        } else {
            outgoing.count(&self.peer.serving);
        }
        match outgoing.as_large() {
            None => outgoing.put(out),
            Some(message) => {
                // Otherwise it is sent, or nobody is there any more.
                if let Ok(false) = self.peer.link.try_send_large(message) {
                    self.task(admitted, 0, None).spawn_send(outgoing);
                }
            }
        }
    }

    /// A handler, its context in the memory of `spare`.
    fn handler(&self, admitted: &Admitted, body: Body, spare: CallContext) -> Handler {
        let context = spare.renewed(
            self.peer.addr,
            Some(admitted.deadline),
            admitted.trace,
            admitted.metadata.clone(),
            admitted.retry,
        );
        Handler::new(admitted.call.route, body, admitted.call.codec, context)
    }

    /// A task whose handler runs: counted among those of its method, limited or not.
    fn running_task(&self, mut admitted: Admitted, size: usize) -> Task {
        let place = admitted.place.take().unwrap_or_else(|| {
            self.peer.serving.router.gates(admitted.call.route).count(admitted.at)
        });
        let size = size + metadata_bytes(admitted.metadata.as_deref());
        self.task(admitted, size, Some(place))
    }

    fn task(&self, admitted: Admitted, size: usize, place: Option<Place>) -> Task {
        let Admitted { call, deadline, permit, .. } = admitted;
        let permit = permit.unwrap_or_else(|| self.peer.admission.permit(size));
        Task { peer: Arc::clone(&self.peer), call, deadline, permit, place, queued: None }
    }
}

impl Admitted {
    /// When the call must end.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The call's id.
    pub(crate) fn id(&self) -> u64 {
        self.call.id
    }
}

/// What metadata takes up in memory, about: as much more than on the wire as the entries are many.
fn metadata_bytes(metadata: Option<&[MetadataEntry]>) -> usize {
    let bytes = |e: &MetadataEntry| size_of::<MetadataEntry>() + e.key.len() + e.value.len();
    metadata.map_or(0, |entries| entries.iter().map(bytes).sum())
}

/// The codec, if this version understands all that the request needs.
///
/// # Errors
///
/// A flag that must be understood, or a codec, that is not known.
fn understood(header: Header) -> Result<Codec, Refusal> {
    let unknown = header.flags & flag::MUST_UNDERSTAND & !CALL_FLAGS_UNDERSTOOD;
    if unknown != 0 {
        let text = format!("the request has flags {unknown:#04x} that this server does not know");
        return Err(Refusal::new(Reason::Unsupported, text));
    }
    let [number, _] = header.aux.to_le_bytes();
    Codec::from_wire(number).ok_or_else(|| {
        let text = format!("the request has the codec {number} that this server does not know");
        Refusal::new(Reason::Unsupported, text)
    })
}

/// Some names, for an error text.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 16;
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}
