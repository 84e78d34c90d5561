//! The strategies against servers that are not alike, in time that is only counted.
//!
//! A simulation of events: callers that call one after the other, servers with so many workers
//! each and a queue, a review each second as the client does it. Nothing in it depends on a real
//! clock, and random numbers have a seed, so every run is the same.

mod untold;

use super::{Field, Gauge, Lesson, Load, Member, Query};
use crate::clock::Time;
use rpc_core::Balance;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;

/// What a server does with a call that begins at some time.
#[derive(Clone, Copy)]
enum Service {
    /// Answers after so long, jittered by a tenth.
    Takes(u64),
    /// Fails at once.
    Fails,
    /// Says nothing.
    Hangs,
}

fn time(micros: u64) -> Time {
    Time::from_nanos(micros * MS)
}

struct Server {
    behaviour: Box<dyn Fn(u64) -> Service>,
    workers: usize,
    /// Calls in flight beyond this are refused.
    limit: usize,
    refused: usize,
    weight: u32,
    /// When its instance was first there.
    born: u64,
    /// What the last call took, a moment before it all begins.
    took: u64,
    busy: usize,
    /// Callers that wait for a worker, and since when.
    queue: VecDeque<(usize, u64)>,
    /// Calls in flight, and calls that began, by second.
    active: usize,
    began: Vec<u32>,
    gauge: Gauge,
}

fn server(behaviour: impl Fn(u64) -> Service + 'static) -> Server {
    Server {
        behaviour: Box::new(behaviour),
        workers: 1000,
        limit: 1000,
        refused: 0,
        weight: 100,
        born: 0,
        took: 0,
        busy: 0,
        queue: VecDeque::new(),
        active: 0,
        began: Vec::new(),
        gauge: Gauge::default(),
    }
}

fn takes(micros: u64) -> Server {
    server(move |_| Service::Takes(micros))
}

impl Server {
    fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    fn took(self, took: u64) -> Self {
        Self { took, ..self }
    }

    fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    fn born(self, born: u64) -> Self {
        Self { born, ..self }
    }

    fn calls(&self, seconds: std::ops::Range<usize>) -> u64 {
        seconds.map(|s| u64::from(self.began.get(s).copied().unwrap_or(0))).sum()
    }
}

/// What happens, in order of time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Review,
    /// A caller makes its next call.
    Call(usize),
    /// A server has done the call of a caller that began then.
    Done {
        server: usize,
        caller: usize,
        since: u64,
        failed: bool,
    },
}

struct World {
    servers: Vec<Server>,
    balance: Balance,
    /// Pause of a caller between two calls.
    pause: u64,
    callers: usize,
    /// A caller waits for the answer before the pause begins.
    patient: bool,
    random: fastrand::Rng,
    turn: usize,
}

/// The servers that are there, as the strategies see them.
struct Sight<'a> {
    servers: &'a [Server],
    there: &'a [usize],
    random: &'a mut fastrand::Rng,
    turn: &'a mut usize,
    now: Time,
}

impl Query for Sight<'_> {
    fn turn(&mut self) -> usize {
        *self.turn += 1;
        *self.turn
    }
    fn random(&mut self) -> u64 {
        self.random.u64(..)
    }
    fn load(&self, index: usize) -> Load {
        let server = &self.servers[self.there[index]];
        server.gauge.load(server.active, true, self.now)
    }
    fn fits(&mut self, _: usize) -> bool {
        true
    }
}

impl World {
    fn new(balance: Balance, callers: usize, pause: u64, servers: Vec<Server>) -> Self {
        let random = fastrand::Rng::with_seed(42);
        Self { servers, balance, pause, callers, patient: true, random, turn: 0 }
    }

    /// So many calls a second, whether earlier ones have ended or not.
    fn steady(balance: Balance, rate: u64, servers: Vec<Server>) -> Self {
        Self { patient: false, ..Self::new(balance, 1, SECOND / rate, servers) }
    }

    fn seed(self, seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), ..self }
    }

    /// Runs for so many seconds.
    fn run(mut self, seconds: usize) -> Self {
        // Not from zero, where gauges begin.
        let start = 1_000 * SECOND;
        let mut events = BinaryHeap::new();
        for caller in 0..self.callers {
            events.push(Reverse((start + self.random.u64(0..=self.pause), Event::Call(caller))));
        }
        events.push(Reverse((start, Event::Review)));
        for server in &mut self.servers {
            server.born = if server.born == 0 { 0 } else { start + server.born };
            server.began = vec![0; seconds + 1];
            if server.took > 0 {
                server.gauge.learn(Lesson::Answered, time(start - server.took), time(start));
            }
        }
        let (mut field, mut there) = (Field::new(&[], Duration::ZERO, None), Vec::new());
        let end = start + seconds as u64 * SECOND;
        while let Some(Reverse((now, event))) = events.pop() {
            if now >= end {
                break;
            }
            match event {
                Event::Review => {
                    (field, there) = self.review(now, &field);
                    events.push(Reverse((now + SECOND, Event::Review)));
                }
                Event::Call(caller) => {
                    let Self { servers, random, turn, balance, .. } = &mut self;
                    // No two calls have the same key.
                    let key = (*balance == Balance::ConsistentHash).then(|| random.u64(..));
                    let mut sight = Sight { servers, there: &there, random, turn, now: time(now) };
                    let index = there[field.choose(*balance, key, &mut sight).unwrap()];
                    let server = &mut self.servers[index];
                    server.began[((now - start) / SECOND) as usize] += 1;
                    server.gauge.begin(time(now));
                    if !self.patient {
                        events.push(Reverse((now + self.pause, Event::Call(caller))));
                    }
                    if server.active >= server.limit {
                        server.refused += 1;
                        server.gauge.learn(Lesson::Overloaded, time(now), time(now));
                        continue;
                    }
                    server.active += 1;
                    if server.busy < server.workers {
                        server.busy += 1;
                        events.push(self.begin(index, caller, now, now));
                    } else {
                        server.queue.push_back((caller, now));
                    }
                }
                Event::Done { server: index, caller, since, failed } => {
                    let server = &mut self.servers[index];
                    // As it is told: with the call that is answered.
                    let full = server.active * 255 / server.limit;
                    server.gauge.reported(u8::try_from(full).unwrap());
                    server.active -= 1;
                    let lesson = if failed { Lesson::Failed } else { Lesson::Answered };
                    server.gauge.learn(lesson, time(since), time(now));
                    match server.queue.pop_front() {
                        Some((next, since)) => events.push(self.begin(index, next, since, now)),
                        None => server.busy -= 1,
                    }
                    if self.patient {
                        events.push(Reverse((now + self.pause, Event::Call(caller))));
                    }
                }
            }
        }
        self
    }

    /// A worker takes a call on.
    fn begin(
        &mut self,
        server: usize,
        caller: usize,
        since: u64,
        now: u64,
    ) -> Reverse<(u64, Event)> {
        let (takes, failed) = match (self.servers[server].behaviour)(now % (1_000 * SECOND)) {
            Service::Takes(micros) => (micros * self.random.u64(90..=110) / 100, false),
            Service::Fails => (MS / 10, true),
            Service::Hangs => (1_000_000 * SECOND, false),
        };
        Reverse((now + takes, Event::Done { server, caller, since, failed }))
    }

    fn review(&self, now: u64, earlier: &Field) -> (Field, Vec<usize>) {
        let there: Vec<usize> =
            (0..self.servers.len()).filter(|index| self.servers[*index].born <= now).collect();
        let members: Vec<_> = there
            .iter()
            .map(|index| {
                let server = &self.servers[*index];
                server.gauge.review(server.active > 0, time(now));
                let port = 9000 + u16::try_from(*index).unwrap();
                Member {
                    addr: SocketAddr::from(([10, 0, 0, 1], port)),
                    weight: server.weight,
                    age: Duration::from_micros(now - server.born),
                }
            })
            .collect();
        (Field::new(&members, Duration::from_secs(10), Some(earlier)), there)
    }

    /// The share of each server in the calls of these seconds, in percent.
    fn shares(&self, seconds: std::ops::Range<usize>) -> Vec<u64> {
        let calls: Vec<u64> = self.servers.iter().map(|s| s.calls(seconds.clone())).collect();
        let total: u64 = calls.iter().sum();
        calls.iter().map(|calls| (calls * 100 + total / 2) / total).collect()
    }

    fn calls(&self, seconds: std::ops::Range<usize>) -> u64 {
        self.servers.iter().map(|server| server.calls(seconds.clone())).sum()
    }
}

/// Slow from second 5 to second 15.
fn slow_for_a_while(usual: u64, slow: u64) -> Server {
    server(move |now| {
        Service::Takes(if (5 * SECOND..15 * SECOND).contains(&now) { slow } else { usual })
    })
}

/// Many callers that make some 5,000 calls a second, and a single one that makes one.
const LOADS: [(usize, u64); 2] = [(50, 9 * MS), (1, SECOND)];

#[test]
fn blind_strategies_give_the_slow_as_much_as_their_shares_say() {
    for (balance, expected) in [
        (Balance::Random, [50, 50]),
        (Balance::RoundRobin, [50, 50]),
        (Balance::WeightedRandom, [25, 75]),
        (Balance::WeightedRoundRobin, [25, 75]),
    ] {
        let servers = vec![takes(MS).weight(100), takes(20 * MS).weight(300)];
        let shares = World::new(balance, 50, 9 * MS, servers).run(10).shares(0..10);
        assert!(shares[0].abs_diff(expected[0]) <= 1, "{balance}: {shares:?}");
    }
}

#[test]
fn consistent_hash_gives_by_weight_and_no_more_than_a_little_beyond_to_who_is_slow() {
    let servers = |slow| vec![takes(slow).weight(100), takes(MS).weight(300)];
    let shares =
        World::new(Balance::ConsistentHash, 400, 9 * MS, servers(MS)).run(10).shares(0..10);
    assert!(shares[0].abs_diff(25) <= 5, "{shares:?}");
    // Of 400 callers it would hold nearly all in the end; with its bound it holds 32 calls.
    let world = World::new(Balance::ConsistentHash, 400, 9 * MS, servers(SECOND)).run(20);
    assert!(world.servers[0].active <= 32, "{} calls", world.servers[0].active);
    assert!(world.shares(5..20)[0] <= 1, "{:?}", world.shares(5..20));
}

#[test]
fn least_active_and_peak_ewma_follow_capacity() {
    // 1, 2 and 4 workers of the same speed, and more work than they can do.
    for balance in [Balance::LeastActive, Balance::PeakEwma] {
        let servers = [1, 2, 4].map(|workers| takes(10 * MS).workers(workers));
        let world = World::new(balance, 21, 0, servers.into()).run(30);
        let shares = world.shares(10..30);
        assert!(world.calls(10..30) >= 20 * 700 * 9 / 10, "{balance}: no worker stands idle");
        assert!(shares[0] < shares[1] && shares[1] < shares[2], "{balance}: {shares:?}");
    }
}

#[test]
fn peak_ewma_gives_little_to_the_slow() {
    for (callers, pause) in LOADS {
        let servers = vec![takes(MS), takes(MS), takes(101 * MS)];
        let shares = World::new(Balance::PeakEwma, callers, pause, servers).run(120).shares(5..120);
        // With one call a second a probe every five seconds is what it costs to notice a recovery.
        assert!(shares[2] <= if callers == 1 { 20 } else { 2 }, "{callers} callers: {shares:?}");
        assert!(shares[0].min(shares[1]) >= 20, "{callers} callers: {shares:?}");
    }
}

#[test]
fn a_server_that_was_slow_has_its_share_back_within_ten_seconds() {
    for slow in [110 * MS, SECOND] {
        let servers = vec![takes(MS), slow_for_a_while(MS, slow), takes(MS)];
        let world = World::new(Balance::PeakEwma, 50, 9 * MS, servers).run(35);
        assert!(world.shares(8..15)[1] <= 3, "while slow: {:?}", world.shares(8..15));
        assert!(world.shares(25..35)[1] >= 28, "afterwards: {:?}", world.shares(25..35));
        // Two servers, and so much at once that the slow one is never without a call.
        let servers = vec![takes(10 * MS), slow_for_a_while(10 * MS, slow)];
        let world = World::new(Balance::PeakEwma, 128, 0, servers).run(35);
        assert!(world.shares(8..15)[1] <= 10, "while slow: {:?}", world.shares(8..15));
        assert!(world.shares(25..35)[1] >= 40, "afterwards: {:?}", world.shares(25..35));
    }
}

#[test]
fn failing_fast_attracts_nothing() {
    for (callers, pause) in LOADS {
        for count in [2, 3] {
            let mut servers =
                vec![server(
                    |now| {
                        if now < 60 * SECOND { Service::Fails } else { Service::Takes(MS) }
                    },
                )];
            servers.extend((1..count).map(|_| takes(MS)));
            let world = World::new(Balance::PeakEwma, callers, pause, servers).run(130);
            let failing = world.shares(10..60);
            assert!(failing[0] <= 20, "{callers} callers, {count} servers: {failing:?}");
            assert!(callers == 1 || failing[0] == 0, "{callers} callers: {failing:?}");
            let repaired = world.shares(70..130);
            assert!(repaired[0] >= 20, "{callers} callers, {count} servers: {repaired:?}");
        }
    }
}

#[test]
fn of_three_the_only_one_that_works_is_found() {
    for (callers, pause) in LOADS {
        let fails = || server(|_| Service::Fails);
        let world =
            World::new(Balance::PeakEwma, callers, pause, vec![fails(), takes(MS), fails()]);
        let shares = world.run(120).shares(10..120);
        // A probe of each in five seconds with one call a second.
        assert!(shares[1] >= if callers == 1 { 60 } else { 98 }, "{callers} callers: {shares:?}");
    }
}

#[test]
fn a_new_server_is_neither_flooded_nor_starved() {
    // It takes 500 ms for each of its first calls, for two seconds, and joins after ten.
    let cold = || {
        server(|now| Service::Takes(if now < 12 * SECOND { 500 * MS } else { MS }))
            .born(10 * SECOND)
    };
    for balance in [Balance::LeastActive, Balance::PeakEwma, Balance::WeightedRandom] {
        for old in [1, 2] {
            let mut servers = vec![cold()];
            servers.extend((0..old).map(|_| takes(MS)));
            let fair = 100 / (old + 1);
            let world = World::new(balance, 50, 9 * MS, servers).run(60);

            let first = world.shares(10..13)[0];
            assert!(first * 2 <= fair, "{balance}, {old} old: {first} at first");
            let later = world.shares(25..60)[0];
            assert!(later * 10 >= fair * 8, "{balance}, {old} old: {later} later");
        }
    }
}

#[test]
fn servers_that_are_new_together_share_from_the_start() {
    for balance in [Balance::LeastActive, Balance::PeakEwma, Balance::WeightedRoundRobin] {
        let servers = vec![takes(MS).born(0), takes(MS).born(0)];
        let shares = World::new(balance, 50, 9 * MS, servers).run(5).shares(0..2);
        assert!(shares[0].abs_diff(50) <= 8, "{balance}: {shares:?}");
    }
}

#[test]
fn a_single_caller_uses_more_than_one_server() {
    // Alike but for chance: nobody is left out for good.
    let servers = vec![takes(MS), takes(MS), takes(MS)];
    let shares = World::new(Balance::PeakEwma, 1, 99 * MS, servers).run(120).shares(0..120);
    assert!(shares.iter().all(|share| *share >= 10), "{shares:?}");
}
