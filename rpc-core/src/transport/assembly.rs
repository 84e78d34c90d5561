//! Large bodies that arrive in pieces, and the credit given for them.

use super::{Body, ReadBuffer};
use crate::{
    codec::LongBin,
    memory::{self, make_room},
    wire::{Limits, ProtocolError, put_credit},
};
use std::collections::HashMap;

/// The large bodies that a connection is receiving, by call id.
///
/// A piece is opened by its header: [`begin`](Self::begin), [`data`](Self::data). Its bytes are
/// then [taken](Self::take) from what was read, or read straight to [where they stay](Self::room),
/// and it ends when it is [settled](Self::settle).
///
/// Memory is taken for what may come without further credit, and then as bytes arrive, never for a
/// length that is only declared, unless the process keeps memory of that size anyhow. Credit goes
/// back with the end of a piece; what belongs to no body any more still gets its connection credit.
#[derive(Debug)]
pub struct Assembly<T> {
    limits: Limits,
    parts: HashMap<u64, Part<T>>,
    /// The piece that is arriving.
    open: Option<Piece>,
    /// Bytes received that the connection has no new credit for yet.
    owed: u32,
}

#[derive(Debug)]
struct Part<T> {
    what: T,
    /// Bytes that no piece has brought yet.
    rest: usize,
    bytes: Body,
    /// Long bytes that the value is to have, and their memory.
    long: Option<(LongBin, Vec<u8>)>,
    /// Bytes received that the body has no new credit for yet.
    owed: u32,
}

#[derive(Debug)]
struct Piece {
    id: u64,
    length: u32,
    /// Bytes of it that have not come yet.
    left: usize,
}

/// What a piece did.
#[derive(Debug)]
pub enum Progress<T> {
    /// More is to come, or the piece belongs to nothing that is known.
    More,
    /// The body is complete.
    Complete(T, Body),
}

/// Where the rest of a piece is to be read to.
#[derive(Debug)]
pub struct Room<'a> {
    pub(super) bytes: &'a mut Vec<u8>,
    /// Of the piece.
    pub(super) left: &'a mut usize,
    /// How many of these go here.
    pub(super) most: usize,
}

impl Room<'_> {
    /// Bytes behind the piece that are read with it: the next frame's header, and what is as small.
    pub(super) const BEYOND: usize = 512;
}

impl<T> Assembly<T> {
    /// An assembly that gives the credit that `limits` announced.
    pub fn new(limits: Limits) -> Self {
        Self { limits, parts: HashMap::new(), open: None, owed: 0 }
    }

    /// Opens the first piece, of `length` bytes, of a body of `total` bytes. Of what has come of it,
    /// `start`, it takes as many bytes as it returns.
    ///
    /// # Errors
    ///
    /// A body whose id is in use, whose pieces exceed its total, or more than was granted.
    pub fn begin(
        &mut self,
        id: u64,
        what: T,
        total: u32,
        length: usize,
        start: &[u8],
    ) -> Result<usize, ProtocolError> {
        if self.parts.contains_key(&id) {
            return Err(ProtocolError("two bodies with one call id"));
        }
        let (total, window) = (total as usize, self.limits.credit_per_body as usize);
        let start = &start[..length.min(start.len())];
        let (part, taken) = Part::new(what, total, window, start);
        self.parts.insert(id, part);
        self.data(id, length)?;
        if let Some(piece) = &mut self.open {
            piece.left -= taken;
        }
        Ok(taken)
    }

    /// Opens another piece, of `length` bytes. One that belongs to no body is dropped as it comes,
    /// its credit given back.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    pub fn data(&mut self, id: u64, length: usize) -> Result<(), ProtocolError> {
        let credit = u32::try_from(length).unwrap_or(u32::MAX);
        if self.owed.saturating_add(credit) > self.limits.credit_per_connection {
            return Err(ProtocolError("more large bodies than the connection's credit"));
        }
        if let Some(part) = self.parts.get_mut(&id) {
            if length > part.rest {
                return Err(ProtocolError("a body is longer than was said"));
            }
            if part.owed.saturating_add(credit) > self.limits.credit_per_body {
                return Err(ProtocolError("more of a body than its credit"));
            }
            part.reserve(length);
        }
        self.open = Some(Piece { id, length: credit, left: length });
        Ok(())
    }

    /// Takes what has come of the open piece from `buffer`, if there is one.
    pub fn take(&mut self, buffer: &mut ReadBuffer) {
        let Some(piece) = &mut self.open else { return };
        let mut part = self.parts.get_mut(&piece.id);
        while piece.left > 0 && !buffer.data().is_empty() {
            let mut count = piece.left.min(buffer.data().len());
            if let Some(part) = &mut part {
                let (bytes, most) = part.place();
                count = count.min(most);
                bytes.extend_from_slice(&buffer.data()[..count]);
            }
            piece.left -= count;
            buffer.consume_piece(count);
        }
    }

    /// Where the rest of the open piece is to be read to. `None` when there is none, or nobody
    /// wants it.
    pub fn room(&mut self) -> Option<Room<'_>> {
        let piece = self.open.as_mut().filter(|piece| piece.left > 0)?;
        let part = self.parts.get_mut(&piece.id)?;
        let (bytes, most) = part.place();
        Some(Room { bytes, most: most.min(piece.left), left: &mut piece.left })
    }

    /// Whether more of the open piece is still to come.
    pub fn is_waiting(&self) -> bool {
        self.open.as_ref().is_some_and(|piece| piece.left > 0)
    }

    /// Ends the open piece when all of it is there, and says what it did. Grants that are due are
    /// appended to `out`.
    pub fn settle(&mut self, out: &mut Vec<u8>) -> Option<Progress<T>> {
        let piece = self.open.take_if(|piece| piece.left == 0)?;
        self.owed += piece.length;
        if self.owed >= self.limits.credit_per_connection / 4 {
            put_credit(out, 0, std::mem::take(&mut self.owed));
        }
        let Some(part) = self.parts.get_mut(&piece.id) else { return Some(Progress::More) };
        part.owed += piece.length;
        part.rest -= piece.length as usize;
        if part.rest == 0 {
            let part = self.parts.remove(&piece.id)?;
            return Some(Progress::Complete(part.what, part.bytes.with(part.long)));
        }
        // A rest that the sender has the credit for already needs no more of it.
        let enough = part.rest <= (self.limits.credit_per_body - part.owed) as usize;
        if !enough && part.owed >= self.limits.credit_per_body / 4 {
            put_credit(out, piece.id, std::mem::take(&mut part.owed));
        }
        Some(Progress::More)
    }

    /// Drops what has arrived of a body; the rest of it will be thrown away.
    pub fn forget(&mut self, id: u64) -> Option<T> {
        self.parts.remove(&id).map(|part| part.what)
    }

    /// Drops every body for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.parts.retain(|_, part| keep(&part.what));
    }

    /// Whether the body of this call is being received.
    pub fn contains(&self, id: u64) -> bool {
        self.parts.contains_key(&id)
    }

    /// Whether no body is being received.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl<T> Part<T> {
    /// A body that begins with `start`, of which as many bytes as told are in it already. There is
    /// room for what may come without further credit, a `window`, not for what is only declared.
    fn new(what: T, total: usize, window: usize, start: &[u8]) -> (Self, usize) {
        let room = |length: usize| length.min(window) + Room::BEYOND;
        // One that is longer than the window would be copied as its memory grows.
        let Some(long) = LongBin::find(start, total).filter(|long| long.length <= window) else {
            let bytes = Body::for_large(total.saturating_add(Room::BEYOND), room(total));
            return (Self { what, rest: total, bytes, long: None, owed: 0 }, 0);
        };
        let (mut bytes, taken) = (Body::new(), long.head.end);
        long.put_before(start, bytes.buffer());
        let content = memory::to_give(room(long.length));
        (Self { what, rest: total, bytes, long: Some((long, content)), owed: 0 }, taken)
    }

    /// Where the next bytes go, and how many of them at most.
    fn place(&mut self) -> (&mut Vec<u8>, usize) {
        match &mut self.long {
            Some((long, content)) if content.len() < long.length => {
                let most = long.length - content.len();
                (content, most)
            }
            _ => (self.bytes.buffer(), usize::MAX),
        }
    }

    /// Room for a piece, and for what is read with it. It grows with what has come, not with what
    /// was declared.
    fn reserve(&mut self, length: usize) {
        let room = |length: usize| length.saturating_add(Room::BEYOND);
        let grown = |bytes: &Vec<u8>, all| {
            let all = room(all).min(2 * bytes.capacity());
            all.saturating_sub(bytes.len())
        };
        let mut here = length;
        if let Some((long, content)) = &mut self.long {
            let there = length.min(long.length - content.len());
            here -= there;
            if content.capacity() - content.len() < room(there) {
                content.reserve_exact(room(there).max(grown(content, long.length)));
            }
        }
        let bytes = self.bytes.buffer();
        if bytes.capacity() - bytes.len() < room(here) {
            let all = bytes.len() + self.rest;
            make_room(bytes, room(here).max(grown(bytes, all)));
            bytes.reserve(room(here));
        }
    }
}

#[cfg(test)]
mod tests;
