//! The wire protocol, version 1: `docs/protocol.md` in code, section by section.
//!
//! Everything here is pure: bytes in, values out, and back. Integers are little-endian.

use std::time::Duration;

mod frame;
mod preface;
mod reason;
mod request;

pub use frame::{
    CALL_FLAGS_UNDERSTOOD, HEADER, Header, Kind, MAX_FRAME, ProtocolError, WholeFrame, flag,
    next_frame, next_header, put_close, put_credit, put_frame, put_header, put_signal, read_close,
    read_total, set_skipped,
};
pub use preface::{BASE_LIMITS, Limits, MAGIC, PREFACE, Preface, PrefaceError, read_preface};
pub use reason::{Reason, put_error, read_error};
pub use request::{MAX_METADATA, RequestHead, check_metadata, put_metadata, read_metadata};

/// The highest protocol version that this crate speaks.
pub const VERSION: u8 = 1;

/// FNV-1a, 64 bits: the id of a service (protocol, section 3).
pub const fn fnv1a_64(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// FNV-1a, 32 bits: the id of a method within its service (protocol, section 3).
pub const fn fnv1a_32(bytes: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5u32;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

/// Time since a preface as the 32-bit clock that requests carry; it comes around after 49 days.
pub fn clock_ms(since_preface: Duration) -> u32 {
    let low = since_preface.as_millis() & u128::from(u32::MAX);
    u32::try_from(low).unwrap_or(0)
}

/// Takes the first `N` bytes off `bytes`; `None` when there are fewer.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests;
