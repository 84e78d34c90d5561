//! The names of the strategies by which calls are spread; `rpc-client` holds what they do.

use std::{fmt, str::FromStr};

macro_rules! balance {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// How calls are spread over the endpoints of a service.
        ///
        /// It is chosen for a client (`ClientBuilder::balance`), for a service
        /// (`ClientBuilder::service_balance`) or for a call
        /// ([`CallOptions::balance`](crate::CallOptions::balance)); the nearest to the call wins.
        /// It parses from and displays as its name in kebab-case.
        ///
        /// No strategy gives a call to an instance with weight 0 while others take calls.
        /// `docs/balancing.md` has the formulas.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Balance {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Balance {
            /// All the strategies there are.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }

        impl Default for Balance {
            fn default() -> Self {
                Self::PeakEwma
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
    /// Each endpoint with a chance in proportion to its weight. New instances warm up.
    WeightedRandom = "weighted-random",
    /// One endpoint after the other.
    RoundRobin = "round-robin",
    /// One endpoint after the other, in proportion to their weights and evenly interleaved (the
    /// smooth weighted round-robin of nginx). New instances warm up.
    WeightedRoundRobin = "weighted-round-robin",
    /// Calls with one key go to one endpoint, and few of them move when endpoints come and go: a
    /// ring with points by weight, and bounded load (Mirrokni, Thorup and Zadimoghaddam, 2016).
    /// The key is the call's [`hash_key`](crate::CallOptions::hash_key), or the argument that
    /// `#[rpc(hash_key = ..)]` names. A call without a key goes to a random endpoint.
    ConsistentHash = "consistent-hash",
    /// The endpoint with the fewest calls in flight from this client, load that it reports added:
    /// of all endpoints up to eight, of eight random ones beyond. Lower weights get fewer calls,
    /// new instances warm up.
    LeastActive = "least-active",
    /// Of two random endpoints the one with the lower product of latency, calls in flight and
    /// reported load; latency as a moving average that rises at once and decays in 10 s (Finagle's
    /// peak EWMA). The default. Lower weights get fewer calls, new instances warm up.
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
