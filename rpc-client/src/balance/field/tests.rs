//! Each strategy by the shares that it gives.

use super::*;

const IDLE: Load = Load { active: 0, latency: 0.0 };

fn endpoints(weights: &[u32]) -> Vec<(SocketAddr, u32)> {
    let at = |index: u16| SocketAddr::from(([10, 0, 0, 1], 9000 + index));
    (0..).zip(weights).map(|(index, weight)| (at(index), *weight)).collect()
}

/// The share of each endpoint in `calls` calls, in percent.
fn shares(balance: Balance, weights: &[u32], load: impl Fn(usize) -> Load + Copy) -> Vec<usize> {
    let field = Field::new(balance, &endpoints(weights));
    let mut random = fastrand::Rng::with_seed(7);
    let mut counts = vec![0; weights.len()];
    let calls = 100_000;
    for turn in 0..calls {
        let key = Some(mix(turn as u64));
        counts[field.choose(turn, random.u64(..), key, load)] += 1;
    }
    counts.into_iter().map(|count| (count * 100 + calls / 2) / calls).collect()
}

#[test]
fn random_and_round_robin_give_equal_shares() {
    assert_eq!(shares(Balance::Random, &[1, 100, 10_000, 0], |_| IDLE), [25; 4]);
    assert_eq!(shares(Balance::RoundRobin, &[1, 100, 10_000, 0], |_| IDLE), [25; 4]);
}

#[test]
fn the_weighted_ones_give_shares_by_weight_and_nothing_to_zero() {
    for balance in [Balance::WeightedRandom, Balance::WeightedRoundRobin] {
        assert_eq!(shares(balance, &[100, 300, 0, 600], |_| IDLE), [10, 30, 0, 60], "{balance}");
        assert_eq!(shares(balance, &[0, 0], |_| IDLE), [50, 50], "{balance}: unless all are zero");
        assert_eq!(shares(balance, &[10_000, 9_999, 1], |_| IDLE)[..2], [50, 50], "{balance}");
    }
}

#[test]
fn weighted_turns_are_interleaved() {
    assert_eq!(smooth(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn a_key_stays_with_its_endpoint_and_few_move_when_one_goes() {
    let all = endpoints(&[100; 10]);
    let before = Field::new(Balance::ConsistentHash, &all);
    let after = Field::new(Balance::ConsistentHash, &all[1..]);
    let choose = |field: &Field, key: u64| field.choose(0, 0, Some(key), |_| IDLE);
    let (mut moved, mut of_the_gone) = (0, 0);
    for key in (0..10_000).map(mix) {
        let (a, b) = (choose(&before, key), choose(&after, key) + 1);
        of_the_gone += usize::from(a == 0);
        moved += usize::from(a != b);
    }
    assert_eq!(moved, of_the_gone, "only the keys of the one that went");
    assert!((700..1300).contains(&of_the_gone), "a tenth: {of_the_gone}");
    let shares = shares(Balance::ConsistentHash, &[100, 300], |_| IDLE);
    assert!((20..=30).contains(&shares[0]), "{shares:?}");
}

#[test]
fn least_active_avoids_the_busy_and_shares_among_equals() {
    let load = |index| Load { active: [3, 1, 1][index], latency: 0.0 };
    assert_eq!(shares(Balance::LeastActive, &[100; 3], load)[0], 0);
    let equal = shares(Balance::LeastActive, &[100; 3], |_| IDLE);
    assert_eq!(equal, [33, 33, 33]);
}

#[test]
fn peak_ewma_leaves_the_slow_one_the_calls_that_met_only_itself() {
    let load = |index| Load { active: 1, latency: [1e6, 1e6, 1e8][index] };
    let shares = shares(Balance::PeakEwma, &[100; 3], load);
    assert_eq!(shares[2], 0, "{shares:?}");
    assert!(shares[0] > 40 && shares[1] > 40, "{shares:?}");
}

#[test]
fn peak_ewma_tries_one_it_knows_nothing_of_but_not_with_everything() {
    let fresh =
        |active| move |index| Load { active: [0, active][index], latency: [1e6, 0.0][index] };
    assert_eq!(shares(Balance::PeakEwma, &[100; 2], fresh(0)), [0, 100]);
    assert_eq!(shares(Balance::PeakEwma, &[100; 2], fresh(5)), [100, 0]);
}
