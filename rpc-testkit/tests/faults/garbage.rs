//! Bytes at random, and frames with random mistakes, in both directions: whoever reads them goes
//! on, and every call ends.

use crate::{
    ledger::{Ledger as _, LedgerClient},
    scene::{NONE, SOON, Scene, resident, resident_of},
};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseResult};
use rpc_client::Client;
use rpc_core::{
    CallOptions, RpcError,
    wire::{Header, Kind, Limits, Preface, Reason, put_credit, put_error, put_frame, put_signal},
};
use rpc_testkit::peer::{Peer, PeerListener};
use std::{
    net::SocketAddr,
    panic,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, runtime::Runtime, task::JoinSet, time::timeout};

/// Cases that are tried at a time: each mostly waits for the other side to give up.
const AT_ONCE: usize = 128;

/// A mistake in bytes, at a place that is a share of their length.
#[derive(Debug, Clone)]
enum Mistake {
    Change(u16, u8),
    Insert(u16, Vec<u8>),
    Remove(u16, u8),
    Repeat(u16, u8),
    Cut(u16),
}

fn mistake() -> impl Strategy<Value = Mistake> {
    prop_oneof![
        4 => (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Mistake::Change(at, byte)),
        1 => (any::<u16>(), vec(any::<u8>(), 1..64)).prop_map(|(at, new)| Mistake::Insert(at, new)),
        1 => (any::<u16>(), 1..32_u8).prop_map(|(at, count)| Mistake::Remove(at, count)),
        1 => (any::<u16>(), 1..64_u8).prop_map(|(at, count)| Mistake::Repeat(at, count)),
        1 => any::<u16>().prop_map(Mistake::Cut),
    ]
}

fn spoil(bytes: &mut Vec<u8>, mistakes: &[Mistake]) {
    for mistake in mistakes {
        let length = bytes.len();
        let place = |at: u16| usize::from(at) * length / 65_536;
        let end = |at: u16, count: u8| (place(at) + usize::from(count)).min(length);
        match mistake {
            _ if bytes.is_empty() => {}
            Mistake::Change(at, byte) => bytes[place(*at)] = *byte,
            Mistake::Insert(at, new) => {
                bytes.splice(place(*at)..place(*at), new.iter().copied());
            }
            Mistake::Remove(at, count) => {
                bytes.drain(place(*at)..end(*at, *count));
            }
            Mistake::Repeat(at, count) => {
                let piece = bytes[place(*at)..end(*at, *count)].to_vec();
                bytes.splice(place(*at)..place(*at), piece);
            }
            Mistake::Cut(at) => bytes.truncate(place(*at)),
        }
    }
}

/// What a client sends, from its first byte on: a greeting and three calls.
async fn overheard() -> Vec<u8> {
    let listener = PeerListener::bind().await.unwrap();
    let client = Client::connect(format!("static://{}", listener.addr())).await.unwrap();
    let ledger: LedgerClient = client.get();
    let ledger = ledger.with_options(CallOptions::new().timeout(Duration::from_secs(2)));
    let calls = ["one", "two", "three"].map(|key| {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.book(key.into(), 0).await })
    });
    let mut peer = listener.accept().await.unwrap();
    peer.preface(Preface::new(None, Limits::default())).await.unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let until = |bytes: &[u8]| {
        [&b"one"[..], b"two", b"three"]
            .iter()
            .all(|key| bytes.windows(key.len()).any(|part| part == *key))
    };
    while !until(&bytes) {
        let read = tokio::io::AsyncReadExt::read(peer.stream(), &mut buffer);
        let count = timeout(SOON, read).await.unwrap().unwrap();
        bytes.extend_from_slice(&buffer[..count]);
    }
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    bytes
}

/// Sends bytes to a provider, and waits until it has closed.
async fn pour(addr: SocketAddr, bytes: &[u8]) {
    let mut peer = Peer::dial(addr).await.unwrap();
    // It may have closed already.
    let _ = peer.raw(bytes).await;
    let _ = peer.stream().shutdown().await;
    timeout(SOON, peer.end()).await.expect("the provider does not close");
}

fn to_the_server(rounds: u32) {
    let runtime = Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::new());
    let provider = runtime.block_on(scene.provider(NONE));
    let well = runtime.block_on(overheard());
    let client = runtime.block_on(Client::connect(format!("static://{}", provider.addr))).unwrap();
    let ledger: LedgerClient = client.get();
    runtime.block_on(ledger.who()).unwrap();
    let before = resident_of(provider.process.pid());
    let mut runner = proptest::test_runner::TestRunner::new(config(rounds));
    let random = vec(any::<u8>(), 0..512);
    let several = vec((vec(mistake(), 1..6), random), AT_ONCE);
    let addr = provider.addr;
    let done = runner.run(&several, |several| {
        let pour_one = |(mistakes, random): (Vec<Mistake>, Vec<u8>)| {
            let mut spoilt = well.clone();
            spoil(&mut spoilt, &mistakes);
            async move {
                pour(addr, &spoilt).await;
                pour(addr, &random).await;
            }
        };
        let all: JoinSet<()> =
            runtime.block_on(async { several.into_iter().map(pour_one).collect() });
        runtime.block_on(all.join_all());
        TestCaseResult::Ok(())
    });
    done.unwrap();
    assert_eq!(runtime.block_on(ledger.who()).unwrap(), provider.process.pid());
    assert_eq!(client.stats().dials, 1, "others were not hurt");
    let grown = resident_of(provider.process.pid()).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more than before");
    let log = provider.process.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// So many times [`AT_ONCE`] cases.
fn config(rounds: u32) -> ProptestConfig {
    ProptestConfig { cases: rounds, failure_persistence: None, ..ProptestConfig::default() }
}

/// What a provider may send when it has a call with this id.
fn answers(id: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = |kind| Header { kind, flags: 0, aux: 0, id };
    put_signal(&mut bytes, Kind::Ping, 1);
    put_credit(&mut bytes, 0, 1);
    put_frame(&mut bytes, header(Kind::AppError), |out| out.extend_from_slice(b"\xa3bad"));
    put_frame(&mut bytes, header(Kind::Error), |out| {
        put_error(out, Reason::Handler, &RpcError::unavailable("out of order"));
    });
    put_frame(&mut bytes, header(Kind::Reply), |out| out.extend_from_slice(b"\xa3one"));
    put_signal(&mut bytes, Kind::Leaving, 0);
    bytes
}

/// A call to a provider that answers with mistakes, or greets with them, and goes.
async fn answer_badly(mistakes: Vec<Mistake>, greets: bool) {
    // One for each, to which no client of another comes back.
    let listener = PeerListener::bind().await.unwrap();
    let client = Client::connect(format!("static://{}", listener.addr())).await.unwrap();
    let ledger: LedgerClient = client.get();
    let ledger = ledger.with_options(CallOptions::new().timeout(SOON).retries(0));
    let call = tokio::spawn(async move { ledger.book("one".into(), 0).await });
    let mut peer = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    if greets {
        peer.preface(Preface::new(None, Limits::default())).await.unwrap();
        peer.expect_preface().await.unwrap();
        let request = peer.expect(Kind::Request).await.unwrap();
        bytes = answers(request.header.id);
    } else {
        Preface::new(None, Limits::default()).put(&mut bytes);
    }
    spoil(&mut bytes, &mistakes);
    let _ = peer.raw(&bytes).await;
    drop(peer);
    // Whatever that was, the call ends; without a provider it waits for one, but not long.
    let ended = timeout(2 * SOON, call);
    let listening = async {
        loop {
            drop(listener.accept().await);
        }
    };
    tokio::select! {
        ended = ended => {
            let _ = ended.expect("the call does not end").unwrap();
        }
        () = listening => {}
    }
}

fn to_the_client(rounds: u32) {
    let runtime = Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::new());
    let panics = Arc::new(AtomicU32::new(0));
    let (counter, usual) = (Arc::clone(&panics), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        counter.fetch_add(1, Ordering::Relaxed);
        usual(info);
    }));
    let before = resident();
    let mut runner = proptest::test_runner::TestRunner::new(config(rounds));
    let greets = proptest::bool::weighted(0.8);
    let several = vec((vec(mistake(), 1..6), greets), AT_ONCE);
    let done = runner.run(&several, |several| {
        let all: JoinSet<()> = runtime.block_on(async {
            several.into_iter().map(|(mistakes, greets)| answer_badly(mistakes, greets)).collect()
        });
        runtime.block_on(all.join_all());
        TestCaseResult::Ok(())
    });
    let _ = panic::take_hook();
    done.unwrap();
    assert_eq!(panics.load(Ordering::Relaxed), 0, "panics on the way");
    let grown = resident().saturating_sub(before);
    assert!(grown < 128, "{grown} MiB more than before");
    drop(scene);
}

#[test]
fn b1_spoilt_frames_do_not_hurt_a_server() {
    to_the_server(2);
}

#[test]
fn b1_spoilt_frames_do_not_hurt_a_client() {
    to_the_client(1);
}

#[test]
#[ignore = "takes minutes: ./test.sh --all"]
fn b1_many_spoilt_frames_do_not_hurt_a_server() {
    to_the_server(400);
}

#[test]
#[ignore = "takes minutes: ./test.sh --all"]
fn b1_many_spoilt_frames_do_not_hurt_a_client() {
    to_the_client(16);
}
