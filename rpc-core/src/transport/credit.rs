//! Credit for sending large bodies: what the peer has said it will take.
//!
//! Each large body has a window of its own and all of a connection share another. Without them
//! megabytes of chunks would sit in the kernel's buffers and every small frame would queue behind
//! them. A body that waits for credit stays with its call; only credited bytes enter the outbox.
//! A body that is no larger than its window never waits for it, so it is given none.

use super::lock;
use crate::{
    defaults,
    wire::{BASE_LIMITS, Limits, ProtocolError},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Semaphore;

/// The credit of one connection, for one direction.
#[derive(Debug)]
pub struct SendCredit {
    connection: Window,
    bodies: Mutex<HashMap<u64, Arc<Window>>>,
    peer: OnceLock<Limits>,
}

/// One window: what may be sent, and what was sent and not granted again.
#[derive(Debug)]
struct Window {
    free: Semaphore,
    used: AtomicU64,
}

/// The largest window, in bytes: a peer may announce more than a semaphore can hold.
const MAX_WINDOW: usize = if Semaphore::MAX_PERMITS < i32::MAX as usize {
    Semaphore::MAX_PERMITS
} else {
    i32::MAX as usize
};

/// The connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditError;

impl Window {
    fn new(bytes: u32) -> Self {
        Self { free: Semaphore::new(MAX_WINDOW.min(bytes as usize)), used: AtomicU64::new(0) }
    }

    async fn take(&self, bytes: u32) -> Result<(), CreditError> {
        self.free.acquire_many(bytes).await.map_err(|_| CreditError)?.forget();
        self.used.fetch_add(u64::from(bytes), Ordering::Relaxed);
        Ok(())
    }

    /// Takes if that need not be waited for.
    fn try_take(&self, bytes: u32) -> bool {
        let Ok(permits) = self.free.try_acquire_many(bytes) else { return false };
        permits.forget();
        self.used.fetch_add(u64::from(bytes), Ordering::Relaxed);
        true
    }

    /// Gives back what was taken and not used.
    fn untake(&self, bytes: u32) {
        self.used.fetch_sub(u64::from(bytes), Ordering::Relaxed);
        self.free.add_permits(bytes as usize);
    }

    /// Gives credit back; more than is used is a lie of the peer.
    fn grant(&self, bytes: u32) -> Result<(), ProtocolError> {
        let less = |used: u64| used.checked_sub(u64::from(bytes));
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => self.free.add_permits(bytes as usize),
            Err(_) => return Err(ProtocolError("more credit than was used")),
        }
        Ok(())
    }
}

impl SendCredit {
    /// The credit of a connection whose peer has not announced anything yet.
    pub fn new() -> Self {
        Self {
            connection: Window::new(BASE_LIMITS.credit_per_connection),
            bodies: Mutex::default(),
            peer: OnceLock::new(),
        }
    }

    /// The peer's preface has come: its limits replace the base limits.
    pub fn greeted(&self, limits: Limits) {
        // The limits change under the same lock that opens windows, so none is missed or grown
        // twice. Who waits is woken outside of it.
        let open: Vec<_> = {
            let bodies = lock(&self.bodies);
            if self.peer.set(limits).is_err() {
                return;
            }
            bodies.values().cloned().collect()
        };
        let more = |now: u32, base: u32| MAX_WINDOW.min(now as usize).saturating_sub(base as usize);
        let connection = more(limits.credit_per_connection, BASE_LIMITS.credit_per_connection);
        self.connection.free.add_permits(connection);
        let body = more(limits.credit_per_body, BASE_LIMITS.credit_per_body);
        for window in open {
            window.free.add_permits(body);
        }
    }

    /// The peer's limits; the base limits until it has announced its own.
    pub fn peer(&self) -> Limits {
        self.peer.get().copied().unwrap_or(BASE_LIMITS)
    }

    /// Whether the peer has announced its limits.
    pub fn is_greeted(&self) -> bool {
        self.peer.get().is_some()
    }

    /// Opens the window of a large body of `length` bytes.
    pub fn open(&self, id: u64, length: usize) -> BodyWindow<'_> {
        let mut body = BodyWindow { credit: self, id, window: None };
        if length > self.peer().credit_per_body as usize {
            // Under the lock under which the limits change.
            let mut bodies = lock(&self.bodies);
            let window = Arc::new(Window::new(self.peer().credit_per_body));
            bodies.insert(id, Arc::clone(&window));
            body.window = Some(window);
        }
        body
    }

    /// A credit frame has come. Credit for a body that is no longer sent is ignored.
    ///
    /// # Errors
    ///
    /// More credit than was used.
    pub fn grant(&self, id: u64, bytes: u32) -> Result<(), ProtocolError> {
        if id == 0 {
            return self.connection.grant(bytes);
        }
        let window = lock(&self.bodies).get(&id).cloned();
        window.map_or(Ok(()), |window| window.grant(bytes))
    }

    /// The connection has ended: who waits is told.
    pub fn close(&self) {
        self.connection.free.close();
        let open: Vec<_> = lock(&self.bodies).values().cloned().collect();
        for window in open {
            window.free.close();
        }
    }
}

impl Default for SendCredit {
    fn default() -> Self {
        Self::new()
    }
}

/// The open window of one large body; closed when dropped.
#[derive(Debug)]
pub struct BodyWindow<'a> {
    credit: &'a SendCredit,
    id: u64,
    /// `None` when the body fits into its window as a whole.
    window: Option<Arc<Window>>,
}

/// Credit for some pieces. Dropped before they are [sent](Self::sent), it goes back.
#[derive(Debug)]
#[must_use]
pub struct Taken<'a> {
    body: &'a BodyWindow<'a>,
    bytes: u32,
    piece: u32,
}

impl Taken<'_> {
    /// How long the pieces may be together.
    pub fn length(&self) -> usize {
        self.bytes as usize
    }

    /// How long each of them may be.
    pub fn piece(&self) -> usize {
        self.piece as usize
    }

    /// The pieces were appended: the peer gives the credit back.
    pub fn sent(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.body.window.iter().for_each(|window| window.untake(self.bytes));
            self.body.credit.connection.untake(self.bytes);
        }
    }
}

impl BodyWindow<'_> {
    /// Takes credit for the next pieces of a body of which `rest` bytes are left: for one, for
    /// which it waits, and for as many more, up to `most` in all, as there is credit for at once. A
    /// piece is at most half of a window, since the receiver gives credit back by quarters; so two
    /// sides with small windows never wait for each other.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for the connection's credit, it keeps what it took of the body's
    /// own; a body that is given up needs no credit any more.
    pub async fn take(&self, rest: usize, most: usize) -> Result<Taken<'_>, CreditError> {
        let rest = u32::try_from(rest).unwrap_or(u32::MAX);
        let piece = self.piece();
        let first = rest.min(piece);
        if let Some(window) = &self.window {
            window.take(first).await?;
        }
        self.credit.connection.take(first).await?;
        let mut taken = Taken { body: self, bytes: first, piece };
        for _ in 1..most {
            let more = (rest - taken.bytes).min(piece);
            if more == 0 || !self.try_take(more) {
                break;
            }
            taken.bytes += more;
        }
        Ok(taken)
    }

    /// Takes credit for all of a body of `length` bytes if that need not be waited for and is no
    /// more than `most` pieces.
    pub fn take_all(&self, length: usize, most: usize) -> Option<Taken<'_>> {
        let (bytes, piece) = (u32::try_from(length).ok()?, self.piece());
        let few = length <= most * piece as usize;
        (few && self.try_take(bytes)).then(|| Taken { body: self, bytes, piece })
    }

    fn try_take(&self, bytes: u32) -> bool {
        if self.window.as_ref().is_some_and(|window| !window.try_take(bytes)) {
            return false;
        }
        let taken = self.credit.connection.try_take(bytes);
        if !taken {
            self.window.iter().for_each(|window| window.untake(bytes));
        }
        taken
    }

    /// Largest piece.
    fn piece(&self) -> u32 {
        let limits = self.credit.peer();
        defaults::CHUNK.min(limits.credit_per_body / 2).min(limits.credit_per_connection / 2)
    }
}

impl Drop for BodyWindow<'_> {
    fn drop(&mut self) {
        let Some(window) = &self.window else { return };
        let mut bodies = lock(&self.credit.bodies);
        // A server's peer may use an id again while the end of its last use is still under way.
        if bodies.get(&self.id).is_some_and(|open| Arc::ptr_eq(open, window)) {
            bodies.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests;
