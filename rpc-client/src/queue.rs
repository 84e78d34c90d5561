//! Calls that wait for room, because every connection of every endpoint of a service is full.
//!
//! First come, first served: a call keeps its place until it is admitted, and new calls go behind
//! those that wait. The line is bounded. A call that was told of room and does not look for 0.1 s or
//! so, because its owner has put it aside, is passed over by the others until it does.

#[cfg(test)]
mod tests;

use crate::clock::Time;
use rpc_core::transport::lock;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How often those who were called and did not look are seen to.
const RELIEF: Duration = Duration::from_millis(100);

/// The waiting calls of one service.
#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    line: Mutex<Line>,
    waiting: AtomicUsize,
    /// Those whom no new call may overtake: they would take any endpoint.
    first_come: AtomicUsize,
    refused: AtomicU64,
    turned_away: AtomicU64,
    /// Whether the next call that is refused or turned away is to be told.
    alert: AtomicBool,
    /// When it was last seen to that nobody holds up the others, in ns.
    relieved: AtomicU64,
    /// Told when calls begin to wait, and when one is refused or turned away.
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    /// Those who are to be called when there is room.
    places: BTreeMap<u64, Waits>,
    /// Those who were called lately and have not looked yet.
    called: BTreeMap<u64, Waits>,
    /// Those who were called a while ago and have not: nobody polls them.
    aside: BTreeMap<u64, Waits>,
    /// Since when somebody has been waiting without a break.
    since: Option<Instant>,
    /// When the last one left the line.
    ended: Option<Instant>,
    /// Calls that waited and then had their turn, ever.
    admitted: u64,
    /// The most that waited at once since that was asked for.
    most: usize,
}

/// Who waits at a place.
#[derive(Debug)]
struct Waits {
    notify: Arc<Notify>,
    /// It would take any endpoint.
    any: bool,
}

/// A place in the line; left when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Arc<Queue>,
    number: u64,
    called: Arc<Notify>,
    any: bool,
    admitted: bool,
}

/// What the line looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) now: usize,
    /// Since when somebody has been waiting without a break.
    pub(crate) since: Option<Instant>,
    /// When the last one left the line.
    pub(crate) ended: Option<Instant>,
    /// Calls that found no room and joined the line, ever.
    pub(crate) joined: u64,
    /// Those of them that had their turn.
    pub(crate) admitted: u64,
    /// Calls that found the line full, ever.
    pub(crate) refused: u64,
    /// Calls that failed because providers refused them as overloaded, ever.
    pub(crate) turned_away: u64,
    /// The most that waited at once since [`Queue::forget_most`].
    pub(crate) most: usize,
}

impl Queue {
    /// A line of at most `limit` calls; `changed` is told when it matters to the service.
    pub(crate) fn new(limit: usize, changed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            line: Mutex::default(),
            waiting: AtomicUsize::new(0),
            first_come: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            alert: AtomicBool::new(true),
            relieved: AtomicU64::new(0),
            changed,
        })
    }

    /// Whether a new call has to go behind others.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.first_come.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn look(&self) -> Waiting {
        let line = lock(&self.line);
        let [refused, turned_away] =
            [&self.refused, &self.turned_away].map(|count| count.load(Ordering::SeqCst));
        Waiting {
            now: line.length(),
            since: line.since,
            ended: line.ended,
            joined: line.next,
            admitted: line.admitted,
            refused,
            turned_away,
            most: line.most,
        }
    }

    /// Counts the most that wait at once from now on.
    pub(crate) fn forget_most(&self) {
        let mut line = lock(&self.line);
        line.most = line.length();
    }

    /// A call has failed because providers refused it as overloaded.
    pub(crate) fn turned_away(&self) {
        self.count(&self.turned_away);
    }

    /// Tells of the next call that is refused or turned away after `seen`. Without this it is
    /// counted alone: there may be very many.
    pub(crate) fn alert(&self, seen: &Waiting) {
        self.alert.store(true, Ordering::SeqCst);
        // Either this sees a call that came meanwhile, or that call sees the alert.
        let now = self.look();
        if (now.refused, now.turned_away) != (seen.refused, seen.turned_away) {
            self.tell();
        }
    }

    fn count(&self, count: &AtomicU64) {
        count.fetch_add(1, Ordering::SeqCst);
        if self.alert.load(Ordering::SeqCst) {
            self.tell();
        }
    }

    fn tell(&self) {
        if self.alert.swap(false, Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }

    /// Goes to the end of the line; `None` when it is as long as it may be. `any` says that the
    /// call would take any endpoint.
    pub(crate) fn join(self: &Arc<Self>, any: bool) -> Option<Place> {
        let mut line = lock(&self.line);
        // Those that are passed over keep nobody out either.
        if line.places.len() + line.called.len() >= self.limit {
            drop(line);
            self.count(&self.refused);
            return None;
        }
        let number = line.next;
        line.next += 1;
        let called = Arc::new(Notify::new());
        line.places.insert(number, Waits { notify: Arc::clone(&called), any });
        line.most = line.most.max(line.length());
        // Sequentially consistent, as is `freed`: either it sees this call, or the call sees room.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if any {
            self.first_come.fetch_add(1, Ordering::Relaxed);
        }
        let first = line.since.is_none();
        line.since.get_or_insert_with(Instant::now);
        drop(line);
        if first {
            self.changed.notify_one();
        }
        Some(Place { queue: Arc::clone(self), number, called, any, admitted: false })
    }

    /// A place on a connection has become free.
    #[inline]
    pub(crate) fn freed(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.call(0);
        }
    }

    /// Calls the first in line from this number on, of those who have not been called.
    fn call(&self, from: u64) {
        let called = lock(&self.line).call(from);
        if let Some(called) = called {
            called.notify_one();
        }
    }

    /// Lets others look while those who were called do not: as many as these, and one in any case,
    /// for room of which nobody was told. For the timekeeper, which comes by for every connection.
    pub(crate) fn relieve(&self, now: Time) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let before = Time::from_nanos(self.relieved.load(Ordering::Relaxed));
        if now.since(before) < RELIEF {
            return;
        }
        self.relieved.store(now.nanos(), Ordering::Relaxed);
        let called: Vec<_> = {
            let mut line = lock(&self.line);
            let count = line.put_aside().max(1);
            std::iter::from_fn(|| line.call(0)).take(count).collect()
        };
        for called in called {
            called.notify_one();
        }
    }
}

impl Line {
    fn length(&self) -> usize {
        self.places.len() + self.called.len() + self.aside.len()
    }

    /// Gives up on those who were called and have not looked; also on who was called just now, which
    /// may cost it a turn. If there are any, how many are aside then, so that those behind a crowd
    /// are reached by doubling.
    fn put_aside(&mut self) -> usize {
        if self.called.is_empty() {
            return 0;
        }
        self.aside.append(&mut self.called);
        self.aside.len()
    }

    /// Takes a place out of the line, however it is.
    fn remove(&mut self, number: u64) -> Option<Waits> {
        let maps = [&mut self.places, &mut self.called, &mut self.aside];
        maps.into_iter().find_map(|map| map.remove(&number))
    }

    /// Notes that the first from this number on is called; how it is.
    fn call(&mut self, from: u64) -> Option<Arc<Notify>> {
        let (&number, _) = self.places.range(from..).next()?;
        let waits = self.places.remove(&number)?;
        let notify = Arc::clone(&waits.notify);
        self.called.insert(number, waits);
        Some(notify)
    }
}

impl Place {
    /// Waits until there may be room.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: who leaves calls the next.
    pub(crate) async fn called(&self) {
        self.called.notified().await;
    }

    /// It looks for room now, and is called when there is more.
    pub(crate) fn looks(&self) {
        let mut line = lock(&self.queue.line);
        if let Some(waits) = line.remove(self.number) {
            line.places.insert(self.number, waits);
        }
    }

    /// Whether nobody before it who is polled would take what it takes.
    pub(crate) fn is_next(&self) -> bool {
        let line = lock(&self.queue.line);
        let mut before = line.places.range(..self.number).chain(line.called.range(..self.number));
        !before.any(|(_, waits)| waits.any)
    }

    /// Leaves the line for a place on a connection.
    pub(crate) fn admitted(mut self) {
        self.admitted = true;
    }

    /// The room that there is, is of no use to this call: the next one may look.
    pub(crate) fn pass_on(&self) {
        self.queue.call(self.number + 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut line = lock(&self.queue.line);
            line.remove(self.number);
            line.admitted += u64::from(self.admitted);
            if line.length() == 0 {
                line.since = None;
                line.ended = Some(Instant::now());
            }
            self.queue.waiting.fetch_sub(1, Ordering::SeqCst);
            if self.any {
                self.queue.first_come.fetch_sub(1, Ordering::Relaxed);
            }
        }
        // It may have been called and not used the room, or there may be more than it needed.
        self.queue.call(0);
    }
}
