//! The head of a request: which method, how long it may take, what travels with it (section 5).

use super::{ProtocolError, flag, take};
use crate::{CallOptions, MetadataEntry, RpcError, TraceId};
use std::sync::Arc;

/// Largest metadata section, in bytes.
pub const MAX_METADATA: usize = 16 * 1024;

/// Bytes of a head without trace and metadata.
const FIXED: usize = 20;

/// Entry flag: calls that the handler makes carry the entry on.
const PROPAGATES: u8 = 0x01;

/// What a request says before its body.
///
/// ```text
/// service u64 | method u32 | remaining u32 | sent u32 | [trace 16] | [metadata u16, entries]
///             | [total u32] | body
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead {
    /// Id of the service.
    pub service: u64,
    /// Id of the method.
    pub method: u32,
    /// Milliseconds that are left for the call, rounded up.
    pub remaining_ms: u32,
    /// Milliseconds from the sender's preface to this request.
    pub sent_ms: u32,
    /// The trace, when the flag says that there is one.
    pub trace: Option<TraceId>,
}

impl RequestHead {
    /// Appends the fixed part and the trace. Metadata, total and body follow, as flags say.
    #[inline]
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.service.to_le_bytes());
        out.extend_from_slice(&self.method.to_le_bytes());
        out.extend_from_slice(&self.remaining_ms.to_le_bytes());
        out.extend_from_slice(&self.sent_ms.to_le_bytes());
        if let Some(trace) = self.trace {
            out.extend_from_slice(&trace.0.to_be_bytes());
        }
    }

    /// Takes the head off `payload`, with the metadata section when `flags` says there is one.
    ///
    /// # Errors
    ///
    /// When the payload is too short for what the flags say.
    #[inline]
    pub fn read<'a>(flags: u8, payload: &mut &'a [u8]) -> Result<(Self, &'a [u8]), ProtocolError> {
        read(flags, payload).ok_or(ProtocolError("a request's head is too short"))
    }

    /// Bytes of the head and the metadata section at the front of `payload`, of which the rest may
    /// not be there yet. `None` while that cannot be told.
    pub fn length(flags: u8, payload: &[u8]) -> Option<usize> {
        let fixed = if flags & flag::TRACE == 0 { FIXED } else { FIXED + 16 };
        if flags & flag::METADATA == 0 {
            return Some(fixed);
        }
        let section = u16::from_le_bytes(*payload.get(fixed..)?.first_chunk()?);
        Some(fixed + 2 + usize::from(section))
    }
}

fn read<'a>(flags: u8, payload: &mut &'a [u8]) -> Option<(RequestHead, &'a [u8])> {
    let service = u64::from_le_bytes(take(payload)?);
    let method = u32::from_le_bytes(take(payload)?);
    let remaining_ms = u32::from_le_bytes(take(payload)?);
    let sent_ms = u32::from_le_bytes(take(payload)?);
    let trace = match flags & flag::TRACE {
        0 => None,
        _ => Some(TraceId(u128::from_be_bytes(take(payload)?))),
    };
    let mut metadata: &[u8] = &[];
    if flags & flag::METADATA != 0 {
        let length = usize::from(u16::from_le_bytes(take(payload)?));
        (metadata, *payload) = payload.split_at_checked(length)?;
    }
    Some((RequestHead { service, method, remaining_ms, sent_ms, trace }, metadata))
}

/// Appends a metadata section: its length, then each entry.
///
/// # Errors
///
/// `InvalidArgument` when a key, a value or the whole is too long; `out` is left as it was.
pub fn put_metadata<'a>(
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = &'a MetadataEntry>,
) -> Result<(), RpcError> {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    for entry in entries {
        let (Ok(key), Ok(value)) =
            (u8::try_from(entry.key.len()), u16::try_from(entry.value.len()))
        else {
            out.truncate(start);
            return Err(RpcError::invalid_argument(format!(
                "a metadata key has {} bytes and its value {}: keys are limited to 255 bytes, the \
                 metadata of a call to {MAX_METADATA} in all; shorten them",
                entry.key.len(),
                entry.value.len()
            )));
        };
        out.extend_from_slice(&[if entry.propagates { PROPAGATES } else { 0 }, key]);
        out.extend_from_slice(entry.key.as_bytes());
        out.extend_from_slice(&value.to_le_bytes());
        out.extend_from_slice(entry.value.as_bytes());
    }
    let length = out.len() - start - 2;
    match u16::try_from(length) {
        Ok(field) if length <= MAX_METADATA => {
            out[start..start + 2].copy_from_slice(&field.to_le_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(RpcError::invalid_argument(format!(
                "the metadata of a call is limited to {MAX_METADATA} bytes, this is {length}; send \
                 less, or send it as an argument"
            )))
        }
    }
}

/// Reads the entries of a metadata section.
///
/// # Errors
///
/// When they are cut off, too long, or not UTF-8.
pub fn read_metadata(mut section: &[u8]) -> Result<Arc<[MetadataEntry]>, ProtocolError> {
    let mut entries = Vec::new();
    if section.len() > MAX_METADATA {
        return Err(ProtocolError("a metadata section is too long"));
    }
    while !section.is_empty() {
        let entry = read_entry(&mut section).ok_or(ProtocolError("broken metadata"))?;
        entries.push(entry);
    }
    Ok(entries.into())
}

fn read_entry(section: &mut &[u8]) -> Option<MetadataEntry> {
    let [flags, key_length] = take(section)?;
    let (key, rest) = section.split_at_checked(usize::from(key_length))?;
    *section = rest;
    let length = usize::from(u16::from_le_bytes(take(section)?));
    let (value, rest) = section.split_at_checked(length)?;
    *section = rest;
    Some(MetadataEntry {
        key: str::from_utf8(key).ok()?.to_owned(),
        value: str::from_utf8(value).ok()?.to_owned(),
        propagates: flags & PROPAGATES != 0,
    })
}

/// Checks the metadata of options without keeping the bytes.
///
/// # Errors
///
/// As [`put_metadata`].
pub fn check_metadata(options: &CallOptions) -> Result<(), RpcError> {
    put_metadata(&mut Vec::new(), options.settings().metadata.iter())
}
