//! Attempts that run beside one another, frame by frame.

use crate::script::{BOUND, Frame, Peer, Provider, Raw, RawClient};
use rpc_client::{Balance, Client};
use rpc_core::{
    Outcome, RpcError,
    wire::{BASE_LIMITS, Kind, Limits, Reason, flag, put_credit},
};
use std::time::Duration;
use tokio::{task::JoinHandle, time::timeout};

/// Two providers, and a client that knows how long their calls take.
struct Scene {
    client: Client,
    peers: [Peer; 2],
    calls: u32,
    _providers: [Provider; 2],
}

impl Scene {
    async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    /// With providers that say this of themselves.
    async fn with(limits: Limits) -> Self {
        let providers = [Provider::bind().await, Provider::bind().await];
        let url = format!("static://{},{}", providers[0].addr, providers[1].addr);
        let client = Client::builder().registry(url).balance(Balance::RoundRobin);
        // On a slow machine calls are late that are meant to be quick, and would use up a share.
        let client = client.hedging(1.0).build().await.unwrap();
        let _proxy: RawClient = client.get();
        let mut peers = [providers[0].accept().await, providers[1].accept().await];
        for peer in &mut peers {
            peer.greet(limits).await;
        }
        let mut scene = Self { client, peers, calls: 0, _providers: providers };
        for _ in 0..100 {
            let mut call = scene.call();
            loop {
                // On a slow machine one of these may be hedged already.
                let (asked, request) = tokio::select! {
                    ended = &mut call => {
                        ended.unwrap().unwrap();
                        break;
                    }
                    next = scene.next() => next,
                };
                scene.peers[asked].reply(request.id(), &"quick").await;
            }
        }
        scene
    }

    /// A call whose argument no other one has.
    fn call(&mut self) -> JoinHandle<Result<String, RpcError>> {
        self.calls += 1;
        let (proxy, text): (RawClient, _) = (self.client.get(), self.calls.to_string());
        tokio::spawn(async move { proxy.get(text).await })
    }

    /// The next request of the newest call, and which of the two has it.
    async fn next(&mut self) -> (usize, Frame) {
        loop {
            let [one, two] = &mut self.peers;
            let (asked, frame) = tokio::select! {
                frame = one.frame() => (0, frame),
                frame = two.frame() => (1, frame),
            };
            if frame.header.kind == Kind::Request && frame.text() == self.calls.to_string() {
                return (asked, frame);
            }
        }
    }

    /// A call that is late, with both of its requests: where it was sent first, and that id, and
    /// the hedge's.
    async fn late(&mut self) -> (JoinHandle<Result<String, RpcError>>, usize, u64, u64) {
        let call = self.call();
        let (first, request) = self.next().await;
        assert_eq!(request.header.flags, 0);
        let (second, hedge) = self.next().await;
        assert_eq!((second, hedge.header.flags), (1 - first, flag::RETRY), "{hedge:?}");
        (call, first, request.id(), hedge.id())
    }

    /// Waits until a provider is told to stop a call.
    async fn cancelled(&mut self, peer: usize, id: u64) {
        loop {
            let frame = self.peers[peer].frame().await;
            if frame.header.kind == Kind::Cancel && frame.id() == id {
                return;
            }
        }
    }
}

/// So that what was sent before is read before.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn end(call: JoinHandle<Result<String, RpcError>>) -> Result<String, RpcError> {
    timeout(BOUND, call).await.expect("the call does not end").unwrap()
}

#[tokio::test]
async fn the_first_answer_wins_and_the_other_provider_is_told_to_stop() {
    let mut scene = Scene::new().await;
    let before = scene.client.stats();
    let (call, first, id, hedge) = scene.late().await;
    scene.peers[1 - first].reply(hedge, &"hedge").await;
    assert_eq!(end(call).await.as_deref(), Ok("hedge"));
    scene.cancelled(first, id).await;

    let (call, first, id, hedge) = scene.late().await;
    scene.peers[first].reply(id, &"first").await;
    assert_eq!(end(call).await.as_deref(), Ok("first"));
    scene.cancelled(1 - first, hedge).await;
    let after = scene.client.stats();
    let more = (after.hedges - before.hedges, after.hedges_won - before.hedges_won);
    assert_eq!((more, after.retries), ((2, 1), 0), "{after:?}");
}

#[tokio::test]
async fn a_hedge_that_is_refused_leaves_the_first_attempt_going_on() {
    let mut scene = Scene::new().await;
    let (call, first, id, hedge) = scene.late().await;
    scene.peers[1 - first].refuse(hedge, Reason::Overloaded).await;
    pause().await;
    scene.peers[first].reply(id, &"first").await;
    assert_eq!(end(call).await.as_deref(), Ok("first"));

    // Also if the refusal would end a call that has no other attempt.
    let (call, first, id, hedge) = scene.late().await;
    scene.peers[1 - first].refuse(hedge, Reason::NotPermitted).await;
    pause().await;
    scene.peers[first].reply(id, &"first").await;
    assert_eq!(end(call).await.as_deref(), Ok("first"));
}

#[tokio::test]
async fn a_hedge_that_fails_does_not_fail_a_call_that_would_succeed_without_it() {
    let mut scene = Scene::new().await;
    let (call, first, id, hedge) = scene.late().await;
    scene.peers[1 - first].refuse(hedge, Reason::Panicked).await;
    pause().await;
    scene.peers[first].reply(id, &"first").await;
    assert_eq!(end(call).await.as_deref(), Ok("first"));

    // Nor does the first fail one whose hedge succeeds.
    let (call, first, id, hedge) = scene.late().await;
    scene.peers[first].refuse(id, Reason::BadAnswer).await;
    pause().await;
    scene.peers[1 - first].reply(hedge, &"hedge").await;
    assert_eq!(end(call).await.as_deref(), Ok("hedge"));
}

#[tokio::test]
async fn a_large_call_that_became_late_while_it_was_sent_is_hedged_once_it_has_left() {
    let mut scene = Scene::with(Limits { max_message: 1 << 20, ..BASE_LIMITS }).await;
    let proxy: RawClient = scene.client.get();
    let call = tokio::spawn(async move { proxy.get("x".repeat(100_000)).await });
    let large = async |peer: &mut Peer| loop {
        let frame = peer.frame().await;
        if frame.header.kind == Kind::Request && frame.header.flags & flag::CHUNKED != 0 {
            return frame;
        }
    };
    let [one, two] = &mut scene.peers;
    let (slow, other, id) = tokio::select! {
        frame = large(one) => (one, two, frame.id()),
        frame = large(two) => (two, one, frame.id()),
    };
    // Credit for the rest comes late, and the answer never.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut credit = Vec::new();
    put_credit(&mut credit, id, 64 * 1024);
    put_credit(&mut credit, 0, 64 * 1024);
    slow.send(&credit).await;
    let hedge = large(other).await;
    assert_ne!(hedge.header.flags & flag::RETRY, 0);
    other.reply(hedge.id(), &"hedge").await;
    assert_eq!(end(call).await.as_deref(), Ok("hedge"));
}

#[tokio::test]
async fn when_both_fail_the_error_tells_of_both() {
    let mut scene = Scene::new().await;
    let (call, first, id, hedge) = scene.late().await;
    scene.peers[1 - first].refuse(hedge, Reason::Overloaded).await;
    pause().await;
    scene.peers[first].refuse(id, Reason::Draining).await;
    let error = end(call).await.unwrap_err();
    assert_eq!((error.attempts(), error.outcome()), (2, Outcome::Refused), "{error}");
    let trail: Vec<_> = error.trail().iter().map(|attempt| attempt.endpoint).collect();
    let addr = |n: usize| scene.peers[n].local_addr();
    assert_eq!(trail, [addr(1 - first), addr(first)], "{error}");
}
