//! Reading before the runtime says that something is there.
//!
//! A runtime whose tasks compute looks at its sockets seldom: tokio's, once in 61 polls of tasks, or
//! when nothing is to run. Who sends on such a runtime may nudge the task that reads: it tries at
//! once, and some more times as its turn comes. A try costs a system call of a microsecond; without
//! it, all callers of a connection may wait for milliseconds.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{task::yield_now, time::Instant};

/// How often who was nudged tries.
const TRIES: u32 = 8;
/// A turn that comes sooner says that nothing else is to run.
const SOON: Duration = Duration::from_micros(20);

/// What who sends and who reads share.
#[derive(Debug, Default)]
pub(super) struct Nudge {
    /// Tries that are left; [`TRIES`] when the first is due at once.
    tries: AtomicU32,
    /// The task that reads.
    reader: OnceLock<Waker>,
}

/// Why reading is worth a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something is there.
    Ready,
    /// Something may be there, whether or not the runtime knows.
    Nudged,
}

/// What the next try waits for, and since when.
#[derive(Debug, Clone, Copy)]
enum Turn {
    None,
    /// For all that is to run on this thread.
    Next(Instant),
    /// That came soon: for the runtime to look at its sockets. It lets one that is put off so go
    /// first then, while others may have been taken from another thread meanwhile.
    Last(Instant),
}

impl Nudge {
    /// Has the task that reads try.
    pub(super) fn nudge(&self) {
        if let Some(reader) = self.reader.get() {
            self.tries.store(TRIES, Ordering::Relaxed);
            reader.wake_by_ref();
        }
    }

    /// Waits until it is nudged or `ready` says so. Always for the same task.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn wait<E>(
        &self,
        mut ready: impl FnMut(&mut Context<'_>) -> Poll<Result<(), E>>,
    ) -> Result<Cause, E> {
        let mut turn = Turn::None;
        poll_fn(|cx| {
            if self.tries.load(Ordering::Relaxed) > 0 && self.is_due(&mut turn, cx) {
                return Poll::Ready(Ok(Cause::Nudged));
            }
            let ready = ready(cx).map_ok(|()| Cause::Ready);
            if ready.is_pending() {
                self.reader.get_or_init(|| cx.waker().clone());
            }
            ready
        })
        .await
    }

    /// Whether the next try is due; if not, what it waits for comes next.
    #[cold]
    fn is_due(&self, turn: &mut Turn, cx: &mut Context<'_>) -> bool {
        let tries = self.tries.load(Ordering::Relaxed);
        let is_first = tries == TRIES;
        *turn = match *turn {
            Turn::None if !is_first => {
                cx.waker().wake_by_ref();
                Turn::Next(Instant::now())
            }
            Turn::Next(begun) if !is_first && begun.elapsed() < SOON => {
                // It need not be polled again to have this task woken.
                let _ = pin!(yield_now()).poll(cx);
                Turn::Last(Instant::now())
            }
            Turn::Last(begun) if !is_first && begun.elapsed() < SOON => {
                self.tries.store(0, Ordering::Relaxed);
                Turn::None
            }
            _ => {
                self.tries.store(tries.saturating_sub(1), Ordering::Relaxed);
                return true;
            }
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, convert::Infallible, rc::Rc};
    use tokio::task::{LocalSet, spawn_local};

    /// How often who reads tries after one nudge, beside a task whose turns take so long, when nothing
    /// is ever ready. The clock stands still but for those turns.
    async fn tries(turn: Duration) -> u32 {
        let (nudge, count) = (Rc::new(Nudge::default()), Rc::new(Cell::new(0)));
        let (reads, counts) = (Rc::clone(&nudge), Rc::clone(&count));
        let reader = spawn_local(async move {
            loop {
                let never = |_: &mut Context<'_>| Poll::<Result<(), Infallible>>::Pending;
                assert_eq!(reads.wait(never).await, Ok(Cause::Nudged));
                counts.set(counts.get() + 1);
            }
        });
        for round in 0..100 {
            if round == 50 {
                assert_eq!(count.get(), 0);
                nudge.nudge();
            }
            tokio::time::advance(turn).await;
        }
        reader.abort();
        count.get()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_nudged_tries_once_or_beside_tasks_that_compute_a_few_times() {
        let quick = LocalSet::new().run_until(tries(Duration::from_micros(1))).await;
        let slow = LocalSet::new().run_until(tries(Duration::from_micros(100))).await;
        assert_eq!((quick, slow), (1, TRIES));
    }

    #[tokio::test]
    async fn what_is_ready_needs_no_nudge_and_who_was_nudged_while_busy_tries_next() {
        let nudge = Nudge::default();
        nudge.nudge();
        let ready = |_: &mut Context<'_>| Poll::Ready(Ok::<_, Infallible>(()));
        assert_eq!(nudge.wait(ready).await, Ok(Cause::Ready), "nobody was there to be nudged");
        let mut looks = 0;
        let next_time = |cx: &mut Context<'_>| {
            looks += 1;
            cx.waker().wake_by_ref();
            if looks > 1 { Poll::Ready(Ok::<_, Infallible>(())) } else { Poll::Pending }
        };
        assert_eq!(nudge.wait(next_time).await, Ok(Cause::Ready));
        nudge.nudge();
        assert_eq!(nudge.wait(ready).await, Ok(Cause::Nudged));
    }
}
