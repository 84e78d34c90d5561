//! What a handler knows about the call it serves, and what its own calls inherit.
//!
//! The context lives in a thread-local that is set for the time of each poll of the handler, so a
//! handler that is moved between threads keeps it and no task-local allocation is needed.

use crate::{options::MetadataEntry, trace::TraceId};
use std::{
    cell::RefCell,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// The call that the running handler serves.
///
/// Deadline, trace and the metadata marked to propagate flow into the calls that the handler
/// makes, without an argument anywhere; calls made for a retried request are not retried again. A
/// generated client reads the context when a method is called, not when its future is first
/// polled. Use [`spawn`] to keep it across a spawned task.
#[derive(Debug, Clone, Default)]
pub struct CallContext(Option<Arc<Known>>);

/// What is known about a call. In one piece of shared memory, since a context is put in its place
/// and taken from it around every poll.
#[derive(Debug, Default)]
struct Known {
    peer: Option<SocketAddr>,
    deadline: Option<Instant>,
    trace: Option<TraceId>,
    metadata: Option<Arc<[MetadataEntry]>>,
    retry: bool,
    fault: AtomicBool,
}

impl CallContext {
    /// The context of the handler that runs here; an empty one outside of handlers.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.with_borrow(|c| c.clone().unwrap_or_default())
    }

    /// The address that the request came from; `None` outside of handlers.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.as_ref()?.peer
    }

    /// What is left of the time for this call; zero when it has passed, `None` outside of handlers.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|d| d.saturating_duration_since(Instant::now()))
    }

    /// The value of a metadata key, whether it propagates or not; `None` if the caller sent none.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.entries().iter().find(|m| m.key == key).map(|m| m.value.as_str())
    }

    /// The trace that the call belongs to, if the caller named one.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.0.as_ref()?.trace
    }

    /// Whether this request is a further attempt of a call that may have reached a provider before,
    /// or was made on behalf of one.
    ///
    /// Calls that the handler makes are then not sent again themselves, except those that cannot
    /// have reached a provider, and not hedged: otherwise each hop would multiply the attempts of
    /// the one before it.
    pub fn is_retry(&self) -> bool {
        self.0.as_ref().is_some_and(|known| known.retry)
    }

    /// Says that the error this handler is about to return is this instance's own fault, so that
    /// clients count it against the instance. No effect on a call that succeeds.
    pub fn instance_at_fault(&self) {
        if let Some(known) = &self.0 {
            known.fault.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the handler has said so. For the server.
    #[doc(hidden)]
    pub fn is_instance_at_fault(&self) -> bool {
        self.0.as_ref().is_some_and(|known| known.fault.load(Ordering::Relaxed))
    }

    /// The instant by which the call must end. For the client.
    #[doc(hidden)]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.as_ref()?.deadline
    }

    /// All metadata. For the client, which passes on what propagates.
    #[doc(hidden)]
    pub fn entries(&self) -> &[MetadataEntry] {
        self.0.as_ref().and_then(|known| known.metadata.as_deref()).unwrap_or_default()
    }

    /// The context of a request that has arrived. For the server.
    #[doc(hidden)]
    #[must_use]
    pub fn of_request(
        peer: SocketAddr,
        deadline: Option<Instant>,
        trace: Option<TraceId>,
        metadata: Option<Arc<[MetadataEntry]>>,
        retry: bool,
    ) -> Self {
        Self::default().renewed(peer, deadline, trace, metadata, retry)
    }

    /// The same in the memory of this context, if nobody else has kept it. For the server.
    #[doc(hidden)]
    #[must_use]
    pub fn renewed(
        mut self,
        peer: SocketAddr,
        deadline: Option<Instant>,
        trace: Option<TraceId>,
        metadata: Option<Arc<[MetadataEntry]>>,
        retry: bool,
    ) -> Self {
        let fault = AtomicBool::new(false);
        let known = Known { peer: Some(peer), deadline, trace, metadata, retry, fault };
        match self.0.as_mut().and_then(Arc::get_mut) {
            Some(memory) => *memory = known,
            None => self.0 = Some(Arc::new(known)),
        }
        self
    }

    /// Runs `f` with this context as the current one.
    #[doc(hidden)]
    pub fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a mut CallContext, Option<CallContext>);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                let outer = self.1.take();
                *self.0 = CURRENT.replace(outer).unwrap_or_default();
            }
        }
        let outer = CURRENT.replace(Some(std::mem::take(self)));
        let _leave = Leave(self, outer);
        f()
    }
}

thread_local! {
    static CURRENT: RefCell<Option<CallContext>> = const { RefCell::new(None) };
}

/// Spawns a task that keeps the current [`CallContext`], so that its calls inherit deadline,
/// trace and metadata. Otherwise as [`tokio::spawn`].
///
/// # Panics
///
/// Outside of a tokio runtime, as [`tokio::spawn`] does.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(Scoped { context: CallContext::current(), future: Box::pin(future) })
}

/// A future that is polled inside a context.
struct Scoped<F> {
    context: CallContext,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let future = this.future.as_mut();
        this.context.enter(|| future.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(value: &str) -> CallContext {
        let entry = MetadataEntry { key: "tenant".into(), value: value.into(), propagates: true };
        CallContext(Some(Arc::new(Known { metadata: Some(Arc::new([entry])), ..Known::default() })))
    }

    #[test]
    fn contexts_nest_and_survive_a_panic() {
        let mut outer = context("a");
        outer.enter(|| {
            let caught = std::panic::catch_unwind(|| context("b").enter(|| panic!("inside")));
            assert!(caught.is_err());
            assert_eq!(CallContext::current().metadata("tenant"), Some("a"));
        });
        assert_eq!(outer.metadata("tenant"), Some("a"), "it can be entered again");
        assert_eq!(CallContext::current().metadata("tenant"), None);
    }

    #[tokio::test]
    async fn a_spawned_task_keeps_the_context() {
        let task = context("a").enter(|| {
            spawn(async {
                tokio::task::yield_now().await;
                CallContext::current().metadata("tenant").map(str::to_owned)
            })
        });
        assert_eq!(task.await.unwrap().as_deref(), Some("a"));
    }
}
