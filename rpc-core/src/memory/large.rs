//! Large buffers that the process keeps, for whichever thread needs one next.
//!
//! The allocator may give memory of this size back to the system each time and take it anew, page
//! by page. A body is often made on one thread and dropped on another, so the buffers are shared;
//! a lock is nothing beside copying as much.

use std::{
    collections::VecDeque,
    hint::black_box,
    sync::{Mutex, MutexGuard, Once, PoisonError},
};

/// Bytes that are kept at most, used or not.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// How many buffers are kept at most.
const KEPT: usize = 64;
/// Capacities go by such steps, so that a buffer fits bodies of about its size.
const STEP: usize = 16 * 1024;
/// And are off by this. Buffers of whole pages would all begin at about the same place in a page,
/// as others of whole pages do, and there are processors (see [`copy`](super::copy)) on which
/// copying between such places is slow.
const OFF: usize = 1328;

/// What [`allocate`] frees at first. Nothing of it is ever touched.
const FREED: usize = KEPT_BYTES / 2;

/// Buffers by when they came back, the oldest first.
#[derive(Debug)]
pub(super) struct Pool(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// The pool of this process.
pub(super) static POOL: Pool = Pool::new();

impl Pool {
    const fn new() -> Self {
        Self(Mutex::new(Kept { buffers: VecDeque::new(), bytes: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The smallest kept buffer with room for `needed` bytes; it is empty. Of several the one that
    /// came back last, of which most is still in a processor's cache.
    pub(super) fn take(&self, needed: usize) -> Option<Vec<u8>> {
        let mut kept = self.lock();
        let fits = |(_, buffer): &(usize, &Vec<u8>)| buffer.capacity() >= needed;
        let candidates = kept.buffers.iter().enumerate().rev().filter(fits);
        let (at, _) = candidates.min_by_key(|(_, buffer)| buffer.capacity())?;
        let buffer = kept.buffers.remove(at)?;
        kept.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Keeps a buffer; the oldest make room for it.
    pub(super) fn keep(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() > KEPT_BYTES {
            return;
        }
        buffer.clear();
        // Freed after the lock.
        let mut old = Vec::new();
        let mut kept = self.lock();
        kept.bytes += buffer.capacity();
        kept.buffers.push_back(buffer);
        while kept.bytes > KEPT_BYTES || kept.buffers.len() > KEPT {
            let Some(oldest) = kept.buffers.pop_front() else { break };
            kept.bytes -= oldest.capacity();
            old.push(oldest);
        }
    }
}

/// Memory that was not kept.
///
/// The first time it also makes the system's allocator keep more of what programs free, since the
/// values of large bodies lie in its memory. glibc's gives back to the system what has 128 KiB or
/// more, and as much at the end of a heap, so that the next body takes it anew, page by page. Once
/// it has seen something larger freed, it keeps what is smaller, and twice as much at the end of a
/// heap: 16 MiB, as is kept here.
pub(super) fn allocate(capacity: usize) -> Vec<u8> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(black_box(Vec::<u8>::with_capacity(FREED))));
    Vec::with_capacity(capacity)
}

/// The capacity to take for `needed` bytes.
pub(super) fn rounded(needed: usize) -> usize {
    needed.checked_next_multiple_of(STEP).map_or(needed, |steps| steps.saturating_add(OFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_fits_is_taken_and_the_oldest_make_room() {
        let pool = Pool::new();
        for capacity in [300_000, 100_000, 200_000] {
            pool.keep(Vec::with_capacity(capacity));
        }
        assert_eq!(pool.take(150_000).map(|b| (b.len(), b.capacity())), Some((0, 200_000)));
        assert_eq!(pool.take(300_001), None);
        let bytes = |pool: &Pool| {
            let kept = pool.0.lock().unwrap();
            assert_eq!(kept.bytes, kept.buffers.iter().map(Vec::capacity).sum::<usize>());
            kept.bytes
        };
        for _ in 0..5 {
            pool.keep(Vec::with_capacity(4 << 20));
        }
        assert_eq!(bytes(&pool), KEPT_BYTES, "those of before have gone");
        pool.keep(Vec::with_capacity(KEPT_BYTES + 1));
        for _ in 0..2 * KEPT {
            pool.keep(Vec::with_capacity(70_000));
        }
        assert_eq!(bytes(&pool), KEPT * 70_000);
    }
}
