//! What a server answers: from a handler's end, or a refusal, to a frame.

use crate::{
    handler::{Ended, How},
    peers::Peer,
    router::Route,
    serving::Serving,
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
    /// The method, if it is known.
    pub(crate) route: Option<Route>,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), route: None }
    }

    /// The same, for a call of this method.
    pub(crate) fn of(self, route: Route) -> Self {
        Self { route: Some(route), ..self }
    }
}

/// One answer, ready to travel.
#[derive(Debug)]
pub(crate) struct Outgoing {
    header: Header,
    content: Content,
    /// The method, if it is known.
    route: Option<Route>,
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
            How::BadArguments(error) => {
                let refusal = Refusal::new(Reason::BadArguments, error.message());
                return Self::error(call.id, peer, refusal.of(call.route));
            }
            How::Panicked(panic) => {
                let (service, method) = names(call, peer);
                tracing::error!(service, method, peer = %peer.addr, panic, "a handler panicked");
                let text = format!(
                    "the handler of {service}.{method} panicked; the provider's log says why"
                );
                let panicked = Refusal::new(Reason::Panicked, text).of(call.route);
                return Self::error(call.id, peer, panicked);
            }
        };
        let (kind, flags, content) = match answer {
            HandlerAnswer::Ok(body) => (Kind::Reply, 0, Content::Body(body)),
            HandlerAnswer::App(body) => (Kind::AppError, fault, Content::Body(body)),
            HandlerAnswer::Error(e) => (Kind::Error, fault, Content::Error(Reason::Handler, e)),
            HandlerAnswer::Unencodable(e) => {
                (Kind::Error, fault, Content::Error(Reason::BadAnswer, e))
            }
        };
        if let Content::Body(body) = &content {
            let limit = peer.link.credit().peer().max_message as usize;
            if body.len() > limit {
                return Self::too_large(call, peer, body.len(), limit);
            }
        }
        let route = Some(call.route);
        let aux = aux(call.codec, peer.load(route));
        Self { header: Header { kind, flags, aux, id: call.id }, content, route }
    }

    /// A framework error.
    pub(crate) fn error(id: u64, peer: &Peer, refusal: Refusal) -> Self {
        let aux = aux(Codec::Named, peer.load(refusal.route));
        let header = Header { kind: Kind::Error, flags: 0, aux, id };
        let error = RpcError::new(refusal.reason.code(), refusal.text);
        Self { header, content: Content::Error(refusal.reason, error), route: refusal.route }
    }

    fn too_large(call: CallRef, peer: &Peer, length: usize, limit: usize) -> Self {
        let (service, method) = names(call, peer);
        let text = format!(
            "the answer of {service}.{method} is {length} bytes, the client takes at most \
             {limit}: ask for less at a time, or raise `max_message` of the client"
        );
        Self::error(call.id, peer, Refusal::new(Reason::BadAnswer, text).of(call.route))
    }

    /// Counts it, once.
    pub(crate) fn count(&self, serving: &Serving) {
        let method = self.route.map(|route| serving.router.counters(route));
        match &self.content {
            Content::Body(_) => {
                if let Some(method) = method {
                    method.add_served(1);
                }
            }
            Content::Error(reason, _) => {
                serving.counters.failed(*reason);
                if let Some(method) = method {
                    method.failed(*reason);
                }
            }
        }
        self.count_app_error(serving);
    }

    /// Counts it if it is an error of the application; the rest of [`count`](Self::count) may be
    /// put off for many answers of a method.
    pub(crate) fn count_app_error(&self, serving: &Serving) {
        if self.header.kind == Kind::AppError
            && let Some(route) = self.route
        {
            serving.router.counters(route).app_error();
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
