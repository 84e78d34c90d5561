//! Types that are bytes and travel as such, without a step per byte.
//!
//! Serde takes `Vec<u8>` for a sequence of numbers; at 0.7 ns each that is most of a call that
//! carries a file. Fields inside structs need `serde_bytes` for the same.

use crate::{codec::Apart, memory};
use std::borrow::Cow;

/// What travels for a type that is bytes, or maybe bytes.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Written as `nil`.
    Nothing,
    /// Written as `bin`.
    Bytes(&'a [u8]),
}

/// A type that can be written as bytes.
pub trait AsBytes {
    /// What to write.
    fn as_bytes(&self) -> Content<'_>;
}

/// A type that can be read from bytes.
pub trait FromBytes<'de>: Sized + serde::Deserialize<'de> {
    /// The value that this is, if it is one.
    fn from_bytes(content: Content<'de>) -> Option<Self>;

    /// The value that bytes are which lie apart.
    fn from_apart(apart: &'de Apart) -> Self;
}

impl<'a> Content<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Nothing => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

impl<'a> From<Option<&'a [u8]>> for Content<'a> {
    fn from(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Nothing, Self::Bytes)
    }
}

macro_rules! bytes {
    ($($ty:ty),*) => { $(
        impl AsBytes for $ty {
            fn as_bytes(&self) -> Content<'_> {
                Content::Bytes(self)
            }
        }

        impl AsBytes for Option<$ty> {
            fn as_bytes(&self) -> Content<'_> {
                self.as_deref().into()
            }
        }

        impl<'de> FromBytes<'de> for $ty {
            fn from_bytes(content: Content<'de>) -> Option<Self> {
                content.bytes().map(|bytes| copied(bytes).into())
            }

            fn from_apart(apart: &'de Apart) -> Self {
                apart.take().into()
            }
        }

        impl<'de> FromBytes<'de> for Option<$ty> {
            fn from_bytes(content: Content<'de>) -> Option<Self> {
                Some(content.bytes().map(|bytes| copied(bytes).into()))
            }

            fn from_apart(apart: &'de Apart) -> Self {
                Some(apart.take().into())
            }
        }
    )* };
}

bytes!(Vec<u8>, Box<[u8]>);

fn copied(bytes: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(bytes.len());
    memory::copy(&mut copy, bytes);
    copy
}

impl AsBytes for &[u8] {
    fn as_bytes(&self) -> Content<'_> {
        Content::Bytes(self)
    }
}

impl AsBytes for Option<&[u8]> {
    fn as_bytes(&self) -> Content<'_> {
        (*self).into()
    }
}

impl AsBytes for &Vec<u8> {
    fn as_bytes(&self) -> Content<'_> {
        Content::Bytes(self)
    }
}

impl AsBytes for Cow<'_, [u8]> {
    fn as_bytes(&self) -> Content<'_> {
        Content::Bytes(self)
    }
}

impl<'de> FromBytes<'de> for &'de [u8] {
    fn from_bytes(content: Content<'de>) -> Option<Self> {
        content.bytes()
    }

    fn from_apart(apart: &'de Apart) -> Self {
        apart.lend()
    }
}

impl<'de> FromBytes<'de> for Option<&'de [u8]> {
    fn from_bytes(content: Content<'de>) -> Option<Self> {
        Some(content.bytes())
    }

    fn from_apart(apart: &'de Apart) -> Self {
        Some(apart.lend())
    }
}

impl<'de> FromBytes<'de> for Cow<'de, [u8]> {
    fn from_bytes(content: Content<'de>) -> Option<Self> {
        content.bytes().map(Cow::Borrowed)
    }

    fn from_apart(apart: &'de Apart) -> Self {
        Cow::Borrowed(apart.lend())
    }
}

/// Appends it, with the lengths of `MessagePack`.
pub(crate) fn write(content: Content<'_>, out: &mut Vec<u8>) {
    let Content::Bytes(bytes) = content else { return out.push(0xc0) };
    // Writing into memory does not fail; more than 4 GiB can't be one message either.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let _ = rmp::encode::write_bin_len(out, length);
    memory::append(out, bytes);
}

/// What a whole, checked `bin` or `nil` is; `None` for any other value.
pub(crate) fn content(value: &[u8]) -> Option<Content<'_>> {
    let header = match *value.first()? {
        0xc0 => return Some(Content::Nothing),
        0xc4 => 2,
        0xc5 => 3,
        0xc6 => 5,
        _ => return None,
    };
    value.get(header..).map(Content::Bytes)
}
