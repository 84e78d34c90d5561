//! What it costs to choose an endpoint, by strategy and number of endpoints: it must not grow.
#![allow(missing_docs, reason = "criterion_group! makes an undocumented function")]

#[allow(dead_code, unused_imports, unreachable_pub, reason = "a part of the crate by itself")]
#[path = "../src/balance"]
mod balance {
    mod alias;
    mod chance;
    mod field;
    mod gauge;
    mod load;
    mod ring;
    mod smooth;
    mod warmth;

    pub(crate) use field::{Field, Member, Query};
    pub(crate) use gauge::{Gauge, Lesson};
    pub(crate) use load::Load;
    pub(crate) use ring::position;
}
#[allow(dead_code, unreachable_pub, reason = "a part of the crate by itself")]
#[path = "../src/clock.rs"]
mod clock;

use balance::{Field, Gauge, Lesson, Load, Member, Query, position};
use clock::Time;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use rpc_core::Balance;
use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const ALL: [Balance; 7] = [
    Balance::Random,
    Balance::WeightedRandom,
    Balance::RoundRobin,
    Balance::WeightedRoundRobin,
    Balance::ConsistentHash,
    Balance::LeastActive,
    Balance::PeakEwma,
];

/// Endpoints as a client has them: each with its gauge in memory of its own.
struct Endpoints {
    gauges: Vec<Arc<(AtomicUsize, Gauge)>>,
    turn: AtomicUsize,
}

impl Query for &Endpoints {
    fn turn(&mut self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
    fn random(&mut self) -> u64 {
        fastrand::u64(..)
    }
    fn load(&self, index: usize) -> Load {
        let (active, gauge) = &*self.gauges[index];
        gauge.load(active.load(Ordering::Relaxed))
    }
    fn fits(&mut self, index: usize) -> bool {
        self.gauges[index].0.load(Ordering::Relaxed) < 1000
    }
}

fn endpoints(count: usize) -> Endpoints {
    let gauge = |index: usize| {
        let gauge = Gauge::default();
        let latency = Duration::from_micros(100 + index as u64 % 7);
        gauge.learn(Lesson::Answered, Time::from_nanos(0), Time::from_nanos(0) + latency);
        Arc::new((AtomicUsize::new(index % 3), gauge))
    };
    Endpoints { gauges: (0..count).map(gauge).collect(), turn: AtomicUsize::new(0) }
}

/// All weigh the same, or they do not and one of them is new.
fn members(count: usize, even: bool) -> Vec<Member> {
    let member = |index: u32| Member {
        addr: SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + index), 9000)),
        weight: if even { 100 } else { 50 + index % 100 },
        age: Duration::from_secs(if even || index > 0 { 100 } else { 1 }),
    };
    (0..).take(count).map(member).collect()
}

fn pick(c: &mut Criterion) {
    for (name, even) in [("pick", true), ("pick, uneven", false)] {
        let mut group = c.benchmark_group(name);
        for balance in ALL {
            for count in [1, 3, 100, 10_000] {
                // Working out the order of so many unlike weights is not for a benchmark.
                if balance == Balance::WeightedRoundRobin && !even && count > 100 {
                    continue;
                }
                let endpoints = endpoints(count);
                let field = Field::new(&members(count, even), Duration::from_secs(10), None);
                field.prepare(balance);
                let mut key = 0u64;
                group.bench_function(BenchmarkId::new(balance.to_string(), count), |b| {
                    b.iter(|| {
                        key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
                        field.choose(black_box(balance), Some(key), &mut &endpoints)
                    });
                });
            }
        }
    }
}

/// What a list of endpoints costs when it is made, and what a call teaches.
fn prepare(c: &mut Criterion) {
    let mut group = c.benchmark_group("prepare");
    for balance in ALL {
        let members = members(64, false);
        group.bench_function(balance.to_string(), |b| {
            b.iter_batched(
                || (),
                |()| Field::new(&members, Duration::from_secs(10), None).prepare(balance),
                BatchSize::SmallInput,
            );
        });
    }
    let field = Field::new(&members(64, false), Duration::from_secs(10), None);
    group.bench_function("the same list again", |b| {
        b.iter(|| Field::new(&members(64, false), Duration::from_secs(10), Some(&field)));
    });
    group.finish();
    let gauge = Gauge::default();
    let mut now = Time::now();
    c.bench_function("learn", |b| {
        b.iter(|| {
            let since = now;
            now = now + Duration::from_micros(black_box(100));
            gauge.learn(Lesson::Answered, since, now);
        });
    });
    c.bench_function("position of a key", |b| b.iter(|| position(black_box(b"user-4711"))));
}

criterion_group!(benches, pick, prepare);
criterion_main!(benches);
