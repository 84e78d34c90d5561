//! Large requests and replies.

use crate::script::{BOUND, Peer, Provider, Raw, RawClient};
use rpc_client::Client;
use rpc_core::{
    CallOptions, Outcome, RpcCode,
    discovery::{Instance, MemoryRegistry},
    wire::{BASE_LIMITS, Header, Kind, Limits, flag, put_credit, put_frame},
};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_reply_beyond_the_clients_limit_fails_its_call_and_takes_no_memory() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.load().await }
    });
    let mut peer = provider.greet().await;
    let id = peer.expect(Kind::Request).await.id();
    let mut out = Vec::new();
    put_frame(&mut out, Header { kind: Kind::Reply, flags: flag::CHUNKED, aux: 0, id }, |out| {
        out.extend_from_slice(&u32::MAX.to_le_bytes());
        out.resize(out.len() + 50_000, 0);
    });
    peer.send(&out).await;
    let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::ResourceExhausted, Outcome::Ran));
    assert!(error.message().contains("max_message"), "{error}");
    assert_eq!(peer.expect(Kind::Cancel).await.id(), id);
    // The connection lives on, and its credit with it.
    let mut more = Vec::new();
    for _ in 0..20 {
        put_frame(&mut more, Header { kind: Kind::Data, flags: 0, aux: 0, id }, |out| {
            out.resize(out.len() + 50_000, 0);
        });
    }
    let call = tokio::spawn(async move { client.put("a".into()).await });
    peer.send(&more).await;
    let mut credit = None;
    let id = loop {
        let frame = peer.frame().await;
        match frame.header.kind {
            Kind::Credit => credit = Some(frame.id()),
            Kind::Request => break frame.id(),
            kind => panic!("{kind:?}"),
        }
    };
    peer.reply(id, &"b").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("b"));
    if credit.is_none() {
        credit = Some(peer.expect(Kind::Credit).await.id());
    }
    assert_eq!(credit, Some(0));
}

/// Windows so small that the second of two large requests has to wait for credit.
const TIGHT: Limits = Limits { max_message: 1 << 20, ..BASE_LIMITS };

/// A provider that has taken the first pieces of a large request, which waits for more credit.
async fn stuck() -> (Client, Peer, u64) {
    let provider = Provider::bind().await;
    let client = provider.client().await;
    let raw: RawClient = client.get();
    let text = "x".repeat(1_000_000);
    tokio::spawn(async move { raw.put(text).await });
    let mut peer = provider.accept().await;
    peer.greet(TIGHT).await;
    let id = peer.expect(Kind::Request).await.id();
    let mut piece = peer.expect(Kind::Data).await;
    // Its own window is used up; that of the connection is filled with others.
    assert_eq!(piece.id(), id);
    for _ in 0..3 {
        let raw: RawClient = client.get();
        let text = "x".repeat(100_000);
        tokio::spawn(async move { raw.put(text).await });
        let id = peer.expect(Kind::Request).await.id();
        piece = peer.expect(Kind::Data).await;
        assert_eq!(piece.id(), id);
    }
    (client, peer, id)
}

#[tokio::test]
async fn a_large_request_that_has_not_begun_to_leave_is_not_cancelled() {
    let (client, mut peer, _) = stuck().await;
    let raw: RawClient = client.get();
    let short = raw.with_options(CallOptions::new().timeout(Duration::from_millis(50)));
    let error = short.put("y".repeat(50_000)).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::DeadlineExceeded, Outcome::NotSent));
    // What is sent next is the next that arrives.
    let small = tokio::spawn(async move { raw.put("small".into()).await });
    let request = peer.expect(Kind::Request).await;
    assert_eq!(request.text(), "small");
    peer.reply(request.id(), &"done").await;
    assert_eq!(small.await.unwrap().as_deref(), Ok("done"));
}

/// Two providers, of which the first takes the beginning of a large request alone, and a client.
async fn stingy_and_generous() -> (Client, Provider, Provider, MemoryRegistry) {
    let (stingy, generous) = (Provider::bind().await, Provider::bind().await);
    let registry = MemoryRegistry::new();
    registry.add("test.Raw", Instance::at(stingy.addr));
    let client = Client::connect(registry.clone()).await.unwrap();
    (client, stingy, generous, registry)
}

#[tokio::test]
async fn a_large_request_that_gets_no_credit_moves_whether_idempotent_or_not() {
    for idempotent in [false, true] {
        let (client, stingy, generous, registry) = stingy_and_generous().await;
        let raw: RawClient = client.get();
        let raw = raw.with_options(CallOptions::new().timeout(Duration::from_secs(4)).retries(0));
        let text = "y".repeat(1_000_000);
        let call = tokio::spawn(async move {
            if idempotent { raw.get(text).await } else { raw.put(text).await }
        });
        let mut first = stingy.accept().await;
        first.greet(TIGHT).await;
        let id = first.expect(Kind::Request).await.id();
        assert_eq!(first.expect(Kind::Data).await.id(), id);
        registry.add("test.Raw", Instance::at(generous.addr));
        let mut second = generous.greet().await;
        let cancelled = timeout(BOUND, first.expect(Kind::Cancel));
        assert_eq!(cancelled.await.unwrap().id(), id);
        let moved = second.expect(Kind::Request).await;
        assert_eq!(moved.header.flags & flag::RETRY, 0, "nobody has run it");
        second.reply(moved.id(), &"done").await;
        assert_eq!(timeout(BOUND, call).await.unwrap().unwrap().as_deref(), Ok("done"));
        assert_eq!(client.stats().retries, 0, "it costs nothing");
    }
}

/// Credit for a body and for its connection.
async fn give(peer: &mut Peer, id: u64, bytes: u32) {
    let mut out = Vec::new();
    put_credit(&mut out, id, bytes);
    put_credit(&mut out, 0, bytes);
    peer.send(&out).await;
}

#[tokio::test]
async fn a_large_request_stays_where_credit_comes_slowly() {
    let (client, stingy, generous, registry) = stingy_and_generous().await;
    let raw: RawClient = client.get();
    let raw = raw.with_options(CallOptions::new().timeout(Duration::from_secs(10)));
    let call = tokio::spawn(async move { raw.put("y".repeat(1_000_000)).await });
    let mut first = stingy.accept().await;
    first.greet(TIGHT).await;
    let id = first.expect(Kind::Request).await.id();
    registry.add("test.Raw", Instance::at(generous.addr));
    let _second = generous.greet().await;
    // For longer than half of its time; the answer comes before the rest.
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        give(&mut first, id, 20_000).await;
    }
    first.reply(id, &"done").await;
    assert_eq!(timeout(BOUND, call).await.unwrap().unwrap().as_deref(), Ok("done"));
    assert_eq!(client.stats().moves, 0);
}

#[tokio::test]
async fn a_large_request_goes_on_after_its_only_provider_was_silent() {
    let provider = Provider::bind().await;
    let client = provider.client().await;
    let raw: RawClient = client.get();
    let call = tokio::spawn(async move { raw.get("y".repeat(1_000_000)).await });
    let mut peer = provider.accept().await;
    peer.greet(TIGHT).await;
    let id = peer.expect(Kind::Request).await.id();
    assert_eq!(peer.expect(Kind::Data).await.id(), id);
    while !client.explain("test.Raw").to_string().contains("silent") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    give(&mut peer, id, 40_000).await;
    assert_eq!(peer.expect(Kind::Data).await.id(), id);
    peer.reply(id, &"done").await;
    assert_eq!(timeout(BOUND, call).await.unwrap().unwrap().as_deref(), Ok("done"));
}

#[tokio::test]
async fn a_large_request_that_has_begun_to_leave_is_cancelled() {
    let provider = Provider::bind().await;
    let raw: RawClient = provider.client().await.get();
    let short = raw.with_options(CallOptions::new().timeout(Duration::from_secs(2)));
    let call = tokio::spawn(async move { short.put("y".repeat(1_000_000)).await });
    let mut peer = provider.accept().await;
    peer.greet(TIGHT).await;
    let id = peer.expect(Kind::Request).await.id();
    assert_eq!(peer.expect(Kind::Data).await.id(), id);
    let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::DeadlineExceeded, Outcome::NotSent));
    assert_eq!(peer.expect(Kind::Cancel).await.id(), id);
}
