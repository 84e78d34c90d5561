//! Values to bytes and back: MessagePack through `rmp-serde`, guarded against hostile input.

use crate::RpcError;
use serde::{Deserialize, Serialize};

/// How the payload of a call is encoded. The frame header names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Codec {
    /// Structs as maps with field names, human-readable forms. Fields can be added.
    #[default]
    Named = 0,
    /// Structs as arrays, binary forms. Smaller, but freezes every type it carries.
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
        let _ = (value, out);
        Err(RpcError::internal("codec"))
    }

    /// Reads a value that is all of `bytes`, which may come from a peer.
    ///
    /// # Errors
    ///
    /// Bytes that are not one whole value within the limits, or not a `T`; code `Internal`.
    pub fn decode<'de, T: Deserialize<'de>>(self, bytes: &'de [u8]) -> Result<T, RpcError> {
        let _ = bytes;
        Err(RpcError::internal("codec"))
    }
}
