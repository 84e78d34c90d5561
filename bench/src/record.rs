//! Where latencies are counted: one histogram for each thread, read from outside while they grow.

use crate::histogram::{BUCKETS, Histogram, bucket};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Written by one thread alone, so a load and a store take the place of an atomic addition.
struct Shard {
    buckets: Vec<AtomicU64>,
    large: AtomicU64,
}

static SHARDS: Mutex<Vec<&'static Shard>> = Mutex::new(Vec::new());

thread_local! {
    static MINE: &'static Shard = {
        let shard: &'static Shard = Box::leak(Box::new(Shard {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            large: AtomicU64::new(0),
        }));
        SHARDS.lock().unwrap_or_else(PoisonError::into_inner).push(shard);
        shard
    };
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed) + n, Relaxed);
}

/// A measured call has been answered.
pub fn call(latency: Duration) {
    calls(latency, 1);
}

/// Several calls have been answered at one time that were sent at one time.
pub fn calls(latency: Duration, count: u64) {
    MINE.with(|shard| add(&shard.buckets[bucket(latency.as_nanos() as u64)], count));
}

/// One of the large calls beside the measured ones has been answered.
pub fn large_call() {
    MINE.with(|shard| add(&shard.large, 1));
}

/// Everything counted so far.
#[derive(Debug)]
pub struct Counted {
    pub latencies: Histogram,
    pub large: u64,
}

impl Counted {
    pub fn now() -> Self {
        let shards = SHARDS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = vec![0; BUCKETS];
        for shard in &*shards {
            for (sum, bucket) in sum.iter_mut().zip(&shard.buckets) {
                *sum += bucket.load(Relaxed);
            }
        }
        let large = shards.iter().map(|shard| shard.large.load(Relaxed)).sum();
        Self { latencies: Histogram(sum), large }
    }

    /// What has been added since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.latencies.0.iter().zip(&earlier.latencies.0);
        Self {
            latencies: Histogram(pairs.map(|(now, then)| now - then).collect()),
            large: self.large - earlier.large,
        }
    }
}
