//! Makes a connection: dial, greet, and start the tasks that serve it.

use super::{Connection, reader};
use crate::{standing::Standing, stats::Counters, timekeeper::Timekeeper};
use rpc_core::{
    Token, defaults,
    transport::{Link, Network},
    wire::{Limits, Preface},
};
use std::{
    fmt, io,
    sync::{Arc, atomic::Ordering},
};
use tokio_util::task::TaskTracker;

/// Why no connection was made.
#[derive(Debug)]
pub(crate) enum DialError {
    /// Nobody answered in time.
    TimedOut,
    /// The kernel says why.
    Io(io::Error),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => write!(f, "no answer within {:?}", defaults::DIAL_TIMEOUT),
            Self::Io(e) => e.fmt(f),
        }
    }
}

/// Makes the connections of a client.
#[derive(Debug)]
pub(crate) struct Dialer {
    /// What this client is ready to receive.
    pub(crate) limits: Limits,
    pub(crate) token: Option<Token>,
    pub(crate) network: Network,
    pub(crate) timekeeper: Timekeeper,
    pub(crate) counters: Counters,
    pub(crate) tasks: TaskTracker,
    /// Cores that this process may use.
    pub(crate) cores: usize,
}

impl Dialer {
    /// Dials an endpoint and sends our preface, which goes before anything else. Calls are put on
    /// the connection once the provider has greeted, too.
    pub(crate) async fn dial(
        self: &Arc<Self>,
        standing: &Arc<Standing>,
    ) -> Result<Arc<Connection>, DialError> {
        let socket = tokio::time::timeout(defaults::DIAL_TIMEOUT, self.network.dial(standing.addr))
            .await
            .map_err(|_| DialError::TimedOut)?
            .map_err(DialError::Io)?;
        self.counters.dials.fetch_add(1, Ordering::Relaxed);
        let link = Link::new(socket);
        let connection = Connection::new(link, Arc::clone(self), Arc::clone(standing));
        let connection = Arc::new(connection);
        // The outbox is empty and open; the preface goes out before anything else.
        let preface = Preface::new(None, self.limits).with_token(self.token.clone());
        let _ = connection.link.send(|out| preface.put(out));
        self.timekeeper.watch(&connection);
        self.tasks.spawn(reader::run(Arc::clone(&connection), self.limits));
        let flushed = Arc::clone(&connection);
        self.tasks.spawn(async move {
            // Ends with the outbox, which the reader closes.
            flushed.link.flush().await;
        });
        Ok(connection)
    }
}
