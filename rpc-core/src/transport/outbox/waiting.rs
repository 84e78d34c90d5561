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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::Pin,
        task::{Context, Waker},
    };

    /// Polls each once: which are done.
    fn poll<F: Future<Output = ()>>(waits: &mut [Pin<Box<F>>]) -> Vec<bool> {
        let mut cx = Context::from_waker(Waker::noop());
        waits.iter_mut().map(|wait| wait.as_mut().poll(&mut cx).is_ready()).collect()
    }

    #[test]
    fn a_write_wakes_as_many_as_find_room_in_turn() {
        let waiting = Waiting::default();
        let wait = || Box::pin(waiting.wait(|| false));
        let mut waits: Vec<_> = (0..100).map(|_| wait()).collect();
        assert!(!poll(&mut waits).contains(&true));
        waiting.wake_some(2);
        let mut rest = waits.split_off(20);
        assert!(poll(&mut rest).iter().all(|done| !done));
        assert!(poll(&mut waits).iter().all(|done| *done));
        drop(waits);
        waiting.wake_some(u32::MAX);
        assert!(poll(&mut rest).iter().all(|done| *done));
        drop(rest);
        assert_eq!(waiting.count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn who_goes_away_once_woken_wakes_another() {
        let waiting = Waiting::default();
        let wait = || Box::pin(waiting.wait(|| false));
        let mut first: Vec<_> = (0..AT_LEAST).map(|_| wait()).collect();
        let mut second = [wait(), wait()];
        assert!(!poll(&mut first).contains(&true) && !poll(&mut second).contains(&true));
        waiting.wake_some(0);
        assert!(!poll(&mut second).contains(&true));
        drop(first.pop());
        assert_eq!(poll(&mut second), [true, false]);
    }

    #[test]
    fn who_finds_room_waits_for_nobody() {
        let waiting = Waiting::default();
        assert_eq!(poll(&mut [Box::pin(waiting.wait(|| true))]), [true]);
    }
}
