//! One task that watches the clock for all connections of a client: deadlines, pings, silence.
//!
//! A timer for each call would cost more than the rest of its way through the client. Instead each
//! call leaves its deadline in the table of its connection, and this task looks at the tables when
//! the earliest deadline comes, and a few times a second anyway.

use crate::{clock::now_ms, connection::Connection};
use rpc_core::transport::lock;
use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How often the tables are looked at when no deadline is near.
const TICK: Duration = Duration::from_millis(100);

/// The clock of a client's connections.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    connections: Mutex<Vec<Weak<Connection>>>,
    /// When the task will look next, in ms; a call with an earlier deadline wakes it.
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
    pub(crate) fn expect(&self, deadline: u64) {
        if deadline < self.next.load(Ordering::SeqCst) {
            self.next.fetch_min(deadline, Ordering::SeqCst);
            self.wake.notify_one();
        }
    }

    /// The task's body; ends when it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            // Calls that come while the tables are read find no next look and ask for one.
            self.next.store(u64::MAX, Ordering::SeqCst);
            let Some(next) = self.look(now_ms(Instant::now())) else {
                self.wake.notified().await;
                continue;
            };
            let tick = now_ms(Instant::now() + TICK);
            self.next.fetch_min(next.min(tick), Ordering::SeqCst);
            let now = now_ms(Instant::now());
            let pause = self.next.load(Ordering::SeqCst).saturating_sub(now);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Looks at every connection; the earliest deadline, or `None` when there is no connection.
    fn look(&self, now: u64) -> Option<u64> {
        let connections: Vec<_> = {
            let mut all = lock(&self.connections);
            all.retain(|c| c.upgrade().is_some_and(|c| !c.is_ended()));
            all.iter().filter_map(Weak::upgrade).collect()
        };
        connections.iter().map(|connection| connection.tick(now)).min()
    }
}
