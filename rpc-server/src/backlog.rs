//! How many handlers of a connection wait for a thread, and how many answers leave together then.
//!
//! Handlers that compute end one by one, and an answer that is written by itself costs a system
//! call here and a wake-up at the client. To give way as leaders do does not help: it is to go
//! behind all handlers that wait. But while those do, an answer may wait for the next ones, a few
//! of them: with n calls in flight the last of k answers comes after k/n of the time that a call
//! takes (Little's law).

use std::sync::atomic::{AtomicU32, Ordering};

/// For each of the answers that leave together so many handlers wait.
const WAITING: u32 = 4;
/// So many answers leave together at most.
const MOST: u32 = 8;

/// How many handlers wait for their first poll. Sequentially consistent: who leaves an answer to
/// the next then looks at the number, and so does each handler that it counts, when it has ended.
#[derive(Debug, Default)]
pub(crate) struct Backlog(AtomicU32);

impl Backlog {
    /// A handler waits.
    pub(crate) fn joined(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// A handler waits no longer.
    pub(crate) fn left(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many answers are enough to be written.
    pub(crate) fn enough(&self) -> u32 {
        u32::min(self.0.load(Ordering::SeqCst) / WAITING, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_is_enough_unless_many_wait() {
        let backlog = Backlog::default();
        let enough = |joining| {
            (0..joining).for_each(|_| backlog.joined());
            backlog.enough()
        };
        assert_eq!([enough(0), enough(7), enough(1), enough(24), enough(1000)], [0, 1, 2, 8, 8]);
        (0..1032).for_each(|_| backlog.left());
        assert_eq!(backlog.enough(), 0);
    }
}
