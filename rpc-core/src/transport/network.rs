//! Where connections come from: the one place that dials and the one that listens.

use super::Socket;
use crate::future::BoxFuture;
use std::{
    fmt, io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::coop,
};

/// The network that a client dials and a server listens on: this machine's TCP, unless a test
/// brings another.
#[derive(Debug, Clone, Default)]
pub struct Network(Option<Arc<dyn Transport>>);

/// A network in place of TCP, for tests.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Connects to `addr`, however long that takes; who dials sets the limit.
    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Socket>>;

    /// Listens on `addr`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When it cannot be listened on.
    fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Accept>>;
}

/// A port of a [`Transport`]. Dropping it closes it.
pub trait Accept: fmt::Debug + Send + Sync {
    /// Where it listens.
    fn addr(&self) -> SocketAddr;

    /// The next connection and where it comes from.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>>;
}

/// A bound port.
#[derive(Debug)]
pub struct Port(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Other(Box<dyn Accept>),
}

impl Network {
    /// This machine's TCP.
    pub const TCP: Self = Self(None);

    /// Another network.
    pub fn other(transport: Arc<dyn Transport>) -> Self {
        Self(Some(transport))
    }

    /// Whether it is this machine's TCP.
    pub fn is_tcp(&self) -> bool {
        self.0.is_none()
    }

    /// Connects to `addr`. Without a limit of its own: who dials sets one.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, no connection is made, or one that is closed at once.
    pub async fn dial(&self, addr: SocketAddr) -> io::Result<Socket> {
        match &self.0 {
            None => dialled(TcpStream::connect(addr).await?, addr),
            Some(transport) => transport.dial(addr).await,
        }
    }

    /// Listens on `address`, a `host:port`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Why it cannot be listened on.
    pub async fn listen(&self, address: &str) -> io::Result<Port> {
        match &self.0 {
            None => Ok(Port(Kind::Tcp(TcpListener::bind(address).await?))),
            Some(transport) => {
                let addr = address.parse().map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidInput, format!("{error}"))
                })?;
                Ok(Port(Kind::Other(transport.listen(addr)?)))
            }
        }
    }
}

/// A connection to `addr`. The system may connect a socket to itself where nobody on this machine
/// listens, and what it says would be taken for a provider's greeting.
fn dialled(stream: TcpStream, addr: SocketAddr) -> io::Result<Socket> {
    if stream.local_addr()? == addr {
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there"));
    }
    Socket::tcp(stream)
}

impl Port {
    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr(),
            Kind::Other(port) => Ok(port.addr()),
        }
    }

    /// The next connection and where it comes from.
    ///
    /// # Errors
    ///
    /// The system's, about one connection or about all.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that is not taken stays in the queue.
    pub async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The next connection if one is there already.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when none is there; others as [`accept`](Self::accept).
    pub fn accept_now(&self) -> io::Result<(Socket, SocketAddr)> {
        // Nor does it take part in turns: that a task has had its own leaves the queue as it is.
        let accept = pin!(coop::unconstrained(self.accept()));
        match accept.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(accepted) => accepted,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, SocketAddr)>> {
        match &self.0 {
            Kind::Tcp(listener) => listener.poll_accept(cx).map(|accepted| {
                let (stream, addr) = accepted?;
                // One that is gone already must not look like trouble of the listener.
                let aborted = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
                Ok((Socket::tcp(stream).map_err(aborted)?, addr))
            }),
            Kind::Other(port) => port.poll_accept(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_that_is_connected_to_itself_is_no_connection() {
        use socket2::{Domain, Type};
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let addr = socket.local_addr().unwrap();
        socket.connect(&addr).unwrap();
        socket.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(socket.into()).unwrap();
        let error = dialled(stream, addr.as_socket().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn all_that_wait_are_there_for_a_task_that_has_had_its_turn() {
        let port = Network::TCP.listen("127.0.0.1:0").await.unwrap();
        let addr = port.local_addr().unwrap();
        let mut peers = Vec::new();
        for _ in 0..100 {
            peers.push(TcpStream::connect(addr).await.unwrap());
        }
        while coop::has_budget_remaining() {
            coop::consume_budget().await;
        }
        for _ in &peers {
            port.accept_now().unwrap();
        }
        assert_eq!(port.accept_now().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
