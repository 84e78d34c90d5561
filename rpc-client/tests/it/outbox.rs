//! What happens to the bytes of one call when another's future stands still.

use crate::script::{BOUND, Provider, Raw, RawClient};
use rpc_core::{CallOptions, Outcome, wire::Kind};
use std::{collections::BTreeSet, pin::pin, task::Context, time::Duration};
use tokio::{task::JoinSet, time::timeout};

#[tokio::test]
async fn a_call_that_is_put_aside_while_it_leads_holds_up_no_other() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.put("first".into()).await }
    });
    let mut peer = provider.greet().await;
    peer.expect(Kind::Request).await;
    // Beside a call that waits, the second lets others go first, and is not polled again.
    let mut aside = pin!(client.put("aside".into()));
    let waker = std::task::Waker::noop();
    assert!(aside.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    let third = tokio::spawn({
        let client = client.clone();
        async move { client.put("third".into()).await }
    });
    let aside_id = peer.expect(Kind::Request).await.id();
    let third_id = peer.expect(Kind::Request).await.id();
    peer.reply(third_id, &"three").await;
    let third = timeout(BOUND, third).await.expect("held up").unwrap();
    assert_eq!(third.as_deref(), Ok("three"));
    peer.reply(aside_id, &"two").await;
    assert_eq!(aside.await.as_deref(), Ok("two"));
    first.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_as_not_sent_in_time_never_arrives() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let short = client.with_options(CallOptions::new().timeout(Duration::from_millis(300)));
    // So that their time is for sending alone.
    let mut peer = provider.greet().await;
    let mut calls = JoinSet::new();
    for n in 0..2_000 {
        let short = short.clone();
        calls.spawn(async move { (n, short.put(format!("{n:012000}")).await) });
    }
    let (mut not_sent, mut unknown) = (BTreeSet::new(), 0);
    while let Some(call) = calls.join_next().await {
        let (n, result) = call.unwrap();
        match result.unwrap_err().outcome() {
            Outcome::NotSent => not_sent.insert(n),
            Outcome::Unknown => {
                unknown += 1;
                continue;
            }
            other => panic!("{other}"),
        };
    }
    assert!(not_sent.len() > 100 && unknown > 10, "{} and {unknown}", not_sent.len());
    // Now the provider reads, what it did not in time.
    let last = tokio::spawn(async move { client.put("last".into()).await });
    let mut arrived = 0;
    loop {
        let frame = peer.frame().await;
        if frame.header.kind != Kind::Request {
            continue;
        }
        let text = frame.text();
        if text == "last" {
            break;
        }
        assert!(!not_sent.contains(&text.parse::<usize>().unwrap()), "it had not been sent");
        arrived += 1;
    }
    assert!(arrived > 10);
    last.abort();
}

#[tokio::test]
async fn who_goes_away_unheard_of_silence_still_cancels() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let mut call = Box::pin(client.get("a".into()));
    let mut peer = tokio::select! {
        _ = &mut call => panic!("nobody has answered"),
        peer = provider.greet() => peer,
    };
    let waker = std::task::Waker::noop();
    while call.as_mut().poll(&mut Context::from_waker(waker)).is_pending() {
        if let Ok(frame) = timeout(Duration::from_millis(20), peer.next()).await {
            assert_eq!(frame.header.kind, Kind::Request);
            break;
        }
    }
    // Told of the silence, the call is not polled any more.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    drop(call);
    let cancel = async { while peer.next().await.header.kind != Kind::Cancel {} };
    timeout(BOUND, cancel).await.expect("the provider works on for nobody");
}
