//! What a connection is made of below: TCP, or whatever stands in for it in a test.

use crate::{defaults, future::BoxFuture};
use bytes::BufMut;
use socket2::{SockRef, TcpKeepalive};
use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice, Read},
    net::Shutdown,
    time::Duration,
};
use tokio::{io::Interest, net::TcpStream};

/// A connected stream of bytes.
///
/// Nothing here blocks: what cannot be done at once is `WouldBlock`, and
/// [`readable`](Self::readable) or [`writable`](Self::writable) waits until it is worth another
/// try.
#[derive(Debug)]
pub struct Socket(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    Other(Box<dyn Stream>),
}

/// A stream of bytes that is no TCP connection of this machine, see
/// [`Network`](super::Network).
///
/// It is told apart from TCP at each use, so it behaves as TCP does: ordered, with room that ends,
/// with two directions that end apart. Dropping it closes it.
pub trait Stream: fmt::Debug + Send + Sync {
    /// Waits until reading is worth a try. Cancel safe; errors come from the read itself.
    fn readable(&self) -> BoxFuture<'_, io::Result<()>>;

    /// Waits until writing is worth a try. Cancel safe; errors come from the write itself.
    fn writable(&self) -> BoxFuture<'_, io::Result<()>>;

    /// Reads what is there; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is there yet; others when the connection broke.
    fn try_read(&self, room: &mut [u8]) -> io::Result<usize>;

    /// Writes as much as there is room for, at least one byte.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room; others when the connection broke.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Ends one direction or both.
    ///
    /// # Errors
    ///
    /// When the connection is gone already.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

impl Socket {
    /// A TCP connection with the options that every connection has: no delay for small frames, and
    /// an end for connections whose peer has vanished. Keep-alive alone does not do that, since it
    /// rests while data is unacknowledged; the user timeout alone does not either, since it rests
    /// while there is none.
    ///
    /// # Errors
    ///
    /// When the connection is gone already.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(30))
            .with_interval(Duration::from_secs(10));
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(defaults::TCP_USER_TIMEOUT))?;
        Ok(Self(Kind::Tcp(stream)))
    }

    /// A connection of another kind.
    pub fn other(stream: impl Stream + 'static) -> Self {
        Self(Kind::Other(Box::new(stream)))
    }

    /// Waits until reading is worth a try. For one task at a time: of several only the last to
    /// wait is woken.
    ///
    /// # Errors
    ///
    /// The socket's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.0 {
            // Cheaper than a wait that any number of tasks can share.
            Kind::Tcp(stream) => poll_fn(|cx| stream.poll_read_ready(cx)).await,
            Kind::Other(stream) => stream.readable().await,
        }
    }

    /// Waits until writing is worth a try.
    ///
    /// # Errors
    ///
    /// The socket's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(stream) => stream.writable().await,
            Kind::Other(stream) => stream.writable().await,
        }
    }

    /// Reads what is there into `room`; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is there yet; others when the connection broke.
    pub fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => {
                let length = room.len();
                read_tcp(stream, length, || (&*SockRef::from(stream)).read(room))
            }
            Kind::Other(stream) => stream.try_read(room),
        }
    }

    /// The same, whether or not the runtime knows that something is there.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_read_now(&self, room: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => (&*SockRef::from(stream)).read(room),
            Kind::Other(stream) => stream.try_read(room),
        }
    }

    /// Reads what is there to behind `bytes`, at most `most` bytes; 0 at the end of the stream. The
    /// memory need not have been filled before.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_read_more(&self, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => {
                read_tcp(stream, most, || stream.try_read_buf(&mut bytes.limit(most)))
            }
            Kind::Other(stream) => {
                let before = bytes.len();
                bytes.resize(before + most, 0);
                let read = stream.try_read(&mut bytes[before..]);
                bytes.truncate(before + *read.as_ref().unwrap_or(&0));
                read
            }
        }
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it takes nothing at the moment; others when the connection broke.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => stream.try_write(bytes),
            Kind::Other(stream) => stream.try_write(bytes),
        }
    }

    /// Writes as much of these slices, one after the other, as the socket takes.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => stream.try_write_vectored(slices),
            Kind::Other(stream) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                first.map_or(Ok(0), |slice| stream.try_write(slice))
            }
        }
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    ///
    /// When the connection is gone already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(stream) => SockRef::from(stream).shutdown(how),
            Kind::Other(stream) => stream.shutdown(how),
        }
    }
}

/// Reads with `read`, which has room for `length` bytes.
///
/// A read that does not fill its room has emptied the socket. Saying so at once spares the read
/// that would only find that out; on systems that report readiness by edges, more that arrives is
/// reported again.
fn read_tcp(
    stream: &TcpStream,
    length: usize,
    read: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut short = None;
    let result = stream.try_io(Interest::READABLE, || {
        let count = read()?;
        if cfg!(target_os = "linux") && count > 0 && count < length {
            short = Some(count);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(count)
    });
    short.map_or(result, Ok)
}
