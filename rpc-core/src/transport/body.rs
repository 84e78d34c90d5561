//! Message bodies in reused memory.

use std::{cell::RefCell, fmt, ops::Deref};

/// The bytes of a message body, or of one being made. Its memory is kept by the thread that drops
/// it and reused, so that a steady stream of small calls allocates nothing here.
pub struct Body(Vec<u8>);

/// Bodies larger than this are not kept: one big message must not be paid for ever after.
const KEPT_BYTES: usize = 64 * 1024;
/// How many a thread keeps.
const KEPT: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl Body {
    /// An empty body.
    pub fn new() -> Self {
        // The thread-local is gone while its thread ends; a fresh buffer serves as well.
        let kept = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        Self(kept.unwrap_or_default())
    }

    /// A body with a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut body = Self::new();
        body.0.extend_from_slice(bytes);
        body
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
        let mut buffer = std::mem::take(&mut self.0);
        if buffer.capacity() == 0 || buffer.capacity() > KEPT_BYTES {
            return;
        }
        buffer.clear();
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < KEPT {
                free.push(buffer);
            }
        });
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
