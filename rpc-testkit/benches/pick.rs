//! What it costs to choose an endpoint, by strategy and number of endpoints: it must not grow.
#![allow(missing_docs, reason = "criterion_group! makes an undocumented function")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rpc_client::bench::{Choice, Gauge, position};
use rpc_core::Balance;
use std::{hint::black_box, time::Duration};

fn pick(c: &mut Criterion) {
    for (name, even) in [("pick", true), ("pick, uneven", false)] {
        let mut group = c.benchmark_group(name);
        for &balance in Balance::ALL {
            for count in [1, 3, 100, 10_000] {
                // Working out the order of so many unlike weights is not for a benchmark.
                if balance == Balance::WeightedRoundRobin && !even && count > 100 {
                    continue;
                }
                let mut choice = Choice::new(balance, count, even);
                group.bench_function(BenchmarkId::new(balance.to_string(), count), |b| {
                    b.iter(|| black_box(&mut choice).pick());
                });
            }
        }
    }
}

/// What a list of endpoints costs when it is made, and what a call teaches.
fn prepare(c: &mut Criterion) {
    let mut group = c.benchmark_group("prepare");
    for &balance in Balance::ALL {
        let choice = Choice::new(balance, 64, false);
        group.bench_function(balance.to_string(), |b| b.iter(|| choice.prepare()));
    }
    let choice = Choice::new(Balance::default(), 64, false);
    group.bench_function("the same list again", |b| b.iter(|| choice.prepare_again()));
    group.finish();
    let mut gauge = Gauge::new();
    c.bench_function("learn", |b| {
        b.iter(|| gauge.learn(black_box(Duration::from_micros(100))));
    });
    c.bench_function("position of a key", |b| b.iter(|| position(black_box(b"user-4711"))));
}

criterion_group!(benches, pick, prepare);
criterion_main!(benches);
