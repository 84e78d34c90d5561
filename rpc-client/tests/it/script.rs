//! A provider made of single frames, and a contract to call it by.

use rpc_client::{Client, EndpointState};
use rpc_core::{
    Result,
    codec::Codec,
    discovery::InstanceId,
    rpc_client,
    wire::{
        Header, Kind, Limits, Preface, Reason, RequestHead, next_frame, put_error, put_frame,
        put_signal, read_preface,
    },
};
use serde::Serialize;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

/// No wait of a test is longer, so that a failure is one and no hang.
pub const BOUND: Duration = Duration::from_secs(20);

#[rpc_client(name = "test.Raw")]
pub trait Raw {
    async fn put(&self, text: String) -> Result<String>;
    #[rpc(idempotent)]
    async fn get(&self, text: String) -> Result<String>;
    async fn load(&self) -> Result<Vec<u8>>;
}

/// Where a scripted provider listens.
pub struct Provider {
    pub listener: TcpListener,
    pub addr: SocketAddr,
}

impl Provider {
    pub async fn bind() -> Self {
        Self::at(([127, 0, 0, 1], 0).into()).await
    }

    pub async fn at(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        Self { listener, addr }
    }

    /// The next connection, before anything was read from it.
    pub async fn accept(&self) -> Peer {
        let accepted = timeout(BOUND, self.listener.accept()).await.expect("nobody dialled");
        Peer::new(accepted.unwrap().0)
    }

    /// The next connection, greeted.
    pub async fn greet(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.greet(Limits::default()).await;
        peer
    }

    /// The next connection, greeted, whenever it comes.
    pub async fn patiently_greet(&self) -> Peer {
        let mut peer = Peer::new(self.listener.accept().await.unwrap().0);
        peer.greet(Limits::default()).await;
        peer
    }

    /// A client that knows this provider alone.
    pub async fn client(&self) -> Client {
        Client::connect(format!("static://{}", self.addr)).await.unwrap()
    }
}

/// Waits until the client has read what all providers that it knows have greeted it with.
pub async fn all_serve(client: &Client) {
    let end = Instant::now() + BOUND;
    let known = || client.explain("test.Raw").known.unwrap().endpoints;
    while known().iter().any(|endpoint| endpoint.state != EndpointState::Serving) {
        assert!(Instant::now() < end, "{:?}", known());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The provider's end of a connection.
pub struct Peer {
    stream: TcpStream,
    read: Vec<u8>,
}

/// What has arrived.
#[derive(Debug)]
pub struct Frame {
    pub header: Header,
    pub payload: Vec<u8>,
}

impl Frame {
    /// A request's head.
    pub fn head(&self) -> RequestHead {
        RequestHead::read(self.header.flags, &mut &*self.payload).unwrap().0
    }

    pub fn id(&self) -> u64 {
        self.header.id
    }

    /// The one argument of a request that is no large one.
    pub fn text(&self) -> String {
        let mut rest = &*self.payload;
        RequestHead::read(self.header.flags, &mut rest).unwrap();
        let mut args: BTreeMap<String, String> = Codec::Named.decode(rest).unwrap();
        args.remove("text").unwrap()
    }
}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Where the client has dialled.
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Exchanges prefaces.
    pub async fn greet(&mut self, limits: Limits) {
        loop {
            if let Some((_, length)) = read_preface(&self.read).unwrap() {
                self.read.drain(..length);
                break;
            }
            assert!(self.fill().await, "the client closed before it greeted");
        }
        let mut out = Vec::new();
        Preface::new(InstanceId::from_u64(7), limits).put(&mut out);
        self.send(&out).await;
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        timeout(BOUND, self.stream.write_all(bytes)).await.expect("nobody reads").unwrap();
    }

    pub async fn signal(&mut self, kind: Kind, id: u64) {
        let mut out = Vec::new();
        put_signal(&mut out, kind, id);
        self.send(&out).await;
    }

    /// Sends it, if the client still listens.
    pub async fn try_signal(&mut self, kind: Kind, id: u64) {
        let mut out = Vec::new();
        put_signal(&mut out, kind, id);
        let _ = timeout(BOUND, self.stream.write_all(&out)).await.expect("nobody reads");
    }

    /// Whether the client has closed its side; what has come is thrown away.
    pub async fn is_closed(&mut self) -> bool {
        let read = timeout(Duration::from_millis(1), self.stream.read_buf(&mut self.read)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }

    /// Answers a call.
    pub async fn reply(&mut self, id: u64, value: &impl Serialize) {
        let mut out = Vec::new();
        put_frame(&mut out, Header { kind: Kind::Reply, flags: 0, aux: 0, id }, |out| {
            Codec::Named.encode(value, out).unwrap();
        });
        self.send(&out).await;
    }

    /// Refuses a call.
    pub async fn refuse(&mut self, id: u64, reason: Reason) {
        let mut out = Vec::new();
        put_frame(&mut out, Header { kind: Kind::Error, flags: 0, aux: 0, id }, |out| {
            put_error(out, reason, &rpc_core::RpcError::new(reason.code(), "says the script"));
        });
        self.send(&out).await;
    }

    /// The next frame but pings, which are answered.
    pub async fn frame(&mut self) -> Frame {
        let frame = timeout(BOUND, self.frame_or_end()).await.expect("no frame but pings");
        frame.expect("the client closed")
    }

    /// The next frame but pings; `None` at the end of the stream.
    pub async fn frame_or_end(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any_or_end().await?;
            if frame.header.kind != Kind::Ping {
                return Some(frame);
            }
            self.signal(Kind::Pong, frame.id()).await;
        }
    }

    /// The next frame, pings included.
    pub async fn next(&mut self) -> Frame {
        self.any_or_end().await.expect("the client closed")
    }

    async fn any_or_end(&mut self) -> Option<Frame> {
        loop {
            if let Some((header, payload, length)) = next_frame(&self.read).unwrap() {
                let frame = Frame { header, payload: payload.to_vec() };
                self.read.drain(..length);
                return Some(frame);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next frame, which is of this kind.
    pub async fn expect(&mut self, kind: Kind) -> Frame {
        let frame = self.frame().await;
        assert_eq!(frame.header.kind, kind, "{frame:?}");
        frame
    }

    async fn fill(&mut self) -> bool {
        let read = timeout(BOUND, self.stream.read_buf(&mut self.read)).await;
        !matches!(read.expect("nothing arrives"), Ok(0) | Err(_))
    }
}
