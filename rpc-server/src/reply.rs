//! What a server answers: from a handler's end, or a refusal, to a frame.

use crate::{
    handler::{Ended, How},
    peers::Peer,
    router::Route,
    stats::Counters,
};
use rpc_core::{
    RpcError,
    codec::Codec,
    service::HandlerAnswer,
    transport::{Body, Message},
    wire::{Header, Kind, Reason, flag, put_error, put_frame},
};

/// Which call an answer is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallRef {
    pub(crate) id: u64,
    pub(crate) codec: Codec,
    pub(crate) route: Route,
}

/// Why no user code runs for a call, or its answer can't be had.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

/// One answer, ready to travel.
#[derive(Debug)]
pub(crate) struct Outgoing {
    header: Header,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Body(Body),
    Error(Reason, RpcError),
}

impl Outgoing {
    /// The answer for a handler that has ended. A panic's text stays in this process's log: it
    /// may say what a caller should not know.
    pub(crate) fn of(ended: Ended, call: CallRef, peer: &Peer) -> Self {
        let fault = if ended.fault { flag::FAULT } else { 0 };
        let answer = match ended.how {
            How::Answered(answer) => answer,
            How::Panicked(panic) => {
                let (service, method) = names(call, peer);
                tracing::error!(service, method, peer = %peer.addr, panic, "a handler panicked");
                let text = format!("the handler of {service}.{method} panicked; its log says why");
                return Self::error(call.id, peer, Refusal::new(Reason::Panicked, text));
            }
        };
        let (kind, flags, content) = match answer {
            HandlerAnswer::Ok(body) => (Kind::Reply, 0, Content::Body(body)),
            HandlerAnswer::App(body) => (Kind::AppError, fault, Content::Body(body)),
            HandlerAnswer::Error(e) => (Kind::Error, fault, Content::Error(Reason::Handler, e)),
            HandlerAnswer::BadArguments(e) => {
                (Kind::Error, 0, Content::Error(Reason::BadArguments, e))
            }
        };
        if let Content::Body(body) = &content {
            let limit = peer.link.credit().peer().max_message as usize;
            if body.len() > limit {
                return Self::too_large(call, peer, body.len(), limit);
            }
        }
        let aux = aux(call.codec, peer.admission.load());
        Self { header: Header { kind, flags, aux, id: call.id }, content }
    }

    /// A framework error.
    pub(crate) fn error(id: u64, peer: &Peer, refusal: Refusal) -> Self {
        let aux = aux(Codec::Named, peer.admission.load());
        let header = Header { kind: Kind::Error, flags: 0, aux, id };
        let code = match refusal.reason {
            Reason::BadAnswer => rpc_core::RpcCode::ResourceExhausted,
            reason => reason.code(),
        };
        let error = RpcError::new(code, refusal.text);
        Self { header, content: Content::Error(refusal.reason, error) }
    }

    fn too_large(call: CallRef, peer: &Peer, length: usize, limit: usize) -> Self {
        let (service, method) = names(call, peer);
        let text = format!(
            "the answer of {service}.{method} is {length} bytes, the client takes at most \
             {limit}: ask for less at a time, or raise the client's largest message"
        );
        Self::error(call.id, peer, Refusal::new(Reason::BadAnswer, text))
    }

    /// Counts it, once.
    pub(crate) fn count(&self, counters: &Counters) {
        match &self.content {
            Content::Body(_) => Counters::add(&counters.served, 1),
            Content::Error(reason, _) => counters.failed(*reason),
        }
    }

    /// Whether it is a handler's own answer rather than a framework error.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.content, Content::Body(_))
    }

    /// Bytes of its body.
    pub(crate) fn len(&self) -> usize {
        match &self.content {
            Content::Body(body) => body.len(),
            Content::Error(..) => 0,
        }
    }

    /// As a message that needs credit, if it is one.
    pub(crate) fn as_large(&self) -> Option<Message<'_>> {
        let Content::Body(body) = &self.content else { return None };
        let message = Message { header: self.header, head: &[], body };
        message.is_large().then_some(message)
    }

    /// Appends it as one frame; for answers that are not large.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match &self.content {
            Content::Body(body) => Message { header: self.header, head: &[], body }.put(out),
            Content::Error(reason, error) => {
                put_frame(out, self.header, |out| put_error(out, *reason, error));
            }
        }
    }
}

/// Names of service and method, for people.
pub(crate) fn names(call: CallRef, peer: &Peer) -> (&'static str, &'static str) {
    let (service, method) = peer.serving.router.names(call.route);
    (service.registered, method.name)
}

fn aux(codec: Codec, load: u8) -> u16 {
    u16::from_le_bytes([codec.to_wire(), load])
}
