//! What it costs to give an endpoint one call more.

use std::time::Duration;

/// How busy an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    /// Calls in flight.
    pub(crate) active: usize,
    /// Estimated latency in ns; 0 when nothing is known.
    pub(crate) latency: f64,
    /// The load that it reports, in 255ths of its limit.
    pub(crate) reported: u8,
}

/// What a call in flight costs, in ns, where no latency is known: more than any endpoint that still
/// does its work, however busy, so that an unknown one gets one call at a time while others are
/// known. It may be one that never answers.
const UNKNOWN: f64 = 60e9;

impl Load {
    /// The estimated latency, if anything is known.
    pub(crate) fn known_latency(self) -> Option<Duration> {
        (self.latency > 0.0).then(|| Duration::from_secs_f64(self.latency / 1e9))
    }

    /// The load that it reports, 0 to 1.
    pub(crate) fn reported_share(self) -> f64 {
        f64::from(self.reported) / 255.0
    }

    /// What a call more costs under peak EWMA on an idle endpoint, if anything is known.
    pub(crate) fn expected(self) -> Option<Duration> {
        let nanos = Self { active: 0, ..self }.time();
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
        Load { active, latency: ms * 1e6, reported }
    }

    #[test]
    fn a_slow_a_busy_and_a_loaded_endpoint_cost_more() {
        let idle = load(0, 1.0, 0);
        for worse in [load(1, 1.0, 0), load(0, 2.0, 0), load(0, 1.0, 128)] {
            assert!(worse.time() > idle.time(), "{worse:?}");
        }
        assert!(load(0, 1.0, 255).time() > load(200, 1.0, 0).time(), "at its limit");
        assert!(load(0, 0.0, 255).calls() > load(200, 0.0, 0).calls(), "at its limit");
    }

    #[test]
    fn an_unknown_endpoint_is_tried_with_one_call() {
        assert!(load(0, 0.0, 0).time() < load(0, 0.001, 0).time());
        assert!(load(1, 0.0, 0).time() > load(500, 1.0, 0).time());
        assert!(load(0, 0.0, 255).time() > load(500, 1.0, 0).time(), "it has refused a call");
    }
}
