//! Everything that a client can make a server hold is bounded.

use crate::support::*;
use rpc_core::{
    RpcCode, defaults,
    wire::{Kind, Limits, Reason, flag},
};
use std::sync::Arc;

#[tokio::test]
async fn calls_beyond_the_limit_of_a_connection_are_refused_at_once() {
    let state = Arc::<State>::default();
    let server = lab(&state).max_in_flight_per_connection(3).start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for id in 1..=3 {
        peer.send(request(id, "wait", &Text { text: "" })).await;
    }
    let (reason, error) = peer.call(4, "echo", &Text { text: "" }).await.error();
    assert_eq!((reason, error.code()), (Reason::Overloaded, RpcCode::ResourceExhausted));
    assert!(error.message().contains("3 calls on one connection"), "{error}");
    // Another connection has limits of its own.
    let mut other = RawPeer::connect(server.local_addr()).await;
    other.call(1, "echo", &Text { text: "" }).await.value::<String>();
    state.gate.add_permits(1);
    peer.next().await.unwrap().value::<String>();
    until("its permit is back", || server.stats().in_flight == 2).await;
    peer.call(5, "echo", &Text { text: "" }).await.value::<String>();
}

#[tokio::test]
async fn calls_beyond_the_limit_of_the_process_are_refused_and_load_is_told() {
    let state = Arc::<State>::default();
    let server = lab(&state).max_in_flight(4).start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut other = RawPeer::connect(server.local_addr()).await;
    for id in 1..=2 {
        peer.send(request(id, "wait", &Text { text: "" })).await;
        other.send(request(id, "wait", &Text { text: "" })).await;
    }
    until("they run", || server.stats().in_flight == 4).await;
    let refused = other.call(9, "echo", &Text { text: "" }).await;
    assert_eq!(refused.error().0, Reason::Overloaded);
    assert_eq!(refused.header.aux.to_le_bytes()[1], 255, "the load byte");
}

#[tokio::test]
async fn bytes_beyond_the_limit_are_refused_by_the_head_of_their_request() {
    let state = Arc::<State>::default();
    let server = lab(&state).max_held_per_connection(1_000_000).start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut rest = 600_000u32.to_le_bytes().to_vec();
    rest.extend([0; 100]);
    peer.send(request_with(1, flag::CHUNKED, head("length"), &rest)).await;
    peer.send(request_with(2, flag::CHUNKED, head("length"), &rest)).await;
    let (reason, error) = peer.expect(Kind::Error, 2).await.error();
    assert_eq!(reason, Reason::Overloaded);
    assert!(error.message().contains("1000000 bytes held for one connection"), "{error}");
    peer.call(3, "echo", &Text { text: "" }).await.value::<String>();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_their_answers_are_not_read_from() {
    let (server, state) = start_lab().await;
    let text = "x".repeat(10_000);
    let mut writers = Vec::new();
    for _ in 0..10 {
        let mut peer = RawPeer::connect(server.local_addr()).await;
        let bytes = request(1, "echo", &Text { text: &text });
        let call = u64::to_le_bytes;
        let bytes_at = bytes.clone();
        writers.push(tokio::spawn(async move {
            // 200 MB of answers, were they all asked for.
            for id in 1..20_000u64 {
                let mut bytes = bytes_at.clone();
                bytes[8..16].copy_from_slice(&call(id));
                peer.send(bytes).await;
            }
        }));
    }
    // They come to rest with what waits for each at its limit: nobody gets on any more.
    let mut before = usize::MAX;
    while state.started() != before {
        before = state.started();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert!(writers.iter().all(|writer| !writer.is_finished()));
    let answered = before * text.len() / 10;
    let kernel = 16 * 1024 * 1024;
    let limit = defaults::MAX_UNSENT + defaults::MAX_HELD_PER_CONNECTION + kernel;
    assert!(answered < limit, "{answered} bytes for each were answered");
    // Others are not hurt.
    let mut other = RawPeer::connect(server.local_addr()).await;
    other.call(1, "echo", &Text { text: "" }).await.value::<String>();
    writers.iter().for_each(tokio::task::JoinHandle::abort);
    until("they are gone", || server.stats().connections == 1).await;
    until("nothing is held", || server.stats().held_bytes == 0).await;
}

#[tokio::test]
async fn large_answers_that_are_not_credited_are_bounded() {
    let state = Arc::<State>::default();
    let server = lab(&state).max_held_per_connection(5_000_000).start().await.unwrap();
    let limits = Limits { credit_per_body: 64 * 1024, ..Limits::default() };
    let mut peer = RawPeer::connect_with(server.local_addr(), limits).await;
    for id in 1..=20 {
        peer.send(request(id, "bytes", &Count { count: 1_000_000 })).await;
    }
    let mut refused = 0;
    until("all have run", || state.ended() == 20).await;
    peer.send(signal(Kind::Ping, 5)).await;
    loop {
        let frame = peer.next().await.unwrap();
        match frame.header.kind {
            Kind::Pong => break,
            Kind::Error => {
                let (reason, error) = frame.error();
                assert_eq!(reason, Reason::BadAnswer);
                assert!(error.message().contains("thrown away"), "{error}");
                refused += 1;
            }
            _ => {}
        }
    }
    assert!(refused >= 15, "{refused}");
    assert!(server.stats().held_bytes <= 5_000_000);
}
