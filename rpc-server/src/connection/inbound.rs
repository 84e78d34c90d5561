//! What the frames of a client mean: requests, cancels, pieces, credit, pings.

use crate::{
    dispatch::{Admitted, Arrival, Dispatcher, understood},
    peers::Peer,
    reply::{Outgoing, Refusal},
    stats::Counters,
};
use rpc_core::{
    defaults,
    transport::{Assembly, Body, Progress, ReadBuffer},
    wire::{
        Header, Kind, ProtocolError, Reason, RequestHead, flag, next_frame, put_signal, read_close,
        read_total,
    },
};
use std::{collections::VecDeque, sync::Arc, task::Context};
use tokio::{task::coop, time::Instant};

/// Frames are handled until this many bytes of answers wait to be sent.
const BATCH_BYTES: usize = 2 * defaults::CHUNK as usize;
/// A batch buffer that has grown beyond this is not kept.
const KEPT_BYTES: usize = 4 * BATCH_BYTES;

/// Handles the frames of one connection; the reader owns it.
#[derive(Debug)]
pub(super) struct Inbound {
    peer: Arc<Peer>,
    dispatcher: Dispatcher,
    assembly: Assembly<Admitted>,
    /// The answers of one read: they leave in one write.
    batch: Vec<u8>,
    /// Position in the stream of the next frame to handle, and up to where cancels were looked for.
    position: u64,
    looked: u64,
    /// Calls that are cancelled further on in what was read, with the position of the cancel.
    cancelled: VecDeque<(u64, u64)>,
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
            position: 0,
            looked: 0,
            cancelled: VecDeque::new(),
            left: false,
        }
    }

    /// Handles the whole frames that wait in `buffer`, which was filled at `now`.
    pub(super) fn handle(
        &mut self,
        buffer: &mut ReadBuffer,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<Handled, Stop> {
        self.dispatcher.begin(now);
        self.look_for_cancels(buffer.data());
        let mut frames = 0;
        while let Some((header, payload, length)) = next_frame(buffer.data())? {
            self.frame(header, payload, now, cx)?;
            buffer.consume(length);
            self.position += length as u64;
            frames += 1;
            // Handlers that are polled here share this task's budget: without any left, all that
            // they await would look pending.
            if self.batch.len() >= BATCH_BYTES || !coop::has_budget_remaining() {
                return Ok(Handled::Some);
            }
        }
        Ok(Handled::All(frames))
    }

    /// Hands the answers of the batch to the outbox.
    pub(super) fn send(&mut self) {
        self.dispatcher.settle();
        if self.batch.is_empty() {
            return;
        }
        // A connection that has ended is noticed by who reads.
        let _ = self.peer.link.send(|out| out.extend_from_slice(&self.batch));
        self.batch.clear();
        if self.batch.capacity() > KEPT_BYTES {
            self.batch = Vec::new();
        }
    }

    /// Whether the peer has left: no request will come, and none is half there.
    pub(super) fn is_over(&self) -> bool {
        self.left && self.assembly.is_empty()
    }

    /// Whether large bodies are on their way.
    pub(super) fn is_receiving(&self) -> bool {
        !self.assembly.is_empty()
    }

    /// Forgets large bodies whose call's time has passed.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut late = Vec::new();
        self.assembly.retain(|admitted| {
            let keep = now < admitted.deadline();
            if !keep {
                late.push(admitted.id());
            }
            keep
        });
        for id in late {
            let text = "the time for the call passed before all of it had arrived";
            self.refuse(id, Refusal::new(Reason::TimePassed, text));
        }
    }

    /// Applies every cancel of what was read before any request of it is polled.
    fn look_for_cancels(&mut self, mut data: &[u8]) {
        let seen = usize::try_from(self.looked.saturating_sub(self.position)).unwrap_or(0);
        let mut at = self.position + seen as u64;
        data = data.get(seen..).unwrap_or_default();
        // What breaks the rules is found again when its turn comes.
        while let Ok(Some((header, _, length))) = next_frame(data) {
            if header.kind == Kind::Cancel {
                self.cancelled.push_back((header.id, at));
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

    fn frame(
        &mut self,
        header: Header,
        mut payload: &[u8],
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let must_know = flag::MUST_UNDERSTAND & !rpc_core::wire::CALL_FLAGS_UNDERSTOOD;
        let skippable = matches!(header.kind, Kind::Request | Kind::Skipped);
        if header.flags & must_know != 0 && !skippable {
            return Err(ProtocolError("a frame has flags that must be understood").into());
        }
        match header.kind {
            Kind::Request => self.request(header, payload, now, cx)?,
            Kind::Data => match self.assembly.data(header.id, payload, &mut self.batch)? {
                Progress::More => {}
                Progress::Complete(admitted, body) => self.complete(admitted, body, now, cx),
            },
            Kind::Cancel => {
                // Applied already when it was read.
                self.cancelled.pop_front_if(|(_, at)| *at == self.position);
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
            Kind::Pong | Kind::Skipped => {}
            Kind::Reply | Kind::AppError | Kind::Error | Kind::Leaving => {
                return Err(ProtocolError("a client sent a frame that only servers send").into());
            }
        }
        Ok(())
    }

    fn request(
        &mut self,
        header: Header,
        mut payload: &[u8],
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<(), ProtocolError> {
        let id = header.id;
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
        // A flag that is not known may have changed how the rest is laid out: refused unread.
        let codec = match understood(header) {
            Ok(codec) => codec,
            Err(refusal) => {
                self.refuse(id, refusal);
                return Ok(());
            }
        };
        let (head, metadata) = RequestHead::read(header.flags, &mut payload)?;
        let chunked = header.flags & flag::CHUNKED != 0;
        let total = if chunked { read_total(&mut payload)? } else { 0 };
        let size = if chunked { total as usize } else { payload.len() };
        let admitted = if self.cancelled.iter().any(|(cancelled, _)| *cancelled == id) {
            Counters::add(&self.peer.serving.counters.cancelled, 1);
            None
        } else {
            let arrival = Arrival { id, codec, head, metadata, size, at: now };
            match self.dispatcher.admit(&arrival)? {
                Ok(admitted) => Some(admitted),
                Err(refusal) => {
                    self.refuse(id, refusal);
                    None
                }
            }
        };
        let Some(mut admitted) = admitted else {
            if chunked {
                // The piece belongs to nothing; the connection gets its credit back.
                self.assembly.data(id, payload, &mut self.batch)?;
            }
            return Ok(());
        };
        if !chunked {
            self.run(admitted, Body::copy_of(payload), now, cx);
            return Ok(());
        }
        self.dispatcher.hold(&mut admitted, size);
        if let Progress::Complete(admitted, body) =
            self.assembly.begin(id, admitted, total, payload, &mut self.batch)?
        {
            self.complete(admitted, body, now, cx);
        }
        Ok(())
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
