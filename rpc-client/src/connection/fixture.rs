//! A connection for tests and benchmarks of its parts.

use super::{Connection, Dialer};
use crate::{queue::Queue, standing::Standing, stats::Counters, timekeeper::Timekeeper};
use rpc_core::{
    transport::{Link, Network},
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
        let addr = listener.local_addr()?;
        let link = Link::new(Network::TCP.dial(addr).await?);
        let dialer = Dialer {
            limits: Limits::default(),
            network: Network::TCP,
            timekeeper: Timekeeper::new(),
            counters: Counters::default(),
            tasks: TaskTracker::new(),
            cores: 1,
        };
        let standing = Standing::new(addr, Arc::default(), Queue::new(1, Arc::default()));
        Ok(Self::new(link, Arc::new(dialer), Arc::new(standing)))
    }
}
