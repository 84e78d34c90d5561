//! A call's place in the table, as its caller holds it.

use super::{Arrival, Slots};
use crate::connection::Connection;
use rpc_core::transport::{Sent, lock};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A call's place in the table: a future of what it is told. Dropped before an end was told, it
/// cancels the call at the provider, if the request may have left.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    connection: &'a Connection,
    id: u64,
    sent: Leaving,
    /// The waker in the table is that of the poll which goes on now: there is no need to look.
    watched: bool,
    /// The answer was taken, and with it the place given back.
    freed: bool,
}

/// A place in the table for a call that goes on elsewhere. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    connection: Arc<Connection>,
    id: u64,
}

/// How much of a request was handed over.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    NotYet,
    /// Some pieces of a large one: it cannot run, but the provider holds memory for it.
    Partly,
    /// All of it, the last byte before this position in the stream.
    All {
        end: u64,
    },
    /// All of it, as one frame between these positions.
    Whole {
        start: u64,
        end: u64,
    },
}

impl<'a> Waiter<'a> {
    /// Of a call that was admitted by the poll that goes on.
    pub(super) fn new(connection: &'a Connection, id: u64) -> Self {
        Self { connection, id, sent: Leaving::NotYet, watched: true, freed: false }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The caller is about to wait for something else: another task may poll it next.
    pub(in super::super) fn look_away(&mut self) {
        self.watched = false;
    }

    pub(in super::super) fn partly_sent(&mut self) {
        self.sent = Leaving::Partly;
    }

    pub(in super::super) fn all_sent(&mut self, end: u64) {
        self.sent = Leaving::All { end };
    }

    pub(in super::super) fn sent(&mut self, frame: Sent) {
        self.sent = Leaving::Whole { start: frame.start, end: frame.end };
    }

    /// Whether the last byte of the request had reached the kernel when `written` bytes had.
    pub(in super::super) fn left_by(&self, written: u64) -> bool {
        match self.sent {
            Leaving::NotYet | Leaving::Partly => false,
            Leaving::All { end } | Leaving::Whole { end, .. } => end <= written,
        }
    }

    /// Sees to it that the request does not leave, if that can still be done; whether it may have
    /// left.
    pub(crate) fn stop(&mut self) -> bool {
        match self.sent {
            Leaving::NotYet | Leaving::Partly => false,
            Leaving::All { .. } => true,
            Leaving::Whole { start, end } => {
                let back = self.connection.link.outbox().take_back(start, end);
                if back {
                    self.sent = Leaving::NotYet;
                }
                !back
            }
        }
    }
}

impl Reserved {
    /// Of a call that `connection` has admitted.
    pub(in super::super) fn new(connection: Arc<Connection>, waiter: Waiter<'_>) -> Self {
        let id = std::mem::ManuallyDrop::new(waiter).id;
        Self { connection, id }
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The place, of which this is to be asked once.
    pub(crate) fn waiter(&self) -> Waiter<'_> {
        let mut waiter = Waiter::new(&self.connection, self.id);
        // Who waits need not be who has asked for the place.
        waiter.look_away();
        waiter
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // Nothing was sent if it is still taken; the waiter gives it back otherwise.
        Slots::abandon(&self.connection, self.id);
    }
}

impl Future for Waiter<'_> {
    type Output = Arrival;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Arrival> {
        let this = &mut *self;
        if std::mem::take(&mut this.watched) {
            // Whatever has come since the call was admitted has woken this very task.
            return Poll::Pending;
        }
        // Cloned and dropped outside of the lock: a waker is not our code.
        let mut fresh = None;
        loop {
            let mut table = lock(&this.connection.slots.table);
            let Some(slot) = table.find(this.id) else {
                // Unreachable while the waiter lives; an end is better than a wait for ever.
                return Poll::Ready(Arrival::Deadline);
            };
            if let Some(arrival) = slot.arrival.take() {
                if matches!(arrival, Arrival::Answer { .. } | Arrival::Broken { .. }) {
                    this.freed = true;
                    Slots::free(this.connection, table, this.id);
                }
                return Poll::Ready(arrival);
            }
            if slot.waker.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if fresh.is_some() {
                let old = std::mem::replace(&mut slot.waker, fresh);
                drop(table);
                drop(old);
                return Poll::Pending;
            }
            drop(table);
            fresh = Some(cx.waker().clone());
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.freed || !Slots::abandon(self.connection, self.id) {
            return;
        }
        let left = match self.sent {
            Leaving::NotYet => false,
            Leaving::Partly => true,
            Leaving::All { .. } | Leaving::Whole { .. } => self.stop(),
        };
        if left {
            self.connection.cancel(self.id);
        }
    }
}
