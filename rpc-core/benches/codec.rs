//! What encoding, scanning and decoding cost, with and without the guard.
#![allow(missing_docs, reason = "criterion_group! makes an undocumented function")]

use criterion::{Criterion, criterion_group, criterion_main};
use rpc_core::codec::{Codec, scan};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, hint::black_box};

/// The 32 bytes that an echo carries.
#[derive(Serialize, Deserialize)]
struct Echo {
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
}

/// A record of eight fields, as a service would return it.
#[derive(Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
    email: String,
    age: Option<u8>,
    active: bool,
    score: f64,
    created: u64,
    role: Role,
}

#[derive(Serialize, Deserialize)]
enum Role {
    Member,
    Admin,
}

fn user() -> User {
    User {
        id: 4_711,
        name: "Ada Lovelace".to_owned(),
        email: "ada@example.org".to_owned(),
        age: Some(36),
        active: true,
        score: 0.75,
        created: 1_700_000_000,
        role: Role::Admin,
    }
}

fn all(c: &mut Criterion) {
    let echo = Echo { data: (0..32).collect() };
    let numbers: Vec<u32> = (0..1000).map(|n| n * 1000).collect();
    let names: BTreeMap<String, u32> = (0..100).map(|n| (format!("name {n}"), n)).collect();
    for codec in [Codec::Named, Codec::Compact] {
        one(c, codec, "echo", &echo);
        one(c, codec, "user", &user());
        one(c, codec, "role", &Role::Member);
        one(c, codec, "users100", &(0..100).map(|_| user()).collect::<Vec<_>>());
        one(c, codec, "numbers1000", &numbers);
        one(c, codec, "names100", &names);
        one(c, codec, "vec64k", &vec![7_u8; 65_536]);
        one(c, codec, "bytes64k", &serde_bytes::ByteBuf::from(vec![7_u8; 65_536]));
    }
}

fn one<T: Serialize + DeserializeOwned>(c: &mut Criterion, codec: Codec, name: &str, value: &T) {
    let mut group = c.benchmark_group(format!("{name}/{codec:?}"));
    let mut out = Vec::with_capacity(1 << 20);
    group.bench_function("encode", |b| {
        b.iter(|| {
            out.clear();
            codec.encode(black_box(value), &mut out).expect("encodes");
            black_box(out.len())
        });
    });
    out.clear();
    codec.encode(value, &mut out).expect("encodes");
    let bytes = &out[..];
    group.bench_function("scan", |b| b.iter(|| scan(black_box(bytes)).expect("whole")));
    group.bench_function("decode_unguarded", |b| {
        b.iter(|| {
            let mut inner = rmp_serde::Deserializer::from_read_ref(black_box(bytes));
            if codec == Codec::Named {
                black_box(T::deserialize(&mut inner.with_human_readable()).expect("decodes"))
            } else {
                black_box(T::deserialize(&mut inner).expect("decodes"))
            }
        });
    });
    group.bench_function("decode_scanned", |b| {
        b.iter(|| black_box(codec.decode_scanned::<T>(black_box(bytes)).expect("decodes")));
    });
    group.bench_function("decode", |b| {
        b.iter(|| black_box(codec.decode::<T>(black_box(bytes)).expect("decodes")));
    });
    group.finish();
}

criterion_group!(benches, all);
criterion_main!(benches);
