//! Each strategy by the shares that it gives when load is as it is told.

use super::*;
use crate::balance::position;

const IDLE: Load = Load { active: 0, latency: 0.0, least: 0.0, reported: 0 };
const OLD: Duration = Duration::from_hours(1);
const RAMP: Duration = Duration::from_secs(10);

/// Answers as told, and counts what it is asked.
struct Told<F> {
    random: fastrand::Rng,
    turns: usize,
    randoms: usize,
    load: F,
    out_of_use: Vec<usize>,
}

impl<F: Fn(usize) -> Load> Told<F> {
    fn new(load: F) -> Self {
        let random = fastrand::Rng::with_seed(7);
        Self { random, turns: 0, randoms: 0, load, out_of_use: Vec::new() }
    }
}

impl<F: Fn(usize) -> Load> Query for Told<F> {
    fn turn(&mut self) -> usize {
        self.turns += 1;
        self.turns
    }
    fn random(&mut self) -> u64 {
        self.randoms += 1;
        self.random.u64(..)
    }
    fn load(&self, index: usize) -> Load {
        (self.load)(index)
    }
    fn fits(&mut self, index: usize) -> bool {
        !self.out_of_use.contains(&index)
    }
}

fn members(weights: &[u32]) -> Vec<Member> {
    let at = |index: u16| SocketAddr::from(([10, 0, 0, 1], 9000 + index));
    let member =
        |(index, weight): (u16, &u32)| Member { addr: at(index), weight: *weight, age: OLD };
    (0..).zip(weights).map(member).collect()
}

fn field(weights: &[u32]) -> Field {
    Field::new(&members(weights), RAMP, None)
}

/// The share of each endpoint in many calls, each with a key of its own, in percent.
fn shares_of(field: &Field, balance: Balance, load: impl Fn(usize) -> Load) -> Vec<usize> {
    let mut told = Told::new(load);
    let mut counts = vec![0; field.known.weights.len()];
    let calls = 100_000;
    for call in 0..calls {
        let key = Some(position(format!("user-{call}").as_bytes()));
        counts[field.choose(balance, key, &mut told).unwrap()] += 1;
    }
    counts.into_iter().map(|count| (count * 100 + calls / 2) / calls).collect()
}

fn shares(balance: Balance, weights: &[u32], load: impl Fn(usize) -> Load) -> Vec<usize> {
    shares_of(&field(weights), balance, load)
}

#[test]
fn random_and_round_robin_give_equal_shares_whatever_the_weights() {
    for balance in [Balance::Random, Balance::RoundRobin] {
        assert_eq!(shares(balance, &[1, 100, 10_000, 100], |_| IDLE), [25; 4], "{balance}");
    }
}

#[test]
fn the_weighted_ones_give_shares_by_weight() {
    for balance in [Balance::WeightedRandom, Balance::WeightedRoundRobin] {
        assert_eq!(shares(balance, &[100, 300, 600], |_| IDLE), [10, 30, 60], "{balance}");
        assert_eq!(shares(balance, &[10_000, 9_999, 1], |_| IDLE), [50, 50, 0], "{balance}");
    }
}

#[test]
fn weight_zero_gets_nothing_unless_all_are_zero_or_nobody_else_is_left() {
    for &balance in Balance::ALL {
        let with = shares(balance, &[100, 0, 100], |_| IDLE);
        assert!(with[1] == 0 && with[0].abs_diff(50) <= 10, "{balance}: {with:?}");
        let all = shares(balance, &[0, 0], |_| IDLE);
        assert!(all[0].abs_diff(50) <= 10, "{balance}: {all:?}");
        let mut told = Told::new(|_| IDLE);
        told.out_of_use = vec![0];
        assert_eq!(field(&[100, 0]).choose(balance, Some(1), &mut told), Some(1), "{balance}");
    }
}

#[test]
fn peak_ewma_looks_further_when_both_that_it_drew_fail() {
    let fails = |calls| Load { active: calls, latency: 5e9, ..IDLE };
    let works = Load { active: 30, latency: 100e6, ..IDLE };
    let load = |index| if index == 1 { works } else { fails(index) };
    assert_eq!(shares(Balance::PeakEwma, &[100; 3], load), [0, 100, 0]);
    assert_eq!(shares(Balance::PeakEwma, &[100; 8], load), [0, 100, 0, 0, 0, 0, 0, 0]);
    // Where all fail the least busy of those that were looked at is taken, as ever.
    assert_eq!(shares(Balance::PeakEwma, &[100; 3], fails), [100, 0, 0]);
}

#[test]
fn whoever_fits_is_found_and_nobody_else() {
    for &balance in Balance::ALL {
        for key in [None, Some(77)] {
            let field = field(&[100; 20]);
            let mut told = Told::new(|_| IDLE);
            told.out_of_use = (0..20).filter(|index| *index != 13).collect();
            for _ in 0..100 {
                assert_eq!(field.choose(balance, key, &mut told), Some(13), "{balance}");
            }
            told.out_of_use.push(13);
            assert_eq!(field.choose(balance, key, &mut told), None, "{balance}");
            assert_eq!(Field::new(&[], RAMP, None).choose(balance, key, &mut told), None);
        }
    }
}

#[test]
fn a_call_asks_for_no_more_than_its_strategy_needs() {
    for (balance, key, turns, randoms) in [
        (Balance::RoundRobin, None, 1, 0),
        (Balance::WeightedRoundRobin, None, 1, 0),
        (Balance::ConsistentHash, Some(5), 0, 0),
        (Balance::ConsistentHash, None, 0, 1),
        (Balance::Random, None, 0, 1),
        (Balance::WeightedRandom, None, 0, 1),
        (Balance::LeastActive, None, 0, 1),
        (Balance::PeakEwma, None, 0, 1),
    ] {
        let mut told = Told::new(|_| IDLE);
        field(&[100; 3]).choose(balance, key, &mut told);
        assert_eq!((told.turns, told.randoms), (turns, randoms), "{balance}");
        let mut told = Told::new(|_| IDLE);
        field(&[100]).choose(balance, key, &mut told);
        assert_eq!((told.turns, told.randoms), (0, 0), "{balance}: there is no choice");
    }
}

#[test]
fn a_new_instance_gets_a_tenth_of_its_share_where_weights_count() {
    let new = |ages: &[u64]| {
        let mut members = members(&vec![100; ages.len()]);
        for (member, age) in members.iter_mut().zip(ages) {
            member.age = Duration::from_secs(*age);
        }
        Field::new(&members, RAMP, None)
    };
    let known = |_| Load { latency: 1e6, ..IDLE };
    for (balance, first, half) in [
        (Balance::WeightedRandom, 9, 35),
        (Balance::WeightedRoundRobin, 9, 35),
        // Of two that cost the same, half of the comparisons are won.
        (Balance::LeastActive, 5, 28),
        (Balance::PeakEwma, 5, 28),
        (Balance::Random, 50, 50),
        (Balance::RoundRobin, 50, 50),
    ] {
        assert!(shares_of(&new(&[99, 0]), balance, known)[1].abs_diff(first) <= 1, "{balance}");
        assert!(shares_of(&new(&[99, 5]), balance, known)[1].abs_diff(half) <= 1, "{balance}");
        assert!(shares_of(&new(&[99, 10]), balance, known)[1].abs_diff(50) <= 1, "{balance}");
        assert!(shares_of(&new(&[0, 0]), balance, known)[1].abs_diff(50) <= 1, "{balance}");
    }
    let keyed = |ages| shares_of(&new(ages), Balance::ConsistentHash, known);
    assert_eq!(keyed(&[99, 0]), keyed(&[99, 99]), "keys do not move");
    let few = shares_of(&new(&[99, 0, 0, 0, 0, 0]), Balance::WeightedRandom, known);
    assert!(few[0] <= 34, "twice a sixth at most: {few:?}");
}

#[test]
fn least_active_avoids_the_busy_and_shares_among_equals() {
    let active = |counts: &'static [usize]| move |index| Load { active: counts[index], ..IDLE };
    assert_eq!(shares(Balance::LeastActive, &[100; 3], active(&[3, 1, 1])), [0, 50, 50]);
    assert_eq!(shares(Balance::LeastActive, &[100; 3], active(&[0; 3])), [33, 33, 33]);
    let many = shares(Balance::LeastActive, &[100; 64], |index| Load {
        active: usize::from(index < 32),
        ..IDLE
    });
    assert!(many[..32].iter().sum::<usize>() <= 1, "{many:?}");
}

#[test]
fn a_reported_load_counts_as_calls_in_flight() {
    let load = |index| Load { active: 2, latency: 1e6, reported: [255, 0, 0][index], ..IDLE };
    for balance in [Balance::LeastActive, Balance::PeakEwma] {
        assert_eq!(shares(balance, &[100; 3], load)[0], 0, "{balance}");
    }
}

#[test]
fn peak_ewma_avoids_the_slow_and_gives_the_unknown_less_than_the_known() {
    let slow = |index| Load { latency: [20e6, 1e6, 1e6][index], ..IDLE };
    assert_eq!(shares(Balance::PeakEwma, &[100; 3], slow), [0, 50, 50]);
    let tried = |unknown: Load| {
        shares(Balance::PeakEwma, &[100; 3], move |index| match index {
            0 => unknown,
            _ => Load { active: 9, latency: 1e6, ..IDLE },
        })[0]
    };
    assert!(tried(IDLE) > 60);
    assert!(tried(Load { active: 4, ..IDLE }) > 60, "half of what the others have");
    assert!(tried(Load { active: 6, ..IDLE }) == 0);
    assert!(tried(Load { active: 1, least: 6e6, ..IDLE }) == 0, "it may never answer");
    assert_eq!(shares(Balance::PeakEwma, &[100; 4], |_| IDLE), [25; 4], "nothing known of any");
}

#[test]
fn least_active_and_peak_ewma_give_less_to_less_weight() {
    let known = |_| Load { latency: 1e6, ..IDLE };
    for balance in [Balance::LeastActive, Balance::PeakEwma] {
        let idle = shares(balance, &[100, 10], known);
        assert!((3..=10).contains(&idle[1]), "{balance}: {idle:?}");
        let busy = |index: usize| Load { active: [19, 0][index], latency: 1e6, ..IDLE };
        assert_eq!(shares(balance, &[100, 10], busy)[1], 100, "{balance}: more work");
    }
}

#[test]
fn a_key_stays_with_its_endpoint_and_few_move_when_one_goes() {
    let all = members(&[100; 10]);
    let before = Field::new(&all, RAMP, None);
    let after = Field::new(&all[1..], RAMP, None);
    let mut told = Told::new(|_| IDLE);
    let mut choose =
        |field: &Field, key| field.choose(Balance::ConsistentHash, Some(key), &mut told).unwrap();
    let (mut moved, mut of_the_gone) = (0, 0);
    for key in 0..10_000 {
        let key = position(format!("{key}").as_bytes());
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
fn tables_are_kept_while_addresses_and_weights_stay() {
    let first = field(&[100, 300]);
    let mut younger = members(&[100, 300]);
    younger[0].age = Duration::ZERO;
    let second = Field::new(&younger, RAMP, Some(&first));
    assert!(Arc::ptr_eq(&first.known, &second.known));
    let third = Field::new(&members(&[100, 200]), RAMP, Some(&second));
    assert!(!Arc::ptr_eq(&second.known, &third.known));
    assert_eq!(shares_of(&third, Balance::WeightedRandom, |_| IDLE), [33, 67]);
}
