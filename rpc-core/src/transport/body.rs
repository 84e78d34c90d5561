//! Message bodies in reused memory.

use crate::{
    codec::{Apart, Encoded, LongBin},
    memory,
};
use std::{fmt, ops::Deref};

/// Bytes in front of a body that is encoded: more than the head of its frame has.
const BEFORE: usize = 64;

/// The bytes of a message body, or of one being made. Its memory is kept and reused, that of a
/// small one by the thread that drops it, that of a large one by the process, so that a steady
/// stream of calls allocates nothing here. What is kept is bounded: 4 MiB for each thread, 16 MiB
/// for the process.
///
/// Long bytes in a body that was received may lie apart from the rest, in memory that the
/// value gets which is decoded from it.
pub struct Body {
    bytes: Vec<u8>,
    /// Where in `bytes` it begins.
    start: usize,
    apart: Option<Box<Apart>>,
}

impl Body {
    /// An empty body.
    pub fn new() -> Self {
        memory::take().into()
    }

    /// An empty body to encode to, which begins a little behind the memory that it has: allocators
    /// give long bodies whole pages, the kernel copies a frame to the beginning of one, and a frame
    /// whose head is a little longer than the allocator's own is slow to copy on some processors
    /// (see `memory.rs`). Measured for 64 KiB: 20 µs more for each write.
    #[inline]
    pub fn to_encode() -> Self {
        let mut body = Self::new();
        body.bytes.extend_from_slice(&[0; BEFORE]);
        body.start = BEFORE;
        body
    }

    /// A body with a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut body = Self::new();
        body.bytes.extend_from_slice(bytes);
        body
    }

    /// An empty body that will grow to `expected` bytes, for which memory is there if it is kept
    /// anyhow. Otherwise there is room for `needed`.
    pub fn for_large(expected: usize, needed: usize) -> Self {
        memory::take_large(expected, needed).into()
    }

    /// The buffer, to append to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The same with the content of a long `bin`, if there is one.
    pub(super) fn with(mut self, long: Option<(LongBin, Vec<u8>)>) -> Self {
        self.apart = long.map(|(long, content)| Box::new(long.filled(content)));
        self
    }

    /// What is to be decoded.
    #[inline]
    pub(crate) fn encoded(&self) -> Encoded<'_> {
        Encoded::new(&self.bytes[self.start..], self.apart.as_deref())
    }

    /// Its bytes, with those that lie apart.
    #[inline]
    pub fn total(&self) -> usize {
        self.bytes.len() - self.start + self.apart.as_ref().map_or(0, |apart| apart.more())
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        memory::keep(std::mem::take(&mut self.bytes));
    }
}

impl From<Vec<u8>> for Body {
    fn from(buffer: Vec<u8>) -> Self {
        Self { bytes: buffer, start: 0, apart: None }
    }
}

/// All of it: what lies apart is put back, and no value can have its memory any more.
impl Deref for Body {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.encoded().whole()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_encoded_begins_behind_the_head_of_its_memory() {
        let mut body = Body::to_encode();
        assert!(body.is_empty() && body.total() == 0);
        body.buffer().extend_from_slice(b"abc");
        assert_eq!((&body[..], body.total()), (&b"abc"[..], 3));
        memory::append(body.buffer(), &vec![7; 100_000]);
        assert_eq!((&body[..4], body.len()), (&b"abc\x07"[..], 100_003));
    }
}
