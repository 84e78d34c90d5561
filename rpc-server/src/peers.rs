//! The connections of a server, and what the tasks of each share.

use crate::{
    backlog::Backlog,
    limits::Admission,
    router::Route,
    running::Running,
    serving::{Access, Serving},
};
use dashmap::DashMap;
use rpc_core::{
    transport::Link,
    wire::{Kind, put_signal},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// One greeted connection, as its reader and the tasks of its calls share it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) serving: Arc<Serving>,
    pub(crate) addr: SocketAddr,
    pub(crate) link: Link,
    pub(crate) access: Access,
    pub(crate) admission: Arc<Admission>,
    pub(crate) running: Running,
    /// Handlers that wait for their first poll.
    pub(crate) backlog: Backlog,
    /// The tasks of its calls.
    pub(crate) tasks: TaskTracker,
    /// The connection ends now.
    pub(crate) stop: CancellationToken,
    told: AtomicBool,
}

impl Peer {
    pub(crate) fn new(serving: Arc<Serving>, addr: SocketAddr, link: Link, access: Access) -> Self {
        let admission = Admission::new(serving.limits, Arc::clone(&serving.usage));
        Self {
            addr,
            link,
            access,
            admission: Arc::new(admission),
            running: Running::default(),
            backlog: Backlog::default(),
            tasks: TaskTracker::new(),
            stop: serving.stop().child_token(),
            told: AtomicBool::new(false),
            serving,
        }
    }

    /// How full the fullest limit is that applies to a call of this method, in 255ths.
    pub(crate) fn load(&self, route: Option<Route>) -> u8 {
        let method = route
            .and_then(|route| self.serving.router.limits(route))
            .map_or(0, |gates| gates.load());
        self.admission.load().max(method)
    }

    /// Asks the peer to send no more calls; once.
    pub(crate) fn tell_leaving(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            // A connection that has ended needs no telling.
            let _ = self.link.send(|out| put_signal(out, Kind::Leaving, 0));
        }
    }
}

/// The live connections. No guard of the map leaves a method.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    live: DashMap<u64, Arc<Peer>>,
    next: AtomicU64,
}

impl Peers {
    /// Lists a connection until the membership is dropped.
    pub(crate) fn join(self: &Arc<Self>, peer: &Arc<Peer>) -> Membership {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.live.insert(number, Arc::clone(peer));
        Membership { peers: Arc::clone(self), number }
    }

    /// All that are listed now.
    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        self.live.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    /// Relieves tasks that were bound to write at the last look already; whether anything is
    /// unsent anywhere.
    pub(crate) fn relieve(&self) -> bool {
        let mut unsent = false;
        for peer in &self.live {
            let outbox = peer.link.outbox();
            if outbox.unsent() > 0 {
                outbox.relieve();
                unsent = true;
            }
        }
        unsent
    }

    /// How many are listed.
    pub(crate) fn count(&self) -> usize {
        self.live.len()
    }
}

/// A place in the list.
#[derive(Debug)]
pub(crate) struct Membership {
    peers: Arc<Peers>,
    number: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.peers.live.remove(&self.number);
    }
}
