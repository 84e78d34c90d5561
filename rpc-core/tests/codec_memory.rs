//! What hostile messages make a reader allocate, as the kernel saw it.
//!
//! Each case runs in a process of its own, because the peak of a process never falls: the test
//! starts its own program again, with the case in the environment.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(missing_docs, reason = "the types of tests explain themselves")]

use rpc_core::codec::Codec;
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::HashMap, env, fs, process::Command};

const CASE: &str = "CODEC_MEMORY_CASE";
const MIB: usize = 1 << 20;

#[derive(Deserialize)]
struct Tree(#[allow(dead_code, reason = "only its size counts")] Vec<Tree>);

/// 4 KiB in memory, one byte on the wire.
#[derive(Deserialize, Default)]
#[serde(default)]
#[allow(dead_code, reason = "only its size counts")]
struct Wide([[u64; 32]; 16]);

#[derive(Deserialize, Default)]
#[serde(default)]
#[allow(dead_code, reason = "only its size counts")]
struct WideFields {
    wide: Wide,
}

#[derive(Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its size counts")]
enum Buffered {
    Numbers(Vec<u64>),
    Options(Vec<Option<[u64; 32]>>),
}

/// A case: its name, what it does, and by how many MiB the peak may rise, its message included.
type Case = (&'static str, fn(), usize);

const CASES: [Case; 9] = [
    // 943 MB with `rmp_serde::from_slice`.
    ("recursive Vec, 900 claims of 4 Gi", || refused::<Tree>(&claims(900), "claims"), 4),
    ("the same, not scanned", || refused_scanned::<Tree>(&claims(900), "nested"), 4),
    // 805 MB: each nil becomes 264 bytes or 520.
    ("a MiB of nils", || refused::<Vec<Option<[u64; 32]>>>(&many(MIB, 0xc0), "memory"), 140),
    (
        "boxed structs from empty maps",
        || {
            refused::<Vec<Box<WideFields>>>(&many(MIB, 0x80), "memory");
        },
        100,
    ),
    (
        "values of a map",
        || {
            let mut bytes = vec![0xdf];
            bytes.extend(300_000_u32.to_be_bytes());
            (0..300_000_u32).for_each(|key| {
                bytes.push(0xce);
                bytes.extend(key.to_be_bytes());
                bytes.push(0xc0);
            });
            // A growing hash table is there twice, half empty.
            refused::<HashMap<u32, Option<[u64; 32]>>>(&bytes, "memory");
        },
        260,
    ),
    (
        "buffered for an untagged enum",
        || {
            // 32 bytes for each in the buffer.
            refused::<Buffered>(&many(3 * MIB, 0xc0), "memory");
        },
        160,
    ),
    ("array claims 4 Gi", || refused_scanned::<Vec<[u64; 32]>>(b"\xdd\xff\xff\xff\xff", ""), 2),
    (
        "map claims 4 Gi",
        || {
            refused_scanned::<HashMap<u64, [u64; 32]>>(b"\xdf\xff\xff\xff\xff", "");
        },
        2,
    ),
    (
        "an honest message of 4 MiB",
        || {
            let numbers: Vec<u64> = Codec::Named.decode(&many(4 * MIB - 5, 0x07)).unwrap();
            assert_eq!(numbers.len(), 4 * MIB - 5);
        },
        110,
    ),
];

fn refused<T: DeserializeOwned>(bytes: &[u8], text: &str) {
    let Err(error) = Codec::Named.decode::<T>(bytes) else { panic!("accepted") };
    assert!(error.message().contains(text), "{error}");
}

fn refused_scanned<T: DeserializeOwned>(bytes: &[u8], text: &str) {
    let Err(error) = Codec::Named.decode_scanned::<T>(bytes) else { panic!("accepted") };
    assert!(error.message().contains(text), "{error}");
}

/// Arrays in arrays that each claim 4 Gi elements.
fn claims(levels: usize) -> Vec<u8> {
    b"\xdd\xff\xff\xff\xff".repeat(levels)
}

/// An array of `count` times this byte.
fn many(count: usize, byte: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 5);
    bytes.push(0xdd);
    bytes.extend(u32::try_from(count).unwrap().to_be_bytes());
    bytes.resize(count + 5, byte);
    bytes
}

/// The largest resident size this process has had, in KiB.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Does nothing unless `peaks_stay_low` has started it.
#[test]
fn child() {
    let Ok(name) = env::var(CASE) else { return };
    let (_, run, _) = CASES.iter().find(|case| case.0 == name).unwrap();
    let before = peak();
    run();
    println!("\npeak rose by {} KiB", peak() - before);
}

#[test]
fn peaks_stay_low() {
    for (name, _, limit) in CASES {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CASE, name)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {text}");
        let rise = text.lines().find_map(|line| line.strip_prefix("peak rose by ")).unwrap();
        let kib: usize = rise.split(' ').next().unwrap().parse().unwrap();
        println!("{name}: {kib} KiB");
        assert!(kib <= limit * 1024, "{name}: {kib} KiB, and {limit} MiB are allowed");
    }
}
