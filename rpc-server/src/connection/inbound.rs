//! What the frames of a client mean: requests, cancels, pieces, credit, pings.

use super::cancels::Cancels;
use crate::{
    dispatch::{Admitted, Arrival, Dispatcher},
    peers::Peer,
    reply::{Outgoing, Refusal},
    stats::Counters,
};
use rpc_core::{
    defaults,
    transport::{Assembly, Body, Calm, Progress, ReadBuffer, Room},
    wire::{
        HEADER, Header, Kind, ProtocolError, Reason, RequestHead, flag, next_frame, next_header,
        put_signal, read_close, read_total,
    },
};
use std::{sync::Arc, task::Context};
use tokio::{task::coop, time::Instant};

/// Frames are handled until this many bytes of answers wait to be sent.
const BATCH_BYTES: usize = 2 * defaults::CHUNK as usize;
/// A batch buffer that has grown beyond this is not kept.
const KEPT_BYTES: usize = 4 * BATCH_BYTES;

/// Bytes of the total that leads the first piece of a large body.
const TOTAL: usize = 4;

/// Handles the frames of one connection; the reader owns it.
#[derive(Debug)]
pub(super) struct Inbound {
    peer: Arc<Peer>,
    dispatcher: Dispatcher,
    assembly: Assembly<Admitted>,
    /// The answers of one read: they leave in one write.
    batch: Vec<u8>,
    calm: Calm,
    /// Up to which position in the stream cancels were looked for.
    looked: u64,
    cancels: Cancels,
    /// When the last piece of a large body began or ended.
    last_piece: Instant,
    left: bool,
}

/// How far a buffer was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handled {
    /// Every whole frame; how many these were.
    All(usize),
    /// Others are to have their turn first.
    Some,
}

/// Why no more frames are handled.
#[derive(Debug)]
pub(super) enum Stop {
    /// The peer broke a rule.
    Broken(ProtocolError),
    /// The peer said why it ends the connection.
    Closed(String),
}

impl From<ProtocolError> for Stop {
    fn from(error: ProtocolError) -> Self {
        Self::Broken(error)
    }
}

impl Inbound {
    pub(super) fn new(peer: Arc<Peer>, greeted: Instant) -> Self {
        let assembly = Assembly::new(peer.serving.limits.announced());
        Self {
            dispatcher: Dispatcher::new(Arc::clone(&peer), greeted),
            peer,
            assembly,
            batch: Vec::new(),
            calm: Calm::default(),
            looked: 0,
            cancels: Cancels::default(),
            last_piece: greeted,
            left: false,
        }
    }

    /// Handles the whole frames that wait in `buffer`, which was filled at `filled`, and what there
    /// is of a piece.
    pub(super) fn handle(
        &mut self,
        buffer: &mut ReadBuffer,
        filled: Instant,
        cx: &mut Context<'_>,
    ) -> Result<Handled, Stop> {
        self.dispatcher.begin(filled);
        self.assembly.take(buffer);
        if !self.assembly.is_waiting() {
            self.look_for_cancels(buffer);
        }
        let mut frames = 0;
        loop {
            // What is behind others has waited for them, too.
            let now = self.dispatcher.now();
            self.assembly.take(buffer);
            if self.assembly.is_waiting() {
                return Ok(Handled::All(frames));
            }
            match self.assembly.settle(&mut self.batch) {
                Some(Progress::Complete(admitted, body)) => {
                    self.last_piece = now;
                    self.complete(admitted, body, now, cx);
                }
                Some(Progress::More) => self.last_piece = now,
                None if self.next(buffer, now, cx)? => {
                    if self.assembly.is_waiting() {
                        continue;
                    }
                }
                None => return Ok(Handled::All(frames)),
            }
            frames += 1;
            // Handlers that are polled here share this task's budget: without any left, all that
            // they await would look pending.
            if self.batch.len() >= BATCH_BYTES
                || !coop::has_budget_remaining()
                || self.dispatcher.takes_turns()
            {
                return Ok(Handled::Some);
            }
        }
    }

    /// Handles one frame, of one with a piece its head; `false` when more must be read first.
    fn next(
        &mut self,
        buffer: &mut ReadBuffer,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<bool, Stop> {
        let Some((header, length)) = next_header(buffer.data())? else { return Ok(false) };
        let payload = &buffer.data()[HEADER..];
        let payload = &payload[..length.min(payload.len())];
        let is_whole = payload.len() == length;
        let must_know = flag::MUST_UNDERSTAND & !rpc_core::wire::CALL_FLAGS_UNDERSTOOD;
        let skippable = matches!(header.kind, Kind::Request | Kind::Skipped);
        if header.flags & must_know != 0 && !skippable {
            return Err(ProtocolError("a frame has flags that must be understood").into());
        }
        let taken = match header.kind {
            Kind::Data => {
                self.assembly.data(header.id, length)?;
                0
            }
            Kind::Request if header.flags & flag::CHUNKED != 0 => {
                let head = RequestHead::length(header.flags, payload).map(|head| head + TOTAL);
                if !is_whole && head.is_none_or(|head| payload.len() < head) {
                    return Ok(false);
                }
                self.large_request(header, payload, length, now)?
            }
            _ if !is_whole => return Ok(false),
            Kind::Request => {
                self.request(header, payload, now, cx)?;
                length
            }
            _ => {
                self.frame(header, payload, buffer.position())?;
                length
            }
        };
        buffer.consume(HEADER + taken);
        Ok(true)
    }

    /// Hands the answers of the batch to the outbox.
    pub(super) fn send(&mut self) {
        self.dispatcher.settle();
        if self.batch.is_empty() {
            return;
        }
        // A connection that has ended is noticed by who reads.
        let _ = self.peer.link.send(|out| out.extend_from_slice(&self.batch));
        self.calm.clear(&mut self.batch);
        if self.batch.capacity() > KEPT_BYTES {
            self.batch = Vec::new();
        }
    }

    /// Whether the peer has left: no request will come, and none is half there.
    pub(super) fn is_over(&self) -> bool {
        self.left && self.assembly.is_empty()
    }

    /// Where the rest of the piece that is arriving is to be read to.
    pub(super) fn room(&mut self) -> Option<Room<'_>> {
        self.assembly.room()
    }

    /// Whether a piece is not complete.
    pub(super) fn is_within_piece(&self) -> bool {
        self.assembly.is_waiting()
    }

    /// Whether large bodies are on their way.
    pub(super) fn is_receiving(&self) -> bool {
        !self.assembly.is_empty()
    }

    /// Nothing was read for a while: that no piece came is not the peer's fault.
    pub(super) fn resume(&mut self, now: Instant) {
        self.last_piece = now;
    }

    /// Forgets large bodies whose call's time has passed, and all of them when none gets on: a
    /// length that was only declared keeps others out. A client that shares a slow network among
    /// many bodies sends some piece or other all the time, and is owed no credit for the next.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_stuck = now - self.last_piece >= defaults::SLOW_PEER_TIMEOUT;
        let mut late = Vec::new();
        self.assembly.retain(|admitted| {
            let keep = now < admitted.deadline() && !is_stuck;
            if !keep {
                late.push((admitted.id(), admitted.deadline()));
            }
            keep
        });
        for (id, deadline) in late {
            let refusal = if now < deadline {
                let limit = defaults::SLOW_PEER_TIMEOUT;
                let text = format!("no piece of the request, or of any other, came for {limit:?}");
                Refusal::new(Reason::Overloaded, text)
            } else {
                let text = "the time for the call passed before all of it had arrived";
                Refusal::new(Reason::TimePassed, text)
            };
            self.refuse(id, refusal);
        }
    }

    /// Applies every cancel of what was read before any request of it is polled.
    fn look_for_cancels(&mut self, buffer: &ReadBuffer) {
        let seen = usize::try_from(self.looked.saturating_sub(buffer.position())).unwrap_or(0);
        let mut at = buffer.position() + seen as u64;
        let mut data = buffer.data().get(seen..).unwrap_or_default();
        // What breaks the rules is found again when its turn comes.
        while let Ok(Some((header, _, length))) = next_frame(data) {
            if header.kind == Kind::Cancel {
                self.cancels.found(header.id, at);
                if self.peer.running.cancel(header.id) || self.assembly.forget(header.id).is_some()
                {
                    Counters::add(&self.peer.serving.counters.cancelled, 1);
                }
            }
            data = &data[length..];
            at += length as u64;
        }
        self.looked = at;
    }

    /// A frame that is no request and no piece, from this position in the stream.
    fn frame(&mut self, header: Header, mut payload: &[u8], position: u64) -> Result<(), Stop> {
        match header.kind {
            Kind::Cancel => {
                // Applied already when it was read.
                self.cancels.passed(header.id, position);
            }
            Kind::Ping => put_signal(&mut self.batch, Kind::Pong, header.id),
            Kind::Credit => {
                self.peer.link.credit().grant(header.id, read_total(&mut payload)?)?;
            }
            Kind::Left => {
                self.left = true;
                self.peer.tasks.close();
            }
            Kind::Close => return Err(Stop::Closed(read_close(payload))),
            Kind::Pong | Kind::Skipped | Kind::Request | Kind::Data => {}
            Kind::Reply | Kind::AppError | Kind::Error | Kind::Leaving => {
                return Err(ProtocolError("a client sent a frame that only servers send").into());
            }
        }
        Ok(())
    }

    /// A request whose body is all there.
    fn request(
        &mut self,
        header: Header,
        mut payload: &[u8],
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<(), ProtocolError> {
        self.may_begin(header.id)?;
        // A flag that is not known may have changed how the rest is laid out: refused unread.
        let codec = match self.dispatcher.codec(header) {
            Ok(codec) => codec,
            Err(refusal) => {
                self.refuse(header.id, refusal);
                return Ok(());
            }
        };
        let (head, metadata) = RequestHead::read(header.flags, &mut payload)?;
        let size = payload.len();
        if size > defaults::SMALL_BODY as usize {
            return Err(ProtocolError("a large body that does not come in pieces"));
        }
        let (id, retry) = (header.id, header.flags & flag::RETRY != 0);
        let arrival = Arrival { id, codec, head, retry, metadata, size, at: now };
        if let Some(admitted) = self.admit(&arrival)? {
            self.run(admitted, Body::copy_of(payload), now, cx);
        }
        Ok(())
    }

    /// The head of a large request, of whose frame `payload` is there, of `length` bytes, and how
    /// many of them were taken.
    fn large_request(
        &mut self,
        header: Header,
        payload: &[u8],
        length: usize,
        now: Instant,
    ) -> Result<usize, ProtocolError> {
        let id = header.id;
        self.may_begin(id)?;
        // Flags that are not known do not change the layout, so that the credit of the piece can
        // be given back.
        let mut rest = payload;
        let (head, metadata) = RequestHead::read(header.flags, &mut rest)?;
        let total = read_total(&mut rest)?;
        let taken = payload.len() - rest.len();
        let admitted = match self.dispatcher.codec(header) {
            Ok(codec) => {
                let size = total as usize;
                let retry = header.flags & flag::RETRY != 0;
                self.admit(&Arrival { id, codec, head, retry, metadata, size, at: now })?
            }
            Err(refusal) => {
                self.refuse(id, refusal);
                None
            }
        };
        match admitted {
            Some(mut admitted) => {
                self.dispatcher.hold(&mut admitted, total as usize);
                self.last_piece = now;
                let start = self.assembly.begin(id, admitted, total, length - taken, rest)?;
                Ok(taken + start)
            }
            // The piece belongs to nothing; the connection gets its credit back.
            None => self.assembly.data(id, length - taken).map(|()| taken),
        }
    }

    /// Whether a request may have this id, and come at all.
    fn may_begin(&self, id: u64) -> Result<(), ProtocolError> {
        if self.left {
            return Err(ProtocolError("a request after the client said that it had left"));
        }
        if id == 0 {
            return Err(ProtocolError("a request with the call id 0"));
        }
        // Calls that ended where they were read need no looking up.
        if self.peer.admission.calls() > 0 && self.peer.running.contains(id)
            || self.assembly.contains(id)
        {
            return Err(ProtocolError("a request with the id of a call that is running"));
        }
        Ok(())
    }

    /// A request that may run. One that was cancelled further on in what was read, or is refused,
    /// may not.
    fn admit(&mut self, arrival: &Arrival<'_>) -> Result<Option<Admitted>, ProtocolError> {
        if self.cancels.is_ahead(arrival.id) {
            Counters::add(&self.peer.serving.counters.cancelled, 1);
            return Ok(None);
        }
        match self.dispatcher.admit(arrival)? {
            Ok(admitted) => Ok(Some(admitted)),
            Err(refusal) => {
                self.refuse(arrival.id, refusal);
                Ok(None)
            }
        }
    }

    /// A large body is there; its call's time may have passed meanwhile.
    fn complete(&mut self, admitted: Admitted, body: Body, now: Instant, cx: &mut Context<'_>) {
        if now >= admitted.deadline() {
            let text = "the time for the call passed before all of it had arrived";
            self.refuse(admitted.id(), Refusal::new(Reason::TimePassed, text));
        } else {
            self.run(admitted, body, now, cx);
        }
    }

    fn run(&mut self, admitted: Admitted, body: Body, now: Instant, cx: &mut Context<'_>) {
        let id = admitted.id();
        if let Err(refusal) = self.dispatcher.run(admitted, body, now, cx, &mut self.batch) {
            self.refuse(id, refusal);
        }
    }

    fn refuse(&mut self, id: u64, refusal: Refusal) {
        let outgoing = Outgoing::error(id, &self.peer, refusal);
        outgoing.count(&self.peer.serving);
        outgoing.put(&mut self.batch);
    }
}
