//! Failures of the codec as texts that a person can act on.

use crate::RpcError;
use rmp::Marker;
use rmp_serde::{decode, encode};
use std::{any::type_name, borrow::Cow};

/// A value that its `Serialize` or `MessagePack` refuses.
#[cold]
pub(super) fn encode<T: ?Sized>(error: &encode::Error) -> RpcError {
    RpcError::internal(format!("cannot encode a value of type {}: {error}", type_name::<T>()))
}

/// Bytes that are not what the type asks for.
#[cold]
pub(super) fn decode<T>(error: &decode::Error) -> RpcError {
    RpcError::internal(format!(
        "cannot decode a value of type {}: {}",
        type_name::<T>(),
        reason(error)
    ))
}

/// `rmp-serde` speaks of markers and of I/O; there is none here.
fn reason(error: &decode::Error) -> Cow<'_, str> {
    use decode::Error as E;
    match error {
        E::InvalidMarkerRead(_) | E::InvalidDataRead(_) => {
            "the type asks for more values than there are".into()
        }
        E::TypeMismatch(marker) => {
            format!("found {}, which is not what the type has there", kind(*marker)).into()
        }
        E::OutOfRange => "a number is out of range".into(),
        E::LengthMismatch(length) => {
            format!("an array or map has another length than the type ({length})").into()
        }
        E::Uncategorized(text) | E::Syntax(text) => text.into(),
        E::Utf8Error(error) => format!("a string is not UTF-8: {error}").into(),
        E::DepthLimitExceeded => "it is nested too deeply".into(),
    }
}

fn kind(marker: Marker) -> &'static str {
    match marker {
        Marker::Null => "nil",
        Marker::True | Marker::False => "a bool",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "a string",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "an array",
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a map",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "binary data",
        Marker::F32 | Marker::F64 => "a float",
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::U8
        | Marker::U16
        | Marker::U32
        | Marker::U64
        | Marker::I8
        | Marker::I16
        | Marker::I32
        | Marker::I64 => "an integer",
        Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16
        | Marker::Ext8
        | Marker::Ext16
        | Marker::Ext32 => "an extension",
        Marker::Reserved => "0xc1",
    }
}
