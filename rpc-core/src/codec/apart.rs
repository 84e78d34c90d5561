//! Long bytes that lie apart from the message that they belong to, so that a value can have their
//! memory.
//!
//! Whoever receives a message looks for a [`LongBin`] in its beginning, and reads its content to a
//! `Vec` of its own. In the message a head of no bytes stands in its place. A type that asks for a
//! buffer where that head is gets the `Vec`, one that asks for bytes borrows from it; for all other
//! types the message is put together again, and decoded once more.

use crate::defaults;
use std::{
    ops::Range,
    sync::{Mutex, OnceLock, PoisonError},
};

/// The head of a `bin` of no bytes, which stands where a long one was.
const EMPTY: [u8; 2] = [0xc4, 0];
/// Bytes of the head of the longest.
const LONGEST_HEAD: usize = 5;

/// The first long `bin` of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LongBin {
    /// Where its head is; its content follows.
    pub(crate) head: Range<usize>,
    /// Bytes of its content.
    pub(crate) length: usize,
}

impl LongBin {
    /// Shorter ones are not worth memory of their own.
    const LEAST: usize = defaults::SMALL_BODY as usize;
    /// Values that are looked at.
    const LOOK: usize = 64;

    /// Looks for one in `start`, the beginning of a message of `total` bytes. Nothing is said about
    /// whether the message is well formed, only that the content lies within it.
    pub(crate) fn find(start: &[u8], total: usize) -> Option<Self> {
        let mut at = 0;
        for _ in 0..Self::LOOK {
            let (head, length) = super::scan::extent(start.get(at..)?)?;
            let end = at.checked_add(head)?.checked_add(length)?;
            if matches!(start[at], 0xc4..=0xc6) && length >= Self::LEAST {
                return (end <= total).then(|| Self { head: at..at + head, length });
            }
            at = end;
        }
        None
    }

    /// Appends what `start` has in front of the content, with a head of no bytes.
    pub(crate) fn put_before(&self, start: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&start[..self.head.start]);
        out.extend_from_slice(&EMPTY);
    }

    /// The content, which has come.
    pub(crate) fn filled(self, content: Vec<u8>) -> Apart {
        Apart {
            at: self.head.start,
            more: self.head.len() - EMPTY.len() + content.len(),
            content: Mutex::new(Some(content)),
            lent: OnceLock::new(),
            whole: OnceLock::new(),
        }
    }
}

/// The content of a long `bin`, until a value takes or borrows it.
#[derive(Debug)]
pub struct Apart {
    /// Where in the message the head of no bytes is.
    at: usize,
    more: usize,
    content: Mutex<Option<Vec<u8>>>,
    /// What values borrow from.
    lent: OnceLock<Vec<u8>>,
    /// The message put together again, once somebody has asked for it.
    whole: OnceLock<Vec<u8>>,
}

impl Apart {
    /// How many more bytes the message has with it.
    pub(crate) fn more(&self) -> usize {
        self.more
    }

    /// The memory, for a value to keep; empty if that has been taken.
    pub(crate) fn take(&self) -> Vec<u8> {
        // Nothing panics under the lock.
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.take().unwrap_or_default()
    }

    /// The bytes, for a value to borrow.
    pub(crate) fn lend(&self) -> &[u8] {
        self.lent.get_or_init(|| self.take())
    }

    fn is_taken(&self) -> bool {
        self.content.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// A message, or a value within it, of which a long `bin` may lie apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded<'de> {
    bytes: &'de [u8],
    /// What lies apart, and the head that stands in its place.
    apart: Option<(&'de Apart, &'de [u8])>,
}

impl<'de> From<&'de [u8]> for Encoded<'de> {
    #[inline]
    fn from(bytes: &'de [u8]) -> Self {
        Self { bytes, apart: None }
    }
}

impl<'de> Encoded<'de> {
    /// A message, and what lies apart from it.
    #[inline]
    pub(crate) fn new(bytes: &'de [u8], apart: Option<&'de Apart>) -> Self {
        match apart.and_then(|apart| apart.whole.get()) {
            None => Self { bytes, apart: apart.map(|apart| (apart, &bytes[apart.at..])) },
            Some(whole) => Self::from(&whole[..]),
        }
    }

    /// A value within it.
    #[inline]
    pub(crate) fn within(self, bytes: &'de [u8]) -> Self {
        let is_here = |(_, head): &(_, &[u8])| bytes.as_ptr_range().contains(&head.as_ptr());
        Self { bytes, apart: self.apart.filter(is_here) }
    }

    /// Its bytes, without what lies apart.
    #[inline]
    pub(crate) fn bytes(self) -> &'de [u8] {
        self.bytes
    }

    /// How many bytes it is with what lies apart.
    #[inline]
    pub(super) fn length(self) -> usize {
        self.bytes.len() + self.apart.map_or(0, |(apart, _)| apart.more)
    }

    /// What lies apart, if it is the content of the empty `bin` whose content is `content`.
    #[inline]
    pub(super) fn apart_at(self, content: &[u8]) -> Option<&'de Apart> {
        let (apart, head) = self.apart?;
        (content.as_ptr() == head[EMPTY.len()..].as_ptr()).then_some(apart)
    }

    /// What lies apart, if it is all of this value.
    pub(crate) fn only_apart(self) -> Option<&'de Apart> {
        let (apart, head) = self.apart?;
        (self.bytes.len() == EMPTY.len() && self.bytes.as_ptr() == head.as_ptr()).then_some(apart)
    }

    /// The bytes of the whole message. No value can take what lay apart then.
    #[inline]
    pub(crate) fn whole(self) -> &'de [u8] {
        match self.apart {
            None => self.bytes,
            Some((apart, head)) => apart.whole.get_or_init(|| self.join(apart, head)),
        }
    }

    /// The value put together again, unless nothing lies apart, or that was taken.
    #[inline]
    pub(super) fn joined(self) -> Option<Self> {
        let (apart, head) = self.apart?;
        let join = || &apart.lent.get_or_init(|| self.join(apart, head))[..];
        (!apart.is_taken()).then(|| join().into())
    }

    #[cold]
    fn join(self, apart: &Apart, head: &[u8]) -> Vec<u8> {
        let at = head.as_ptr() as usize - self.bytes.as_ptr() as usize;
        let content = apart.take();
        let mut whole = Vec::with_capacity(self.length() + LONGEST_HEAD);
        whole.extend_from_slice(&self.bytes[..at]);
        // Writing into memory does not fail, and lengths travel in 32 bits.
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let _ = rmp::encode::write_bin_len(&mut whole, length);
        whole.extend_from_slice(&content);
        whole.extend_from_slice(&self.bytes[at + EMPTY.len()..]);
        whole
    }
}

#[cfg(test)]
mod tests;
