//! Frames that are written from where they lie, without a copy in the outbox.

use super::{Ended, Outbox, Phase, Sent, lead, lock};
use crate::{memory, transport::Socket};
use std::{
    io::{self, IoSlice},
    sync::atomic::Ordering,
};

/// Slices that are sent at once, at most.
pub(in crate::transport) const SLICES: usize = 10;

impl Outbox {
    /// Sends whole frames, `count` of them, that are made of `slices`, of which there are at most
    /// `SLICES`. When nobody writes at the moment they are written at once, and only what the socket
    /// refuses is copied; else all is, for whoever writes. A leader that lets others go first does
    /// not write yet: it is relieved, and what was gathered leaves in front of the slices.
    ///
    /// Frames that begin a request need [`room`](Self::room); others do not.
    ///
    /// # Errors
    ///
    /// As [`append_request`](Self::append_request) for what begins a request,
    /// [`Ended::Closed`] for the rest. Nothing was sent.
    pub fn send_slices(
        &self,
        stream: &Socket,
        slices: &[IoSlice<'_>],
        count: u32,
        begins_request: bool,
    ) -> Result<Sent, Ended> {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Closed => return Err(Ended::Closed),
            Phase::Sealed if begins_request => return Err(Ended::Sealed),
            Phase::Open if begins_request && state.is_full() => return Err(Ended::Full),
            _ => {}
        }
        if state.owned && !state.lead.give_up() {
            let sent = self.put(&mut state, |out| append(slices, out));
            state.frames += count - 1;
            return Ok(sent);
        }
        // Without an owner, or with one that has not begun to write, nothing was refused: these
        // bytes are next after what waits in the buffer.
        state.owned = true;
        state.frames = 0;
        let start = self.appended.load(Ordering::Relaxed);
        let end = start + slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
        self.appended.store(end, Ordering::Release);
        let gathered = state.take_buffer();
        drop(state);
        self.write_directly(stream, gathered, slices);
        Ok(Sent { start, end, owner: false })
    }

    /// Writes what was gathered, then these slices, then what others have appended meanwhile.
    fn write_directly(&self, stream: &Socket, gathered: Vec<u8>, slices: &[IoSlice<'_>]) {
        let mut all = [IoSlice::new(&[]); 1 + SLICES];
        all[0] = IoSlice::new(&gathered);
        all[1..=slices.len()].copy_from_slice(slices);
        let result = {
            let ended = lock(&self.writing);
            if *ended {
                return;
            }
            self.write_slices(stream, &mut all[..=slices.len()])
        };
        let mut state = lock(&self.state);
        if state.phase == Phase::Closed {
            return;
        }
        let is_done = match result {
            Ok(()) => true,
            Err((error, rest)) if error.kind() == io::ErrorKind::WouldBlock => {
                append(rest, &mut state.refused);
                state.blocked = true;
                false
            }
            Err(_) => {
                // The stream may end within a frame: nothing may follow it.
                state.failed = true;
                false
            }
        };
        state.keep_spare(gathered);
        let full = state.is_full();
        drop(state);
        self.wake(full);
        if is_done { self.write_or_leave(stream) } else { self.leave() }
    }

    /// Writes until all is written, or says why not, and what is left.
    fn write_slices<'a, 'b>(
        &self,
        stream: &Socket,
        mut slices: &'a mut [IoSlice<'b>],
    ) -> Result<(), (io::Error, &'a [IoSlice<'b>])> {
        while !slices.is_empty() {
            match stream.try_write_vectored(slices) {
                Ok(count) => {
                    lead::count_write();
                    self.written.fetch_add(count as u64, Ordering::SeqCst);
                    IoSlice::advance_slices(&mut slices, count);
                }
                Err(error) => return Err((error, slices)),
            }
        }
        Ok(())
    }
}

fn append(slices: &[IoSlice<'_>], out: &mut Vec<u8>) {
    for slice in slices {
        memory::append(out, slice);
    }
}
