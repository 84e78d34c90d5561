//! Calls whose first attempt fails, and what becomes of them.

use crate::script::{BOUND, Provider, Raw, RawClient, all_serve};
use rpc_client::{Balance, Client};
use rpc_core::{
    CallOptions, Outcome, RpcCode,
    discovery::{Instance, MemoryRegistry},
    wire::{BASE_LIMITS, Kind, Limits, Reason, flag},
};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_call_waits_for_the_only_provider_to_come_back() {
    for round in 0..20 {
        let provider = Provider::bind().await;
        let client: RawClient = provider.client().await.get();
        let call = tokio::spawn(async move { client.get("a".into()).await });
        let mut peer = provider.greet().await;
        peer.expect(Kind::Request).await;
        drop(peer);
        let mut peer = provider.greet().await;
        let again = timeout(BOUND, peer.frame()).await.unwrap();
        assert_eq!(again.header.flags, flag::RETRY, "round {round}: {again:?}");
        peer.reply(again.id(), &"b").await;
        assert_eq!(call.await.unwrap().as_deref(), Ok("b"), "round {round}");
    }
}

#[tokio::test]
async fn an_attempt_that_may_have_run_is_not_forgotten_when_the_next_is_refused() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let call = tokio::spawn(async move { client.get("a".into()).await });
    let mut peer = provider.greet().await;
    peer.expect(Kind::Request).await;
    drop(peer);
    let mut peer = provider.greet().await;
    let id = peer.expect(Kind::Request).await.id();
    peer.refuse(id, Reason::Draining).await;
    let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 2), "{error}");
}

#[tokio::test]
async fn a_call_that_is_refused_elsewhere_waits_for_the_provider_that_it_lost() {
    let (lost, registry) = (Provider::bind().await, MemoryRegistry::new());
    registry.add("test.Raw", Instance::at(lost.addr));
    let client = Client::connect(registry.clone()).await.unwrap();
    let proxy: RawClient = client.get();
    let call = tokio::spawn(async move { proxy.get("a".into()).await });
    let mut first = lost.greet().await;
    first.expect(Kind::Request).await;
    let other = Provider::bind().await;
    registry.add("test.Raw", Instance::at(other.addr));
    let mut second = other.greet().await;
    drop(first);
    let id = second.expect(Kind::Request).await.id();
    second.refuse(id, Reason::Overloaded).await;
    let mut first = lost.greet().await;
    let id = first.expect(Kind::Request).await.id();
    first.reply(id, &"b").await;
    assert_eq!(timeout(BOUND, call).await.unwrap().unwrap().as_deref(), Ok("b"));
    drop(client);
}

#[tokio::test]
async fn a_call_that_is_refused_waits_for_a_provider_that_was_lost_before_it() {
    let (lost, other, registry) =
        (Provider::bind().await, Provider::bind().await, MemoryRegistry::new());
    registry.add("test.Raw", Instance::at(lost.addr));
    registry.add("test.Raw", Instance::at(other.addr));
    let client = Client::connect(registry.clone()).await.unwrap();
    let proxy: RawClient = client.get();
    let (first, mut second) = (lost.greet().await, other.greet().await);
    let addr = lost.addr;
    drop((first, lost));
    // Until it is seen.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let call = tokio::spawn(async move { proxy.get("a".into()).await });
    let id = second.expect(Kind::Request).await.id();
    second.refuse(id, Reason::Overloaded).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut first = Provider::at(addr).await.greet().await;
    let id = first.expect(Kind::Request).await.id();
    first.reply(id, &"b").await;
    assert_eq!(timeout(BOUND, call).await.unwrap().unwrap().as_deref(), Ok("b"));
    drop(client);
}

#[tokio::test]
async fn what_a_call_has_waited_is_not_left_for_it_any_more() {
    let (provider, registry) = (Provider::bind().await, MemoryRegistry::new());
    let client: RawClient = Client::connect(registry.clone()).await.unwrap().get();
    let call = tokio::spawn(async move { client.put("a".into()).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    registry.add("test.Raw", Instance::at(provider.addr));
    let left = provider.greet().await.expect(Kind::Request).await.head().remaining_ms;
    assert!((5_000..=9_300).contains(&left), "{left}");
    call.abort();
}

#[tokio::test]
async fn a_call_may_take_as_long_as_there_is_time() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let client = client.with_options(CallOptions::new().timeout(Duration::MAX));
    let call = tokio::spawn(async move { client.put("a".into()).await });
    let mut peer = provider.greet().await;
    let request = peer.expect(Kind::Request).await;
    let waited = u32::MAX - request.head().remaining_ms;
    assert!(Duration::from_millis(waited.into()) < BOUND, "{waited} ms were lost");
    peer.reply(request.id(), &"b").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("b"));
}

#[tokio::test]
async fn a_call_leaves_a_silent_provider_when_another_comes_later() {
    let (silent, registry) = (Provider::bind().await, MemoryRegistry::new());
    registry.add("test.Raw", Instance::at(silent.addr));
    let client = Client::connect(registry.clone()).await.unwrap();
    let proxy: RawClient = client.get();
    let call = tokio::spawn(async move { proxy.get("a".into()).await });
    let mut peer = silent.greet().await;
    peer.expect(Kind::Request).await;
    // Nothing is read any more: the client's ping stays unanswered.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let other = Provider::bind().await;
    registry.add("test.Raw", Instance::at(other.addr));
    let mut peer = other.greet().await;
    let again = peer.expect(Kind::Request).await;
    assert_eq!(again.header.flags, flag::RETRY);
    peer.reply(again.id(), &"b").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("b"));
    drop(client);
}

#[tokio::test]
async fn a_call_that_may_have_run_is_not_undone_by_a_line_without_a_place() {
    let providers = [Provider::bind().await, Provider::bind().await];
    let url = format!("static://{},{}", providers[0].addr, providers[1].addr);
    let client = Client::builder().registry(url).balance(Balance::RoundRobin);
    let client = client.max_waiting(0).connections(1..=1).hedging(0.0).build().await.unwrap();
    let proxy: RawClient = client.get();
    let mut wide = providers[0].greet().await;
    let mut narrow = providers[1].accept().await;
    narrow.greet(Limits { max_in_flight: BASE_LIMITS.max_in_flight, ..Limits::default() }).await;
    all_serve(&client).await;
    let mut calls = JoinSet::new();
    for _ in 0..2 * BASE_LIMITS.max_in_flight {
        let proxy = proxy.clone();
        calls.spawn(async move { proxy.put("fill".into()).await });
    }
    for _ in 0..BASE_LIMITS.max_in_flight {
        narrow.expect(Kind::Request).await;
        wide.expect(Kind::Request).await;
    }
    let call = tokio::spawn(async move { proxy.get("mine".into()).await });
    assert_eq!(wide.expect(Kind::Request).await.text(), "mine");
    let [first, _second] = providers;
    drop((first, wide));
    let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::ResourceExhausted, Outcome::Unknown));
    assert!(error.message().contains("no call of test.Raw may wait for room"), "{error}");
}
