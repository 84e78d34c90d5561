//! A scripted peer: one side of a connection, frame by frame, as a test wants it.

use rpc_core::{
    RpcError,
    codec::Codec,
    discovery::InstanceId,
    wire::{
        Header, Kind, Limits, Preface, Reason, RequestHead, flag, next_frame, put_error, put_frame,
        put_signal, read_preface, read_total,
    },
};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// What is waited for comes within this time, or is an error.
const LIMIT: Duration = Duration::from_secs(20);

/// A listener whose connections do what the test says.
#[derive(Debug)]
pub struct PeerListener {
    listener: TcpListener,
    addr: SocketAddr,
}

impl PeerListener {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection; nothing is read or sent yet.
    ///
    /// # Errors
    ///
    /// The listener's.
    pub async fn accept(&self) -> io::Result<Peer> {
        let (stream, _) = timeout(LIMIT, self.listener.accept()).await??;
        Ok(Peer::new(stream))
    }

    /// The next connection, greeted as a server with the given limits.
    ///
    /// # Errors
    ///
    /// The socket's, or a client whose preface is wrong.
    pub async fn greet(&self, limits: Limits) -> io::Result<Peer> {
        let mut peer = self.accept().await?;
        peer.preface(Preface::new(Some(InstanceId::random()), limits)).await?;
        peer.expect_preface().await?;
        Ok(peer)
    }
}

/// A frame as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The head of a request, and its body: all of it, or the first piece with the total before it.
    ///
    /// # Errors
    ///
    /// If it is no request.
    pub fn request(&self) -> io::Result<(RequestHead, &[u8])> {
        let mut payload = &*self.payload;
        match self.header.kind {
            Kind::Request => RequestHead::read(self.header.flags, &mut payload)
                .map(|(head, _)| (head, payload))
                .map_err(io::Error::other),
            kind => Err(io::Error::other(format!("{kind:?} is no request"))),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    /// Dials a server; nothing is read or sent yet.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub async fn dial(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(addr).await?))
    }

    fn new(stream: TcpStream) -> Self {
        // Only slower without.
        let _ = stream.set_nodelay(true);
        Self { stream, read: Vec::new() }
    }

    /// The socket.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a preface.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn preface(&mut self, preface: Preface) -> io::Result<()> {
        let mut bytes = Vec::new();
        preface.put(&mut bytes);
        self.raw(&bytes).await
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn frame(&mut self, header: Header, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, header, |out| out.extend_from_slice(payload));
        self.raw(&bytes).await
    }

    /// Sends a frame without payload.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn signal(&mut self, kind: Kind, id: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        put_signal(&mut bytes, kind, id);
        self.raw(&bytes).await
    }

    /// Sends `value` as the reply to a call.
    ///
    /// # Errors
    ///
    /// The socket's, or a value that does not encode.
    pub async fn reply(&mut self, id: u64, value: &impl serde::Serialize) -> io::Result<()> {
        let mut body = Vec::new();
        Codec::Named.encode(value, &mut body).map_err(io::Error::other)?;
        let header = Header { kind: Kind::Reply, flags: 0, aux: 0, id };
        self.frame(header, &body).await
    }

    /// Begins a large reply of `total` bytes with its first piece.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn begin_reply(&mut self, id: u64, total: u32, piece: &[u8]) -> io::Result<()> {
        let header = Header { kind: Kind::Reply, flags: flag::CHUNKED, aux: 0, id };
        self.frame(header, &[&total.to_le_bytes()[..], piece].concat()).await
    }

    /// Sends a framework error.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub async fn error(&mut self, id: u64, reason: Reason, text: &str) -> io::Result<()> {
        let mut payload = Vec::new();
        put_error(&mut payload, reason, &RpcError::new(reason.code(), text));
        let header = Header { kind: Kind::Error, flags: 0, aux: 0, id };
        self.frame(header, &payload).await
    }

    /// Reads the other side's preface.
    ///
    /// # Errors
    ///
    /// The socket's, or bytes that are no preface.
    pub async fn expect_preface(&mut self) -> io::Result<Preface> {
        loop {
            if let Some((preface, length)) = read_preface(&self.read).map_err(io::Error::other)? {
                self.read.drain(..length);
                return Ok(preface);
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next frame; `None` when the other side has closed.
    ///
    /// # Errors
    ///
    /// The socket's, or bytes that are no frame.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some((header, payload, length)) =
                next_frame(&self.read).map_err(io::Error::other)?
            {
                let frame = Frame { header, payload: payload.to_vec() };
                self.read.drain(..length);
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// The next frame of this kind; others before it are answered if they are pings, and passed
    /// over.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next), or when the other side closes without one.
    pub async fn expect(&mut self, kind: Kind) -> io::Result<Frame> {
        while let Some(frame) = self.next().await? {
            if frame.header.kind == kind {
                return Ok(frame);
            }
            if frame.header.kind == Kind::Ping {
                self.signal(Kind::Pong, frame.header.id).await?;
            }
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed without {kind:?}")))
    }

    /// The bytes granted by a credit frame, and for which call.
    ///
    /// # Errors
    ///
    /// As [`expect`](Self::expect).
    pub async fn expect_credit(&mut self) -> io::Result<(u64, u32)> {
        let frame = self.expect(Kind::Credit).await?;
        let bytes = read_total(&mut &*frame.payload).map_err(io::Error::other)?;
        Ok((frame.header.id, bytes))
    }

    /// Reads to the end of the stream, be it an orderly one or a reset.
    pub async fn end(&mut self) {
        while matches!(self.fill().await, Ok(true)) {
            self.read.clear();
        }
    }

    async fn fill(&mut self) -> io::Result<bool> {
        Ok(timeout(LIMIT, self.stream.read_buf(&mut self.read)).await?? > 0)
    }
}
