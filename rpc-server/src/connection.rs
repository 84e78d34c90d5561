//! One connection: greets the peer, reads its frames until it ends, and takes leave.

mod cancels;
mod farewell;
mod greeting;
mod inbound;

use crate::{
    peers::{Peer, Peers},
    serving::{Access, Serving},
    stats::Counters,
};
use greeting::Greeting;
use inbound::{Handled, Inbound, Stop};
use rpc_core::{
    defaults,
    transport::{Link, ReadBuffer, Socket},
    wire::{Preface, put_close},
};
use std::{future::poll_fn, mem, net::SocketAddr, pin::Pin, sync::Arc, task::Poll, time::Duration};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How often a reader looks at what is slow, while there is something to look at.
const LOOK: Duration = Duration::from_millis(500);

/// Serves one connection to its end. The task's body.
pub(crate) async fn serve(
    serving: Arc<Serving>,
    peers: Arc<Peers>,
    socket: Socket,
    addr: SocketAddr,
) {
    Counters::add(&serving.counters.accepted, 1);
    let mut buffer = ReadBuffer::new();
    let link = Link::new(socket);
    let preface = match greeting::greet(&link, &serving, &mut buffer).await {
        Greeting::Greeted(preface) => preface,
        Greeting::Refused(why) => {
            tracing::debug!(peer = %addr, "refused a connection that did not greet as it should");
            return farewell::close_with(&link, &why).await;
        }
        Greeting::Gone => return,
    };
    let access = serving.access(preface.token.as_ref());
    if access != Access::Granted {
        tracing::debug!(peer = %addr, ?access, "a client may make no calls");
    }
    let peer = Arc::new(Peer::new(Arc::clone(&serving), addr, link, access));
    peer.link.credit().greeted(preface.limits);
    let ours = Preface::new(Some(serving.instance), serving.limits.announced());
    if peer.link.send(|out| ours.put(out)).is_err() {
        return;
    }
    // Listed once our preface is on its way: what is said to every connection comes after it.
    let membership = peers.join(&peer);
    if serving.is_leaving() {
        peer.tell_leaving();
    }
    let flusher = tokio::spawn(flush(Arc::clone(&peer)));
    let exit = Reader::new(Arc::clone(&peer), buffer).run().await;
    tracing::debug!(peer = %addr, ?exit, "a connection ends");
    drop(membership);
    end(&peer, &exit).await;
    // Its outbox is closed: it ends now.
    let _ = flusher.await;
}

/// Why a connection ends.
#[derive(Debug)]
enum Exit {
    /// The peer is gone, or said itself why it goes.
    Gone,
    /// The peer broke a rule, or took too long over a frame.
    Refused(String),
    /// The server stops, or the socket broke while it was written.
    Stopped,
    /// The peer has left, and its last answer was sent.
    Left,
}

/// Writes what the socket refuses; a socket that broke ends the connection, also while nothing is
/// read from it.
async fn flush(peer: Arc<Peer>) {
    peer.link.flush().await;
    peer.stop.cancel();
}

/// Ends a connection, in this order: its handlers are dropped, since nobody waits for them; the
/// peer is told why; then whoever waits to send is let go.
async fn end(peer: &Peer, exit: &Exit) {
    let cancelled = peer.running.cancel_all();
    Counters::add(&peer.serving.counters.cancelled, cancelled as u64);
    peer.tasks.close();
    match exit {
        Exit::Gone => {}
        Exit::Left => farewell::close(&peer.link).await,
        Exit::Refused(text) => say(peer, text).await,
        Exit::Stopped => say(peer, "the server has stopped").await,
    }
    peer.link.close();
    peer.stop.cancel();
}

async fn say(peer: &Peer, text: &str) {
    let mut last = Vec::new();
    put_close(&mut last, text);
    farewell::close_with(&peer.link, &last).await;
}

/// The reader of a greeted connection.
struct Reader {
    peer: Arc<Peer>,
    buffer: ReadBuffer,
    inbound: Inbound,
    /// When the frame that is not complete yet was begun.
    begun: Option<Instant>,
    /// The next look at what is slow; made when there is something to look at.
    look: Option<Pin<Box<Sleep>>>,
    stopped: Stopped,
}

/// What a reader waited for.
enum Event {
    /// Bytes, or the end of the stream.
    Read(bool),
    Look,
    Stop,
    /// The last call of a peer that has left is answered.
    Answered,
}

impl Reader {
    fn new(peer: Arc<Peer>, buffer: ReadBuffer) -> Self {
        let inbound = Inbound::new(Arc::clone(&peer), Instant::now());
        let stopped = Stopped::new(&peer.stop);
        Self { peer, buffer, inbound, begun: None, look: None, stopped }
    }

    async fn run(mut self) -> Exit {
        loop {
            // After the read, not before it: what was read may have lain there for long.
            let now = Instant::now();
            if let Err(exit) = self.handle(now).await {
                return exit;
            }
            if !self.may_answer().await {
                return Exit::Stopped;
            }
            // While there is always more to read, the timer has no turn.
            if self.look.as_ref().is_some_and(|look| look.deadline() <= now)
                && let Err(exit) = self.look(now)
            {
                return exit;
            }
            match self.next().await {
                Event::Read(true) => {}
                Event::Read(false) => return Exit::Gone,
                Event::Stop => return Exit::Stopped,
                Event::Answered => return self.leave().await,
                Event::Look => {
                    if let Err(exit) = self.look(Instant::now()) {
                        return exit;
                    }
                }
            }
        }
    }

    /// Handles the whole frames that were read; the answers that are ready leave in one write.
    async fn handle(&mut self, mut now: Instant) -> Result<(), Exit> {
        loop {
            let Self { inbound, buffer, .. } = self;
            let handled = poll_fn(|cx| Poll::Ready(inbound.handle(buffer, now, cx))).await;
            self.inbound.send();
            match handled {
                Ok(Handled::Some) => {
                    self.begun = None;
                    give_way().await;
                    if !self.may_answer().await {
                        return Err(Exit::Stopped);
                    }
                    now = Instant::now();
                }
                Ok(Handled::All(frames)) => {
                    self.begun = match self.begun {
                        _ if self.is_between_frames() => None,
                        Some(begun) if frames == 0 => Some(begun),
                        _ => Some(now),
                    };
                    return Ok(());
                }
                Err(Stop::Broken(error)) => return Err(Exit::Refused(error.to_string())),
                Err(Stop::Closed(text)) => {
                    tracing::debug!(peer = %self.peer.addr, text, "the client closed");
                    return Err(Exit::Gone);
                }
            }
        }
    }

    fn is_between_frames(&self) -> bool {
        self.buffer.data().is_empty() && !self.inbound.is_within_piece()
    }

    /// Waits for more to do. Every arm is cancel-safe: reading loses nothing, a timer and the
    /// others are states. Biased, so that a stop is not put off by a peer that keeps sending.
    async fn next(&mut self) -> Event {
        if self.look.is_none() && (self.begun.is_some() || self.inbound.is_receiving()) {
            self.look = Some(Box::pin(sleep(LOOK)));
        }
        let Self { peer, buffer, look, inbound, stopped, .. } = self;
        let is_over = inbound.is_over();
        tokio::select! {
            biased;
            () = stopped.wait(&peer.stop) => Event::Stop,
            read = peer.link.read_piece(buffer, inbound.room()) => Event::Read(matches!(read, Ok(1..))),
            () = due(look) => Event::Look,
            () = peer.tasks.wait(), if is_over => Event::Answered,
        }
    }

    /// Looks at what takes too long.
    fn look(&mut self, now: Instant) -> Result<(), Exit> {
        self.look = None;
        self.inbound.expire(now);
        self.inbound.send();
        match self.begun {
            Some(begun) if now - begun >= defaults::SLOW_PEER_TIMEOUT => Err(Exit::Refused(
                format!("a frame was not complete after {:?}", defaults::SLOW_PEER_TIMEOUT),
            )),
            _ => Ok(()),
        }
    }

    /// As long as the peer does not read its answers, its requests are not looked at: waits. False
    /// when the connection has ended meanwhile.
    async fn may_answer(&mut self) -> bool {
        if self.peer.link.outbox().unsent() < defaults::MAX_UNSENT {
            return true;
        }
        tokio::select! {
            () = self.peer.stop.cancelled() => false,
            () = self.peer.link.outbox().drained() => {
                let now = Instant::now();
                self.begun = self.begun.map(|_| now);
                self.inbound.resume(now);
                true
            }
        }
    }

    /// The peer has left and its calls are answered: sees the last answer off.
    async fn leave(&self) -> Exit {
        tokio::select! {
            () = self.peer.stop.cancelled() => Exit::Stopped,
            () = self.peer.link.outbox().flushed() => Exit::Left,
        }
    }
}

/// A task's wait for its stop. It stands in the line of those who are woken once, not anew for each
/// read, which would cost as much as the read itself.
struct Stopped {
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
    in_line: bool,
}

impl Stopped {
    fn new(stop: &CancellationToken) -> Self {
        Self { wait: Box::pin(stop.clone().cancelled_owned()), in_line: false }
    }

    /// Waits until `stop` is cancelled. Always of one task, which is woken then.
    async fn wait(&mut self, stop: &CancellationToken) {
        poll_fn(|cx| {
            if stop.is_cancelled() {
                return Poll::Ready(());
            }
            if mem::replace(&mut self.in_line, true) {
                return Poll::Pending;
            }
            self.wait.as_mut().poll(cx)
        })
        .await;
    }
}

/// Goes to the end of the line of tasks. tokio's `yield_now` keeps a task back until its thread has
/// looked at the sockets, which a handler that blocks the thread puts off for all the others.
async fn give_way() {
    let mut was_here = false;
    poll_fn(|cx| {
        if mem::replace(&mut was_here, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for a timer, if there is one.
async fn due(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.as_mut().await,
        None => std::future::pending().await,
    }
}
