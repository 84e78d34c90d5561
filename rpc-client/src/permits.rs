//! A limit that every call passes, without a line of memory that every thread writes to.
//!
//! The free places are spread over a few shares, each on cache lines of its own. A thread takes
//! from its own share and gives back to it; when that is empty it looks at the others, so none is
//! refused while there are places.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

/// As many threads as take places without being in one another's way; more share them.
pub(crate) const SHARES: u32 = 8;

/// A number of places.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: u32,
    shares: [Share; SHARES as usize],
}

/// Free places. As wide as the two lines that processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
struct Share(AtomicU32);

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a>(&'a Permits);

impl Permits {
    /// So many places, all of them free.
    pub(crate) fn new(limit: u32) -> Self {
        let (each, more) = (limit / SHARES, limit % SHARES);
        let mut index = 0;
        let shares = [(); SHARES as usize].map(|()| {
            index += 1;
            Share(AtomicU32::new(each + u32::from(index <= more)))
        });
        Self { limit, shares }
    }

    /// How many there are.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        // Places that move from one share to another meanwhile may be counted twice.
        let free: u64 =
            self.shares.iter().map(|share| u64::from(share.0.load(Ordering::Relaxed))).sum();
        let taken = u64::from(self.limit).saturating_sub(free);
        u32::try_from(taken).unwrap_or(u32::MAX)
    }

    /// Takes a place, if one is free.
    #[inline]
    pub(crate) fn take(&self) -> Option<Permit<'_>> {
        let (before, from) = self.shares.split_at(own());
        let mut shares = from.iter().chain(before);
        shares.any(Share::take).then(|| Permit(self))
    }
}

impl Share {
    #[inline]
    fn take(&self) -> bool {
        let less = |free: u32| free.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.shares[own()].0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The share of the thread that runs here.
#[inline]
pub(crate) fn own() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let own = THREADS.fetch_add(1, Ordering::Relaxed) % SHARES as usize;
        OWN.set(Some(own));
        own
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn as_many_are_taken_as_there_are_whoever_takes_them() {
        for limit in [0, 1, 7, 8, 100] {
            let permits = Permits::new(limit);
            let held: Vec<_> = std::iter::from_fn(|| permits.take()).collect();
            assert_eq!((held.len(), permits.taken()), (limit as usize, limit));
            thread::scope(|scope| {
                scope.spawn(|| drop(held));
            });
            assert_eq!(permits.taken(), 0);
            let again: Vec<_> = std::iter::from_fn(|| permits.take()).collect();
            assert_eq!(again.len(), limit as usize, "also when one share has them all");
        }
    }

    #[test]
    fn a_place_that_is_counted_twice_while_it_moves_is_no_overflow() {
        let permits = Permits::new(u32::MAX);
        // As it is seen when a place was given back to a share after that was read, and taken from
        // another before.
        permits.shares[0].0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(permits.taken(), 0);
    }

    #[test]
    fn threads_never_hold_more_than_the_limit_together() {
        let (permits, held) = (Permits::new(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if let Some(_permit) = permits.take() {
                            assert!(held.fetch_add(1, Ordering::SeqCst) < 3);
                            held.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(permits.taken(), 0);
    }
}
