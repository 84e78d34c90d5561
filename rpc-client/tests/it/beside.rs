//! Attempts that run beside one that may never be answered.

use crate::script::{BOUND, Peer, Provider, Raw, RawClient};
use rpc_client::{Balance, Client, EndpointState};
use rpc_core::{CallOptions, Outcome, Result, RpcCode, rpc_client, wire::Kind};
use serde::{Deserialize, Serialize, Serializer};
use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

/// Two providers, greeted, and a client that asks them in turn.
async fn two() -> (Client, [Provider; 2], [Peer; 2]) {
    let providers = [Provider::bind().await, Provider::bind().await];
    let url = format!("static://{},{}", providers[0].addr, providers[1].addr);
    let client = Client::builder().registry(url).balance(Balance::RoundRobin);
    let client = client.build().await.unwrap();
    let _proxy: RawClient = client.get();
    let peers = [providers[0].greet().await, providers[1].greet().await];
    for provider in &providers {
        while state(&client, provider) != Some(EndpointState::Serving) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    (client, providers, peers)
}

fn state(client: &Client, provider: &Provider) -> Option<EndpointState> {
    let known = client.explain("test.Raw").known?;
    known.endpoints.iter().find(|e| e.addr == provider.addr).map(|e| e.state)
}

/// How often one has been encoded.
static ENCODED: AtomicU32 = AtomicU32::new(0);
static GO_ON: AtomicBool = AtomicBool::new(false);

#[expect(clippy::disallowed_methods, reason = "an encoder cannot wait otherwise")]
fn block(time: Duration) {
    thread::sleep(time);
}

/// An argument whose second encoding waits until it may go on.
#[derive(Deserialize)]
pub struct Gate(String);

impl Serialize for Gate {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if ENCODED.fetch_add(1, Ordering::SeqCst) == 1 {
            while !GO_ON.load(Ordering::SeqCst) {
                block(Duration::from_millis(5));
            }
        }
        serializer.serialize_str(&self.0)
    }
}

#[rpc_client(name = "test.Raw")]
pub trait Gated {
    #[rpc(idempotent)]
    async fn pass(&self, gate: Gate) -> Result<String>;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_in_time_when_all_is_lost_while_its_second_attempt_begins() {
    let (client, providers, peers) = two().await;
    let gated: GatedClient = client.get();
    let gated = gated.with_options(CallOptions::new().timeout(Duration::from_secs(2)));
    let (ended, call) = oneshot::channel();
    // On a runtime of its own: what blocks there holds up nothing of the client.
    thread::spawn(move || {
        let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = ended.send(own.block_on(gated.pass(Gate("x".into()))));
    });
    let began = Instant::now();
    while ENCODED.load(Ordering::SeqCst) < 2 {
        assert!(began.elapsed() < BOUND, "no second attempt");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(peers);
    let listening = providers.map(|provider| provider.addr);
    let serving = |client: &Client| {
        let known = client.explain("test.Raw").known.unwrap();
        let mut of = known.endpoints.into_iter().filter(|e| listening.contains(&e.addr));
        of.any(|e| e.state == EndpointState::Serving)
    };
    while serving(&client) {
        assert!(began.elapsed() < BOUND, "the client does not notice");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    GO_ON.store(true, Ordering::SeqCst);
    let error = timeout(BOUND, call).await.expect("the call hangs").unwrap().unwrap_err();
    let told = (error.code(), error.outcome());
    assert!(matches!(told.0, RpcCode::Unavailable | RpcCode::DeadlineExceeded), "{error}");
    assert_eq!(told.1, Outcome::Unknown, "the first attempt may have run: {error}");
}

#[tokio::test]
async fn a_provider_that_answers_pings_alone_is_left_out_although_no_call_fails() {
    let (client, [mute, _good], [mut silent, mut serving]) = two().await;
    let proxy: RawClient = client.get();
    tokio::spawn(async move { while silent.frame_or_end().await.is_some() {} });
    tokio::spawn(async move {
        while let Some(frame) = serving.frame_or_end().await {
            if frame.header.kind == Kind::Request {
                serving.reply(frame.id(), &"good").await;
            }
        }
    });
    let short = proxy.with_options(CallOptions::new().timeout(Duration::from_secs(1)));
    let began = Instant::now();
    while state(&client, &mute) != Some(EndpointState::Ejected) {
        assert!(began.elapsed() < BOUND, "{}", client.explain("test.Raw"));
        assert_eq!(short.get("x".into()).await.as_deref(), Ok("good"));
    }
    assert!(client.stats().retries >= 5, "{:?}", client.stats());
}
