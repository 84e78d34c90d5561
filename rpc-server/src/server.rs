//! The handle of a running server.

use crate::{lifecycle::Started, method_stats::MethodStats, stats::ServerStats};
use std::{net::SocketAddr, sync::Arc};

/// A server that is bound and serving; made with [`Server::builder`](Self::builder).
///
/// Dropping it stops it at once: connections are closed and running handlers dropped. Use
/// [`shutdown`](Self::shutdown) to leave without costing anybody a call.
#[derive(Debug)]
pub struct Server {
    started: Arc<Started>,
}

impl Server {
    pub(crate) fn new(started: Started) -> Self {
        Self { started: Arc::new(started) }
    }

    /// The address that the server is bound to, with the port that it was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.started.bound
    }

    /// The address under which it is registered.
    pub fn advertised_addr(&self) -> SocketAddr {
        self.started.advertised
    }

    /// Whether the registry lists this server now. While it does not, it is tried again.
    pub fn registered(&self) -> bool {
        self.started.is_registered()
    }

    /// What is served: `name` or `name@version` each, sorted.
    pub fn services(&self) -> Vec<&'static str> {
        self.started.serving.router.registered()
    }

    /// What has been counted so far.
    pub fn stats(&self) -> ServerStats {
        let Started { serving, peers, .. } = &*self.started;
        ServerStats {
            connections: peers.count(),
            in_flight: serving.usage.calls(),
            held_bytes: serving.usage.bytes(),
            served: serving.router.served(),
            ..serving.counters.snapshot()
        }
    }

    /// What has been counted for each method, sorted by service and method. Each prints as a line
    /// for people, that says how near a limit is.
    pub fn method_stats(&self) -> Vec<MethodStats> {
        self.started.serving.router.stats()
    }

    /// Leaves in order: withdraws from the registry, tells connected clients, goes on serving for
    /// the notice period, refuses new calls, lets running ones end within the drain limit, closes.
    ///
    /// Returns when it is done, after at most the notice, the drain limit and some 6 s. The future
    /// keeps the server alive, so the handle may be dropped meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Given up half-way, the server stays in the state that it has reached; calling it again goes
    /// on from there.
    #[must_use = "nothing happens until the future is awaited"]
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<> {
        let started = Arc::clone(&self.started);
        async move { started.leave().await }
    }
}
