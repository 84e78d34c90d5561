//! A connection for tests and benchmarks of its parts.

use super::{Connection, Dialer};
use crate::{queue::Queue, standing::Standing, stats::Counters, timekeeper::Timekeeper};
use rpc_core::{
    transport::{Link, Network, Socket},
    wire::Limits,
};
use std::{io, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

impl Connection {
    /// One to a socket that nobody accepts, and without tasks of its own: what a test or a
    /// benchmark hands to its parts is all that happens to it.
    ///
    /// # Errors
    ///
    /// When there is no socket for it.
    pub(super) async fn idle() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self::over(Network::TCP.dial(listener.local_addr()?).await?))
    }

    /// The same over this socket.
    pub(super) fn over(socket: Socket) -> Self {
        let dialer = Dialer {
            limits: Limits::default(),
            token: None,
            network: Network::TCP,
            timekeeper: Timekeeper::new(),
            counters: Counters::default(),
            tasks: TaskTracker::new(),
            cores: 1,
        };
        let addr = ([127, 0, 0, 1], 1).into();
        let standing = Standing::new(addr, Arc::default(), Queue::new(1, Arc::default()));
        Self::new(Link::new(socket), Arc::new(dialer), Arc::new(standing))
    }
}
