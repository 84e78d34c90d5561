//! The names of the strategies; [`field`] is what they do.

mod ewma;
mod field;

pub(crate) use ewma::Ewma;
pub(crate) use field::{Field, Load, mix};

use std::{fmt, str::FromStr};

macro_rules! balance {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// How calls are spread over the endpoints of a service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Balance {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Default for Balance {
            fn default() -> Self {
                Self::RoundRobin
            }
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
    /// Each endpoint with a chance in proportion to its weight.
    WeightedRandom = "weighted-random",
    /// One endpoint after the other. The default.
    RoundRobin = "round-robin",
    /// One endpoint after the other, in proportion to their weights and evenly interleaved (the
    /// smooth weighted round-robin of nginx).
    WeightedRoundRobin = "weighted-round-robin",
    /// Calls with one [`hash_key`](rpc_core::CallOptions::hash_key) go to one endpoint, and few of
    /// them move when endpoints come and go (a ring with points by weight). A call without a key
    /// goes to a random one.
    ConsistentHash = "consistent-hash",
    /// The endpoint with the fewest calls in flight from this client.
    LeastActive = "least-active",
    /// Of two random endpoints the one with the lower product of latency and calls in flight;
    /// latency as a moving average that rises at once and decays in 10 s (Finagle's peak EWMA).
    PeakEwma = "peak-ewma",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_others_are_refused_with_the_list() {
        for name in NAMES {
            assert_eq!(name.parse::<Balance>().unwrap().to_string(), *name);
        }
        let e = "fastest".parse::<Balance>().unwrap_err().to_string();
        assert!(e.contains("`fastest`") && e.contains("round-robin"), "{e}");
    }
}
