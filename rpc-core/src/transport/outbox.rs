//! The bytes that a connection is about to send, shared by everybody who sends on it.
//!
//! A sender appends whole frames under a short lock; whoever finds the outbox without an owner
//! owns it and must see to it that it is written: at once, or after letting others add theirs, or
//! by leaving it to the flusher task. What the socket refuses always goes to the flusher.
//! Measured against a writer task, a queue and others: this costs a fraction of a system call per
//! frame when many send, and no task hop when one does.

mod direct;
mod lead;
mod left;
mod waiting;

use super::{Calm, Socket, lock};
use crate::{defaults, wire::set_skipped};
pub(super) use direct::SLICES;
use lead::Lead;
use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;
use waiting::Waiting;

/// Client calls wait for room when this many bytes have gathered.
const ROOM: usize = 8 * 1024 * 1024;
/// The same while the socket refuses what was there before. What waits here can go nowhere else, and
/// its time passes; who waits for room can.
const ROOM_BEHIND: usize = 512 * 1024;
/// So many that wait for room are woken at once; each that finds it wakes another. If all were, a call
/// among many would be woken once for each write before its own.
const CHAINS: usize = 16;
/// A buffer that has grown beyond this is not kept.
const KEPT: usize = 1024 * 1024;

/// The bytes to send, and who writes them.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    /// Held over a write, which never waits; true once nothing may be written any more.
    writing: Mutex<bool>,
    /// Bytes appended since the connection began; changes under the lock of `state`.
    appended: AtomicU64,
    /// Bytes handed to the kernel since the connection began.
    written: AtomicU64,
    /// For the flusher: the outbox is yours.
    flush: Notify,
    /// Requests that wait for room.
    room: Waiting,
    /// Who waits for bytes to leave.
    leaving: Waiting,
}

#[derive(Debug, Default)]
struct State {
    /// What the socket refused; goes before `buffer`. Already written up to `at`.
    refused: Vec<u8>,
    at: usize,
    buffer: Vec<u8>,
    spare: Vec<u8>,
    /// Of the writes, for both buffers, which take turns.
    calm: Calm,
    /// Somebody is bound to write.
    owned: bool,
    lead: Lead,
    phase: Phase,
    /// Frames appended since the last write began.
    frames: u32,
    /// The socket takes no more at the moment.
    blocked: bool,
    /// The socket has refused a write for good.
    failed: bool,
}

/// What may still be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Open,
    /// No more requests: the peer was told that there will be none.
    Sealed,
    /// Nothing more at all.
    Closed,
}

impl State {
    /// Whether a request has to wait for room.
    fn is_full(&self) -> bool {
        self.buffer.len() >= if self.blocked { ROOM_BEHIND } else { ROOM }
    }

    /// What was appended, to be written now; more is appended elsewhere.
    fn take_buffer(&mut self) -> Vec<u8> {
        let spare = std::mem::take(&mut self.spare);
        std::mem::replace(&mut self.buffer, spare)
    }

    /// Keeps the memory of a buffer that was written.
    fn keep_spare(&mut self, mut buffer: Vec<u8>) {
        self.calm.clear(&mut buffer);
        if buffer.capacity() <= KEPT && self.phase != Phase::Closed {
            self.spare = buffer;
        }
    }
}

/// Where a frame ended up.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Sent {
    /// The stream position of its first byte, for [`Outbox::take_back`].
    pub start: u64,
    /// The stream position after its last byte, to compare with [`Outbox::written`].
    pub end: u64,
    /// Whether the outbox is now the sender's to write.
    pub owner: bool,
}

/// Why nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// No more requests, the connection is being left.
    Sealed,
    /// The connection has ended.
    Closed,
    /// No room at the moment.
    Full,
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            writing: Mutex::new(false),
            appended: AtomicU64::new(0),
            written: AtomicU64::new(0),
            flush: Notify::new(),
            room: Waiting::default(),
            leaving: Waiting::default(),
        }
    }

    /// Appends a request unless the outbox is sealed, closed or full. `write` must not run user
    /// code.
    ///
    /// # Errors
    ///
    /// [`Ended`]; nothing was appended.
    #[inline]
    pub fn append_request(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Sent, Ended> {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Open => {}
            Phase::Sealed => return Err(Ended::Sealed),
            Phase::Closed => return Err(Ended::Closed),
        }
        if state.is_full() {
            return Err(Ended::Full);
        }
        Ok(self.put(&mut state, write))
    }

    /// Appends any other frame, full or not. `write` must not run user code.
    ///
    /// # Errors
    ///
    /// [`Ended::Closed`].
    #[inline]
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Sent, Ended> {
        let mut state = lock(&self.state);
        if state.phase == Phase::Closed {
            return Err(Ended::Closed);
        }
        Ok(self.put(&mut state, write))
    }

    /// Appends a last frame after which no request will be appended.
    ///
    /// # Errors
    ///
    /// [`Ended::Closed`].
    pub fn seal(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Sent, Ended> {
        let mut state = lock(&self.state);
        if state.phase == Phase::Closed {
            return Err(Ended::Closed);
        }
        state.phase = Phase::Sealed;
        let sent = self.put(&mut state, write);
        drop(state);
        // Who waits for room with a request can go elsewhere now.
        self.room.wake_all();
        Ok(sent)
    }

    fn put(&self, state: &mut State, write: impl FnOnce(&mut Vec<u8>)) -> Sent {
        let before = state.buffer.len();
        write(&mut state.buffer);
        let start = self.appended.load(Ordering::Relaxed);
        let end = start + (state.buffer.len() - before) as u64;
        // Release: who learns of these bytes from here also sees them in the buffer.
        self.appended.store(end, Ordering::Release);
        state.frames += 1;
        Sent { start, end, owner: !std::mem::replace(&mut state.owned, true) }
    }

    /// Ends the outbox: nothing is appended or written any more. Returns how many bytes reached
    /// the kernel, which is final: a write that is under way is waited for, none begins.
    pub fn close(&self) -> u64 {
        let mut state = lock(&self.state);
        (state.phase, state.owned) = (Phase::Closed, true);
        (state.buffer, state.refused, state.spare, state.at) = Default::default();
        drop(state);
        *lock(&self.writing) = true;
        let written = self.written();
        // As is who waits, see `Waiting`.
        self.appended.store(written, Ordering::SeqCst);
        self.room.wake_all();
        self.leaving.wake_all();
        self.flush.notify_one();
        written
    }

    /// Takes back a request that was sent as one frame from `start` to `end`: whether its last
    /// byte has not reached the kernel and never will. Its place is kept by a frame that is
    /// skipped.
    pub fn take_back(&self, start: u64, end: u64) -> bool {
        let mut state = lock(&self.state);
        if state.phase == Phase::Closed {
            drop(state);
            // The position is final once a write that is under way has ended.
            drop(lock(&self.writing));
            return end > self.written();
        }
        let state = &mut *state;
        let buffered = self.appended.load(Ordering::Relaxed) - state.buffer.len() as u64;
        let refused = buffered - state.refused.len() as u64;
        let (bytes, from, began) = if start >= buffered {
            (&mut state.buffer, buffered, false)
        } else {
            // What a write has in its hands at the moment is nowhere here.
            (&mut state.refused, refused, start < refused + state.at as u64)
        };
        let at = start.checked_sub(from).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| bytes.get_mut(at..)) {
            Some(frame) if !began => set_skipped(frame),
            _ => false,
        }
    }

    /// Bytes handed to the kernel since the connection began.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// Bytes that wait for the socket.
    pub fn unsent(&self) -> usize {
        let appended = self.appended.load(Ordering::Acquire);
        usize::try_from(appended.saturating_sub(self.written())).unwrap_or(usize::MAX)
    }

    /// Waits until there may be room for a request. Who has waited is to append one at once, and then
    /// to [pass on](Self::pass_on) what room is left.
    pub async fn room(&self) {
        self.room
            .wait(|| {
                let state = lock(&self.state);
                !state.is_full() || state.phase != Phase::Open
            })
            .await;
    }

    /// If there is still room, another that waits for it is woken.
    pub fn pass_on(&self) {
        let full = lock(&self.state).is_full();
        if !full {
            self.room.wake_up_to(1);
        }
    }

    /// Waits until fewer than [`defaults::MAX_UNSENT`] bytes wait for the socket, or the outbox
    /// has ended.
    pub async fn drained(&self) {
        while self.unsent() >= defaults::MAX_UNSENT {
            self.leaving.wait(|| self.unsent() < defaults::MAX_UNSENT).await;
        }
    }

    /// Waits until everything was handed to the kernel, or the outbox has ended.
    pub async fn flushed(&self) {
        while self.unsent() > 0 {
            self.leaving.wait(|| self.unsent() == 0).await;
        }
    }

    /// The owner's duty when nobody else is expected to send: writes, and leaves what the socket
    /// refuses to the flusher.
    pub fn write_or_leave(&self, stream: &Socket) {
        // After an error the reader sees the end of the connection and does the rest.
        if !matches!(self.write(stream), Ok(true)) {
            self.flush.notify_one();
        }
    }

    /// The flusher's task: writes what is left to it until the outbox ends.
    ///
    /// # Errors
    ///
    /// The socket's; the connection is to be ended.
    pub async fn flusher(&self, stream: &Socket) -> io::Result<()> {
        loop {
            self.flush.notified().await;
            while !self.write(stream)? {
                tokio::select! {
                    ready = stream.writable() => ready?,
                    // While the outbox is the flusher's, only its end says anything here.
                    () = self.flush.notified() => {}
                }
            }
            if lock(&self.state).phase == Phase::Closed {
                return Ok(());
            }
        }
    }

    /// Leaves the outbox to the flusher.
    pub fn leave(&self) {
        self.flush.notify_one();
    }

    /// Writes until the outbox is empty (`true`; nobody owns it then) or the socket is full. Who
    /// appends is not held up by a write.
    fn write(&self, stream: &Socket) -> io::Result<bool> {
        let mut state = lock(&self.state);
        loop {
            if state.phase == Phase::Closed {
                return Ok(true);
            }
            if state.failed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let (mine, mut at) = if state.at < state.refused.len() {
                (std::mem::take(&mut state.refused), std::mem::take(&mut state.at))
            } else if state.buffer.is_empty() {
                state.owned = false;
                return Ok(true);
            } else {
                state.frames = 0;
                (state.take_buffer(), 0)
            };
            drop(state);
            let result = {
                let ended = lock(&self.writing);
                if *ended {
                    return Ok(true);
                }
                self.write_all(stream, &mine, &mut at)
            };
            state = lock(&self.state);
            state.blocked = match result {
                Ok(()) => {
                    state.keep_spare(mine);
                    false
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if state.phase != Phase::Closed {
                        (state.refused, state.at) = (mine, at);
                    }
                    true
                }
                Err(e) => {
                    // The stream may end within a frame: nothing may follow it.
                    state.failed = true;
                    return Err(e);
                }
            };
            let (blocked, full) = (state.blocked, state.is_full());
            if !blocked && !self.room.is_awaited() && !self.leaving.is_awaited() {
                continue;
            }
            drop(state);
            self.wake(full);
            if blocked {
                return Ok(false);
            }
            state = lock(&self.state);
        }
    }

    /// After a write, or a try; whether there is room for a request.
    fn wake(&self, full: bool) {
        if !full {
            self.room.wake_up_to(CHAINS);
        }
        if self.unsent() < defaults::MAX_UNSENT {
            self.leaving.wake_all();
        }
    }

    fn write_all(&self, stream: &Socket, bytes: &[u8], at: &mut usize) -> io::Result<()> {
        while *at < bytes.len() {
            let n = stream.try_write(&bytes[*at..])?;
            lead::count_write();
            *at += n;
            self.written.fetch_add(n as u64, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
