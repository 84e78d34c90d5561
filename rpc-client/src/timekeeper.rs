//! One task that watches the clock for all connections of a client: deadlines, pings, silence.
//!
//! A timer for each call would cost more than the rest of its way through the client. Instead each
//! call leaves its deadline in the table of its connection, and this task looks at the tables when
//! the earliest deadline comes, and a few times a second anyway.

use crate::{clock::Time, connection::Connection};
use rpc_core::transport::lock;
use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// How often the tables are looked at when no deadline is near.
const TICK: Duration = Duration::from_millis(100);

/// The clock of a client's connections.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    connections: Mutex<Vec<Weak<Connection>>>,
    /// When the task will look next, in ns; a call with an earlier deadline wakes it.
    next: AtomicU64,
    wake: Notify,
}

impl Timekeeper {
    pub(crate) fn new() -> Self {
        Self { connections: Mutex::default(), next: AtomicU64::new(0), wake: Notify::new() }
    }

    /// Watches a connection until it is dropped.
    pub(crate) fn watch(&self, connection: &Arc<Connection>) {
        lock(&self.connections).push(Arc::downgrade(connection));
        self.wake.notify_one();
    }

    /// A call with this deadline, which is in its table already.
    #[inline]
    pub(crate) fn expect(&self, deadline: Time) {
        if deadline.nanos() < self.next.load(Ordering::SeqCst) {
            self.next.fetch_min(deadline.nanos(), Ordering::SeqCst);
            self.wake.notify_one();
        }
    }

    /// The task's body; ends when it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            // Calls that come while the tables are read find no next look and ask for one.
            self.next.store(Time::NEVER.nanos(), Ordering::SeqCst);
            let Some(next) = self.look(Time::now()) else {
                self.wake.notified().await;
                continue;
            };
            let next = next.min(Time::now() + TICK).nanos();
            let next = self.next.fetch_min(next, Ordering::SeqCst).min(next);
            tokio::select! {
                () = tokio::time::sleep_until(Time::from_nanos(next).instant()) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Looks at every connection; the earliest deadline, or `None` when there is no connection.
    fn look(&self, now: Time) -> Option<Time> {
        let connections: Vec<_> = {
            let mut all = lock(&self.connections);
            all.retain(|c| c.upgrade().is_some_and(|c| !c.is_ended()));
            all.iter().filter_map(Weak::upgrade).collect()
        };
        connections.iter().map(|connection| connection.tick(now)).min()
    }
}
