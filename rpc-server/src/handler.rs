//! One running handler: its context and the panic fence, around every poll.

use crate::router::{Route, Router};
use rpc_core::{
    CallContext, RpcError,
    codec::Codec,
    service::{HandlerAnswer, HandlerFuture},
    transport::Body,
};
use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
};

/// A handler that has not ended yet.
pub(crate) struct Handler {
    context: CallContext,
    state: State,
}

enum State {
    /// Not polled yet; nothing of the user has run.
    Ready(Route, Body, Codec),
    Running(HandlerFuture),
    Ended,
}

/// How a handler ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) how: How,
    /// It said that the instance is at fault.
    pub(crate) fault: bool,
}

impl Ended {
    /// Whether the handler did its work. How quickly it failed says nothing of what it can do.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.how, How::Answered(HandlerAnswer::Ok(_)))
    }
}

/// An answer, what is wrong with the arguments, or the text of a panic.
#[derive(Debug)]
pub(crate) enum How {
    Answered(HandlerAnswer),
    BadArguments(RpcError),
    Panicked(String),
}

impl Handler {
    /// A handler for the call that `context` describes.
    pub(crate) fn new(route: Route, body: Body, codec: Codec, context: CallContext) -> Self {
        Self { context, state: State::Ready(route, body, codec) }
    }

    /// Polls it. A panic ends it, and is not let through.
    pub(crate) fn poll(&mut self, router: &Router, cx: &mut Context<'_>) -> Poll<Ended> {
        let Self { context, state } = self;
        // Unwind safety: after a panic the future is dropped and never looked at again, and the
        // context restores itself.
        let result = catch_unwind(AssertUnwindSafe(|| {
            context.enter(|| {
                if matches!(state, State::Ready(..))
                    && let State::Ready(route, body, codec) = std::mem::replace(state, State::Ended)
                {
                    let (service, method) = router.target(route);
                    *state = State::Running(service.call(method, body, codec));
                }
                let State::Running(future) = state else {
                    unreachable!("invariant: a handler is not polled after its end")
                };
                let polled = future.as_mut().poll(cx);
                if polled.is_ready() {
                    // Within the fence and the context, since a destructor is user code too.
                    *state = State::Ended;
                }
                polled
            })
        }));
        let how = match result {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(answer))) => How::Answered(answer),
            Ok(Poll::Ready(Err(error))) => How::BadArguments(error),
            Err(panic) => {
                drop_fenced(state, context);
                How::Panicked(text(panic))
            }
        };
        Poll::Ready(Ended { how, fault: context.is_instance_at_fault() })
    }

    /// Drops it; the context that it had, for another one.
    pub(crate) fn into_context(mut self) -> CallContext {
        std::mem::take(&mut self.context)
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        drop_fenced(&mut self.state, &mut self.context);
    }
}

/// Drops what belongs to the user, whose destructors may panic and look at the call.
fn drop_fenced(state: &mut State, context: &mut CallContext) {
    if matches!(state, State::Running(_))
        && let Err(panic) =
            catch_unwind(AssertUnwindSafe(|| context.enter(|| *state = State::Ended)))
    {
        tracing::error!(panic = text(panic), "a handler panicked while it was dropped");
    }
}

/// The text of a panic; any other payload is dropped with care, its destructor may panic too.
fn text(panic: Box<dyn Any + Send>) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").field("context", &self.context).finish_non_exhaustive()
    }
}
