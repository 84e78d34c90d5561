//! One address of the network, from which a program dials and listens.

use super::{
    socket::SimSocket,
    state::{Inner, Made, Queue, State},
};
use rpc_core::{
    BoxFuture,
    transport::{Accept, Network, Socket, Transport},
};
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::sleep;

/// A host of a [`SimNet`](super::SimNet).
#[derive(Debug, Clone)]
pub struct SimHost {
    net: Arc<Inner>,
    ip: IpAddr,
}

impl SimHost {
    pub(super) fn new(net: Arc<Inner>, ip: IpAddr) -> Self {
        Self { net, ip }
    }

    /// What the `network` of a server's or a client's builder takes.
    pub fn network(&self) -> Network {
        Network::other(Arc::new(self.clone()))
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<Socket> {
        let there = self.net.lock().path(self.ip, addr.ip()).latency;
        sleep(there).await;
        let made = loop {
            let mut changed = pin!(self.net.changed.notified());
            // Registered before the look, so that no change is missed.
            changed.as_mut().enable();
            {
                let mut state = self.net.lock();
                let held =
                    state.path(self.ip, addr.ip()).held || state.path(addr.ip(), self.ip).held;
                if !held {
                    break state
                        .connect(self.ip, addr)
                        .map(|made| self.open(&mut state, made, addr));
                }
            }
            changed.await;
        };
        let back = self.net.lock().path(addr.ip(), self.ip).latency;
        sleep(back).await;
        made.ok_or_else(|| ErrorKind::ConnectionRefused.into())
    }

    /// The near end of a connection; the far one waits to be accepted at `to`.
    fn open(&self, state: &mut State, made: Made, to: SocketAddr) -> Socket {
        let Made { number, near, changed: [ours, theirs] } = made;
        let end = |side, changed| {
            Socket::other(SimSocket::new(Arc::clone(&self.net), number, side, changed))
        };
        state.offer(to, end(1, theirs), near);
        end(0, ours)
    }
}

impl Transport for SimHost {
    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Socket>> {
        Box::pin(self.connect(addr))
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Accept>> {
        let mut state = self.net.lock();
        let port = if addr.port() == 0 { state.free_port() } else { addr.port() };
        // Every address of this host is the one that it has.
        let addr = SocketAddr::new(self.ip, port);
        if state.ports.contains_key(&addr) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let number = state.number();
        state.ports.insert(addr, Queue { number, ..Queue::default() });
        drop(state);
        self.net.changed.notify_waiters();
        Ok(Box::new(SimPort { net: Arc::clone(&self.net), addr, number }))
    }
}

/// A port that is listened on.
#[derive(Debug)]
struct SimPort {
    net: Arc<Inner>,
    addr: SocketAddr,
    number: u64,
}

impl SimPort {
    fn queue<'a>(&self, state: &'a mut State) -> Option<&'a mut Queue> {
        state.ports.get_mut(&self.addr).filter(|queue| queue.number == self.number)
    }
}

impl Accept for SimPort {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let mut state = self.net.lock();
        let frozen = state.is_frozen(self.addr.ip());
        // Killed: nothing comes any more.
        let Some(queue) = self.queue(&mut state) else { return Poll::Pending };
        if !frozen && let Some(accepted) = queue.waiting.pop_front() {
            return Poll::Ready(Ok(accepted));
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimPort {
    fn drop(&mut self) {
        let queue = {
            let mut state = self.net.lock();
            let ours = self.queue(&mut state).is_some();
            if ours { state.ports.remove(&self.addr) } else { None }
        };
        // Those that were not accepted are closed, which takes the lock.
        drop(queue);
    }
}
