//! Who waits for the next write: for room, or for what was appended to have left.

use std::{
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// After a write so many that wait for room are woken, and twice as many as it had frames: as many
/// find room, if they are like those. If all were woken each time, a call among many would be woken
/// once for each write before its own.
const AT_LEAST: usize = 16;

/// Those that wait for one kind of thing.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    count: AtomicUsize,
    notify: Notify,
}

impl Waiting {
    /// Waits until it is woken, unless `is_done` already. Sequentially consistent, as is writing: who
    /// waits counts itself and then looks at the position, who writes moves the position and then
    /// looks for who waits; one of them sees the other.
    ///
    /// # Cancel safety
    ///
    /// Dropped once it was woken, it wakes another in its place.
    pub(super) async fn wait(&self, is_done: impl Fn() -> bool) {
        struct Counted<'a>(&'a AtomicUsize);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        let _counted = Counted(&self.count);
        let mut notified = pin!(self.notify.notified());
        // Registered before the look, so that a write between the two is not missed.
        notified.as_mut().enable();
        if !is_done() {
            notified.await;
        }
    }

    /// Wakes as many as find room after a write of so many frames, the longest waiting first.
    pub(super) fn wake_some(&self, frames: u32) {
        let waiting = self.count.load(Ordering::SeqCst);
        if waiting > 0 {
            let some = (frames as usize).saturating_mul(2).saturating_add(AT_LEAST);
            (0..some.min(waiting)).for_each(|_| self.notify.notify_one());
        }
    }

    pub(super) fn wake_all(&self) {
        if self.count.load(Ordering::SeqCst) > 0 {
            self.notify.notify_waiters();
        }
    }
}
