//! Which reply belongs to which caller: slots under one lock. The id of a call is slot index and
//! generation, which changes when the slot is freed; a late reply finds a newer one and is dropped.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

#[derive(Default)]
struct Slot {
    generation: u32,
    waker: Option<Waker>,
    reply: Option<Vec<u8>>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
pub struct Slots(Mutex<Table>);

/// What one read brought: ids and bodies, and the wakers of who waits for them.
#[derive(Default)]
pub struct Batch {
    pub replies: Vec<(u64, Vec<u8>)>,
    wakers: Vec<Waker>,
}

/// The reply to one call. Its slot is free once it is dropped.
pub struct Reply<'a> {
    slots: &'a Slots,
    index: u32,
    generation: u32,
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take(&self) -> Reply<'_> {
        let mut table = self.lock();
        let index = table.free.pop().unwrap_or_else(|| {
            table.slots.push(Slot::default());
            table.slots.len() as u32 - 1
        });
        let generation = table.slots[index as usize].generation;
        Reply { slots: self, index, generation }
    }

    /// Whether one call alone is outstanding.
    pub fn one_taken(&self) -> bool {
        let table = self.lock();
        table.slots.len() - table.free.len() == 1
    }

    /// Hands all replies over under one lock, then wakes.
    pub fn complete(&self, batch: &mut Batch) {
        if batch.replies.is_empty() {
            return;
        }
        let mut table = self.lock();
        for (id, body) in batch.replies.drain(..) {
            let slot = table.slots.get_mut(id as u32 as usize);
            if let Some(slot) = slot.filter(|slot| slot.generation == (id >> 32) as u32) {
                slot.reply = Some(body);
                batch.wakers.extend(slot.waker.take());
            }
        }
        drop(table);
        batch.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Reply<'_> {
    pub fn id(&self) -> u64 {
        u64::from(self.index) | u64::from(self.generation) << 32
    }
}

impl Future for Reply<'_> {
    type Output = Vec<u8>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut table = self.slots.lock();
        let slot = &mut table.slots[self.index as usize];
        if let Some(body) = slot.reply.take() {
            return Poll::Ready(body);
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        let mut table = self.slots.lock();
        let slot = &mut table.slots[self.index as usize];
        *slot = Slot { generation: slot.generation.wrapping_add(1), ..Slot::default() };
        table.free.push(self.index);
    }
}
