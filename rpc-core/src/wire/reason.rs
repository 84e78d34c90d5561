//! Framework errors and refusals, with the reason that decides what a client does (section 7).

use crate::{Outcome, RpcCode, RpcError, codec::Codec};

/// Why a server answers with a framework error.
///
/// Numbers below 128 are refusals: no user code ran. From 128 on it did. A number that is not
/// known keeps the meaning of its half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server is leaving.
    Draining,
    /// A limit of the server is reached.
    Overloaded,
    /// The server does not serve this service.
    UnknownService,
    /// The service has no such method.
    UnknownMethod,
    /// The time for the call had passed when it arrived.
    TimePassed,
    /// The arguments do not decode.
    BadArguments,
    /// The request is larger than the server takes.
    TooLarge,
    /// The caller's connection has no token that the server takes.
    NotPermitted,
    /// The request needs something that the server does not know: a flag, a codec.
    Unsupported,
    /// A refusal with a number that this version does not know.
    OtherRefusal,
    /// The handler returned this `RpcError`.
    Handler,
    /// The handler panicked.
    Panicked,
    /// The handler's answer cannot be encoded or is larger than the client takes.
    BadAnswer,
    /// The time for the call passed while the handler ran.
    DeadlinePassed,
}

impl Reason {
    /// The number that travels.
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Draining => 1,
            Self::Overloaded => 2,
            Self::UnknownService => 3,
            Self::UnknownMethod => 4,
            Self::TimePassed => 5,
            Self::BadArguments => 6,
            Self::TooLarge => 7,
            Self::NotPermitted => 8,
            Self::Unsupported => 9,
            Self::OtherRefusal => 127,
            Self::Handler => 128,
            Self::Panicked => 129,
            Self::BadAnswer => 130,
            Self::DeadlinePassed => 131,
        }
    }

    /// The reason with this number.
    pub const fn from_wire(number: u8) -> Self {
        match number {
            1 => Self::Draining,
            2 => Self::Overloaded,
            3 => Self::UnknownService,
            4 => Self::UnknownMethod,
            5 => Self::TimePassed,
            6 => Self::BadArguments,
            7 => Self::TooLarge,
            8 => Self::NotPermitted,
            9 => Self::Unsupported,
            0 | 10..=127 => Self::OtherRefusal,
            129 => Self::Panicked,
            130 => Self::BadAnswer,
            131 => Self::DeadlinePassed,
            128 | 132.. => Self::Handler,
        }
    }

    /// What an error with this reason means for the caller. A passed deadline is `Unknown`
    /// whoever noticed it first, so that callers see one outcome for it.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::TimePassed | Self::DeadlinePassed => Outcome::Unknown,
            Self::Handler | Self::Panicked | Self::BadAnswer => Outcome::Ran,
            _ => Outcome::Refused,
        }
    }

    /// The code that a server gives an error with this reason; an answer that cannot be encoded is
    /// `Internal` all the same.
    pub const fn code(self) -> RpcCode {
        match self {
            Self::Draining => RpcCode::Unavailable,
            Self::Overloaded | Self::TooLarge | Self::BadAnswer => RpcCode::ResourceExhausted,
            Self::UnknownService | Self::UnknownMethod | Self::Unsupported => {
                RpcCode::Unimplemented
            }
            Self::TimePassed | Self::DeadlinePassed => RpcCode::DeadlineExceeded,
            Self::BadArguments => RpcCode::InvalidArgument,
            Self::NotPermitted => RpcCode::Unauthenticated,
            Self::OtherRefusal | Self::Handler => RpcCode::Unknown,
            Self::Panicked => RpcCode::Internal,
        }
    }
}

/// Longest error message that travels, in bytes.
const MAX_MESSAGE_TEXT: usize = 8 * 1024;
/// Longest error that travels, in bytes: a frame beyond its limit would end the connection.
const MAX_ERROR: usize = 16 * 1024;

/// Appends the payload of an error frame: the reason, then the error as a map of at most 16 KiB.
/// One that is longer is shortened to its code and the first 8 KiB of its message.
pub fn put_error(out: &mut Vec<u8>, reason: Reason, error: &RpcError) {
    out.push(reason.to_wire());
    let start = out.len();
    let text = error.message();
    let cut = text.floor_char_boundary(MAX_MESSAGE_TEXT);
    let written = cut == text.len() && Codec::Named.encode(error, out).is_ok();
    if written && out.len() - start <= MAX_ERROR {
        return;
    }
    out.truncate(start);
    if Codec::Named.encode(&RpcError::new(error.code(), &text[..cut]), out).is_err() {
        out.truncate(start);
    }
}

/// Reads the payload of an error frame. A map that does not decode still leaves the reason.
pub fn read_error(payload: &[u8]) -> (Reason, RpcError) {
    let Some((&number, map)) = payload.split_first() else {
        return (Reason::Handler, RpcError::internal("the peer sent an error without a reason"));
    };
    let reason = Reason::from_wire(number);
    let error = Codec::Named.decode::<RpcError>(map).unwrap_or_else(|_| {
        RpcError::new(reason.code(), "the peer sent an error that cannot be read")
    });
    (reason, error)
}
