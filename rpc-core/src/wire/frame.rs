//! Frames: the fixed header, the kinds, and the kinds that carry next to nothing (section 4).

use super::take;
use std::fmt;

/// Bytes of a frame header.
pub const HEADER: usize = 16;

/// Largest value of a frame's length field: a chunk, the largest request head, and room to grow.
pub const MAX_FRAME: u32 = 128 * 1024;

/// The fixed header of a frame.
///
/// ```text
/// 0        4     5      6        8                16
/// | length | kind | flags | aux    | call id        | payload ...
/// ```
///
/// `length` counts what follows it: 12 bytes of header and the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// What its sender adds to that, see [`flag`].
    pub flags: u8,
    /// Requests and replies: the codec in the low byte. In the high byte requests carry the hop
    /// count (0 in version 1), replies the server's load in 255ths.
    pub aux: u16,
    /// The call, or the token of a ping; 0 when the frame belongs to the connection.
    pub id: u64,
}

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client: a call.
    Request,
    /// Server: the method's result.
    Reply,
    /// Server: the application's error.
    AppError,
    /// Server: a framework error or a refusal.
    Error,
    /// Client: nobody waits for this call any more.
    Cancel,
    /// Either: answer with a pong.
    Ping,
    /// Either: the answer to a ping.
    Pong,
    /// Either: more of a large body.
    Data,
    /// Either: so many bytes more may be sent.
    Credit,
    /// Server: no new calls here, please.
    Leaving,
    /// Client: there will be none.
    Left,
    /// Either: why the connection ends now.
    Close,
    /// A kind that this version does not know and may skip (0x80 and above).
    Skipped,
}

impl Kind {
    /// The number that travels.
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Request => 0x01,
            Self::Reply => 0x02,
            Self::AppError => 0x03,
            Self::Error => 0x04,
            Self::Cancel => 0x05,
            Self::Ping => 0x06,
            Self::Pong => 0x07,
            Self::Data => 0x08,
            Self::Credit => 0x09,
            Self::Leaving => 0x0a,
            Self::Left => 0x0b,
            Self::Close => 0x0c,
            Self::Skipped => 0x80,
        }
    }

    const fn from_wire(number: u8) -> Option<Self> {
        Some(match number {
            0x01 => Self::Request,
            0x02 => Self::Reply,
            0x03 => Self::AppError,
            0x04 => Self::Error,
            0x05 => Self::Cancel,
            0x06 => Self::Ping,
            0x07 => Self::Pong,
            0x08 => Self::Data,
            0x09 => Self::Credit,
            0x0a => Self::Leaving,
            0x0b => Self::Left,
            0x0c => Self::Close,
            // 0x0d and 0x0e are kept for the items and the end of streams.
            0x80.. => Self::Skipped,
            _ => return None,
        })
    }
}

/// The flags of a frame. Of unknown ones, 0x10 and 0x20 refuse the frame, 0x40 and 0x80 do not.
pub mod flag {
    /// Request: this attempt is a retry.
    pub const RETRY: u8 = 0x01;
    /// Application error: the instance is at fault.
    pub const FAULT: u8 = 0x01;
    /// Request: a metadata section follows.
    pub const METADATA: u8 = 0x02;
    /// Request: a trace section follows.
    pub const TRACE: u8 = 0x04;
    /// Request, reply, application error: the body comes in pieces, under credit.
    pub const CHUNKED: u8 = 0x08;
    /// Flags that must be understood.
    pub const MUST_UNDERSTAND: u8 = 0x3f;
}

/// The flags that a version 1 request may carry and that must be understood.
pub const CALL_FLAGS_UNDERSTOOD: u8 = flag::RETRY | flag::METADATA | flag::TRACE | flag::CHUNKED;

/// Bytes that are not this protocol, or break its rules: the connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError(pub &'static str);

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "protocol error: {}", self.0)
    }
}

impl std::error::Error for ProtocolError {}

/// A frame's header, its payload, and its length in all.
pub type WholeFrame<'a> = (Header, &'a [u8], usize);

/// The first whole frame of `bytes`: its header, its payload, and its length in all. `None` when
/// it is not complete yet.
///
/// # Errors
///
/// As [`next_header`].
#[inline]
pub fn next_frame(bytes: &[u8]) -> Result<Option<WholeFrame<'_>>, ProtocolError> {
    let Some((header, length)) = next_header(bytes)? else { return Ok(None) };
    let end = HEADER + length;
    Ok(bytes.get(HEADER..end).map(|payload| (header, payload, end)))
}

/// The header of the first frame of `bytes` and the length of its payload, which need not be there
/// yet. `None` when the header is not complete.
///
/// # Errors
///
/// A length out of range, which is refused before a byte is allocated, or a kind that must be
/// understood and is not.
#[inline]
pub fn next_header(bytes: &[u8]) -> Result<Option<(Header, usize)>, ProtocolError> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let length = u32::from_le_bytes(*length);
    if !(12..=MAX_FRAME).contains(&length) {
        return Err(ProtocolError("a frame's length is out of range"));
    }
    let Some(head) = rest.first_chunk::<12>() else { return Ok(None) };
    let [kind, flags, aux0, aux1, id @ ..] = *head;
    let Some(kind) = Kind::from_wire(kind) else {
        return Err(ProtocolError("a frame of an unknown kind that must be understood"));
    };
    let header =
        Header { kind, flags, aux: u16::from_le_bytes([aux0, aux1]), id: u64::from_le_bytes(id) };
    Ok(Some((header, length as usize - 12)))
}

/// Appends a frame whose payload `fill` writes.
#[inline]
pub fn put_frame(out: &mut Vec<u8>, header: Header, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put_header(out, header, 0);
    fill(out);
    let length = length_field(out.len() - start - HEADER);
    out[start..start + 4].copy_from_slice(&length);
}

/// Appends the header of a frame whose payload of `length` bytes follows.
#[inline]
pub fn put_header(out: &mut Vec<u8>, header: Header, length: usize) {
    let [l0, l1, l2, l3] = length_field(length);
    let [aux0, aux1] = header.aux.to_le_bytes();
    out.extend_from_slice(&[l0, l1, l2, l3, header.kind.to_wire(), header.flags, aux0, aux1]);
    out.extend_from_slice(&header.id.to_le_bytes());
}

/// The length field of a frame with so many bytes of payload.
#[inline]
fn length_field(payload: usize) -> [u8; 4] {
    // Callers keep payloads within MAX_FRAME; the field cannot overflow.
    let length = u32::try_from(payload + 12).unwrap_or(u32::MAX);
    debug_assert!(length <= MAX_FRAME);
    length.to_le_bytes()
}

/// Appends a frame without payload.
pub fn put_signal(out: &mut Vec<u8>, kind: Kind, id: u64) {
    put_frame(out, Header { kind, flags: 0, aux: 0, id }, |_| ());
}

/// Makes the whole frame at the front of `bytes` one that its receiver skips. False when there is
/// none.
pub fn set_skipped(bytes: &mut [u8]) -> bool {
    let whole = matches!(next_frame(bytes), Ok(Some(_)));
    if let Some(kind) = bytes.get_mut(4).filter(|_| whole) {
        *kind = Kind::Skipped.to_wire();
    }
    whole
}

/// Appends a grant of `bytes` for the body of call `id`, or for the connection when `id` is 0.
pub fn put_credit(out: &mut Vec<u8>, id: u64, bytes: u32) {
    put_frame(out, Header { kind: Kind::Credit, flags: 0, aux: 0, id }, |out| {
        out.extend_from_slice(&bytes.to_le_bytes());
    });
}

/// Appends the last words on a connection; `text` is cut off at 1 KiB.
pub fn put_close(out: &mut Vec<u8>, text: &str) {
    let end = text.floor_char_boundary(1024);
    put_frame(out, Header { kind: Kind::Close, flags: 0, aux: 0, id: 0 }, |out| {
        out.extend_from_slice(&text.as_bytes()[..end]);
    });
}

/// The text of a close frame.
pub fn read_close(payload: &[u8]) -> String {
    String::from_utf8_lossy(&payload[..payload.len().min(1024)]).into_owned()
}

/// Reads the total length that leads a chunked payload, or the bytes of a credit frame.
///
/// # Errors
///
/// When fewer than four bytes are left.
pub fn read_total(payload: &mut &[u8]) -> Result<u32, ProtocolError> {
    take(payload).map(u32::from_le_bytes).ok_or(ProtocolError("a frame's payload is too short"))
}
