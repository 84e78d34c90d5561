//! Several connections to one provider: when they are made, shared and given up.

use crate::script::{BOUND, Peer, Provider, Raw, RawClient};
use rpc_client::{Client, ClientBuilder};
use rpc_core::{
    Outcome, RpcCode, RpcError,
    wire::{BASE_LIMITS, Kind, Limits},
};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

fn client(provider: &Provider) -> ClientBuilder {
    Client::builder().registry(format!("static://{}", provider.addr))
}

/// The fewest calls at once that a provider may ask for.
const LIMIT: usize = BASE_LIMITS.max_in_flight as usize;

/// The next connection, greeted by a provider that takes few calls at once.
async fn greet(provider: &Provider) -> Peer {
    let mut peer = provider.accept().await;
    peer.greet(Limits { max_in_flight: BASE_LIMITS.max_in_flight, ..Limits::default() }).await;
    peer
}

async fn ids(peer: &mut Peer, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(peer.expect(Kind::Request).await.id());
    }
    ids
}

fn call(calls: &mut JoinSet<Result<String, RpcError>>, client: &RawClient, text: &str) {
    let (client, text) = (client.clone(), text.to_owned());
    calls.spawn(async move { client.put(text).await });
}

#[tokio::test]
async fn calls_that_find_every_connection_full_get_others_and_then_wait_in_line() {
    let provider = Provider::bind().await;
    let client: RawClient =
        client(&provider).connections(1..=3).max_waiting(1).build().await.unwrap().get();
    let mut calls = JoinSet::new();
    let (mut peers, mut under_way) = (Vec::new(), Vec::new());
    // Each new connection is made for a call that waits.
    for _ in 0..3 {
        call(&mut calls, &client, "first");
        let mut peer = greet(&provider).await;
        under_way.push(ids(&mut peer, 1).await);
        for _ in 1..LIMIT {
            call(&mut calls, &client, "more");
        }
        under_way.last_mut().unwrap().extend(ids(&mut peer, LIMIT - 1).await);
        peers.push(peer);
    }
    // Now there are as many as there may be: one call waits, the next is refused.
    call(&mut calls, &client, "waits");
    call(&mut calls, &client, "waits");
    let refused = timeout(BOUND, calls.join_next()).await.unwrap().unwrap().unwrap().unwrap_err();
    assert_eq!((refused.code(), refused.outcome()), (RpcCode::ResourceExhausted, Outcome::NotSent));
    assert!(refused.message().contains("max_waiting"), "{refused}");
    // Room on any connection is for the one that waits.
    peers[2].reply(under_way[2][0], &"").await;
    let last = timeout(BOUND, peers[2].expect(Kind::Request)).await.unwrap();
    assert_eq!(last.text(), "waits");
    under_way[2][0] = last.id();
    for (peer, ids) in peers.iter_mut().zip(under_way) {
        for id in ids {
            peer.reply(id, &"").await;
        }
    }
    let mut answered = 0;
    while let Some(answer) = timeout(BOUND, calls.join_next()).await.unwrap() {
        answer.unwrap().unwrap();
        answered += 1;
    }
    assert_eq!(answered, 3 * LIMIT + 1);
}

#[tokio::test]
async fn a_second_connection_is_not_made_because_a_provider_has_yet_to_greet() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    // Before it has greeted it takes the fewest calls that there are; the others wait.
    let mut calls = JoinSet::new();
    for _ in 0..LIMIT + 5 {
        call(&mut calls, &client, "early");
    }
    let mut peer = provider.accept().await;
    let more = timeout(Duration::from_millis(500), provider.accept()).await;
    assert!(more.is_err(), "a second connection");
    peer.greet(Limits::default()).await;
    for id in ids(&mut peer, LIMIT + 5).await {
        peer.reply(id, &"").await;
    }
    while let Some(answer) = timeout(BOUND, calls.join_next()).await.unwrap() {
        answer.unwrap().unwrap();
    }
    let more = timeout(Duration::from_millis(300), provider.accept()).await;
    assert!(more.is_err(), "a second connection");
}

#[tokio::test]
async fn an_endpoint_begins_with_as_many_connections_as_it_was_told_to() {
    let provider = Provider::bind().await;
    let builder = client(&provider).connections(2..=5).initial_connections(3);
    let _client: RawClient = builder.build().await.unwrap().get();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(provider.greet().await);
    }
    let more = timeout(Duration::from_millis(300), provider.accept()).await;
    assert!(more.is_err(), "a fourth connection");
}

#[tokio::test]
async fn when_one_connection_breaks_the_others_serve_and_are_asked_whether_they_live() {
    let provider = Provider::bind().await;
    let client: RawClient = client(&provider).connections(2..=2).build().await.unwrap().get();
    let (first, mut second) = (provider.greet().await, provider.greet().await);
    // Both are in use before one breaks.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(first);
    let ping = timeout(BOUND, second.next()).await.unwrap();
    assert_eq!(ping.header.kind, Kind::Ping);
    let mut calls = JoinSet::new();
    call(&mut calls, &client, "a");
    let id = timeout(BOUND, second.expect(Kind::Request)).await.unwrap().id();
    second.reply(id, &"b").await;
    assert_eq!(calls.join_next().await.unwrap().unwrap().as_deref(), Ok("b"));
    let _again = provider.greet().await;
}

#[tokio::test]
async fn a_call_goes_on_through_another_connection_of_its_only_provider() {
    let provider = Provider::bind().await;
    let client: RawClient = client(&provider).connections(2..=2).build().await.unwrap().get();
    let mut peers = [provider.greet().await, provider.greet().await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    let call = tokio::spawn(async move { client.get("a".into()).await });
    let [one, two] = &mut peers;
    let first = tokio::select! {
        _ = one.expect(Kind::Request) => 0,
        _ = two.expect(Kind::Request) => 1,
    };
    let [one, two] = peers;
    let (broken, mut other) = if first == 0 { (one, two) } else { (two, one) };
    drop(broken);
    // Not before it has shown that it lives.
    let ping = timeout(BOUND, other.next()).await.unwrap();
    assert_eq!(ping.header.kind, Kind::Ping);
    let early = timeout(Duration::from_millis(100), other.next()).await;
    assert!(early.is_err(), "{early:?}");
    other.signal(Kind::Pong, ping.id()).await;
    let id = timeout(BOUND, other.expect(Kind::Request)).await.unwrap().id();
    other.reply(id, &"b").await;
    assert_eq!(timeout(BOUND, call).await.unwrap().unwrap().as_deref(), Ok("b"));
}

#[tokio::test]
async fn an_address_that_closes_without_a_word_costs_no_call() {
    let provider = Provider::bind().await;
    let client: RawClient = client(&provider).build().await.unwrap().get();
    let call = tokio::spawn(async move { client.put("b".into()).await });
    for _ in 0..4 {
        let peer = provider.accept().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(peer);
    }
    let mut peer = provider.greet().await;
    let id = timeout(BOUND, peer.expect(Kind::Request)).await.unwrap().id();
    peer.reply(id, &"c").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("c"));
}

#[tokio::test]
async fn wrong_numbers_of_connections_are_refused_with_the_range() {
    let provider = Provider::bind().await;
    let of = |range, initial: Option<u32>| {
        let builder = client(&provider).connections(range);
        match initial {
            Some(count) => builder.initial_connections(count),
            None => builder,
        }
    };
    for (range, initial, says) in [
        (0..=8, None, "`connections_min` is 0: write a number, from 1 to 1024"),
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        (5..=4, None, "`connections_min` is 5 and `connections_max` is 4"),
        (1..=2_000, None, "1024"),
        (2..=4, Some(1), "`initial_connections` is 1; it is within `connections`, 2 to 4"),
    ] {
        let error = of(range, initial).build().await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
