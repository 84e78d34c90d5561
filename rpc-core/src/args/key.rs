//! The key of a call from the argument that its method names.
//!
//! A string is the key that a caller would give by hand, and so is an integer in decimal digits:
//! `hash_key("42")` and an argument `42` of any width go to one place. Anything else is its
//! encoding, which is the same in every process for values that are equal.

use rmp::Marker;
use std::io::Write;

/// Makes the entry at `begin`, a name and its value, a key: `false`, and nothing is left of it, for
/// the value `nil`.
pub(super) fn reduce(out: &mut Vec<u8>, begin: usize) -> bool {
    let entry = &out[begin..];
    let value = rmp::decode::read_str_from_slice(entry).map_or(entry, |(_, value)| value);
    let at = out.len() - value.len();
    let number = match value.first().map(|first| Marker::from_u8(*first)) {
        None | Some(Marker::Null) => {
            out.truncate(begin);
            return false;
        }
        Some(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) => {
            let length = rmp::decode::read_str_from_slice(value).map_or(0, |(text, _)| text.len());
            out.drain(begin..out.len() - length);
            return true;
        }
        Some(Marker::U64) => rmp::decode::read_int::<u64, _>(&mut &*value).map(i128::from),
        _ => rmp::decode::read_int::<i64, _>(&mut &*value).map(i128::from),
    };
    if let Ok(number) = number {
        out.truncate(begin);
        // Writing into memory does not fail.
        let _ = write!(out, "{number}");
    } else {
        out.drain(begin..at);
    }
    true
}
