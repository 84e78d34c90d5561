//! Leaving is a handshake: every request before `LEFT` is run or refused, none is lost.

use crate::support::*;
use rpc_core::{
    BoxFuture,
    discovery::{MemoryRegistry, Watch},
    transport::{Accept, Network, Socket, Transport},
    wire::{Kind, Limits, Reason, read_preface},
};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn a_client_that_leaves_gets_its_last_answer_and_then_the_end() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    peer.send(request(1, "wait", &Text { text: "running" })).await;
    until("it runs", || state.started() == 1).await;
    let leaving = tokio::spawn(server.shutdown());
    peer.expect(Kind::Leaving, 0).await;
    until("new calls are refused", || std::net::TcpStream::connect(server.local_addr()).is_err())
        .await;
    // Requests that crossed the announcement.
    let bytes = [
        request(2, "echo", &Text { text: "" }),
        request(3, "echo", &Text { text: "" }),
        signal(Kind::Left, 0),
    ];
    peer.send(bytes.concat()).await;
    for id in [2, 3] {
        let (reason, error) = peer.expect(Kind::Error, id).await.error();
        assert_eq!(reason, Reason::Draining, "{error}");
    }
    state.gate.add_permits(1);
    assert_eq!(peer.expect(Kind::Reply, 1).await.value::<String>(), "running");
    assert_eq!(peer.next().await, None);
    leaving.await.unwrap();
    assert_eq!(server.stats().refused.draining, 2);
    assert_eq!(server.stats().cancelled, 0);
}

#[tokio::test]
async fn within_the_notice_calls_are_served_and_new_connections_told() {
    let state = Arc::<State>::default();
    let registry = MemoryRegistry::new();
    let server = lab(&state).registry(registry.clone()).notice(BOUND).start().await.unwrap();
    assert_eq!(registry.watch("test.Lab").current().instances.len(), 1);
    let mut old = RawPeer::connect(server.local_addr()).await;
    let leaving = tokio::spawn(server.shutdown());
    old.expect(Kind::Leaving, 0).await;
    assert!(registry.watch("test.Lab").current().instances.is_empty(), "withdrawn first");
    assert!(!server.registered());
    let mut new = RawPeer::connect(server.local_addr()).await;
    new.expect(Kind::Leaving, 0).await;
    for peer in [&mut old, &mut new] {
        peer.call(1, "echo", &Text { text: "" }).await.value::<String>();
        peer.send(signal(Kind::Left, 0)).await;
        assert_eq!(peer.next().await, None);
    }
    leaving.abort();
}

#[tokio::test]
async fn a_large_request_that_was_begun_before_left_is_run() {
    use rpc_core::wire::flag;
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let body = args(&Data { data: &vec![7; 100_000] });
    let mut rest = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    rest.extend(&body[..50_000]);
    peer.send(request_with(1, flag::CHUNKED, head("length"), &rest)).await;
    peer.check_alive().await;
    peer.send(signal(Kind::Left, 0)).await;
    peer.check_alive().await;
    peer.send(frame(Kind::Data, 0, 1, &body[50_000..])).await;
    let answer = loop {
        let frame = peer.next().await.unwrap();
        if frame.header.kind != Kind::Credit {
            break frame;
        }
    };
    assert_eq!(answer.value::<u64>(), 100_000);
    assert_eq!(peer.next().await, None);
}

#[tokio::test]
async fn the_drain_limit_ends_what_does_not_end() {
    let state = Arc::<State>::default();
    let server = lab(&state).drain(Duration::from_millis(50)).start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    peer.send(request(1, "wait", &Text { text: "" })).await;
    until("it runs", || state.started() == 1).await;
    server.shutdown().await;
    peer.expect(Kind::Leaving, 0).await;
    peer.expect_close("the server has stopped").await;
    assert_eq!(state.ended(), 1);
    assert_eq!(server.stats().connections, 0);
}

#[tokio::test]
async fn a_server_without_clients_leaves_at_once_and_twice() {
    let (server, _) = start_lab().await;
    let addr = server.local_addr();
    tokio::join!(server.shutdown(), server.shutdown());
    server.shutdown().await;
    assert!(TcpStream::connect(addr).await.is_err());
    assert_eq!(server.local_addr(), addr);
}

#[tokio::test]
async fn the_handle_may_be_dropped_while_the_server_leaves() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    peer.send(request(1, "wait", &Text { text: "kept" })).await;
    until("it runs", || state.started() == 1).await;
    let leaving = tokio::spawn(server.shutdown());
    drop(server);
    peer.expect(Kind::Leaving, 0).await;
    peer.send(signal(Kind::Left, 0)).await;
    state.gate.add_permits(1);
    assert_eq!(peer.expect(Kind::Reply, 1).await.value::<String>(), "kept");
    assert_eq!(peer.next().await, None);
    leaving.await.unwrap();
}

/// TCP that keeps its connections back once it is closed, but for who takes what is left of them:
/// the first of these is gone.
#[derive(Debug, Clone, Default)]
struct Crowded {
    closed: Arc<AtomicBool>,
    /// How often it was asked since.
    asked: Arc<AtomicU32>,
}

#[derive(Debug)]
struct CrowdedPort(TcpListener, Crowded);

impl Transport for Crowded {
    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Socket>> {
        Box::pin(async move { Socket::tcp(TcpStream::connect(addr).await?) })
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Accept>> {
        let listener = std::net::TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Ok(Box::new(CrowdedPort(TcpListener::from_std(listener)?, self.clone())))
    }
}

impl Accept for CrowdedPort {
    fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        if self.1.closed.load(Ordering::SeqCst) {
            match self.1.asked.fetch_add(1, Ordering::SeqCst) {
                // Who waits for a connection is not told of another.
                0 => return Poll::Pending,
                1 => return Poll::Ready(Err(ErrorKind::ConnectionAborted.into())),
                _ => {}
            }
        }
        let (stream, addr) = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok((Socket::tcp(stream)?, addr)))
    }
}

#[tokio::test]
async fn a_connection_that_waits_behind_one_that_is_gone_is_served() {
    let (state, network) = (Arc::<State>::default(), Crowded::default());
    let builder = lab(&state).network(Network::other(Arc::new(network.clone())));
    let server = builder.bind("127.0.0.1:0").start().await.unwrap();
    network.closed.store(true, Ordering::SeqCst);
    let mut peer = std::net::TcpStream::connect(server.local_addr()).unwrap();
    peer.write_all(&[preface(Limits::default()), signal(Kind::Left, 0)].concat()).unwrap();
    until("it is in the queue", || network.asked.load(Ordering::SeqCst) == 1).await;
    server.shutdown().await;
    let mut bytes = Vec::new();
    peer.read_to_end(&mut bytes).unwrap();
    assert!(matches!(read_preface(&bytes), Ok(Some(_))), "{bytes:?}");
}
