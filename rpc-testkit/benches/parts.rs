//! What the parts of a call cost: the table of calls, the parsing of frames, and a whole call with
//! client and server on one thread. The choice of an endpoint is in `pick.rs`, the codec in
//! `rpc-core`.
#![allow(missing_docs, reason = "criterion_group! makes an undocumented function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dashmap::DashMap;
use rpc_client::{Client, bench::Table};
use rpc_core::{
    rpc_client, rpc_service,
    transport::Body,
    wire::{Header, Kind, next_frame, put_frame},
};
use rpc_server::Server;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    hint::black_box,
    pin::Pin,
    sync::Mutex,
    task::{Context, Waker},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

#[derive(Clone, Serialize, Deserialize)]
struct Echo {
    id: u64,
    flag: bool,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

#[rpc_client]
trait Parts {
    async fn echo(&self, message: Echo) -> rpc_core::Result<Echo>;
}

#[derive(Default)]
struct Echoing;

#[rpc_service]
impl Parts for Echoing {
    async fn echo(&self, message: Echo) -> rpc_core::Result<Echo> {
        Ok(message)
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What our table does, in the textbook's way: a map from call ids to channels for one reply each.
fn oneshots(
    calls: usize,
    insert: impl Fn(u64, oneshot::Sender<Body>),
    take: impl Fn(u64) -> Option<oneshot::Sender<Body>>,
) {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..calls as u64)
        .map(|id| {
            let (sender, mut receiver) = oneshot::channel();
            insert(id, sender);
            assert!(Pin::new(&mut receiver).poll(cx).is_pending());
            receiver
        })
        .collect();
    for id in 0..calls as u64 {
        let sender = take(id).expect("it waits");
        assert!(sender.send(Body::new()).is_ok(), "it waits");
    }
    for receiver in &mut waiting {
        assert!(Pin::new(receiver).poll(cx).is_ready(), "it was answered");
    }
}

/// Our table of calls beside the textbook's, on one thread.
fn table(c: &mut Criterion) {
    let runtime = runtime();
    let table = runtime.block_on(Table::new()).expect("a socket");
    let mut group = c.benchmark_group("table");
    for calls in [1, 64, 1000, 100_000] {
        group.throughput(Throughput::Elements(calls as u64));
        group.bench_function(BenchmarkId::new("round trip", calls), |b| {
            b.iter(|| table.round_trips(1, black_box(calls)));
        });
        let map = DashMap::new();
        group.bench_function(BenchmarkId::new("DashMap and oneshot", calls), |b| {
            b.iter(|| {
                let (insert, take) = (
                    |id, sender| drop(map.insert(id, sender)),
                    |id| map.remove(&id).map(|(_, sender)| sender),
                );
                oneshots(black_box(calls), insert, take);
            });
        });
        let map = Mutex::new(HashMap::new());
        group.bench_function(BenchmarkId::new("Mutex, HashMap and oneshot", calls), |b| {
            let lock = || map.lock().expect("nobody panics");
            b.iter(|| {
                let insert = |id, sender| drop(lock().insert(id, sender));
                oneshots(black_box(calls), insert, |id| lock().remove(&id));
            });
        });
    }
    group.bench_function("deadlines, 100000 calls, none near", |b| {
        b.iter(|| table.sweeps(100, 100_000, Duration::from_hours(1)));
    });
}

fn parse(c: &mut Criterion) {
    const FRAMES: u64 = 256;
    let mut buffer = Vec::new();
    for id in 0..FRAMES {
        let header = Header { kind: Kind::Reply, flags: 0, aux: 0, id };
        put_frame(&mut buffer, header, |out| out.extend_from_slice(&[7; 32]));
    }
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(FRAMES));
    group.bench_function("frames of 48 bytes", |b| {
        b.iter(|| {
            let mut rest = black_box(&buffer[..]);
            while let Some((header, payload, length)) = next_frame(rest).expect("well-formed") {
                black_box((header, payload));
                rest = &rest[length..];
            }
        });
    });
}

fn call(c: &mut Criterion) {
    let runtime = runtime();
    let (_server, _client, proxy) = runtime.block_on(async {
        let server = Server::builder().registry("static://127.0.0.1:1").service(Echoing);
        let server = server.start().await.expect("a server");
        let url = format!("static://{}", server.local_addr());
        let client = Client::connect(url).await.expect("a client");
        let proxy: PartsClient = client.get();
        (server, client, proxy)
    });
    let message = Echo { id: 4_711, flag: true, payload: (0..32).collect() };
    c.bench_function("call/one at a time, one thread", |b| {
        b.iter(|| runtime.block_on(proxy.echo(message.clone())).expect("an echo"));
    });
}

criterion_group!(benches, table, parse, call);
criterion_main!(benches);
