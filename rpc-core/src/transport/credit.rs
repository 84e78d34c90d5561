//! Credit for sending large bodies: what the peer has said it will take.
//!
//! Each large body has a window of its own and all of a connection share another. Without them
//! megabytes of chunks would sit in the kernel's buffers and every small frame would queue behind
//! them. A body that waits for credit stays with its call; only credited bytes enter the outbox.

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
use tokio::sync::{Notify, Semaphore};

/// The credit of one connection, for one direction.
#[derive(Debug)]
pub struct SendCredit {
    connection: Window,
    bodies: Mutex<HashMap<u64, Arc<Window>>>,
    peer: OnceLock<Limits>,
    greeted: Notify,
}

/// One window: what may be sent, and what was sent and not granted again.
#[derive(Debug)]
struct Window {
    free: Semaphore,
    used: AtomicU64,
}

/// The connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditError;

impl Window {
    fn new(bytes: u32) -> Self {
        Self { free: Semaphore::new(bytes as usize), used: AtomicU64::new(0) }
    }

    async fn take(&self, bytes: u32) -> Result<(), CreditError> {
        self.free.acquire_many(bytes).await.map_err(|_| CreditError)?.forget();
        self.used.fetch_add(u64::from(bytes), Ordering::Relaxed);
        Ok(())
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
            greeted: Notify::new(),
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
        let more = |now: u32, base: u32| now.min(i32::MAX as u32).saturating_sub(base) as usize;
        let connection = more(limits.credit_per_connection, BASE_LIMITS.credit_per_connection);
        self.connection.free.add_permits(connection);
        let body = more(limits.credit_per_body, BASE_LIMITS.credit_per_body);
        for window in open {
            window.free.add_permits(body);
        }
        self.greeted.notify_waiters();
    }

    /// The peer's limits; the base limits until it has announced its own.
    pub fn peer(&self) -> Limits {
        self.peer.get().copied().unwrap_or(BASE_LIMITS)
    }

    /// Whether the peer has announced its limits.
    pub fn is_greeted(&self) -> bool {
        self.peer.get().is_some()
    }

    /// Waits until the peer has announced its limits.
    ///
    /// # Errors
    ///
    /// When the connection ends first.
    pub async fn wait_greeted(&self) -> Result<(), CreditError> {
        loop {
            let mut greeted = std::pin::pin!(self.greeted.notified());
            greeted.as_mut().enable();
            if self.is_greeted() {
                return Ok(());
            }
            if self.connection.free.is_closed() {
                return Err(CreditError);
            }
            greeted.await;
        }
    }

    /// Opens the window of a large body.
    pub fn open(&self, id: u64) -> BodyWindow<'_> {
        let mut bodies = lock(&self.bodies);
        let window = Arc::new(Window::new(self.peer().credit_per_body));
        bodies.insert(id, Arc::clone(&window));
        BodyWindow { credit: self, id, window }
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
        self.greeted.notify_waiters();
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
    window: Arc<Window>,
}

/// Credit for one piece. Dropped before the piece is [sent](Self::sent), it goes back.
#[derive(Debug)]
#[must_use]
pub struct Taken<'a> {
    window: &'a BodyWindow<'a>,
    bytes: u32,
}

impl Taken<'_> {
    /// How long the piece may be.
    pub fn length(&self) -> usize {
        self.bytes as usize
    }

    /// The piece was appended: the peer gives the credit back.
    pub fn sent(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.window.window.untake(self.bytes);
            self.window.credit.connection.untake(self.bytes);
        }
    }
}

impl BodyWindow<'_> {
    /// Takes credit for the next piece of a body of which `rest` bytes are left. It is at most half of a window, since the receiver gives credit
    /// back by quarters; so two sides with small windows never wait for each other.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for the connection's credit, it keeps what it took of the body's
    /// own; a body that is given up needs no credit any more.
    pub async fn take(&self, rest: usize) -> Result<Taken<'_>, CreditError> {
        let limits = self.credit.peer();
        let most =
            defaults::CHUNK.min(limits.credit_per_body / 2).min(limits.credit_per_connection / 2);
        let piece = u32::try_from(rest).unwrap_or(u32::MAX).min(most);
        self.window.take(piece).await?;
        self.credit.connection.take(piece).await?;
        Ok(Taken { window: self, bytes: piece })
    }
}

impl Drop for BodyWindow<'_> {
    fn drop(&mut self) {
        let mut bodies = lock(&self.credit.bodies);
        // A server's peer may use an id again while the end of its last use is still under way.
        if bodies.get(&self.id).is_some_and(|window| Arc::ptr_eq(window, &self.window)) {
            bodies.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_body_waits_for_its_own_window_and_for_the_connections() {
        let credit = SendCredit::new();
        credit.greeted(Limits { credit_per_connection: 256 * 1024, ..Limits::default() });
        let (a, b) = (credit.open(1), credit.open(2));
        for _ in 0..4 {
            assert_eq!(take(&a, 1 << 20).await, Ok(64 * 1024));
        }
        assert!(timeout(SOON, a.take(1 << 20)).await.is_err(), "its own window is used up");
        assert!(timeout(SOON, b.take(1)).await.is_err(), "and the connection's too");
        credit.grant(0, 64 * 1024).unwrap();
        assert_eq!(take(&b, 10).await, Ok(10));
        // Its own window also lost the byte that it took before it waited for the connection.
        assert!(credit.grant(2, 12).is_err(), "more than was used");
        credit.grant(7, 1).unwrap();
    }

    #[tokio::test]
    async fn the_peers_preface_widens_windows_that_are_open() {
        let credit = SendCredit::new();
        let body = credit.open(1);
        assert_eq!(take(&body, 1 << 20).await, Ok(32 * 1024));
        assert_eq!(take(&body, 1 << 20).await, Ok(32 * 1024));
        assert!(timeout(SOON, body.take(1 << 20)).await.is_err());
        credit.greeted(Limits::default());
        assert_eq!(take(&body, 1 << 20).await, Ok(64 * 1024));
    }

    #[tokio::test]
    async fn credit_for_a_piece_that_is_not_sent_goes_back() {
        let credit = SendCredit::new();
        for id in 1..100 {
            let body = credit.open(id);
            let piece = timeout(SOON, body.take(1 << 20)).await.expect("credit is lost");
            assert_eq!(piece.unwrap().length(), 32 * 1024);
        }
        assert!(credit.grant(0, 1).is_err(), "nothing is used");
    }

    #[tokio::test]
    async fn the_end_of_a_window_leaves_a_later_one_of_the_same_id() {
        let credit = SendCredit::new();
        let (old, new) = (credit.open(1), credit.open(1));
        take(&new, 10).await.unwrap();
        drop(old);
        assert!(credit.grant(1, 11).is_err(), "the grant reaches the new one, which used 10");
    }

    /// Takes credit for a piece that is sent.
    async fn take(window: &BodyWindow<'_>, rest: usize) -> Result<usize, CreditError> {
        let taken = window.take(rest).await?;
        let length = taken.length();
        taken.sent();
        Ok(length)
    }

    #[tokio::test]
    async fn the_end_of_the_connection_ends_every_wait() {
        let credit = SendCredit::new();
        let body = credit.open(1);
        take(&body, 1 << 20).await.unwrap();
        take(&body, 1 << 20).await.unwrap();
        let (taken, greeted, ()) = tokio::join!(take(&body, 1), credit.wait_greeted(), async {
            tokio::task::yield_now().await;
            credit.close();
        });
        assert_eq!((taken, greeted), (Err(CreditError), Err(CreditError)));
    }
}
