//! The port: bound, and accepting whatever happens to single connections or to the descriptors.

use crate::{connection, peers::Peers, serving::Serving};
use rpc_core::{
    SetupError,
    transport::{Network, Port, Socket},
};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

/// First and longest pause after a failure to accept. Without a pause a process that has run out
/// of descriptors would spin; a long one would keep it deaf after they are back.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Failures to accept are logged this often at most.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// How long a host name may take to resolve.
const LOOKUP: Duration = Duration::from_secs(5);

/// Binds `address`, a `host:port`, on `network`.
///
/// # Errors
///
/// What the system says against it, and what to write.
pub(crate) async fn bind(
    network: &Network,
    address: &str,
) -> Result<(Port, SocketAddr), SetupError> {
    let refuse = |error: io::Error| {
        let hint = hint(error.kind());
        SetupError::new(format!("cannot bind {address:?}: {error}: {hint}"))
    };
    let late = |_| Err(io::Error::other("the host name does not resolve in time"));
    let port = timeout(LOOKUP, network.listen(address)).await.unwrap_or_else(late);
    let port = port.map_err(refuse)?;
    let bound = port.local_addr().map_err(refuse)?;
    Ok((port, bound))
}

/// What to do about an address that cannot be bound.
fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AddrInUse => {
            "another process listens there: end it, or write another port; port 0 takes a free one"
        }
        ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address: write \"0.0.0.0:port\" for all of them, \
             and .advertise(..) for an address that clients use"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 often need privileges: write a higher port; port 0 takes a free one"
        }
        _ => "write `host:port`, for example \"0.0.0.0:9000\"; port 0 takes a free one",
    }
}

/// The accept loop.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) port: Port,
    pub(crate) serving: Arc<Serving>,
    pub(crate) peers: Arc<Peers>,
    /// The tasks of the connections.
    pub(crate) tasks: TaskTracker,
}

impl Listener {
    /// Accepts until the server refuses new calls. The task's body.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::default();
        let draining = self.serving.draining().clone();
        loop {
            // Cancel-safe: a connection that is not taken stays in the queue.
            let accepted = tokio::select! {
                biased;
                () = draining.cancelled() => break,
                accepted = self.port.accept() => accepted,
            };
            match accepted {
                Ok((socket, addr)) => {
                    trouble = Trouble { logged: trouble.logged, ..Trouble::default() };
                    self.serve(socket, addr);
                }
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    let pause = trouble.met(&error);
                    tokio::select! {
                        () = draining.cancelled() => break,
                        () = sleep(pause) => {}
                    }
                }
            }
        }
        self.take_the_rest();
    }

    /// Takes the connections that are made already, so that closing the port does not reset them
    /// with a call in their buffers.
    fn take_the_rest(&self) {
        loop {
            match self.port.accept_now() {
                Ok((socket, addr)) => self.serve(socket, addr),
                Err(error) if concerns_one(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn serve(&self, socket: Socket, addr: SocketAddr) {
        // A socket for both families shows IPv4 peers in IPv6's clothes.
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let (serving, peers) = (Arc::clone(&self.serving), Arc::clone(&self.peers));
        self.tasks.spawn(connection::serve(serving, peers, socket, addr));
    }
}

/// Whether a failure is one connection's own: the peer was gone before it was accepted.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// Failures to accept in a row.
#[derive(Debug, Default)]
struct Trouble {
    pause: Option<Duration>,
    failures: u32,
    logged: Option<Instant>,
}

impl Trouble {
    /// Another failure: logged now and then, and how long to pause.
    fn met(&mut self, error: &io::Error) -> Duration {
        let pause = self.pause.map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX));
        self.pause = Some(pause);
        self.failures += 1;
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            tracing::warn!(
                %error,
                failures = self.failures,
                "cannot accept connections: is the limit of open files too low (`ulimit -n`)?"
            );
        }
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_second() {
        let mut trouble = Trouble::default();
        let error = io::Error::other("no descriptors");
        let pauses: Vec<_> = (0..9).map(|_| trouble.met(&error).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_bound_is_explained() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = taken.local_addr().unwrap().to_string();
        for (address, hint) in [
            ("127.0.0.1", "write `host:port`"),
            ("nowhere.invalid:1", "write `host:port`"),
            ("192.0.2.1:0", "write \"0.0.0.0:port\""),
            (&taken, "write another port"),
        ] {
            let text = bind(&Network::TCP, address).await.unwrap_err().to_string();
            assert!(text.contains(address) && text.contains(hint), "{text}");
        }
    }
}
