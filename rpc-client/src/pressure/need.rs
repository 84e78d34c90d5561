//! How many more providers a load needs. Pure.

/// What went through the line of waiting calls within some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Calls that found no room, those that were refused included.
    pub(crate) came: u64,
    /// Calls that waited and then found room.
    pub(crate) admitted: u64,
}

/// How many more providers, each like one of the `endpoints` that take `capacity` calls together,
/// hold `demand` calls at once: those in flight and those that wait.
///
/// That is right for callers who each wait for an answer before they call again, and too much for
/// calls that come whatever happens: what waits of those piles up for as long as it lasts. There
/// the rates decide: providers that let `admitted` calls in while more `came` are too few by that
/// ratio. By Little's law calls in flight are the rate times the time of a call, which more
/// providers do not change.
pub(crate) fn more_providers(
    endpoints: usize,
    capacity: usize,
    demand: usize,
    flow: Flow,
) -> usize {
    let held = more(endpoints, demand as u64, capacity as u64);
    let Flow { came, admitted } = flow;
    // A line that stays as it is is no shorter for a few that came and were not let in yet.
    let outrun = admitted > 0 && came.saturating_sub(admitted) > admitted / 20;
    if outrun { held.min(more(endpoints, came, admitted)) } else { held }
}

/// How much more than `endpoints` it takes for `wanted` where they do `done`.
fn more(endpoints: usize, wanted: u64, done: u64) -> usize {
    let all = (u128::from(wanted) * endpoints as u128).div_ceil(u128::from(done.max(1)));
    usize::try_from(all).unwrap_or(usize::MAX).saturating_sub(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Flow = Flow { came: 0, admitted: 0 };

    #[test]
    fn callers_that_wait_need_a_place_each() {
        // 2 endpoints of 50: 150 callers need a third, 151 a fourth.
        assert_eq!(more_providers(2, 100, 100, NONE), 0);
        assert_eq!(more_providers(2, 100, 101, NONE), 1);
        assert_eq!(more_providers(2, 100, 150, NONE), 1);
        assert_eq!(more_providers(2, 100, 151, NONE), 2);
        // As many are let in as come: the line is as long as it was.
        assert_eq!(more_providers(2, 100, 1_000, Flow { came: 5_010, admitted: 5_000 }), 18);
        // Nobody is let in: the rate says nothing.
        assert_eq!(more_providers(2, 100, 150, Flow { came: 50, admitted: 0 }), 1);
    }

    #[test]
    fn calls_that_come_whatever_happens_need_their_rate() {
        // Twice as many as are let in; the line is long by now.
        let flow = Flow { came: 20_000, admitted: 10_000 };
        assert_eq!(more_providers(2, 100, 10_100, flow), 2);
        assert_eq!(more_providers(3, 100, 10_100, Flow { came: 11_000, admitted: 10_000 }), 1);
        // Never more than would hold them all.
        assert_eq!(more_providers(2, 100, 101, Flow { came: 50, admitted: 1 }), 1);
    }

    #[test]
    fn no_figure_is_too_large_or_too_small() {
        assert_eq!(more_providers(0, 0, 10, NONE), 0);
        assert_eq!(more_providers(1, 0, 10, NONE), 9);
        let most = Flow { came: u64::MAX, admitted: 1 };
        assert_eq!(more_providers(1, 1, usize::MAX, most), usize::MAX - 1);
        assert_eq!(more_providers(usize::MAX, 1, usize::MAX, most), 0);
    }
}
