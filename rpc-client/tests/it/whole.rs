//! Large requests that leave in one piece, from a thread that is put aside meanwhile.

use crate::script::{BOUND, Frame, Peer, Provider, Raw, RawClient, all_serve};
use rpc_client::{Balance, Client};
use rpc_core::{
    BoxFuture, CallOptions, Outcome, RpcCode,
    transport::{Accept, Network, Socket, Stream, Transport},
    wire::Kind,
};
use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// What fits into one window and is no small body.
const LARGE: usize = 40_000;

/// TCP, where a thread that has written as much stands still for so long, as on a busy machine.
#[derive(Debug)]
struct Preempted(Duration);

/// A connection, a second handle of it, and how long a writer stands still.
#[derive(Debug)]
struct Slow(TcpStream, std::net::TcpStream, Duration);

impl Transport for Preempted {
    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Socket>> {
        let pause = self.0;
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?.into_std()?;
            let other = stream.try_clone()?;
            Ok(Socket::other(Slow(TcpStream::from_std(stream)?, other, pause)))
        })
    }

    fn listen(&self, _: SocketAddr) -> io::Result<Box<dyn Accept>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Stream for Slow {
    fn readable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.0.readable())
    }

    fn writable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.0.writable())
    }

    fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(room)
    }

    #[expect(clippy::disallowed_methods, reason = "it stands for a thread that does not run")]
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.try_write(bytes);
        if matches!(written, Ok(count) if count > LARGE / 2) {
            std::thread::sleep(self.2);
        }
        written
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.1.shutdown(how)
    }
}

/// The next request, which has come to its end.
async fn whole(peer: &mut Peer) -> Frame {
    let frame = peer.expect(Kind::Request).await;
    assert!(frame.payload.len() > LARGE, "{}", frame.payload.len());
    frame
}

async fn client(providers: &[&Provider], pause: Duration) -> Client {
    let addrs: Vec<_> = providers.iter().map(|provider| provider.addr.to_string()).collect();
    let client = Client::builder().registry(format!("static://{}", addrs.join(",")));
    let client = client.network(Network::other(Arc::new(Preempted(pause))));
    client.balance(Balance::RoundRobin).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_large_request_that_has_left_whole_when_its_time_ends_may_have_run() {
    let provider = Provider::bind().await;
    let client = client(&[&provider], Duration::from_millis(1_500)).await;
    let raw: RawClient = client.get();
    let mut peer = provider.greet().await;
    all_serve(&client).await;
    let raw = raw.with_options(CallOptions::new().timeout(Duration::from_secs(1)));
    let call = tokio::spawn(async move { raw.put("x".repeat(LARGE)).await });
    whole(&mut peer).await;
    let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    let told = (error.code(), error.outcome());
    assert_eq!(told, (RpcCode::DeadlineExceeded, Outcome::Unknown), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_large_request_that_has_left_whole_is_not_made_again_unless_idempotent() {
    let (one, two) = (Provider::bind().await, Provider::bind().await);
    let client = client(&[&one, &two], Duration::from_millis(300)).await;
    let raw: RawClient = client.get();
    let (mut first, mut second) = (one.greet().await, two.greet().await);
    all_serve(&client).await;
    let call = tokio::spawn({
        let raw = raw.clone();
        async move { raw.put("x".repeat(LARGE)).await }
    });
    let (asked, mut other) = tokio::select! {
        _ = whole(&mut first) => (first, second),
        _ = whole(&mut second) => (second, first),
    };
    // It may have run when its provider is killed.
    drop(asked);
    let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
    tokio::spawn(async move { raw.put("next".into()).await });
    assert_eq!(other.expect(Kind::Request).await.text(), "next");
}
