//! Answers of handlers that compute: how many leave in one write.

use crate::support::*;
use rpc_core::{
    BoxFuture, Result, rpc_client, rpc_service,
    transport::{Accept, Network, Socket, Stream, Transport},
    wire::{Kind, RequestHead, fnv1a_32, fnv1a_64},
};
use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};

#[rpc_client(name = "test.Sums")]
trait Sums {
    async fn sum(&self) -> Result<()>;
}

#[derive(Default)]
struct Slowly;

#[rpc_service]
impl Sums for Slowly {
    #[allow(clippy::disallowed_methods, reason = "it stands for work")]
    async fn sum(&self) -> Result<()> {
        std::thread::sleep(Duration::from_micros(50));
        Ok(())
    }
}

/// TCP that counts the writes of a server.
#[derive(Debug, Clone, Default)]
struct Counted(Arc<AtomicUsize>);

#[derive(Debug)]
struct CountedPort(TcpListener, Counted);

#[derive(Debug)]
struct CountedStream(TcpStream, Counted);

impl Transport for Counted {
    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Socket>> {
        Box::pin(async move { Socket::tcp(TcpStream::connect(addr).await?) })
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Accept>> {
        let listener = std::net::TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(Box::new(CountedPort(TcpListener::from_std(listener)?, self.clone())))
    }
}

impl Accept for CountedPort {
    fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        let (stream, addr) = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok((Socket::other(CountedStream(stream, self.1.clone())), addr)))
    }
}

impl Stream for CountedStream {
    fn readable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.0.readable())
    }

    fn writable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.0.writable())
    }

    fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(room)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.1.0.fetch_add(1, Ordering::SeqCst);
        self.0.try_write(bytes)
    }

    /// Its end is that of the test.
    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn answers_of_handlers_that_compute_leave_together() {
    const AT_ONCE: u64 = 64;
    const ROUNDS: u64 = 12;
    let counted = Counted::default();
    let builder =
        lab(&Arc::default()).service(Slowly).network(Network::other(Arc::new(counted.clone())));
    let server = builder.bind("127.0.0.1:0").start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let before = counted.0.load(Ordering::SeqCst);
    let head = RequestHead {
        service: fnv1a_64(b"test.Sums"),
        method: fnv1a_32(b"sum"),
        remaining_ms: 60_000,
        sent_ms: 0,
        trace: None,
    };
    for round in 0..ROUNDS {
        let ids = round * AT_ONCE + 1..=(round + 1) * AT_ONCE;
        let request = |id| request_with(id, 0, head, &args(&Nothing {}));
        peer.send(ids.clone().flat_map(request).collect::<Vec<u8>>()).await;
        for _ in ids {
            assert_eq!(peer.next().await.unwrap().header.kind, Kind::Reply);
        }
    }
    let writes = counted.0.load(Ordering::SeqCst) - before;
    let answers = usize::try_from(ROUNDS * AT_ONCE).unwrap();
    assert!(writes < answers / 2, "{writes} writes of {answers} answers");
}
