//! Large bodies that arrive in pieces, and the credit given for them.

use super::Body;
use crate::wire::{Limits, ProtocolError, put_credit};
use std::collections::HashMap;

/// The large bodies that a connection is receiving, by call id.
///
/// Memory is taken as bytes arrive, never for a length that is only declared. Credit goes back as
/// soon as bytes are taken; what belongs to no body any more still gets its connection credit.
#[derive(Debug)]
pub struct Assembly<T> {
    limits: Limits,
    parts: HashMap<u64, Part<T>>,
    /// Bytes received that the connection has no new credit for yet.
    owed: u32,
}

#[derive(Debug)]
struct Part<T> {
    what: T,
    total: usize,
    bytes: Vec<u8>,
    owed: u32,
}

/// What a piece did.
#[derive(Debug)]
pub enum Progress<T> {
    /// More is to come, or the piece belongs to nothing that is known.
    More,
    /// The body is complete.
    Complete(T, Body),
}

impl<T> Assembly<T> {
    /// An assembly that gives the credit that `limits` announced.
    pub fn new(limits: Limits) -> Self {
        Self { limits, parts: HashMap::new(), owed: 0 }
    }

    /// The first piece of a body of `total` bytes. Grants that are due are appended to `out`.
    ///
    /// # Errors
    ///
    /// A body whose id is in use, whose pieces exceed its total, or more than was granted.
    pub fn begin(
        &mut self,
        id: u64,
        what: T,
        total: u32,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress<T>, ProtocolError> {
        if self.parts.contains_key(&id) {
            return Err(ProtocolError("two bodies with one call id"));
        }
        let part = Part { what, total: total as usize, bytes: Vec::new(), owed: 0 };
        self.parts.insert(id, part);
        self.data(id, piece, out)
    }

    /// Another piece. One that belongs to no body is dropped, its credit given back.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    pub fn data(
        &mut self,
        id: u64,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress<T>, ProtocolError> {
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        self.settle_connection(length, out)?;
        let Some(part) = self.parts.get_mut(&id) else { return Ok(Progress::More) };
        if part.bytes.len() + piece.len() > part.total {
            return Err(ProtocolError("a body is longer than was said"));
        }
        part.owed += length;
        if part.owed > self.limits.credit_per_body {
            return Err(ProtocolError("more of a body than its credit"));
        }
        if part.bytes.is_empty() {
            // Room for what may come without further credit, not for what is only declared.
            part.bytes.reserve_exact(part.total.min(self.limits.credit_per_body as usize));
        }
        part.bytes.extend_from_slice(piece);
        if part.bytes.len() == part.total {
            if let Some(part) = self.parts.remove(&id) {
                return Ok(Progress::Complete(part.what, part.bytes.into()));
            }
        } else if part.owed >= self.limits.credit_per_body / 4 {
            put_credit(out, id, std::mem::take(&mut part.owed));
        }
        Ok(Progress::More)
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

    fn settle_connection(&mut self, length: u32, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.owed += length;
        if self.owed > self.limits.credit_per_connection {
            return Err(ProtocolError("more large bodies than the connection's credit"));
        }
        if self.owed >= self.limits.credit_per_connection / 4 {
            put_credit(out, 0, std::mem::take(&mut self.owed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BASE_LIMITS, Kind, next_frame};

    fn credits(mut out: &[u8]) -> Vec<(u64, u32)> {
        let mut seen = Vec::new();
        while let Some((header, payload, length)) = next_frame(out).unwrap() {
            assert_eq!(header.kind, Kind::Credit);
            seen.push((header.id, u32::from_le_bytes(payload.try_into().unwrap())));
            out = &out[length..];
        }
        seen
    }

    #[test]
    fn pieces_become_a_body_and_credit_goes_back_by_quarters() {
        let mut assembly = Assembly::new(BASE_LIMITS);
        let mut out = Vec::new();
        let piece = vec![7; 16 * 1024];
        assert!(matches!(assembly.begin(5, "x", 40_000, &piece, &mut out), Ok(Progress::More)));
        assert!(matches!(assembly.data(5, &piece, &mut out), Ok(Progress::More)));
        let rest = &piece[..40_000 - 2 * 16 * 1024];
        let Ok(Progress::Complete("x", body)) = assembly.data(5, rest, &mut out) else { panic!() };
        assert_eq!(body.len(), 40_000);
        assert_eq!(credits(&out), [(5, 16 * 1024), (5, 16 * 1024)]);
        assert!(assembly.is_empty());
    }

    #[test]
    fn pieces_of_nothing_give_the_connection_its_credit_back() {
        let mut assembly = Assembly::<()>::new(BASE_LIMITS);
        let mut out = Vec::new();
        for _ in 0..4 {
            assembly.data(9, &[0; 16 * 1024], &mut out).unwrap();
        }
        assert_eq!(credits(&out), [(0, 64 * 1024)]);
    }

    #[test]
    fn a_sender_without_credit_or_beyond_the_total_is_refused() {
        let mut assembly = Assembly::new(BASE_LIMITS);
        let out = &mut Vec::new();
        assert!(assembly.begin(1, (), 10, &[0; 11], out).is_err());
        assert!(assembly.begin(2, (), 1 << 20, &vec![0; 64 * 1024 + 1], out).is_err());
        let mut assembly = Assembly::new(BASE_LIMITS);
        assembly.begin(3, (), 10, &[0; 1], out).unwrap();
        assert!(assembly.begin(3, (), 10, &[0; 1], out).is_err(), "the id is in use");
    }

    #[test]
    fn a_declared_length_takes_no_memory() {
        let mut assembly = Assembly::new(Limits::default());
        assembly.begin(1, (), u32::MAX, &[0], &mut Vec::new()).unwrap();
        assert!(assembly.parts[&1].bytes.capacity() <= 256 * 1024);
    }
}
