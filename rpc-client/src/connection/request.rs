//! The requests of a connection: how they leave it, at once or slowly, whole or in pieces.

use super::{Arrival, Connection, Ending, Waiter};
use crate::clock::Time;
use rpc_core::{
    codec::Codec,
    defaults,
    service::MethodMeta,
    transport::{Body, Ended, Message},
    wire::{Header, Kind, RequestHead, clock_ms, flag, put_frame},
};
use std::time::Duration;

/// Beside tasks that compute, the reader is nudged when nothing has come for so long: what this costs
/// is little beside it, and where answers come faster the runtime looks often enough.
const UNHEARD: Duration = Duration::from_micros(250);

/// What a request says besides its arguments.
pub(crate) struct Request<'a> {
    pub(crate) service: u64,
    pub(crate) method: &'static MethodMeta,
    pub(crate) codec: Codec,
    pub(crate) trace: Option<rpc_core::TraceId>,
    /// The encoded metadata section; empty when there is none.
    pub(crate) metadata: &'a [u8],
    pub(crate) retry: bool,
    pub(crate) now: Time,
    pub(crate) deadline: Time,
}

/// How far a request has come without waiting.
pub(crate) enum Sending {
    /// It is on its way.
    Done,
    /// It is on its way once the caller has written for all, see [`Connection::lead`].
    Leads,
    /// It has to wait, see [`Connection::send_slowly`].
    Waits,
    /// It can't be sent.
    Ended(Ending),
}

impl Connection {
    /// Sends the request of an admitted call, as far as that needs no waiting.
    pub(crate) fn send(
        &self,
        waiter: &mut Waiter<'_>,
        request: &Request<'_>,
        body: &[u8],
    ) -> Sending {
        if body.len() > defaults::SMALL_BODY as usize {
            return Sending::Waits;
        }
        let (header, head) = self.head(waiter, request);
        let put = |out: &mut Vec<u8>| put_request(out, header, &head, request.metadata, body);
        match self.link.outbox().append_request(put) {
            Ok(sent) => {
                waiter.sent(sent);
                if !sent.owner {
                    return Sending::Done;
                }
                if self.slots.in_flight() > 1 {
                    return Sending::Leads;
                }
                self.link.outbox().write_or_leave(self.link.stream());
                Sending::Done
            }
            Err(Ended::Full) => Sending::Waits,
            Err(ended) => Sending::Ended(self.not_sent(ended)),
        }
    }

    /// Writes the request for the others too, after letting them add theirs.
    pub(crate) async fn lead(&self, waiter: &mut Waiter<'_>) {
        waiter.look_away();
        let beside_others = self.link.outbox().lead(self.link.stream()).await;
        if beside_others && Time::now().since(self.vigil.heard_at()) >= UNHEARD {
            self.link.nudge();
        }
    }

    /// Sends a request that has to wait for room or for credit. On `None` it is on its way. What
    /// `elsewhere` makes ends when the request is better made there, and is begun anew whenever
    /// some of it has left: as long as some of it has not, it cannot run here.
    pub(crate) async fn send_slowly<F: Future<Output = ()>>(
        &self,
        waiter: &mut Waiter<'_>,
        request: Request<'_>,
        body: &[u8],
        elsewhere: impl Fn() -> F,
    ) -> Option<Ending> {
        waiter.look_away();
        let mut told = None;
        let sent = if body.len() > defaults::SMALL_BODY as usize {
            self.send_large(waiter, &request, body, elsewhere, &mut told).await
        } else {
            self.send_small(waiter, &request, body, elsewhere(), &mut told).await
        };
        match sent {
            Ok(()) if self.is_silent() => told.map(|_| Ending::Silent),
            Ok(()) => told.filter(|told| matches!(told, Arrival::Late)).map(|_| Ending::Late),
            Err(ending) => Some(ending),
        }
    }

    /// A request that waits for room in the outbox.
    async fn send_small(
        &self,
        waiter: &mut Waiter<'_>,
        request: &Request<'_>,
        body: &[u8],
        elsewhere: impl Future<Output = ()>,
        told: &mut Option<Arrival>,
    ) -> Result<(), Ending> {
        let (header, head) = self.head(waiter, request);
        let put = |out: &mut Vec<u8>| put_request(out, header, &head, request.metadata, body);
        let sent = tokio::select! {
            biased;
            arrival = an_end(waiter, told) => return Err(self.judge(waiter, arrival)),
            sent = self.link.request(put) => sent.map_err(|ended| self.not_sent(ended))?,
            () = elsewhere => return Err(Ending::Stuck),
        };
        waiter.sent(sent);
        if sent.owner {
            self.link.outbox().lead(self.link.stream()).await;
        }
        Ok(())
    }

    /// A large request: piece by piece under credit, while the reply may come early.
    async fn send_large<F: Future<Output = ()>>(
        &self,
        waiter: &mut Waiter<'_>,
        request: &Request<'_>,
        body: &[u8],
        elsewhere: impl Fn() -> F,
        told: &mut Option<Arrival>,
    ) -> Result<(), Ending> {
        let (header, head) = self.head(waiter, request);
        let mut encoded = Body::new();
        head.put(encoded.buffer());
        encoded.buffer().extend_from_slice(request.metadata);
        let message = Message { header, head: &encoded, body };
        let mut begun = tokio::select! {
            biased;
            arrival = an_end(waiter, told) => return Err(self.judge(waiter, arrival)),
            begun = self.begin_large(message) => begun?,
            () = elsewhere() => return Err(Ending::Stuck),
        };
        // Only now does the provider know of the call.
        waiter.partly_sent();
        while !begun.is_complete() {
            tokio::select! {
                biased;
                arrival = an_end(waiter, told) => return Err(self.judge(waiter, arrival)),
                sent = begun.more() => sent.map_err(|ended| self.not_sent(ended))?,
                () = elsewhere() => return Err(Ending::Stuck),
            }
        }
        waiter.all_sent(begun.end());
        self.meter.carried(body.len());
        Ok(())
    }

    /// Sends the first pieces of a large request, if the provider takes as much.
    async fn begin_large<'a>(
        &'a self,
        message: Message<'a>,
    ) -> Result<rpc_core::transport::Sending<'a>, Ending> {
        let limit = self.link.credit().peer().max_message;
        if message.body.len() > limit as usize {
            return Err(Ending::TooLarge { limit });
        }
        self.link.begin_large(message).await.map_err(|ended| self.not_sent(ended))
    }

    fn not_sent(&self, ended: Ended) -> Ending {
        match ended {
            Ended::Sealed => Ending::Leaving,
            Ended::Closed | Ended::Full => Ending::Broken { why: self.why(), sent: false },
        }
    }

    fn head(&self, waiter: &Waiter<'_>, request: &Request<'_>) -> (Header, RequestHead) {
        let header = Header {
            kind: Kind::Request,
            flags: request.flags(),
            aux: u16::from(request.codec.to_wire()),
            id: waiter.id(),
        };
        let head = RequestHead {
            service: request.service,
            method: request.method.id,
            remaining_ms: ceil_ms(request.deadline.since(request.now)),
            sent_ms: clock_ms(request.now.since(self.began)),
            trace: request.trace,
        };
        (header, head)
    }
}

impl Request<'_> {
    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.retry {
            flags |= flag::RETRY;
        }
        if self.trace.is_some() {
            flags |= flag::TRACE;
        }
        if !self.metadata.is_empty() {
            flags |= flag::METADATA;
        }
        flags
    }
}

fn put_request(
    out: &mut Vec<u8>,
    header: Header,
    head: &RequestHead,
    metadata: &[u8],
    body: &[u8],
) {
    put_frame(out, header, |out| {
        head.put(out);
        out.extend_from_slice(metadata);
        out.extend_from_slice(body);
    });
}

/// How a call ends whose request has not left. That it is late, or its provider silent, is of no
/// use before it has, and kept: late is told once, and nobody but a call that is late says so.
async fn an_end(waiter: &mut Waiter<'_>, told: &mut Option<Arrival>) -> Arrival {
    loop {
        match (&mut *waiter).await {
            Arrival::Late => *told = Some(Arrival::Late),
            Arrival::Silent => *told = told.take().or(Some(Arrival::Silent)),
            end => return end,
        }
    }
}

/// Rounded up, so that a call whose time has not passed never travels with none left.
fn ceil_ms(duration: Duration) -> u32 {
    let ms = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
    let ms = duration.as_secs().saturating_mul(1000).saturating_add(ms);
    u32::try_from(ms).unwrap_or(u32::MAX)
}
