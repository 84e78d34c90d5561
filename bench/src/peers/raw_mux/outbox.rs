//! The frames that wait to be written to one connection. Who adds to an outbox that nobody owns
//! owns it, and has to write it; what the socket refuses goes to a flusher task.

use crate::{codec, message::Echo};
use anyhow::Result;
use bytes::{Buf, BytesMut};
use std::{
    io, mem,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{io::Interest, net::tcp::OwnedWriteHalf, sync::Notify, task::yield_now};

/// Bytes beyond which senders wait for their turn.
const BOUND: usize = 512 * 1024;
/// How often an owner gives way to others that add.
const YIELDS: usize = 4;

#[derive(Default)]
struct Pending {
    /// What the socket refused; goes before `frames`.
    refused: BytesMut,
    frames: BytesMut,
    spare: BytesMut,
    owned: bool,
}

pub struct Outbox {
    pending: Mutex<Pending>,
    socket: OwnedWriteHalf,
    /// To the flusher: the outbox is yours.
    hand_over: Notify,
    /// To the first sender that waits: there is room.
    room: Notify,
    waiting: AtomicUsize,
}

/// Whether the outbox has become the caller's to write.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Owner,
    Guest,
}

impl Outbox {
    /// With its flusher, which lives until the socket fails.
    pub fn start(socket: OwnedWriteHalf) -> Arc<Self> {
        let outbox = Arc::new(Self {
            pending: Mutex::default(),
            socket,
            hand_over: Notify::new(),
            room: Notify::new(),
            waiting: AtomicUsize::new(0),
        });
        tokio::spawn(Arc::clone(&outbox).flush());
        outbox
    }

    async fn flush(self: Arc<Self>) -> io::Result<()> {
        loop {
            self.hand_over.notified().await;
            yield_now().await;
            while !self.try_write()? {
                self.socket.ready(Interest::WRITABLE).await?;
                yield_now().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame, waiting for room, in turn, if there is none.
    pub async fn add(&self, id: u64, message: &Echo) -> Result<Added> {
        if let Some(added) = self.try_add(id, message, false)? {
            return Ok(added);
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _turn = Turn(self);
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if let Some(added) = self.try_add(id, message, true)? {
                return Ok(added);
            }
            room.await;
        }
    }

    fn try_add(&self, id: u64, message: &Echo, in_turn: bool) -> Result<Option<Added>> {
        let mut pending = self.lock();
        let len = pending.frames.len();
        let others_first = !in_turn && len > 0 && self.waiting.load(Ordering::Relaxed) > 0;
        if len >= BOUND || others_first {
            return Ok(None);
        }
        codec::encode(&mut pending.frames, id, message)?;
        Ok(Some(pending.own()))
    }

    /// Adds a frame whether there is room or not.
    pub fn add_anyway(&self, id: u64, message: &Echo) -> Result<Added> {
        let mut pending = self.lock();
        codec::encode(&mut pending.frames, id, message)?;
        Ok(pending.own())
    }

    /// Adds whole frames, leaves `frames` empty, and writes if nobody else will. Returns once there
    /// is room again.
    pub async fn send(&self, frames: &mut BytesMut) -> Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        if self.add_frames(frames) == Added::Owner {
            self.write()?;
        }
        while self.lock().frames.len() >= BOUND {
            self.socket.ready(Interest::WRITABLE).await?;
            yield_now().await;
        }
        Ok(())
    }

    fn add_frames(&self, frames: &mut BytesMut) -> Added {
        let mut pending = self.lock();
        if pending.frames.is_empty() {
            mem::swap(&mut pending.frames, frames);
            if frames.capacity() == 0 {
                *frames = mem::take(&mut pending.spare);
            }
        } else {
            pending.frames.extend_from_slice(frames);
        }
        frames.clear();
        pending.own()
    }

    /// What an owner does: writes, and leaves to the flusher what the socket refuses.
    pub fn write(&self) -> Result<()> {
        if !self.try_write()? {
            self.hand_over.notify_one();
        }
        Ok(())
    }

    /// What an owner does that is not alone: gives way while others add, then writes. Dropped
    /// half-way, it leaves the outbox to the flusher.
    pub async fn gather_and_write(&self) -> Result<()> {
        let ownership = Ownership(self);
        let mut before = 0;
        for _ in 0..YIELDS {
            yield_now().await;
            let len = self.lock().frames.len();
            if len == before || len >= BOUND {
                break;
            }
            before = len;
        }
        mem::forget(ownership);
        self.write()
    }

    /// Writes until nothing is left, which ends the ownership, or the socket refuses: false. The
    /// lock is not held while writing.
    fn try_write(&self) -> io::Result<bool> {
        let mut pending = self.lock();
        while let Some(mut frames) = pending.next() {
            drop(pending);
            if self.waiting.load(Ordering::Relaxed) > 0 {
                self.room.notify_one();
            }
            while !frames.is_empty() {
                match self.socket.try_write(&frames) {
                    Ok(count) if count == frames.len() => frames.clear(),
                    Ok(count) => frames.advance(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.lock().refused = frames;
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                }
            }
            pending = self.lock();
            if frames.capacity() <= 2 * BOUND {
                pending.spare = frames;
            }
        }
        pending.owned = false;
        Ok(true)
    }
}

impl Pending {
    fn own(&mut self) -> Added {
        if mem::replace(&mut self.owned, true) { Added::Guest } else { Added::Owner }
    }

    /// What is to be written next.
    fn next(&mut self) -> Option<BytesMut> {
        if !self.refused.is_empty() {
            Some(mem::take(&mut self.refused))
        } else if !self.frames.is_empty() {
            let spare = mem::take(&mut self.spare);
            Some(mem::replace(&mut self.frames, spare))
        } else {
            None
        }
    }
}

struct Ownership<'a>(&'a Outbox);

impl Drop for Ownership<'_> {
    fn drop(&mut self) {
        self.0.hand_over.notify_one();
    }
}

/// A sender that waits. Each that is done lets the next one try.
struct Turn<'a>(&'a Outbox);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let others = self.0.waiting.fetch_sub(1, Ordering::SeqCst) > 1;
        if others && self.0.lock().frames.len() < BOUND {
            self.0.room.notify_one();
        }
    }
}
