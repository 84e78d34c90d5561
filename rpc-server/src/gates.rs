//! Limits of services and methods: what a program asks for, and the parts that see to it.
//!
//! There is no queue. A limit counts calls from their admission to the end of their handler, so
//! those that wait for a thread, a lock or a pool inside the handler are in it already; a second
//! queue in front would only keep from the caller, for as long as it lasts, what it needs to know
//! to go elsewhere. Who may enter is decided in [`entry`], limit by limit in [`gate`]; how large
//! an adaptive limit is, in [`adaptive`].

mod adaptive;
mod entry;
mod gate;
mod latency;
mod plan;
mod tally;
mod written;

pub(crate) use entry::{Gates, Place};
pub(crate) use gate::Gate;
pub(crate) use plan::LimitPlan;
pub use written::UnknownLimit;

use rpc_core::defaults;

/// How many calls of a service or of a method may run at a time in one server.
///
/// A call beyond its limit is refused at once with [`ResourceExhausted`] and the outcome
/// `Refused`: no user code has run, so clients try another instance, whatever the method. The
/// text says which limit it was. Once three quarters of a limit are taken, calls that have less
/// time left than even the quickest of the latest calls took are refused as well: they would use
/// up a place and run out of time all the same, and the last quarter is kept for those that can
/// still be answered.
///
/// A call counts from when it was read until its handler has ended, waiting for a free thread
/// included. Sending its answer does not count.
///
/// [`ResourceExhausted`]: rpc_core::RpcCode::ResourceExhausted
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub(crate) Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    None,
    Fixed(u32),
    Adaptive { least: u32, most: u32 },
}

impl Limit {
    /// At most this many calls; 1 to 1,000,000.
    ///
    /// A good figure is what the service needs to be busy, and what lets the last of them still
    /// end in time: between calls a second times the latency without load, and calls a second
    /// times the shortest deadline of its callers.
    pub const fn fixed(calls: u32) -> Self {
        Self(Kind::Fixed(calls))
    }

    /// A limit that follows what the service can do: [`adaptive_between`](Self::adaptive_between)
    /// 8 and 10,000.
    pub const fn adaptive() -> Self {
        Self::adaptive_between(defaults::ADAPTIVE_LEAST, defaults::ADAPTIVE_MOST)
    }

    /// A limit that follows what the service can do, between these two; 1 to 1,000,000 each.
    ///
    /// It is the concurrency at which more would add waiting rather than work: the highest rate of
    /// answers seen times the latency without load, and some more to find out whether the service
    /// has become faster. Source: the automatic concurrency limiter of Apache bRPC, with its
    /// figures: at first 40; set anew after 100 to 200 samples, one each 100 µs at most, within
    /// 1 s; 6 to 30 % above what is known to work; every 25 to 50 s a full limit is lowered to
    /// measure the latency again. Three things differ. A limit that is less than half used is left
    /// alone (as in Netflix's concurrency-limits). It is lowered to 0.8 of itself, not 0.9, and the
    /// first time after 1 to 2 s, since what a server starts with may be far too high; and when
    /// that costs no answers, but makes them come sooner, it is lowered further at once. Calls that fail, the
    /// application's errors included, are no answers: their time is added to that of those that
    /// were answered, and when every call fails the limit is halved, unless they fail sooner than
    /// they could be answered.
    ///
    /// For methods whose calls take about the same time and come at more than 100 a second; below
    /// that it stays where it is. A method that mixes quick and slow calls needs a fixed limit.
    pub const fn adaptive_between(least: u32, most: u32) -> Self {
        Self(Kind::Adaptive { least, most })
    }

    /// No limit: takes a service or a method out of what would apply to it otherwise.
    pub const fn none() -> Self {
        Self(Kind::None)
    }

    /// What is wrong with it.
    pub(crate) fn mistake(self) -> Option<String> {
        let range = 1..=MOST;
        match self.0 {
            Kind::None => None,
            Kind::Fixed(calls) if range.contains(&calls) => None,
            Kind::Fixed(calls) => Some(format!("Limit::fixed({calls}): write 1 to {MOST}")),
            Kind::Adaptive { least, most }
                if least <= most && range.contains(&least) && range.contains(&most) =>
            {
                None
            }
            Kind::Adaptive { least, most } => Some(format!(
                "Limit::adaptive_between({least}, {most}): write 1 to {MOST}, the lower first"
            )),
        }
    }
}

/// The largest limit that can be set.
const MOST: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_outside_their_range_are_told() {
        for limit in [Limit::fixed(0), Limit::fixed(1_000_001), Limit::adaptive_between(9, 8)] {
            let text = limit.mistake().unwrap();
            assert!(text.contains("write 1 to 1000000"), "{text}");
        }
        for limit in [Limit::fixed(1), Limit::adaptive(), Limit::none()] {
            assert_eq!(limit.mistake(), None);
        }
    }
}
