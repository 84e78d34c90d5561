//! What calls say of an endpoint: the record of its faults, and its latency.
//!
//! Shared by the connections of an endpoint. A success on an endpoint without faults on record
//! costs one relaxed load.

mod record;

pub(crate) use record::{Cause, Phase, Record};

use crate::{
    balance::Gauge,
    clock::{Time, now_ms},
    queue::Queue,
};
use rpc_core::transport::lock;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Told whenever something is to be looked at again.
pub(crate) type OnChange = Arc<Notify>;

/// An endpoint as calls know it.
pub(crate) struct Standing {
    /// Unique in the process, so that an attempt can say which endpoint it has tried.
    pub(crate) number: u64,
    pub(crate) addr: SocketAddr,
    /// What is known of its speed and load.
    pub(crate) gauge: Gauge,
    /// When that was looked through last, in ns.
    gauged: AtomicU64,
    /// Calls were in flight on any of its connections since.
    awaited: AtomicBool,
    /// One of the marks below: what a success has to do.
    mark: AtomicU8,
    /// A call may be let through to see whether the endpoint has recovered.
    probe_free: AtomicBool,
    /// Successes since the last fault, counted while faults are on record.
    successes: AtomicU32,
    record: Mutex<Record>,
    /// What the last fault was, for people.
    last_fault: Mutex<Option<Arc<str>>>,
    /// When a connection broke last, in ns.
    broke: AtomicU64,
    /// Tells the task that keeps the endpoint's connections.
    pub(crate) endpoint: OnChange,
    /// Tells the task of the service.
    cluster: OnChange,
    /// Calls that wait for room on any connection of the service.
    pub(crate) queue: Arc<Queue>,
}

/// No fault is on record.
const CLEAN: u8 = 0;
/// Faults are on record: successes are counted.
const MARKED: u8 = 1;
/// Out of rotation: late successes change nothing.
const OUT: u8 = 2;
/// Single calls are let through: a success counts towards its return.
const PROBING: u8 = 3;

/// Of the words of a fault so many characters are kept.
const FAULT_CHARS: usize = 200;

const GAUGE_REVIEW: Duration = Duration::from_secs(1);

static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Standing {
    pub(crate) fn new(addr: SocketAddr, cluster: OnChange, queue: Arc<Queue>) -> Self {
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            addr,
            gauge: Gauge::default(),
            gauged: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            mark: AtomicU8::new(CLEAN),
            probe_free: AtomicBool::new(false),
            successes: AtomicU32::new(0),
            record: Mutex::default(),
            last_fault: Mutex::default(),
            broke: AtomicU64::new(0),
            endpoint: OnChange::default(),
            cluster,
            queue,
        }
    }

    /// Forgets once a second what is out of date about its speed. For the timekeeper, which looks at
    /// every connection; one of them has so many calls in flight.
    pub(crate) fn review_gauge(&self, active: usize, now: Time) {
        if active > 0 {
            self.awaited.store(true, Ordering::Relaxed);
        }
        if now.since(Time::from_nanos(self.gauged.load(Ordering::Relaxed))) >= GAUGE_REVIEW {
            self.gauged.store(now.nanos(), Ordering::Relaxed);
            // Of all its connections: each was looked at since.
            self.gauge.review(self.awaited.swap(false, Ordering::Relaxed), now);
        }
    }

    /// One of its connections was silent and is not any more.
    pub(crate) fn resumed(&self, now: Time) {
        self.gauge.resumed(now);
        self.endpoint.notify_one();
    }

    /// One of its connections broke.
    pub(crate) fn connection_broke(&self, now: Time) {
        self.broke.store(now.nanos(), Ordering::Relaxed);
    }

    /// When one of its connections broke last; the beginning of time if none has.
    pub(crate) fn broke(&self) -> Time {
        Time::from_nanos(self.broke.load(Ordering::Relaxed))
    }

    /// A call was answered, and not in a way that counts against the endpoint.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if self.mark.load(Ordering::Relaxed) != CLEAN {
            self.note_success();
        }
    }

    #[cold]
    fn note_success(&self) {
        match self.mark.load(Ordering::Relaxed) {
            MARKED => {
                self.successes.fetch_add(1, Ordering::Relaxed);
            }
            PROBING => self.change(|record, _, now| record.succeeded(now)),
            _ => {}
        }
    }

    /// Something counts against the endpoint: `what`, in words.
    #[cold]
    pub(crate) fn failed(&self, cause: Cause, what: &str) {
        // A peer's words, of which there may be thousands.
        let end = what.char_indices().nth(FAULT_CHARS).map_or(what.len(), |(end, _)| end);
        *lock(&self.last_fault) = Some(Arc::from(&what[..end]));
        self.change(|record, successes, now| record.failed(now, successes, cause));
    }

    /// It was pinged and has answered.
    pub(crate) fn answered_ping(&self) {
        if self.mark.load(Ordering::Relaxed) == PROBING {
            self.change(|record, _, now| record.answered_ping(now));
        }
    }

    /// Takes the right to put one call on an endpoint that is being probed. `again` says whether
    /// the call can be made again elsewhere if it fails.
    pub(crate) fn try_probe(&self, again: bool) -> bool {
        if !self.probe_free.load(Ordering::Relaxed) {
            return false;
        }
        let mut record = lock(&self.record);
        let taken = record.try_probe(now_ms(Instant::now()), again);
        self.publish(&record);
        taken
    }

    /// The phase at `now`, after what time alone changes. `idle` says that no call is running.
    pub(crate) fn review(&self, now: Instant, idle: bool) -> Phase {
        let mut record = lock(&self.record);
        let before = record.phase();
        let successes = self.successes.swap(0, Ordering::Relaxed);
        record.pass(now_ms(now), successes, idle);
        self.publish(&record);
        let phase = record.phase();
        drop(record);
        if matches!(phase, Phase::Probing { .. }) && !matches!(before, Phase::Probing { .. }) {
            // A ping may be what brings it back. Once: who keeps the connections tells the service
            // of every look, which leads here again.
            self.endpoint.notify_one();
        }
        phase
    }

    /// When time alone will change the phase, in ms; `None`: never.
    pub(crate) fn next(&self) -> Option<u64> {
        lock(&self.record).next()
    }

    /// Takes it out of rotation, for a time that `random` in 0..1 shortens by up to half.
    pub(crate) fn eject(&self, now: Instant, random: f64) {
        let mut record = lock(&self.record);
        record.eject(now_ms(now), random);
        self.publish(&record);
    }

    /// Leaves it in rotation, or brings it back, because too many others are out.
    pub(crate) fn pardon(&self, now: Instant) {
        let mut record = lock(&self.record);
        record.pardon(now_ms(now));
        self.publish(&record);
    }

    /// Another process answers at the address: it has done nothing yet.
    pub(crate) fn forget(&self) {
        let mut record = lock(&self.record);
        *record = Record::default();
        self.successes.store(0, Ordering::Relaxed);
        self.gauge.forget();
        *lock(&self.last_fault) = None;
        self.publish(&record);
    }

    /// What the last fault was, since another process was there.
    pub(crate) fn last_fault(&self) -> Option<Arc<str>> {
        lock(&self.last_fault).clone()
    }

    /// Reads the record, for people.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Record) -> T) -> T {
        read(&lock(&self.record))
    }

    fn change(&self, change: impl FnOnce(&mut Record, u32, u64) -> bool) {
        let tell = {
            let mut record = lock(&self.record);
            let successes = self.successes.swap(0, Ordering::Relaxed);
            let tell = change(&mut record, successes, now_ms(Instant::now()));
            self.publish(&record);
            tell
        };
        if tell {
            self.cluster.notify_one();
        }
    }

    /// Brings what calls read in line with the record, under its lock.
    fn publish(&self, record: &Record) {
        let (mark, probe) = match record.phase() {
            Phase::Trusted if record.is_clean() => (CLEAN, false),
            Phase::Trusted => (MARKED, false),
            Phase::Tripped { .. } | Phase::Ejected { .. } => (OUT, false),
            Phase::Probing { out, why, .. } => {
                (PROBING, out.is_none() && why.cause != Cause::Connection)
            }
        };
        self.mark.store(mark, Ordering::Relaxed);
        self.probe_free.store(probe, Ordering::Relaxed);
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("addr", &self.addr).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Lesson;

    #[test]
    fn its_speed_is_known_while_calls_are_awaited_on_any_of_its_connections() {
        let addr = ([127, 0, 0, 1], 1).into();
        let standing = Standing::new(addr, Arc::default(), Queue::new(0, Arc::default()));
        let at = |ms: u64| Time::from_nanos(ms * 1_000_000);
        standing.gauge.learn(Lesson::Failed, at(1_000), at(1_001));
        for look in 0..200 {
            // Of two connections the first has no calls.
            standing.review_gauge(0, at(2_000 + look * 100));
            standing.review_gauge(1, at(2_000 + look * 100));
        }
        assert!(standing.gauge.nanos() > 0.0);
        for look in 0..20 {
            standing.review_gauge(0, at(30_000 + look * 100));
        }
        assert!(standing.gauge.nanos() == 0.0);
    }
}
