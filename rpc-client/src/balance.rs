//! Which of several endpoints a call goes to.

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
    /// Each endpoint with a chance in proportion to its weight. Not available yet.
    WeightedRandom = "weighted-random",
    /// One endpoint after the other. The default until `PeakEwma` is available.
    RoundRobin = "round-robin",
    /// One endpoint after the other, in proportion to their weights. Not available yet.
    WeightedRoundRobin = "weighted-round-robin",
    /// Calls with one hash key go to one endpoint. Not available yet.
    ConsistentHash = "consistent-hash",
    /// The endpoint with the fewest calls in flight. Not available yet.
    LeastActive = "least-active",
    /// The better of two by latency and calls in flight. Not available yet.
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

impl Balance {
    /// Whether a client can be built with it.
    pub(crate) fn is_available(self) -> bool {
        matches!(self, Self::Random | Self::RoundRobin)
    }

    /// Where in a list of `count` endpoints to begin. `turn` counts the calls of the service,
    /// `random` is a random number. Pure.
    pub(crate) fn start(self, count: usize, turn: usize, random: u64) -> usize {
        let count = count.max(1);
        if self == Self::Random {
            // The high half of the product spreads evenly without a division.
            return usize::try_from((u128::from(random) * count as u128) >> 64).unwrap_or(0);
        }
        turn % count
    }
}

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

    #[test]
    fn round_robin_takes_turns_and_random_reaches_every_endpoint_evenly() {
        let turns: Vec<_> = (0..6).map(|turn| Balance::RoundRobin.start(3, turn, 9)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = [0; 3];
        for _ in 0..30_000 {
            counts[Balance::Random.start(3, 0, random.u64(..))] += 1;
        }
        assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
    }
}
