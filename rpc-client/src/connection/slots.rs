//! The correlation table: who waits for which reply.
//!
//! A call id is a slot's index and its generation. The generation changes when the slot is given
//! back, so a late reply finds a newer one and is dropped. One mutex guards the table: it is held
//! for a few instructions, once for all replies of a read, and nobody is woken under it. (Beside a
//! concurrent map of channels it is quicker as soon as calls are many: ARCHITECTURE.md has figures.)

mod waiter;

pub(crate) use waiter::{Reserved, Waiter};

use super::Connection;
use crate::clock::Time;
use rpc_core::{
    transport::{Body, lock},
    wire::Kind,
};
use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

/// The table of one connection.
#[derive(Debug)]
pub(super) struct Slots {
    table: Mutex<Table>,
    in_flight: AtomicUsize,
    open: AtomicBool,
}

#[derive(Debug)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    closed: bool,
    /// No call that waits has an earlier deadline. Calls that end leave it as it is: the look that
    /// finds nothing makes it true again.
    earliest: Time,
    /// The whole table is not looked through again before.
    rests_until: Time,
}

/// How long a table rests, for each of its slots, after it was looked through for deadlines: with
/// 100,000 calls outstanding deadlines are up to 10 ms late, in place of taking a third of a core.
const REST: Duration = Duration::from_nanos(100);

#[derive(Debug)]
struct Slot {
    generation: u32,
    taken: bool,
    deadline: Time,
    /// When it is told that it is late.
    late: Time,
    arrival: Option<Arrival>,
    waker: Option<Waker>,
}

/// What a waiting call is told.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A reply, an application error or a framework error.
    /// `aux` is the frame's: the codec, and the load of the provider; `at` is when it was read.
    Answer { kind: Kind, flags: u8, aux: u16, body: Body, at: Time },
    /// The connection ended when this many of its bytes had reached the kernel.
    Broken { written: u64 },
    /// The provider does not answer pings. The call may be waited for again.
    Silent,
    /// It takes longer than most calls of its method. The call may be waited for again.
    Late,
    /// The call's deadline has passed.
    Deadline,
}

/// Why a call was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The connection is closed or being left.
    Closed,
    /// As many calls are in flight as the peer takes.
    Full,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            table: Mutex::new(Table::new()),
            in_flight: AtomicUsize::new(0),
            open: AtomicBool::new(true),
        }
    }

    /// Whether calls are admitted. Lock-free; [`admit`](Self::admit) has the last word.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Calls that have a place. Lock-free; the last word is the table's.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Takes a place for a call, whose task `waker` wakes when it is told something.
    pub(super) fn admit(
        connection: &Connection,
        deadline: Time,
        late: Time,
        limit: usize,
        waker: Waker,
    ) -> Result<Waiter<'_>, Refused> {
        let this = &connection.slots;
        let mut table = lock(&this.table);
        if table.closed || !this.is_open() {
            return Err(Refused::Closed);
        }
        let index = match table.free.pop() {
            Some(index) => index,
            None if table.slots.len() < limit => {
                table.slots.push(Slot::new());
                // The limit is a u32.
                u32::try_from(table.slots.len() - 1).unwrap_or(u32::MAX)
            }
            None => return Err(Refused::Full),
        };
        let slot = &mut table.slots[index as usize];
        slot.taken = true;
        slot.deadline = deadline;
        slot.late = late;
        slot.waker = Some(waker);
        let id = u64::from(index) | u64::from(slot.generation) << 32;
        table.earliest = table.earliest.min(deadline).min(late);
        this.count(&table);
        drop(table);
        Ok(Waiter::new(connection, id))
    }

    /// Publishes how many places are taken.
    fn count(&self, table: &Table) {
        self.in_flight.store(table.slots.len() - table.free.len(), Ordering::Relaxed);
    }

    /// Sees to it that [`in_flight`](Self::in_flight) does not show more than there are now: a place
    /// that was given back before is seen, one that is given back after finds who waits for it.
    pub(super) fn look_closely(&self) {
        drop(lock(&self.table));
    }

    /// Admits no more calls; says whether none is running.
    pub(super) fn stop_admitting(&self) -> bool {
        let _table = lock(&self.table);
        self.open.store(false, Ordering::Release);
        self.in_flight() == 0
    }

    /// Admits no more calls, for good.
    pub(super) fn close(&self) {
        let mut table = lock(&self.table);
        self.open.store(false, Ordering::Release);
        table.closed = true;
    }

    /// Whether somebody waits for a reply to this call.
    pub(super) fn is_waiting(&self, id: u64) -> bool {
        lock(&self.table).find(id).is_some_and(|slot| slot.is_open())
    }

    /// Hands over the answers of one read under one lock, then wakes who waited. Returns how many
    /// came too late: their callers have gone.
    pub(super) fn complete(
        &self,
        answers: &mut Vec<(u64, Arrival)>,
        wakers: &mut Vec<Waker>,
    ) -> u64 {
        if answers.is_empty() {
            return 0;
        }
        let mut late = 0;
        {
            let mut table = lock(&self.table);
            for (id, arrival) in answers.drain(..) {
                match table.find(id) {
                    Some(slot) => slot.tell(arrival, wakers),
                    None => late += 1,
                }
            }
        }
        wakers.drain(..).for_each(Waker::wake);
        late
    }

    /// Tells everybody who waits that the connection ended.
    pub(super) fn fail_all(&self, written: u64) {
        let wakers = lock(&self.table).tell_each(|_| Some(Arrival::Broken { written }));
        wake(wakers);
    }

    /// Tells everybody who waits that the provider has fallen silent.
    pub(super) fn tell_silent(&self) {
        let wakers = lock(&self.table).tell_each(|_| Some(Arrival::Silent));
        wake(wakers);
    }

    /// Ends the calls whose deadline has passed, and tells those that are late; when to look next,
    /// `NEVER` when no call is left.
    ///
    /// It looks under the lock even when there seem to be no calls: so it either finds a call, or
    /// the call finds that no next look is planned.
    pub(super) fn expire(&self, now: Time) -> Time {
        let mut table = lock(&self.table);
        let due = table.earliest.max(table.rests_until);
        if now < due {
            return due;
        }
        let mut next = Time::NEVER;
        let wakers = table.tell_each(|slot| {
            if slot.deadline <= now {
                return Some(Arrival::Deadline);
            }
            next = next.min(slot.deadline);
            if slot.late > now {
                next = next.min(slot.late);
                return None;
            }
            slot.late = Time::NEVER;
            // That the provider is silent says more.
            slot.arrival.is_none().then_some(Arrival::Late)
        });
        table.earliest = next;
        let slots = u32::try_from(table.slots.len()).unwrap_or(u32::MAX);
        table.rests_until = now + REST * slots;
        let next = if next == Time::NEVER { next } else { next.max(table.rests_until) };
        drop(table);
        wake(wakers);
        next
    }

    /// Gives the place of a call back whose caller has gone; says whether the provider may still
    /// work for it.
    fn abandon(connection: &Connection, id: u64) -> bool {
        let mut table = lock(&connection.slots.table);
        let Some(slot) = table.find(id) else { return false };
        let open = slot.is_open() || matches!(slot.arrival, Some(Arrival::Deadline));
        // Dropped outside of the lock: a waker's drop is not our code.
        let kept = (slot.arrival.take(), slot.waker.take());
        let working = open && !table.closed;
        Self::free(connection, table, id);
        drop(kept);
        working
    }

    /// Gives a place back, and tells who waits for one, or for the last to be given back.
    fn free(connection: &Connection, mut table: MutexGuard<'_, Table>, id: u64) {
        let this = &connection.slots;
        if let Some(slot) = table.find(id) {
            slot.generation = slot.generation.wrapping_add(1).max(1);
            slot.taken = false;
            table.free.push((id & 0xffff_ffff) as u32);
        }
        this.count(&table);
        let last = table.free.len() == table.slots.len();
        drop(table);
        connection.standing.queue.freed();
        if last {
            connection.last_place_freed();
        }
    }
}

impl Table {
    fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            closed: false,
            earliest: Time::NEVER,
            rests_until: Time::from_nanos(0),
        }
    }

    /// Tells calls that have not been told an end yet; who is to be woken, without the lock.
    fn tell_each(&mut self, mut what: impl FnMut(&mut Slot) -> Option<Arrival>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        if self.slots.len() == self.free.len() {
            return wakers;
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.taken) {
            // An answer that is there already stands, and so does a broken connection.
            if slot.is_open()
                && let Some(arrival) = what(slot)
            {
                slot.tell(arrival, &mut wakers);
            }
        }
        wakers
    }

    fn find(&mut self, id: u64) -> Option<&mut Slot> {
        let slot = self.slots.get_mut((id & 0xffff_ffff) as usize)?;
        (slot.taken && u64::from(slot.generation) == id >> 32).then_some(slot)
    }
}

/// Not under the lock: a waker is not our code.
fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

impl Slot {
    fn new() -> Self {
        // Generations begin at 1, so that no call has the id 0.
        Self {
            generation: 1,
            taken: false,
            deadline: Time::NEVER,
            late: Time::NEVER,
            arrival: None,
            waker: None,
        }
    }

    /// Whether no end has been told yet: silence and being late are none.
    fn is_open(&self) -> bool {
        matches!(self.arrival, None | Some(Arrival::Silent | Arrival::Late))
    }

    fn tell(&mut self, arrival: Arrival, wakers: &mut Vec<Waker>) {
        if self.is_open() {
            self.arrival = Some(arrival);
            wakers.extend(self.waker.take());
        }
    }
}

#[cfg(test)]
mod tests;
