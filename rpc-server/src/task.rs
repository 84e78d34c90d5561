//! A call in a task of its own: runs the handler until its deadline, then sends the answer.

mod queued;

use crate::{
    gates::Place,
    handler::{Ended, Handler},
    limits::Permit,
    peers::Peer,
    reply::{CallRef, Outgoing, Refusal, names},
};
use queued::{LONG, Queued};
use rpc_core::{defaults, wire::Reason};
use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// A call that is taken on.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) peer: Arc<Peer>,
    pub(crate) call: CallRef,
    pub(crate) deadline: Instant,
    pub(crate) permit: Permit,
    /// Its place within the limits of its method, until the handler has ended.
    pub(crate) place: Option<Place>,
    /// While its answer may leave together with those of others.
    pub(crate) queued: Option<Queued>,
}

/// Whether the first poll of a handler tells how long others of its method take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    Timed,
    /// Its request is [heavy](crate::inline::HEAVY).
    Heavy,
}

impl Task {
    /// Runs a handler that was not polled yet.
    pub(crate) fn spawn_run(mut self, handler: Handler, first: First) {
        self.queued = Some(Queued::new(&self.peer));
        self.spawn(move |mut task| async move {
            let ended = task.run(handler, Some(first)).await;
            task.finish(ended).await;
        });
    }

    /// Runs on a handler that was polled by the reader. It is polled again at once: the waker
    /// that it was given is the reader's.
    pub(crate) fn spawn_rest(self, handler: Handler) {
        self.spawn(move |mut task| async move {
            let ended = task.run(handler, None).await;
            task.finish(ended).await;
        });
    }

    /// Sends an answer that needs credit.
    pub(crate) fn spawn_send(self, outgoing: Outgoing) {
        self.spawn(move |task| task.send(outgoing));
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(self, run: impl FnOnce(Self) -> F) {
        let (peer, id) = (Arc::clone(&self.peer), self.call.id);
        peer.running.begin(id);
        let task = peer.tasks.spawn(run(self));
        peer.running.started(id, task.abort_handle());
    }

    /// Polls the handler until it ends or its time has passed; then it is dropped.
    async fn run(
        &mut self,
        mut handler: Handler,
        mut first: Option<First>,
    ) -> Result<Ended, Reason> {
        let mut limit = pin!(None::<Sleep>);
        poll_fn(move |cx| {
            let polled = match first.take() {
                Some(first) => self.first_poll(&mut handler, first, cx),
                None => handler.poll(&self.peer.serving.router, cx).map(Ok),
            };
            if polled.is_ready() {
                return polled;
            }
            self.queued = None;
            // The timer is made when it is needed: most handlers end with their first poll.
            if limit.is_none() {
                limit.set(Some(sleep_until(self.deadline)));
            }
            match limit.as_mut().as_pin_mut().map(|limit| limit.poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Err(Reason::DeadlinePassed)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// The first poll: not for a call that has waited too long for a free thread.
    fn first_poll(
        &mut self,
        handler: &mut Handler,
        first: First,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ended, Reason>> {
        let begun = Instant::now();
        if let Some(queued) = &mut self.queued {
            queued.begins();
        }
        if begun >= self.deadline {
            return Poll::Ready(Err(Reason::TimePassed));
        }
        let router = &self.peer.serving.router;
        let polled = handler.poll(router, cx).map(Ok);
        let took = begun.elapsed();
        if first == First::Timed {
            router.pace(self.call.route).record(took);
        }
        if took > LONG {
            self.queued = None;
        }
        polled
    }

    async fn finish(mut self, ended: Result<Ended, Reason>) {
        // First, so that the answer tells the load without this call. Sending may take a while and
        // says nothing of how busy the method is.
        if let Some(place) = self.place.take()
            && ended.as_ref().is_ok_and(Ended::is_success)
        {
            place.answered();
        }
        let outgoing = match ended {
            Ok(ended) => Outgoing::of(ended, self.call, &self.peer),
            Err(reason) => {
                let (service, method) = names(self.call, &self.peer);
                let text = if reason == Reason::TimePassed {
                    format!("the time for {service}.{method} passed before it could start")
                } else {
                    format!("the time for {service}.{method} passed while it ran; it was stopped")
                };
                let refusal = Refusal::new(reason, text).of(self.call.route);
                Outgoing::error(self.call.id, &self.peer, refusal)
            }
        };
        outgoing.count(&self.peer.serving);
        self.send(outgoing).await;
    }

    /// Sends the answer, unless the call was cancelled.
    async fn send(self, mut outgoing: Outgoing) {
        let Self { peer, call, deadline, mut permit, mut queued, .. } = self;
        let must_wait = || peer.link.outbox().unsent() >= defaults::MAX_UNSENT;
        let is_slow = outgoing.as_large().is_some() || must_wait();
        if is_slow {
            queued = None;
        }
        if is_slow && !permit.exchange(outgoing.len()) {
            let (service, method) = names(call, &peer);
            let text = format!(
                "the answer of {service}.{method}, {} bytes, was thrown away: what waits for clients \
                 to read it has reached the limit of bytes held; read answers faster, or raise the \
                 server's `max_held_per_connection` and `max_held`",
                outgoing.len()
            );
            let refusal = Refusal::new(Reason::BadAnswer, text).of(call.route);
            outgoing = Outgoing::error(call.id, &peer, refusal);
            outgoing.count(&peer.serving);
        }
        if let Some(message) = outgoing.as_large() {
            let mut ended = false;
            // Before the last piece, for the same reason as below.
            let end = || ended = peer.running.end(call.id);
            // Past its deadline nobody waits for it: the rest would only use up credit.
            let sent = timeout_at(deadline, peer.link.send_large_then(message, end)).await;
            if sent.is_err() && !ended {
                peer.running.end(call.id);
            }
            return;
        }
        if must_wait() && timeout_at(deadline, peer.link.outbox().drained()).await.is_err() {
            peer.running.end(call.id);
            return;
        }
        drop(permit);
        // Before the answer: once the client has it, it may use the id again.
        if !peer.running.end(call.id) {
            return;
        }
        match peer.link.outbox().append(|out| outgoing.put(out)) {
            Ok(sent) if sent.owner => {
                peer.serving.relief.expect();
                if !queued.is_some_and(Queued::sends) {
                    peer.link.outbox().lead(peer.link.stream()).await;
                }
            }
            // Somebody else writes it, or the connection has ended and nobody waits.
            Ok(_) | Err(_) => {}
        }
    }
}
