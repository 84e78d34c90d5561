use super::*;
use crate::balance::Load;

/// Calls in flight by endpoint; all fit.
struct InFlight(Vec<usize>);

impl Query for InFlight {
    fn turn(&mut self) -> usize {
        unreachable!("a ring takes no turns")
    }
    fn random(&mut self) -> u64 {
        unreachable!("a ring is not random")
    }
    fn load(&self, index: usize) -> Load {
        Load { active: self.0[index], ..Load::default() }
    }
    fn fits(&mut self, _: usize) -> bool {
        true
    }
}

fn endpoints(weights: &[u64]) -> Vec<(SocketAddr, u32)> {
    let addr = |index: u16| SocketAddr::from(([10, 0, 0, 1], 9000 + index));
    (0..)
        .zip(weights)
        .map(|(index, weight)| (addr(index), u32::try_from(*weight).unwrap()))
        .collect()
}

fn ring(weights: &[u64]) -> Ring {
    Ring::new(&endpoints(weights), weights)
}

#[test]
fn a_hot_key_goes_on_to_the_next_and_nobody_has_more_than_a_quarter_beyond_its_share() {
    for weights in [&[100; 3][..], &[100; 50], &[50, 100, 400]] {
        let ring = ring(weights);
        let mut calls = InFlight(vec![0; weights.len()]);
        let key = position(b"user-7");
        let home = ring.choose(key, weights, &mut calls).unwrap();
        for made in 0..10_000 {
            let index = ring.choose(key, weights, &mut calls).unwrap();
            assert!(made >= FEW || index == home, "few calls stay together");
            calls.0[index] += 1;
        }
        let total: u64 = weights.iter().sum();
        for (active, weight) in calls.0.iter().zip(weights) {
            let share = 10_000 * weight / total;
            // Of many, the fair share is estimated from some.
            let most = if weights.len() <= SAMPLE { share * 5 / 4 + 1 } else { share * 2 };
            assert!(*active as u64 <= most.max(FEW as u64), "{weights:?}: {:?}", calls.0);
        }
    }
}

#[test]
fn a_key_comes_home_when_the_load_is_gone() {
    let weights = [100; 3];
    let ring = ring(&weights);
    let key = position(b"user-7");
    let mut calls = InFlight(vec![0; 3]);
    let home = ring.choose(key, &weights, &mut calls).unwrap();
    calls.0[home] = 1000;
    assert_ne!(ring.choose(key, &weights, &mut calls).unwrap(), home);
    calls.0 = vec![1000; 3];
    assert_eq!(ring.choose(key, &weights, &mut calls).unwrap(), home, "all have as many");
    calls.0 = vec![0; 3];
    assert_eq!(ring.choose(key, &weights, &mut calls).unwrap(), home);
}

#[test]
fn the_number_of_points_is_bounded_and_nobody_is_left_out() {
    let weights = [10_000; 200];
    let ring = ring(&weights);
    assert!(ring.points.len() as u64 <= MOST_POINTS + 200);
    let weights = [10_000, 1];
    let ring = self::ring(&weights);
    assert_eq!(ring.points.iter().filter(|(_, index)| *index == 1).count(), 1);
}

#[test]
fn positions_are_the_same_everywhere() {
    assert_eq!(position(b"user-7"), mix(fnv1a_64(b"user-7")));
    let ring = ring(&[100; 3]);
    let mut calls = InFlight(vec![0; 3]);
    let of = |key: &str, calls: &mut InFlight| {
        ring.choose(position(key.as_bytes()), &[100; 3], calls).unwrap()
    };
    let chosen: Vec<_> =
        ["a", "b", "c", "d", "e", "f", "g", "h"].iter().map(|key| of(key, &mut calls)).collect();
    assert_eq!(chosen, [1, 1, 1, 0, 2, 2, 2, 1], "pinned: clients of one fleet agree");
}
