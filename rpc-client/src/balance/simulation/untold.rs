//! Servers of which nothing is known yet, or only what quicker calls have said.

use super::*;

/// What the last calls have taken at three servers; 0: nothing is known.
const KNOWN: [[u64; 3]; 6] = [
    [0, 0, 0],
    [MS / 3, 0, 0],
    [100 * MS, 0, 0],
    [MS / 10, MS / 2, MS],
    [MS / 3, 3 * MS, 3 * MS],
    [MS / 3, MS / 3, 3 * MS],
];

/// Of 24,000 calls in many beginnings, half of what three servers can do that take 8 calls of
/// 100 ms at a time.
fn refused(balance: Balance, servers: impl Fn() -> [Server; 3]) -> usize {
    let run = |seed| World::steady(balance, 120, servers().into()).seed(seed).run(2);
    (0..100).flat_map(|seed| run(seed).servers).map(|server| server.refused).sum()
}

fn small(took: u64) -> Server {
    takes(100 * MS).limit(8).took(took)
}

#[test]
fn nobody_is_filled_by_half_of_what_all_can_do_whatever_was_known_before() {
    for balance in [Balance::LeastActive, Balance::PeakEwma] {
        for known in KNOWN {
            let refused = refused(balance, || known.map(small));
            assert!(refused <= 1, "{balance}, {known:?}: {refused}");
        }
    }
}

#[test]
fn who_was_idle_for_so_long_that_it_is_forgotten_is_used_with_the_others() {
    let servers = || {
        let servers = [MS / 3, 0, 0].map(small);
        for server in &servers[1..] {
            server.gauge.learn(Lesson::Answered, time(900 * SECOND - 100 * MS), time(900 * SECOND));
            server.gauge.review(false, time(950 * SECOND));
        }
        servers
    };
    let refused = refused(Balance::PeakEwma, servers);
    assert!(refused <= 1, "{refused}");
}

#[test]
fn who_never_answers_gets_few_calls_while_others_are_known() {
    for rate in [100, 1_000, 10_000] {
        // The others have a two hundredth of that in flight, each.
        let silent = || server(|_| Service::Hangs).born(2 * SECOND);
        let servers = vec![silent(), takes(10 * MS), takes(10 * MS)];
        let world = World::steady(Balance::PeakEwma, rate, servers).run(10);
        let calls = world.servers[0].calls(0..10);
        assert!(calls <= 1 + rate / 300, "{calls} calls of {rate} a second");
    }
}

#[test]
fn a_long_call_does_not_keep_others_away() {
    let first = std::cell::Cell::new(true);
    let one_long = move |_| Service::Takes(if first.take() { 60 * SECOND } else { MS });
    let servers = vec![server(one_long).took(MS), takes(MS).took(MS), takes(MS).took(MS)];
    let world = World::steady(Balance::PeakEwma, 3_000, servers).run(10);
    assert!(world.shares(3..10)[0] >= 20, "{:?}", world.shares(3..10));
}
