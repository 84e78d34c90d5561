//! Providers that say nothing.

use crate::script::{BOUND, Peer, Provider, Raw, RawClient, all_serve};
use rpc_client::{Balance, Client, EndpointState};
use rpc_core::{CallOptions, Outcome, RpcCode, wire::Kind};
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

#[tokio::test]
async fn a_provider_that_lets_the_time_of_a_short_call_pass_is_asked_at_once() {
    let provider = Provider::bind().await;
    let client = provider.client().await;
    let proxy: RawClient = client.get();
    let mut mute = provider.greet().await;
    sleep(Duration::from_millis(200)).await;
    let short = proxy.with_options(CallOptions::new().timeout(Duration::from_millis(100)));
    let error = short.put("x".into()).await.unwrap_err();
    assert_eq!(error.code(), RpcCode::DeadlineExceeded, "{error}");
    // Well before an idle connection would be asked.
    let asked = async { while mute.next().await.header.kind != Kind::Ping {} };
    timeout(Duration::from_secs(5), asked).await.expect("it was not asked");
    let began = Instant::now();
    let state = || client.explain("test.Raw").known.unwrap().endpoints[0].state;
    while state() != EndpointState::Silent {
        assert!(began.elapsed() < BOUND, "{}", client.explain("test.Raw"));
        sleep(Duration::from_millis(20)).await;
    }
}

/// Answers every request.
async fn serve(mut peer: Peer) {
    while let Some(frame) = peer.frame_or_end().await {
        if frame.header.kind == Kind::Request {
            peer.reply(frame.id(), &"done").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_left_for_a_silent_provider_is_made_elsewhere() {
    let (deaf, good) = (Provider::bind().await, Provider::bind().await);
    let url = format!("static://{},{}", deaf.addr, good.addr);
    let client = Client::builder().registry(url).balance(Balance::RoundRobin);
    let client = client.build().await.unwrap();
    let proxy: RawClient = client.get();
    // It does not read what it is sent: what the sockets do not hold stays in the client.
    let _deaf = deaf.greet().await;
    tokio::spawn(serve(good.greet().await));
    all_serve(&client).await;
    let proxy = proxy.with_options(CallOptions::new().timeout(Duration::from_secs(8)).retries(0));
    let mut calls = JoinSet::new();
    for n in 0..3_000 {
        let proxy = proxy.clone();
        calls.spawn(async move {
            let text = format!("{n:012000}");
            // Some of them may run twice, and all are tried once.
            if n % 3 == 0 { proxy.get(text).await } else { proxy.put(text).await }
        });
    }
    let (mut done, mut unknown) = (0, 0);
    while let Some(call) = calls.join_next().await {
        match call.unwrap() {
            Ok(_) => done += 1,
            Err(error) if error.outcome() == Outcome::Unknown => unknown += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(done > 1_600 && unknown > 10, "{done} and {unknown}");
    assert!(client.stats().moves > 100, "{:?}", client.stats());
}
