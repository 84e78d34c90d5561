//! The preface: the first bytes of each side (section 2).

use super::{VERSION, take};
use crate::{Token, defaults, discovery::InstanceId};
use std::fmt;

/// What a preface begins with. Its first byte is no ASCII, no TLS record and no MessagePack array
/// or map, so that one port can be told apart by its first byte.
pub const MAGIC: [u8; 4] = [0xf5, b'r', b'p', b'c'];

/// Bytes of a version 1 preface without a token.
pub const PREFACE: usize = 40;

/// Its bytes up to the length field and with it.
const HEAD: usize = 8;

/// Largest preface that is read, whatever later versions add.
const MAX_PREFACE: usize = 1024;

/// The feature of a client whose token stands behind the fields.
const TOKEN: u64 = 0x01;

/// What one side says of itself before anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preface {
    /// Lowest version that it speaks.
    pub lowest: u8,
    /// Highest version that it speaks.
    pub highest: u8,
    /// Optional abilities, one bit each. Unknown ones are ignored.
    pub features: u64,
    /// A server's instance; `None` from a client.
    pub instance: Option<InstanceId>,
    /// What it is ready to receive.
    pub limits: Limits,
    /// The secret that a client shows.
    pub token: Option<Token>,
}

/// What a side is ready to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest message, in bytes.
    pub max_message: u32,
    /// Bytes of one large body that may be on their way.
    pub credit_per_body: u32,
    /// Bytes of all large bodies that may be on their way.
    pub credit_per_connection: u32,
    /// Calls in flight on the connection.
    pub max_in_flight: u32,
}

/// What holds until the peer's preface is read, and the least that a preface may announce.
pub const BASE_LIMITS: Limits = Limits {
    max_message: 64 * 1024,
    credit_per_body: 64 * 1024,
    credit_per_connection: 256 * 1024,
    max_in_flight: 64,
};

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: defaults::MAX_MESSAGE,
            credit_per_body: defaults::CREDIT_PER_BODY,
            credit_per_connection: defaults::CREDIT_PER_CONNECTION,
            max_in_flight: defaults::MAX_IN_FLIGHT_PER_CONNECTION,
        }
    }
}

impl Limits {
    fn covers(&self, base: &Self) -> bool {
        self.max_message >= base.max_message
            && self.credit_per_body >= base.credit_per_body
            && self.credit_per_connection >= base.credit_per_connection
            && self.max_in_flight >= base.max_in_flight
    }
}

impl Preface {
    /// What this crate says; `instance` when it is a server.
    pub fn new(instance: Option<InstanceId>, limits: Limits) -> Self {
        Self { lowest: 1, highest: VERSION, features: 0, instance, limits, token: None }
    }

    /// The same with a token. One that is not well-formed is left out: no builder lets it pass.
    #[must_use]
    pub fn with_token(self, token: Option<Token>) -> Self {
        match token.filter(Token::is_well_formed) {
            Some(token) => Self { features: self.features | TOKEN, token: Some(token), ..self },
            None => self,
        }
    }

    /// Appends the bytes, without a token that is not well-formed.
    pub fn put(&self, out: &mut Vec<u8>) {
        let token = self.token.as_ref().filter(|token| token.is_well_formed()).map(Token::as_str);
        let features = self.features & !TOKEN | if token.is_some() { TOKEN } else { 0 };
        let rest = PREFACE - HEAD + token.map_or(0, |token| 2 + token.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[self.lowest, self.highest]);
        put_length(out, rest);
        out.extend_from_slice(&features.to_le_bytes());
        out.extend_from_slice(&self.instance.map_or(0, InstanceId::to_u64).to_le_bytes());
        for limit in [
            self.limits.max_message,
            self.limits.credit_per_body,
            self.limits.credit_per_connection,
            self.limits.max_in_flight,
        ] {
            out.extend_from_slice(&limit.to_le_bytes());
        }
        if let Some(token) = token {
            put_length(out, token.len());
            out.extend_from_slice(token.as_bytes());
        }
    }
}

/// Appends a length of two bytes.
fn put_length(out: &mut Vec<u8>, length: usize) {
    let [low, high, ..] = length.to_le_bytes();
    out.extend_from_slice(&[low, high]);
}

/// Why a peer's first bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefaceError {
    /// The peer speaks another protocol; its first byte.
    NotThisProtocol(u8),
    /// No common version; what the peer speaks.
    Incompatible {
        /// Its lowest version.
        lowest: u8,
        /// Its highest version.
        highest: u8,
    },
    /// The magic is right and the rest is not.
    Broken,
}

impl fmt::Display for PrefaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThisProtocol(first) => {
                write!(f, "the peer does not speak this protocol (its first byte is {first:#04x})")
            }
            Self::Incompatible { lowest, highest } => write!(
                f,
                "the peer speaks protocol versions {lowest} to {highest}, this side 1 to {VERSION}"
            ),
            Self::Broken => f.write_str("the peer's preface is broken"),
        }
    }
}

impl std::error::Error for PrefaceError {}

/// Reads a preface off the front of `bytes`: the preface and its length, or `None` when it is not
/// complete yet.
///
/// # Errors
///
/// As soon as the bytes that are there cannot become a preface that this side accepts.
pub fn read_preface(bytes: &[u8]) -> Result<Option<(Preface, usize)>, PrefaceError> {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Err(PrefaceError::NotThisProtocol(bytes[0]));
    }
    let Some((head, _)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let [_, _, _, _, lowest, highest, len0, len1] = *head;
    let length = HEAD + usize::from(u16::from_le_bytes([len0, len1]));
    if lowest > VERSION || highest < 1 || lowest > highest {
        return Err(PrefaceError::Incompatible { lowest, highest });
    }
    if !(PREFACE..=MAX_PREFACE).contains(&length) {
        return Err(PrefaceError::Broken);
    }
    let Some(mut rest) = bytes.get(HEAD..length) else { return Ok(None) };
    let fields = (|| {
        let features = u64::from_le_bytes(take(&mut rest)?);
        let instance = InstanceId::from_u64(u64::from_le_bytes(take(&mut rest)?));
        let limits = Limits {
            max_message: u32::from_le_bytes(take(&mut rest)?),
            credit_per_body: u32::from_le_bytes(take(&mut rest)?),
            credit_per_connection: u32::from_le_bytes(take(&mut rest)?),
            max_in_flight: u32::from_le_bytes(take(&mut rest)?),
        };
        let token = match features & TOKEN {
            0 => None,
            _ => Some(read_token(&mut rest)?),
        };
        Some(Preface { lowest, highest, features, instance, limits, token })
    })();
    match fields {
        Some(preface) if preface.limits.covers(&BASE_LIMITS) => Ok(Some((preface, length))),
        _ => Err(PrefaceError::Broken),
    }
}

fn read_token(rest: &mut &[u8]) -> Option<Token> {
    let length = u16::from_le_bytes(take(rest)?);
    let text = str::from_utf8(rest.get(..usize::from(length))?).ok()?;
    Some(Token::from(text)).filter(Token::is_well_formed)
}
