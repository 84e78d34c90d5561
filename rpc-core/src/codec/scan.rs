//! One pass over encoded bytes, without recursion or allocation, before anything is decoded.

use crate::{RpcError, defaults::MAX_DEPTH};
use std::fmt;

/// Checks that `bytes` are one whole `MessagePack` value, nested at most
/// [`MAX_DEPTH`] levels.
///
/// # Errors
///
/// Deeper nesting, a declared length that exceeds the bytes which follow, the unused byte `0xc1`,
/// an incomplete value, and bytes after the value. The text names the place.
#[inline]
pub fn scan(bytes: &[u8]) -> Result<(), RpcError> {
    match walk(bytes, MAX_DEPTH) {
        Ok(length) if length == bytes.len() => Ok(()),
        Ok(at) => Err(refuse(&Fault::Trailing { at, more: bytes.len() - at })),
        Err(fault) => Err(refuse(&fault)),
    }
}

/// The length of the first whole value in `bytes`, which lie in a container of a message, checked
/// like by [`scan`]; more may follow it.
///
/// # Errors
///
/// As for [`scan`], except that bytes after the value are no error.
#[inline]
pub fn skip(bytes: &[u8]) -> Result<usize, RpcError> {
    walk(bytes, MAX_DEPTH - 1).map_err(|fault| refuse(&fault))
}

/// How long the head of the first value in `bytes` is, and its own data behind that: none, for an
/// array or map. `None` if the head is not all there, or none.
pub(super) fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    let marker = *bytes.first()?;
    let length = |digits: usize| {
        let digits = bytes.get(1..=digits)?;
        Some(digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)))
    };
    Some(match marker {
        0x80..=0x9f => (1, 0),
        0xdc | 0xde => (3, 0),
        0xdd | 0xdf => (5, 0),
        0xc4 | 0xd9 => (2, length(1)?),
        0xc5 | 0xda => (3, length(2)?),
        0xc6 | 0xdb => (5, length(4)?),
        0xc7 => (3, length(1)?),
        0xc8 => (4, length(2)?),
        0xc9 => (6, length(4)?),
        0xc1 => return None,
        _ => (usize::from(SIZES[usize::from(marker)]), 0),
    })
}

/// Why bytes are refused. The offsets are those of the value's first byte.
#[derive(Debug)]
enum Fault {
    Truncated { at: usize, length: usize },
    Claim { at: usize, what: &'static str, claims: u64, left: usize },
    Deep { at: usize },
    Reserved { at: usize },
    Trailing { at: usize, more: usize },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { length: 0, .. } => f.write_str("the message is empty"),
            Self::Truncated { at, length } => {
                write!(f, "the message of {length} bytes ends within the value at byte {at}")
            }
            Self::Claim { at, what, claims, left } => {
                write!(
                    f,
                    "{what} at byte {at} claims a length of {claims}, but {left} bytes follow"
                )
            }
            Self::Deep { at } => {
                write!(f, "the message nests deeper than {MAX_DEPTH} levels at byte {at}")
            }
            Self::Reserved { at } => write!(f, "0xc1 at byte {at} is not MessagePack"),
            Self::Trailing { at, more } => {
                write!(f, "{more} bytes follow the value, which ends at byte {at}")
            }
        }
    }
}

#[cold]
fn refuse(fault: &Fault) -> RpcError {
    RpcError::internal(fault.to_string())
}

/// The length of the first whole value, nested at most `levels` deep.
fn walk(bytes: &[u8], levels: usize) -> Result<usize, Fault> {
    // What the open containers around the current one still lack, in values. 32 bits are enough:
    // no count exceeds the length of the message, whose own length travels in 32.
    let mut around = [0_u32; MAX_DEPTH];
    let mut depth = 0;
    let mut lacking: u32 = 1;
    let mut at = 0;
    loop {
        while lacking == 0 {
            if depth == 0 {
                return Ok(at);
            }
            depth -= 1;
            lacking = around[depth];
        }
        lacking -= 1;
        // Most values are scalars and short strings, whose first byte tells where they end.
        let size = bytes.get(at).map_or(0, |marker| SIZES[usize::from(*marker)]);
        if size > 0 && bytes.len() - at >= usize::from(size) {
            at += usize::from(size);
            continue;
        }
        match Head::read(bytes, at)? {
            Head::Whole { next } => at = next,
            Head::Holds { next, values } => {
                if depth == levels {
                    return Err(Fault::Deep { at });
                }
                around[depth] = lacking;
                depth += 1;
                lacking = values;
                at = next;
            }
        }
    }
}

/// By its first byte, the length of a value whose first byte tells it and that has no values in it;
/// 0 for others.
const SIZES: [u8; 256] = {
    let mut sizes = [0; 256];
    let mut marker: u8 = 0;
    loop {
        sizes[marker as usize] = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 1,
            0xa0..=0xbf => 1 + (marker & 0x1f),
            0xcc | 0xd0 => 2,
            0xcd | 0xd1 => 3,
            0xca | 0xce | 0xd2 => 5,
            0xcb | 0xcf | 0xd3 => 9,
            0xd4..=0xd8 => 2 + (1 << (marker - 0xd4)),
            _ => 0,
        };
        if marker == u8::MAX {
            break;
        }
        marker += 1;
    }
    sizes
};

/// What the first bytes of a value say, if the first alone does not.
enum Head {
    /// A value without values in it, which ends before `next`.
    Whole { next: usize },
    /// An array or map: so many values begin at `next`.
    Holds { next: usize, values: u32 },
}

impl Head {
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Result<Self, Fault> {
        let Some(&marker) = bytes.get(at) else {
            return Err(Fault::Truncated { at, length: bytes.len() });
        };
        let from = At { bytes, at };
        match marker {
            0x80..=0x8f => from.holds(1, u64::from(marker & 0x0f), 2),
            0x90..=0x9f => from.holds(1, u64::from(marker & 0x0f), 1),
            0xa0..=0xbf => from.data(1, usize::from(marker & 0x1f), "a string"),
            0xc1 => Err(Fault::Reserved { at }),
            0xc4 => from.data(2, from.length::<1>()?, "binary data"),
            0xc5 => from.data(3, from.length::<2>()?, "binary data"),
            0xc6 => from.data(5, from.length::<4>()?, "binary data"),
            // An extension has a type byte before its data.
            0xc7 => from.data(3, from.length::<1>()?, "an extension"),
            0xc8 => from.data(4, from.length::<2>()?, "an extension"),
            0xc9 => from.data(6, from.length::<4>()?, "an extension"),
            0xd9 => from.data(2, from.length::<1>()?, "a string"),
            0xda => from.data(3, from.length::<2>()?, "a string"),
            0xdb => from.data(5, from.length::<4>()?, "a string"),
            0xdc => from.holds(3, from.length::<2>()? as u64, 1),
            0xdd => from.holds(5, from.length::<4>()? as u64, 1),
            0xde => from.holds(3, from.length::<2>()? as u64, 2),
            0xdf => from.holds(5, from.length::<4>()? as u64, 2),
            // One of `SIZES` that is cut short.
            _ => Err(Fault::Truncated { at, length: bytes.len() }),
        }
    }
}

/// A value's first byte.
#[derive(Clone, Copy)]
struct At<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl At<'_> {
    /// The `N` bytes after the first, as a length.
    #[inline]
    fn length<const N: usize>(self) -> Result<usize, Fault> {
        match self.bytes[self.at + 1..].first_chunk::<N>() {
            Some(digits) => Ok(digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit))),
            None => Err(Fault::Truncated { at: self.at, length: self.bytes.len() }),
        }
    }

    /// A value whose own data of `length` begin `head` bytes after its first.
    #[inline]
    fn data(self, head: usize, length: usize, what: &'static str) -> Result<Head, Fault> {
        let left = (self.bytes.len() - self.at).saturating_sub(head);
        if length > left {
            return Err(self.claim(what, length as u64, left));
        }
        // An extension may end before its type byte, with nothing claimed and nothing left.
        if head > self.bytes.len() - self.at {
            return Err(Fault::Truncated { at: self.at, length: self.bytes.len() });
        }
        Ok(Head::Whole { next: self.at + head + length })
    }

    /// An array (`each` 1) or map (`each` 2) whose contents begin `head` bytes after its first.
    #[inline]
    fn holds(self, head: usize, length: u64, each: u64) -> Result<Head, Fault> {
        let left = self.bytes.len() - self.at - head;
        match u32::try_from(length * each) {
            // Every value takes a byte at least.
            Ok(values) if values as usize <= left => {
                Ok(Head::Holds { next: self.at + head, values })
            }
            _ => Err(self.claim(if each == 1 { "an array" } else { "a map" }, length, left)),
        }
    }

    #[cold]
    fn claim(self, what: &'static str, claims: u64, left: usize) -> Fault {
        Fault::Claim { at: self.at, what, claims, left }
    }
}
