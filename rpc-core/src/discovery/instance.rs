//! One provider address as discovery knows it.

use std::{collections::BTreeMap, fmt, net::SocketAddr, num::NonZeroU64, str::FromStr};

/// A provider: where it answers and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Where it answers.
    pub addr: SocketAddr,
    /// Which process start it is. `None` when the registry does not know (`static://`).
    pub id: Option<InstanceId>,
    /// Highest protocol version that it speaks.
    pub protocol: u32,
    /// Its share of the calls under strategies that heed weights, 0 to 10,000. 0: no new calls under
    /// any strategy, unless all are 0.
    pub weight: u32,
    /// When it started, in Unix seconds; 0 when not known.
    pub started_at: u64,
    /// What it says of itself beside that: region, zone, version of the build, and any others. The
    /// framework makes no use of them.
    pub labels: BTreeMap<String, String>,
}

impl Instance {
    /// An instance of which only the address is known.
    pub fn at(addr: SocketAddr) -> Self {
        Self {
            addr,
            id: None,
            protocol: u32::from(crate::wire::VERSION),
            weight: crate::defaults::WEIGHT,
            started_at: 0,
            labels: BTreeMap::new(),
        }
    }
}

/// The identity of one process start: random, not zero, 16 hex digits when written.
///
/// It recognises oneself behind an advertised address, and a new process behind an old one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(NonZeroU64);

impl InstanceId {
    /// A new random identity.
    pub fn random() -> Self {
        Self(NonZeroU64::new(fastrand::u64(1..)).unwrap_or(NonZeroU64::MIN))
    }

    /// The identity with this number; `None` for 0.
    pub const fn from_u64(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn to_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceId({self})")
    }
}

impl FromStr for InstanceId {
    type Err = BadInstanceId;

    fn from_str(text: &str) -> Result<Self, BadInstanceId> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.and_then(Self::from_u64).ok_or(BadInstanceId)
    }
}

/// The text is not 16 hex digits, or all of them are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadInstanceId;

impl fmt::Display for BadInstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instance is written as 16 hex digits, not all 0")
    }
}

impl std::error::Error for BadInstanceId {}
