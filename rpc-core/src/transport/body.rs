//! Message bodies in reused memory.

use crate::memory;
use std::{fmt, ops::Deref};

/// The bytes of a message body, or of one being made. Its memory is kept and reused, that of a
/// small one by the thread that drops it, that of a large one by the process, so that a steady
/// stream of calls allocates nothing here. What is kept is bounded: 4 MiB for each thread, 16 MiB
/// for the process.
pub struct Body(Vec<u8>);

impl Body {
    /// An empty body.
    pub fn new() -> Self {
        Self(memory::take())
    }

    /// A body with a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut body = Self::new();
        body.0.extend_from_slice(bytes);
        body
    }

    /// An empty body that will grow to `expected` bytes, for which memory is there if it is kept
    /// anyhow. Otherwise there is room for `needed`.
    pub fn for_large(expected: usize, needed: usize) -> Self {
        Self(memory::take_large(expected, needed))
    }

    /// The buffer, to append to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        memory::keep(std::mem::take(&mut self.0));
    }
}

impl From<Vec<u8>> for Body {
    fn from(buffer: Vec<u8>) -> Self {
        Self(buffer)
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}
