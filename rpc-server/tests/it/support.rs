//! A service to call, and a peer that sends and expects single frames.

use rpc_core::{
    CallContext, Result, RpcError,
    codec::Codec,
    rpc_client, rpc_service, wire,
    wire::{
        Header, Kind, Limits, Preface, Reason, RequestHead, next_frame, put_frame, read_error,
        read_preface,
    },
};
use rpc_server::{Server, ServerBuilder};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

/// No wait of a test is longer, so that a failure is one and no hang.
pub const BOUND: Duration = Duration::from_secs(100);

/// An application's error.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct LabError(pub String);

impl From<RpcError> for LabError {
    fn from(error: RpcError) -> Self {
        Self(error.to_string())
    }
}

#[rpc_client(name = "test.Lab")]
pub trait Lab {
    async fn echo(&self, text: String) -> Result<String>;
    /// Waits until the test lets it go.
    async fn wait(&self, text: String) -> Result<String>;
    async fn fail(&self, text: String) -> Result<(), LabError>;
    async fn panic(&self) -> Result<()>;
    /// The length of what was sent.
    async fn length(&self, data: &[u8]) -> Result<u64>;
    /// The task in which it is polled; with bytes the poll is a long one.
    async fn task(&self, data: &[u8]) -> Result<String>;
    /// So many bytes.
    async fn bytes(&self, count: usize) -> Result<Vec<u8>>;
    /// Milliseconds that are left, and a metadata value.
    async fn context(&self, key: String) -> Result<(u64, Option<String>)>;
    /// Fails, and says that the instance is at fault.
    async fn fault(&self) -> Result<(), LabError>;
    /// Works for so long as one of as many workers as the gate has permits.
    async fn work(&self, millis: u64) -> Result<()>;
    /// Blocks its thread.
    async fn block(&self, millis: u64) -> Result<()>;
}

/// What a test sees of the handlers.
#[derive(Debug)]
pub struct State {
    pub started: AtomicUsize,
    pub ended: AtomicUsize,
    pub unblocked: AtomicUsize,
    pub gate: Semaphore,
}

impl Default for State {
    fn default() -> Self {
        let [started, ended, unblocked] = Default::default();
        Self { started, ended, unblocked, gate: Semaphore::new(0) }
    }
}

impl State {
    pub fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// Handlers that returned or were dropped.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Clone, Default)]
pub struct LabService(pub Arc<State>);

/// Counts the end of a handler, however it ends.
struct Running<'a>(&'a State);

impl<'a> Running<'a> {
    fn start(state: &'a State) -> Self {
        state.started.fetch_add(1, Ordering::SeqCst);
        Self(state)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

#[rpc_service]
impl Lab for LabService {
    async fn echo(&self, text: String) -> Result<String> {
        let _running = Running::start(&self.0);
        Ok(text)
    }

    async fn wait(&self, text: String) -> Result<String> {
        let _running = Running::start(&self.0);
        let permit = self.0.gate.acquire().await.map_err(|e| RpcError::internal(e.to_string()))?;
        permit.forget();
        Ok(text)
    }

    async fn fail(&self, text: String) -> Result<(), LabError> {
        Err(LabError(text))
    }

    async fn panic(&self) -> Result<()> {
        let _running = Running::start(&self.0);
        panic!("a secret of the server");
    }

    async fn length(&self, data: &[u8]) -> Result<u64> {
        let _running = Running::start(&self.0);
        Ok(data.len() as u64)
    }

    #[allow(clippy::disallowed_methods, reason = "it stands for work")]
    async fn task(&self, data: &[u8]) -> Result<String> {
        if !data.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(format!("{:?}", tokio::task::try_id()))
    }

    async fn bytes(&self, count: usize) -> Result<Vec<u8>> {
        let _running = Running::start(&self.0);
        let mut bytes = (0..=u8::MAX).collect::<Vec<_>>().repeat(count.div_ceil(256));
        bytes.truncate(count);
        Ok(bytes)
    }

    async fn context(&self, key: String) -> Result<(u64, Option<String>)> {
        let context = CallContext::current();
        let left = context.remaining().map_or(0, |left| left.as_millis());
        Ok((u64::try_from(left).unwrap_or(u64::MAX), context.metadata(&key).map(str::to_owned)))
    }

    async fn fault(&self) -> Result<(), LabError> {
        CallContext::current().instance_at_fault();
        Err(LabError("broken".into()))
    }

    async fn work(&self, millis: u64) -> Result<()> {
        let _running = Running::start(&self.0);
        let worker = self.0.gate.acquire().await.map_err(|e| RpcError::internal(e.to_string()))?;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        drop(worker);
        Ok(())
    }

    #[allow(clippy::disallowed_methods, reason = "what bad handlers do")]
    async fn block(&self, millis: u64) -> Result<()> {
        std::thread::sleep(Duration::from_millis(millis));
        self.0.unblocked.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A server of [`LabService`] alone, in a registry of its own, that leaves without notice.
pub fn lab(state: &Arc<State>) -> ServerBuilder {
    Server::builder()
        .registry(rpc_core::discovery::MemoryRegistry::new())
        .service(LabService(Arc::clone(state)))
        .collected(false)
        .notice(Duration::ZERO)
}

pub async fn start_lab() -> (Server, Arc<State>) {
    let state = Arc::<State>::default();
    (lab(&state).start().await.unwrap(), state)
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub header: Header,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn value<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.header.kind, Kind::Reply, "{:?}", self.payload);
        Codec::Named.decode(&self.payload).unwrap()
    }

    pub fn error(&self) -> (Reason, RpcError) {
        assert_eq!(self.header.kind, Kind::Error);
        read_error(&self.payload)
    }

    pub fn text(&self) -> String {
        assert_eq!(self.header.kind, Kind::Close);
        wire::read_close(&self.payload)
    }

    /// Bytes that a credit frame grants.
    pub fn credit(&self) -> u32 {
        assert_eq!(self.header.kind, Kind::Credit);
        u32::from_le_bytes(self.payload.as_slice().try_into().unwrap())
    }
}

/// A client made of bytes.
#[derive(Debug)]
pub struct RawPeer {
    pub stream: TcpStream,
    pub server: Preface,
    buffer: Vec<u8>,
}

impl RawPeer {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::connect_with(addr, Limits::default()).await
    }

    pub async fn connect_with(addr: SocketAddr, limits: Limits) -> Self {
        Self::connect_as(addr, Preface::new(None, limits)).await
    }

    pub async fn connect_as(addr: SocketAddr, preface: Preface) -> Self {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut bytes = Vec::new();
        preface.put(&mut bytes);
        stream.write_all(&bytes).await.unwrap();
        let mut buffer = Vec::new();
        let server = loop {
            if let Some((server, length)) = read_preface(&buffer).unwrap() {
                buffer.drain(..length);
                break server;
            }
            let read = timeout(BOUND, stream.read_buf(&mut buffer)).await.unwrap().unwrap();
            assert_ne!(read, 0, "closed before its preface");
        };
        Self { stream, server, buffer }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next frame; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((header, payload, length)) = next_frame(&self.buffer).unwrap() {
                let frame = Frame { header, payload: payload.to_vec() };
                self.buffer.drain(..length);
                return Some(frame);
            }
            let read = timeout(BOUND, self.stream.read_buf(&mut self.buffer)).await;
            match read.expect("the server says nothing") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame, which must be of this kind and for this call.
    pub async fn expect(&mut self, kind: Kind, id: u64) -> Frame {
        let frame = self.next().await.expect("the server closed");
        assert_eq!((frame.header.kind, frame.header.id), (kind, id), "{:?}", frame.payload);
        frame
    }

    /// The connection must end with these words.
    pub async fn expect_close(&mut self, words: &str) {
        let text = self.expect(Kind::Close, 0).await.text();
        assert!(text.contains(words), "{text}");
        assert_eq!(self.next().await, None);
    }

    /// The connection must be alive.
    pub async fn check_alive(&mut self) {
        self.send(signal(Kind::Ping, 77)).await;
        self.expect(Kind::Pong, 77).await;
    }

    /// Sends a call and returns the frame that answers it.
    pub async fn call(&mut self, id: u64, method: &str, args: &impl Serialize) -> Frame {
        self.send(request(id, method, args)).await;
        let frame = self.next().await.expect("the server closed");
        assert_eq!(frame.header.id, id);
        frame
    }
}

pub fn preface(limits: Limits) -> Vec<u8> {
    let mut out = Vec::new();
    Preface::new(None, limits).put(&mut out);
    out
}

pub fn signal(kind: Kind, id: u64) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_signal(&mut out, kind, id);
    out
}

pub fn credit(id: u64, bytes: u32) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_credit(&mut out, id, bytes);
    out
}

pub fn frame(kind: Kind, flags: u8, id: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, Header { kind, flags, aux: 0, id }, |out| out.extend_from_slice(payload));
    out
}

/// The head of a call to the lab with ten seconds to go.
pub fn head(method: &str) -> RequestHead {
    RequestHead {
        service: wire::fnv1a_64(b"test.Lab"),
        method: wire::fnv1a_32(method.as_bytes()),
        remaining_ms: 10_000,
        sent_ms: 0,
        trace: None,
    }
}

pub fn args(args: &impl Serialize) -> Vec<u8> {
    let mut body = Vec::new();
    Codec::Named.encode(args, &mut body).unwrap();
    body
}

/// A whole request to the lab.
pub fn request(id: u64, method: &str, arguments: &impl Serialize) -> Vec<u8> {
    request_with(id, 0, head(method), &args(arguments))
}

pub fn request_with(id: u64, flags: u8, head: RequestHead, rest: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    head.put(&mut payload);
    payload.extend_from_slice(rest);
    frame(Kind::Request, flags, id, &payload)
}

#[derive(Serialize)]
pub struct Text<'a> {
    pub text: &'a str,
}

/// Arguments of a method that has none.
#[derive(Serialize)]
pub struct Nothing {}

/// Waits until something is so that no event tells.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("not within {BOUND:?}: {what}"));
}

#[derive(Serialize)]
pub struct Millis {
    pub millis: u64,
}

#[derive(Serialize)]
pub struct Count {
    pub count: usize,
}

#[derive(Serialize)]
pub struct Data<'a> {
    #[serde(serialize_with = "as_bytes")]
    pub data: &'a [u8],
}

fn as_bytes<S: serde::Serializer>(
    data: &&[u8],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_bytes(data)
}
