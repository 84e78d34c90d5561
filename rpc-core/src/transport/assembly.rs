//! Large bodies that arrive in pieces, and the credit given for them.

use super::{Body, ReadBuffer};
use crate::{
    memory::make_room,
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
/// length that is only declared, unless the process keeps memory of that size anyhow. Credit goes back
/// with the end of a piece; what belongs to no body any more still gets its connection credit.
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
    total: usize,
    bytes: Body,
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
    pub(super) left: &'a mut usize,
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

    /// Opens the first piece, of `length` bytes, of a body of `total` bytes.
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
    ) -> Result<(), ProtocolError> {
        if self.parts.contains_key(&id) {
            return Err(ProtocolError("two bodies with one call id"));
        }
        // Room for what may come without further credit, not for what is only declared.
        let total = total as usize;
        let needed = total.min(self.limits.credit_per_body as usize) + Room::BEYOND;
        let bytes = Body::for_large(total.saturating_add(Room::BEYOND), needed);
        let part = Part { what, total, bytes, owed: 0 };
        self.parts.insert(id, part);
        self.data(id, length)
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
            if length > part.total - part.bytes.len() {
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
        let count = piece.left.min(buffer.data().len());
        if let Some(part) = self.parts.get_mut(&piece.id) {
            part.bytes.buffer().extend_from_slice(&buffer.data()[..count]);
        }
        piece.left -= count;
        buffer.consume_piece(count);
    }

    /// Where the rest of the open piece is to be read to. `None` when there is none, or nobody
    /// wants it.
    pub fn room(&mut self) -> Option<Room<'_>> {
        let piece = self.open.as_mut().filter(|piece| piece.left > 0)?;
        let part = self.parts.get_mut(&piece.id)?;
        Some(Room { bytes: part.bytes.buffer(), left: &mut piece.left })
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
        let rest = part.total - part.bytes.len();
        if rest == 0 {
            let part = self.parts.remove(&piece.id)?;
            return Some(Progress::Complete(part.what, part.bytes));
        }
        // A rest that the sender has the credit for already needs no more of it.
        let enough = rest <= (self.limits.credit_per_body - part.owed) as usize;
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
    /// Room for a piece, and for what is read with it. It grows with what has come, not with what
    /// was declared.
    fn reserve(&mut self, length: usize) {
        let (total, bytes) = (self.total, self.bytes.buffer());
        let needed = length + Room::BEYOND;
        if bytes.capacity() - bytes.len() < needed {
            let grown = (2 * bytes.capacity()).min(total.saturating_add(Room::BEYOND));
            make_room(bytes, needed.max(grown.saturating_sub(bytes.len())));
        }
    }
}

#[cfg(test)]
mod tests;
