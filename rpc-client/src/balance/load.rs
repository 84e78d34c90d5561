//! What it costs to give an endpoint one call more.

use std::time::Duration;

/// How busy an endpoint is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Load {
    /// Calls in flight.
    pub(crate) active: usize,
    /// Estimated latency in ns, of answers and of what is not answered yet; 0 when nothing is known.
    pub(crate) latency: f64,
    /// Of one of which nothing is known: what a call may well take, in ns, because one waits for as
    /// long or took as long before that was forgotten.
    pub(crate) least: f64,
    /// The load that it reports, in 255ths of its limit.
    pub(crate) reported: u8,
}

/// What a call in flight costs, in ns, where no latency is known: more than any endpoint that still
/// does its work, however busy. It may be one that never answers.
const UNKNOWN: f64 = 60e9;
/// It is presumed to take so many times as long as one that is known, or as a call there has taken
/// already.
const PRESUMED: f64 = 2.0;

impl Load {
    /// The load that it reports, 0 to 1.
    pub(crate) fn reported_share(self) -> f64 {
        f64::from(self.reported) / 255.0
    }

    /// What a call more costs under peak EWMA on an idle endpoint, if anything is known.
    pub(crate) fn expected(self) -> Option<Duration> {
        let nanos = self.latency * self.pressure();
        (self.latency > 0.0).then(|| Duration::from_secs_f64(nanos / 1e9))
    }

    /// Under least-active: calls in flight, this one included, times [`pressure`](Self::pressure).
    pub(super) fn calls(self) -> f64 {
        (count(self.active) + 1.0) * self.pressure()
    }

    /// Under peak EWMA: latency times the above. An endpoint of which nothing is known costs
    /// nothing while it is idle and reports no load, and a minute for each call in flight: it is
    /// tried, but not with everything at once (as in Finagle), and not if all that is known of it
    /// is that it has enough.
    pub(super) fn time(self) -> f64 {
        if self.latency == 0.0 {
            (self.calls() - 1.0) * UNKNOWN
        } else {
            self.latency * self.calls()
        }
    }

    /// The same of two that are compared, of which one may be known and the other not. If that one
    /// got one call at a time, the known one would get all others until it has answered, and
    /// perhaps be filled by them. So it is presumed to be slower, but not by so much.
    #[cold]
    pub(super) fn times(a: Self, b: Self) -> (f64, f64) {
        (a.time_beside(b), b.time_beside(a))
    }

    fn time_beside(self, other: Self) -> f64 {
        if self.latency == 0.0 && other.latency > 0.0 {
            (self.calls() - 1.0) * PRESUMED * f64::max(other.latency, self.least)
        } else {
            self.time()
        }
    }

    /// 1 ÷ (1 − reported load): the time spent in a queue of that utilisation, relative to an idle
    /// one (M/M/1). 1 when idle, 2 at half the limit, 256 at the limit.
    fn pressure(self) -> f64 {
        256.0 / (256.0 - f64::from(self.reported))
    }
}

#[expect(clippy::cast_precision_loss, reason = "calls in flight are few")]
fn count(calls: usize) -> f64 {
    calls as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(active: usize, ms: f64, reported: u8) -> Load {
        Load { active, latency: ms * 1e6, reported, ..Load::default() }
    }

    fn costs_more(a: Load, b: Load) -> bool {
        a.time_beside(b) > b.time_beside(a)
    }

    #[test]
    fn a_slow_a_busy_and_a_loaded_endpoint_cost_more() {
        let idle = load(0, 1.0, 0);
        for worse in [load(1, 1.0, 0), load(0, 2.0, 0), load(0, 1.0, 128)] {
            assert!(costs_more(worse, idle), "{worse:?}");
        }
        assert!(costs_more(load(0, 1.0, 255), load(200, 1.0, 0)), "at its limit");
        assert!(load(0, 0.0, 255).calls() > load(200, 0.0, 0).calls(), "at its limit");
    }

    #[test]
    fn an_unknown_endpoint_is_tried_and_presumed_to_be_half_as_fast_or_slower() {
        let (tried, rival) = (load(1, 0.0, 0), load(4, 1.0, 0));
        assert!(costs_more(load(0, 0.001, 0), load(0, 0.0, 0)));
        assert!(costs_more(rival, tried) && costs_more(tried, load(0, 1.0, 0)));
        assert!(costs_more(load(3, 0.0, 0), rival), "half as many at most");
        assert!(costs_more(load(0, 0.0, 255), load(500, 1.0, 0)), "it has refused a call");
        assert!(!costs_more(Load { least: 2e6, ..tried }, rival));
        assert!(costs_more(Load { least: 3e6, ..tried }, rival), "it may never answer");
        let nobody_known = load(0, 0.0, 0);
        assert!(costs_more(tried, nobody_known) && costs_more(load(2, 0.0, 0), tried));
    }
}
