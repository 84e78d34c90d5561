//! Which of several endpoints a call goes to.

use std::{fmt, str::FromStr};

macro_rules! balance {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// How calls are spread over the endpoints of a service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[non_exhaustive]
        pub enum Balance {
            $($(#[doc = $doc])+ $name,)*
        }

        impl fmt::Display for Balance {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$name => $text,)*
                })
            }
        }

        impl FromStr for Balance {
            type Err = UnknownBalance;

            fn from_str(text: &str) -> Result<Self, UnknownBalance> {
                match text {
                    $($text => Ok(Self::$name),)*
                    _ => Err(UnknownBalance(text.to_owned())),
                }
            }
        }

        const NAMES: &[&str] = &[$($text),*];
    };
}

balance! {
    /// Each endpoint with the same chance.
    Random = "random",
    /// One endpoint after the other. The default.
    #[doc = ""]
    #[doc = "Each proxy service starts at a random one, so that many clients do not march in step."]
    RoundRobin = "round-robin",
}

/// The text names no balance strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownBalance(String);

impl fmt::Display for UnknownBalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no balance strategy is called `{}`; there are {}", self.0, NAMES.join(", "))
    }
}

impl std::error::Error for UnknownBalance {}

impl Balance {
    /// Where in a list of `count` endpoints to begin. `turn` counts the calls of the service,
    /// `random` is a random number. Pure.
    pub(crate) fn start(self, count: usize, turn: usize, random: u64) -> usize {
        let count = count.max(1);
        match self {
            // The high half of a product spreads evenly without a division.
            Self::Random => {
                usize::try_from((u128::from(random) * count as u128) >> 64).unwrap_or(0)
            }
            Self::RoundRobin => turn % count,
        }
    }
}
