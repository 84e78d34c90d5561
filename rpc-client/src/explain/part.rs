//! The part that an endpoint has among the others of its service, and why it is a small one. Pure.

use crate::{cluster::Side, endpoint::span};
use rpc_core::Balance;
use std::time::Duration;

/// Who is expected to take so many times as long as the best gets few calls.
const SLOW: u32 = 4;
/// A report of so much load is worth a word.
const LOADED: f64 = 0.5;
/// Who is younger than the oldest by this is spared.
const YOUNGER: Duration = Duration::from_secs(1);

/// What part an endpoint has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The strategy may choose it for any call.
    pub(super) eligible: bool,
    /// What is special about it, if anything is.
    pub(super) says: Option<String>,
}

/// The part of `me` among `all` that take calls. What keeps most calls away is told.
pub(super) fn of(balance: Balance, warm_up: Duration, me: &Side, all: &[Side]) -> Part {
    if me.weight == 0 && all.iter().any(|side| side.weight > 0) {
        let says = "its weight is 0: it gets calls only when no other endpoint can take them";
        return Part { eligible: false, says: Some(says.to_owned()) };
    }
    let full = || me.full.then(|| "it is full: calls come to it as others end".to_owned());
    let says = full()
        .or_else(|| slow(balance, me, all))
        .or_else(|| loaded(balance, me))
        .or_else(|| young(balance, warm_up, me, all))
        .or_else(|| (balance == Balance::ConsistentHash && all.len() > 1).then(keys));
    Part { eligible: true, says }
}

fn slow(balance: Balance, me: &Side, all: &[Side]) -> Option<String> {
    if balance != Balance::PeakEwma {
        return None;
    }
    let others = all.iter().filter(|side| side.number != me.number && side.weight > 0);
    let known = others.filter_map(|side| Some((side.load.expected()?, side.addr)));
    let (least, best) = known.min()?;
    let Some(expected) = me.load.expected() else {
        return (me.load.active > 0).then(|| {
            "its latency is not known yet: it gets few calls until it has answered".to_owned()
        });
    };
    (expected > least * SLOW).then(|| {
        format!(
            "it gets few calls: {balance} expects {expected:.1?} of it, where a failure counts as \
             5 s at least, and {least:.1?} of {best}"
        )
    })
}

fn loaded(balance: Balance, me: &Side) -> Option<String> {
    let heeds = matches!(balance, Balance::PeakEwma | Balance::LeastActive);
    let load = me.load.reported_share();
    (heeds && load >= LOADED)
        .then(|| format!("it gets fewer calls: it says that it is {:.0} % full", load * 100.0))
}

fn young(balance: Balance, warm_up: Duration, me: &Side, all: &[Side]) -> Option<String> {
    if matches!(balance, Balance::Random | Balance::RoundRobin | Balance::ConsistentHash) {
        return None;
    }
    let oldest = all.iter().map(|side| side.age.min(warm_up)).max()?;
    (me.age + YOUNGER < oldest).then(|| {
        let left = span(warm_up.saturating_sub(me.age));
        format!("it takes calls; it is new, and its share grows for another {left}")
    })
}

fn keys() -> String {
    "it takes the calls whose keys are its own, and its share of those without a key".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Load;

    const WARM_UP: Duration = Duration::from_secs(10);

    fn side(number: u64) -> Side {
        let load = Load { latency: 1e6, ..Load::default() };
        let addr = ([10, 0, 0, u8::try_from(number).unwrap()], 9000).into();
        Side { number, addr, weight: 100, age: WARM_UP, load, full: false }
    }

    /// What is said of the first of three, as it was changed.
    fn says(balance: Balance, change: impl Fn(&mut Side)) -> String {
        let mut sides = [side(1), side(2), side(3)];
        change(&mut sides[0]);
        let part = of(balance, WARM_UP, &sides[0], &sides);
        assert_eq!(part.eligible, sides[0].weight > 0);
        part.says.unwrap_or_default()
    }

    #[test]
    fn what_keeps_calls_away_is_told() {
        use Balance::{ConsistentHash, LeastActive, PeakEwma, RoundRobin, WeightedRandom};
        assert_eq!(says(PeakEwma, |_| {}), "");
        let weightless = says(RoundRobin, |side| side.weight = 0);
        assert!(weightless.contains("only when no other"), "{weightless}");
        assert_eq!(
            says(RoundRobin, |side| side.full = true),
            "it is full: calls come to it as others end"
        );
        let slow = |side: &mut Side| side.load.latency = 5e9;
        assert_eq!(
            says(PeakEwma, slow),
            "it gets few calls: peak-ewma expects 5.0s of it, where a failure counts as 5 s at \
             least, and 1.0ms of 10.0.0.2:9000"
        );
        assert_eq!(says(LeastActive, slow), "");
        let unknown = |side: &mut Side| (side.load.active, side.load.latency) = (1, 0.0);
        assert_eq!(
            says(PeakEwma, unknown),
            "its latency is not known yet: it gets few calls until it has answered"
        );
        let loaded = |side: &mut Side| side.load.reported = 229;
        assert_eq!(says(LeastActive, loaded), "it gets fewer calls: it says that it is 90 % full");
        assert_eq!(says(WeightedRandom, loaded), "");
        let young = |side: &mut Side| side.age = Duration::from_secs(4);
        let new = "it takes calls; it is new, and its share grows for another 6.0 s";
        assert_eq!(says(WeightedRandom, young), new);
        assert_eq!(says(RoundRobin, young), "");
        assert!(says(ConsistentHash, young).contains("whose keys are its own"));
    }

    #[test]
    fn where_all_weigh_nothing_or_all_are_new_that_is_nothing_special() {
        let mut sides = [side(1), side(2)];
        for side in &mut sides {
            side.weight = 0;
            side.age = Duration::from_secs(1);
        }
        let part = of(Balance::PeakEwma, WARM_UP, &sides[0], &sides);
        assert_eq!(part, Part { eligible: true, says: None });
    }
}
