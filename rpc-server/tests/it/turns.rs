//! Who polls a handler, and when: where its request was read, or in a task of its own. Neither may
//! be seen from outside, whatever a handler does.

use crate::support::*;
use rpc_core::{
    CallContext, CallOptions, Result, RpcError, rpc_client, rpc_service,
    wire::{Kind, Reason, RequestHead, flag, fnv1a_32, fnv1a_64, put_metadata},
};
use rpc_server::Server;
use serde::Serialize;
use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

#[rpc_client(name = "test.Turns")]
trait Turns {
    /// Takes what the gate gives; how often it was polled for that.
    async fn take(&self) -> Result<u32>;
    /// The value of a key in the context, before and after the gate.
    async fn before_and_after(&self, key: String) -> Result<(Option<String>, Option<String>)>;
    /// Panics behind the gate.
    async fn panic_later(&self) -> Result<()>;
    /// Waits at the gate, and panics when it is dropped there.
    async fn panic_when_dropped(&self) -> Result<()>;
    /// Waits at the gate, or panics there; ends with what its destructor knows of its call.
    async fn look_when_dropped(&self, panics: bool) -> Result<()>;
}

#[derive(Debug, Clone, Default)]
struct TurnsService(Arc<State>);

impl TurnsService {
    async fn pass(&self) -> Result<()> {
        let permit = self.0.gate.acquire().await.map_err(|e| RpcError::internal(e.to_string()))?;
        permit.forget();
        Ok(())
    }
}

#[rpc_service]
impl Turns for TurnsService {
    async fn take(&self) -> Result<u32> {
        let mut pass = pin!(self.pass());
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            pass.as_mut().poll(cx)
        })
        .await?;
        Ok(polls)
    }

    async fn before_and_after(&self, key: String) -> Result<(Option<String>, Option<String>)> {
        let value = || CallContext::current().metadata(&key).map(str::to_owned);
        let before = value();
        self.0.started.fetch_add(1, Ordering::SeqCst);
        self.pass().await?;
        Ok((before, value()))
    }

    async fn panic_later(&self) -> Result<()> {
        self.0.started.fetch_add(1, Ordering::SeqCst);
        self.pass().await?;
        panic!("later");
    }

    async fn panic_when_dropped(&self) -> Result<()> {
        struct Mine(Arc<State>);
        impl Drop for Mine {
            fn drop(&mut self) {
                self.0.ended.fetch_add(1, Ordering::SeqCst);
                panic!("when dropped");
            }
        }
        let mine = Mine(Arc::clone(&self.0));
        self.0.started.fetch_add(1, Ordering::SeqCst);
        self.pass().await?;
        std::mem::forget(mine);
        Ok(())
    }

    async fn look_when_dropped(&self, panics: bool) -> Result<()> {
        struct Mine(Arc<State>);
        impl Drop for Mine {
            fn drop(&mut self) {
                assert!(CallContext::current().peer().is_some(), "no context");
                self.0.ended.fetch_add(1, Ordering::SeqCst);
            }
        }
        let _mine = Mine(Arc::clone(&self.0));
        self.0.started.fetch_add(1, Ordering::SeqCst);
        assert!(!panics, "as it was told");
        self.pass().await
    }
}

async fn turns() -> (Server, Arc<State>) {
    let state = Arc::<State>::default();
    let server =
        lab(&Arc::default()).service(TurnsService(Arc::clone(&state))).start().await.unwrap();
    (server, state)
}

fn turns_request(id: u64, flags: u8, method: &str, rest: &[u8]) -> Vec<u8> {
    let head = RequestHead {
        service: fnv1a_64(b"test.Turns"),
        method: fnv1a_32(method.as_bytes()),
        remaining_ms: 60_000,
        sent_ms: 0,
        trace: None,
    };
    request_with(id, flags, head, rest)
}

#[derive(Serialize)]
struct Key<'a> {
    key: &'a str,
}

/// Each call in a read uses up some of the budget that a task has before all that it awaits looks
/// pending. Those after it must not notice.
#[tokio::test]
async fn what_is_ready_is_ready_for_every_call_of_a_read() {
    let (server, state) = turns().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let nothing = args(&Nothing {});
    for round in 0..4 {
        let ids = round * 1000 + 1..=round * 1000 + 1000;
        state.gate.add_permits(1000);
        // From the second round on they are polled by the reader.
        let bytes = ids.clone().flat_map(|id| turns_request(id, 0, "take", &nothing));
        peer.send(bytes.collect::<Vec<u8>>()).await;
        for _ in ids {
            assert_eq!(peer.next().await.unwrap().value::<u32>(), 1, "polls, in round {round}");
        }
    }
}

#[tokio::test]
async fn every_poll_is_within_the_context_of_its_call() {
    let (server, state) = turns().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let call = |id: u64| {
        let mut rest = Vec::new();
        let options = CallOptions::new().metadata("tenant", format!("t{id}"));
        put_metadata(&mut rest, options.settings().metadata.iter()).unwrap();
        rest.extend(args(&Key { key: "tenant" }));
        turns_request(id, flag::METADATA, "before_and_after", &rest)
    };
    // In tasks, then polled by the reader and ended there, then ended in a task.
    for round in 0..60 {
        let ids = round * 3 + 1..=round * 3 + 3;
        if round % 2 == 0 {
            state.gate.add_permits(3);
        }
        peer.send(ids.clone().flat_map(call).collect::<Vec<u8>>()).await;
        if round % 2 == 1 {
            until("they wait", || state.started() as u64 == (round + 1) * 3).await;
            state.gate.add_permits(3);
        }
        for _ in ids {
            let frame = peer.next().await.unwrap();
            let tenant = Some(format!("t{}", frame.header.id));
            let seen = frame.value::<(Option<String>, Option<String>)>();
            assert_eq!(seen, (tenant.clone(), tenant), "in round {round}");
        }
    }
}

#[tokio::test]
async fn a_panic_at_any_poll_or_when_dropped_costs_its_own_call() {
    std::panic::set_hook(Box::new(|_| {}));
    let (server, state) = turns().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let nothing = args(&Nothing {});
    for round in 0..60 {
        let (a, b) = (round * 2 + 1, round * 2 + 2);
        peer.send(turns_request(a, 0, "panic_later", &nothing)).await;
        until("it waits", || state.started() as u64 == a).await;
        state.gate.add_permits(1);
        let (reason, _) = peer.expect(Kind::Error, a).await.error();
        assert_eq!(reason, Reason::Panicked);
        peer.send(turns_request(b, 0, "panic_when_dropped", &nothing)).await;
        until("it waits", || state.started() as u64 == b).await;
        peer.send(signal(Kind::Cancel, b)).await;
        until("it is dropped", || state.ended() as u64 == round + 1).await;
        peer.check_alive().await;
    }
    until("every permit is back", || server.stats().in_flight == 0).await;
    assert_eq!((server.stats().panics, server.stats().cancelled), (60, 60));
}

#[tokio::test]
async fn a_destructor_is_within_the_context_of_its_call_however_that_ends() {
    #[derive(Serialize)]
    struct Panics {
        panics: bool,
    }
    std::panic::set_hook(Box::new(|_| {}));
    let (server, state) = turns().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let [waits, panics] = [false, true].map(|panics| args(&Panics { panics }));
    for round in 0..40 {
        let (a, b, c) = (round * 3 + 1, round * 3 + 2, round * 3 + 3);
        peer.send(turns_request(a, 0, "look_when_dropped", &waits)).await;
        until("it waits", || state.started() as u64 == a).await;
        peer.send(signal(Kind::Cancel, a)).await;
        until("it is cancelled", || state.ended() as u64 == a).await;
        peer.send(turns_request(b, 0, "look_when_dropped", &panics)).await;
        assert_eq!(peer.expect(Kind::Error, b).await.error().0, Reason::Panicked);
        state.gate.add_permits(1);
        peer.send(turns_request(c, 0, "look_when_dropped", &waits)).await;
        peer.expect(Kind::Reply, c).await;
        assert_eq!(state.ended() as u64, c);
    }
    drop(server);
}

/// Sends these calls in one write, the one with the id 1 blocks its thread: the others and a ping
/// are answered before it.
async fn block_among(calls: impl Fn(&mut Vec<u8>)) {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut bytes = Vec::new();
    calls(&mut bytes);
    peer.send(bytes).await;
    // Nor do these, which come in reads of their own.
    for id in 1_001..1_021 {
        peer.send(request(id, "echo", &Text { text: "later" })).await;
        tokio::task::yield_now().await;
    }
    state.gate.add_permits(10);
    for answered in 0..20 + 100 + 10 {
        let frame = peer.next().await.unwrap();
        assert_ne!(frame.header.id, 1, "it blocks for 3 s, {answered} others were answered");
    }
    peer.check_alive().await;
    peer.expect(Kind::Reply, 1).await;
}

/// What waits for other answers is not kept until a handler has ended that has none, or that blocks
/// the only thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_crowd_do_not_wait_for_those_that_wait_or_block() {
    let state = Arc::<State>::default();
    let (told, tell) = (Arc::clone(&state), tokio::sync::oneshot::channel());
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let one_thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = lab(&told).start().await.unwrap();
            tell.0.send(server.local_addr()).unwrap();
            until("the test is over", || ended.try_recv().is_ok()).await;
        });
    });
    let mut peer = RawPeer::connect(tell.1.await.unwrap()).await;
    let mut bytes = Vec::new();
    for id in 1..=20 {
        bytes.extend(request(id, "echo", &Text { text: "x" }));
    }
    for id in 21..=80 {
        bytes.extend(request(id, "wait", &Text { text: "x" }));
    }
    bytes.extend(request(81, "block", &Millis { millis: 3_000 }));
    peer.send(bytes).await;
    for id in 1..=20 {
        peer.expect(Kind::Reply, id).await;
    }
    let unblocked = state.unblocked.load(Ordering::SeqCst);
    assert_eq!(unblocked, 0, "while the thread is blocked nothing relieves them");
    end.send(()).unwrap();
    one_thread.join().unwrap();
}

fn block(bytes: &mut Vec<u8>) {
    bytes.extend(request(1, "block", &Millis { millis: 3_000 }));
}

fn others(bytes: &mut Vec<u8>) {
    for id in 2..57 {
        bytes.extend(request(id * 2, if id < 7 { "wait" } else { "echo" }, &Text { text: "x" }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_call_of_a_method_may_block_before_others() {
    block_among(|bytes| {
        block(bytes);
        others(bytes);
        others_again(bytes);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_call_of_a_method_may_block_between_others() {
    block_among(|bytes| {
        others(bytes);
        block(bytes);
        others_again(bytes);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_call_of_a_method_may_block_behind_others() {
    block_among(|bytes| {
        others(bytes);
        others_again(bytes);
        block(bytes);
    })
    .await;
}

fn others_again(bytes: &mut Vec<u8>) {
    for id in 2..57 {
        let method = if id < 7 { "wait" } else { "echo" };
        bytes.extend(request(id * 2 + 1, method, &Text { text: "x" }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_was_polled_by_the_reader_goes_back_to_tasks_after_a_long_poll() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut ids = 1..;
    // Which of the two is answered first.
    let mut pair = async |millis: u64| {
        let (slow, quick) = (ids.next().unwrap(), ids.next().unwrap());
        let mut bytes = request(slow, "block", &Millis { millis });
        bytes.extend(request(quick, "echo", &Text { text: "" }));
        peer.send(bytes).await;
        let first = peer.next().await.unwrap().header.id;
        peer.next().await.unwrap();
        first == slow
    };
    // Until the reader polls it itself: then what follows in the same read has to wait.
    let mut rounds = 0;
    loop {
        for _ in 0..20 {
            pair(0).await;
        }
        if pair(100).await {
            break;
        }
        rounds += 1;
        assert!(rounds < 100, "sixteen short polls do not earn the short way");
    }
    assert!(!pair(3_000).await, "one long poll has lost it");
}
