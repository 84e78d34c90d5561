//! Values to bytes and back: `MessagePack` through `rmp-serde`, guarded against hostile input.
//!
//! Bytes from a peer are first [scanned](scan()): one pass without recursion or allocation that
//! refuses what no honest peer sends. Then `rmp-serde` decodes them under a guard of ours that
//! bounds the two things a well-formed message can still be made for.
//!
//! - **Stack.** Options, newtypes and enums cost no byte each, so a type that contains itself
//!   through them recurses without end on one byte. The guard counts every step into a value and
//!   stops after 256, four for each of the 64 levels that the scan lets through.
//! - **Memory.** One byte can stand for an element of any size. The guard adds up the sizes
//!   (`size_of`) of all elements of sequences and maps, and of all structs, tuples and enums that
//!   are not such an element, and stops at 16 times the largest message by default (64 MiB), or
//!   16 times the message where that is more. A value nested inline in another is counted in
//!   both. Lengths that a peer claims reserve nothing.
//!
//! Not counted, because a `Deserialize` does it out of sight: spare capacity of growing
//! containers (measured peaks: twice what is counted for a `Vec`, 3.3 times for a hash table that
//! has just grown), the allocator's own share (some 32 bytes for each boxed scalar or short
//! string), and what a hand-written `Deserialize` allocates by itself. The stack that one step
//! takes is the type's affair: a recursive type of half a kilobyte per level uses 1.3 MB at the
//! full 64 levels in a debug build; box what is larger.
//!
//! Not guarded either: types that serde reads by way of a buffer (`untagged`, internally tagged,
//! `flatten`). What goes into the buffer is bounded as above, but reading from it is out of
//! sight. A type that has no finite form (`struct W(Option<Box<W>>)`) overflows the stack from
//! there, and an `untagged` enum that contains itself in several variants can take time
//! exponential in the depth of the message. Do not send such types.

mod apart;
mod explain;
mod guard;
mod scan;

pub(crate) use apart::{Apart, Encoded, LongBin};
pub use scan::{scan, skip};

use crate::{RpcError, memory};
use rmp_serde::config::BytesMode;
use serde::{Deserialize, Serialize};
use std::io;

/// How the payload of a call is encoded. The frame header names it.
///
/// Either reads only what it has written: the forms of types such as `Uuid` and `IpAddr` differ.
///
/// In both, anything that looks like a sequence of `u8` travels as `bin`. A `Vec<u8>` is still
/// decoded byte by byte; `&[u8]` and what is marked with `serde_bytes` are not. Inside `untagged`,
/// internally tagged and flattened types, byte sequences *need* `serde_bytes` to be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Codec {
    /// Structs as maps with field names, human-readable forms. Fields can be added.
    #[default]
    Named = 0,
    /// Structs as arrays, binary forms. Smaller, but freezes every type it carries, and cannot
    /// read `untagged` and adjacently tagged enums that have struct variants.
    Compact = 1,
}

impl Codec {
    /// The number that travels.
    pub const fn to_wire(self) -> u8 {
        self as u8
    }

    /// The codec with this number.
    pub const fn from_wire(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Named),
            1 => Some(Self::Compact),
            _ => None,
        }
    }

    /// Appends `value` to `out`. After an error or a panic of its `Serialize`, `out` may hold a
    /// part of it.
    ///
    /// # Errors
    ///
    /// What the `Serialize` refuses, with code `Internal`.
    pub fn encode<T: Serialize + ?Sized>(
        self,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), RpcError> {
        let serializer = rmp_serde::Serializer::new(Append(out)).with_bytes(BytesMode::ForceAll);
        let done = match self {
            Self::Named => value.serialize(&mut serializer.with_struct_map().with_human_readable()),
            Self::Compact => value.serialize(&mut { serializer }),
        };
        done.map_err(|error| explain::encode::<T>(&error))
    }

    /// Reads a value that is all of `bytes`, which may come from a peer.
    ///
    /// # Errors
    ///
    /// Bytes that are not one whole value within the limits, or not a `T`; code `Internal`.
    #[inline]
    pub fn decode<'de, T: Deserialize<'de>>(self, bytes: &'de [u8]) -> Result<T, RpcError> {
        scan(bytes)?;
        self.decode_scanned(bytes)
    }

    /// Reads a value that is all of `bytes`, which are a message that was [scanned](scan()), or one
    /// value within it, as [`skip`] finds them.
    ///
    /// # Errors
    ///
    /// Bytes that are not a `T` or exceed a limit of the guard; code `Internal`.
    #[inline]
    pub fn decode_scanned<'de, T: Deserialize<'de>>(self, bytes: &'de [u8]) -> Result<T, RpcError> {
        self.decode_encoded(bytes.into())
    }

    /// The same, of which a part may lie apart.
    ///
    /// # Errors
    ///
    /// As [`decode_scanned`](Self::decode_scanned).
    #[inline]
    pub(crate) fn decode_encoded<'de, T: Deserialize<'de>>(
        self,
        value: Encoded<'de>,
    ) -> Result<T, RpcError> {
        guard::decode(value, self == Self::Named).map_err(|error| explain::decode::<T>(&error))
    }
}

/// More bytes at once are appended with care.
const MANY: usize = 16 * 1024;

/// A writer into memory whose every call is one `extend`, which the compiler can see through.
struct Append<'a>(&'a mut Vec<u8>);

impl io::Write for Append<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > MANY {
            memory::append(self.0, bytes);
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
