//! What replies say about their providers, and what calls without a reply do.

use crate::script::{BOUND, Peer, Provider, Raw, RawClient};
use rpc_client::{Balance, Client};
use rpc_core::{
    CallOptions, RpcError,
    codec::Codec,
    wire::{Header, Kind, Reason, flag, put_frame},
};
use std::time::Duration;
use tokio::time::timeout;

/// What a scripted provider does with a call.
#[derive(Clone, Copy)]
enum Answer {
    /// Its name, and this load.
    Load(u8),
    Overloaded,
    /// An application error, and that the instance is to blame for it.
    AtFault,
    Nothing,
}

/// Two providers, "a" that does as told and "b" that is idle, and a client that reaches both.
async fn two(of_a: Answer) -> RawClient {
    let (a, b) = (Provider::bind().await, Provider::bind().await);
    let client = Client::connect(format!("static://{},{}", a.addr, b.addr)).await.unwrap();
    let raw: RawClient = client.get();
    // Not served yet: it brings the client to dial.
    let first = tokio::spawn({
        let raw = raw.clone();
        async move { raw.get("first".into()).await }
    });
    let (peer_a, peer_b) = (a.greet().await, b.greet().await);
    tokio::spawn(serve(peer_a, "a", of_a));
    tokio::spawn(serve(peer_b, "b", Answer::Load(0)));
    let _ = timeout(Duration::from_millis(200), first).await;
    raw
}

async fn serve(mut peer: Peer, name: &str, answer: Answer) {
    while let Some(frame) = peer.frame_or_end().await {
        if frame.header.kind != Kind::Request {
            continue;
        }
        match answer {
            Answer::Load(load) => {
                let aux = u16::from_le_bytes([Codec::Named.to_wire(), load]);
                let mut out = Vec::new();
                put_frame(
                    &mut out,
                    Header { kind: Kind::Reply, flags: 0, aux, id: frame.id() },
                    |o| {
                        Codec::Named.encode(&name, o).unwrap();
                    },
                );
                peer.send(&out).await;
            }
            Answer::Overloaded => peer.refuse(frame.id(), Reason::Overloaded).await,
            Answer::AtFault => {
                let mut out = Vec::new();
                let id = frame.id();
                let header = Header { kind: Kind::AppError, flags: flag::FAULT, aux: 0, id };
                put_frame(&mut out, header, |out| {
                    let error = RpcError::not_found("the disk is full");
                    Codec::Named.encode(&error, out).unwrap();
                });
                peer.send(&out).await;
            }
            Answer::Nothing => {}
        }
    }
}

/// Brings a call to each provider, of which both answer.
async fn meet_both(raw: &RawClient) {
    let turns = raw.with_options(CallOptions::new().balance(Balance::RoundRobin).retries(0));
    for _ in 0..4 {
        let _ = timeout(BOUND, turns.put("x".into())).await.unwrap();
    }
}

/// How many of 20 calls "b" serves, which are given up after some time.
async fn served_by_b(raw: &RawClient, balance: Balance, patience: Duration) -> usize {
    let proxy = raw.with_options(CallOptions::new().balance(balance).retries(0));
    let mut count = 0;
    for _ in 0..20 {
        let answer = timeout(patience, proxy.put("x".into())).await;
        count += usize::from(matches!(answer.as_ref().map(Result::as_deref), Ok(Ok("b"))));
    }
    count
}

#[tokio::test]
async fn a_provider_that_reports_load_gets_less() {
    let raw = two(Answer::Load(200)).await;
    meet_both(&raw).await;
    assert_eq!(served_by_b(&raw, Balance::LeastActive, BOUND).await, 20);
    assert_eq!(served_by_b(&raw, Balance::RoundRobin, BOUND).await, 10, "which heeds no load");
}

#[tokio::test]
async fn a_provider_that_refuses_for_overload_is_left_alone_for_a_while() {
    let raw = two(Answer::Overloaded).await;
    meet_both(&raw).await;
    for balance in [Balance::LeastActive, Balance::PeakEwma] {
        let served = served_by_b(&raw, balance, BOUND).await;
        // The one that nothing is known of is tried when its load is forgotten.
        assert!(served >= 18, "{balance}: {served}");
    }
}

#[tokio::test]
async fn a_provider_that_blames_itself_is_not_preferred_for_being_quick() {
    let raw = two(Answer::AtFault).await;
    // Two faults: too few to eject it.
    meet_both(&raw).await;
    assert_eq!(served_by_b(&raw, Balance::PeakEwma, BOUND).await, 20);
}

#[tokio::test]
async fn callers_that_give_up_are_a_lesson_too() {
    let raw = two(Answer::Nothing).await;
    let served = served_by_b(&raw, Balance::PeakEwma, Duration::from_millis(300)).await;
    assert!(served >= 17, "{served}");
}
