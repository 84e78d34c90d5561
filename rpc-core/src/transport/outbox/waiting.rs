//! Who waits for the next write: for room, or for what was appended to have left.

use std::{
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

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

    /// Whether anybody waits.
    pub(super) fn is_awaited(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Wakes so many of them, the longest waiting first.
    pub(super) fn wake_up_to(&self, most: usize) {
        let waiting = self.count.load(Ordering::SeqCst);
        (0..most.min(waiting)).for_each(|_| self.notify.notify_one());
    }

    pub(super) fn wake_all(&self) {
        if self.is_awaited() {
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
    fn the_longest_waiting_are_woken_first_and_who_goes_away_then_wakes_another() {
        let waiting = Waiting::default();
        let wait = || Box::pin(waiting.wait(|| false));
        let mut waits: Vec<_> = (0..5).map(|_| wait()).collect();
        assert!(!poll(&mut waits).contains(&true));
        waiting.wake_up_to(2);
        drop(waits.remove(0));
        assert_eq!(poll(&mut waits), [true, true, false, false]);
        let mut rest = waits.split_off(2);
        drop(waits);
        waiting.wake_up_to(100);
        assert_eq!(poll(&mut rest), [true, true]);
        drop(rest);
        assert_eq!(waiting.count.load(Ordering::SeqCst), 0);
        let mut late = [wait()];
        assert_eq!(poll(&mut late), [false], "no wake-up is kept");
    }

    #[test]
    fn who_finds_room_waits_for_nobody() {
        let waiting = Waiting::default();
        assert_eq!(poll(&mut [Box::pin(waiting.wait(|| true))]), [true]);
    }
}
