//! The time for a call: passed on arrival, or while the handler runs.

use crate::support::*;
use rpc_core::{
    RpcCode,
    wire::{Kind, Reason},
};
use std::time::Duration;

#[tokio::test]
async fn a_call_whose_time_has_passed_is_not_started() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut late = head("echo");
    late.remaining_ms = 0;
    for id in 1..60 {
        peer.send(request_with(id, 0, late, &args(&Text { text: "" }))).await;
        let (reason, error) = peer.expect(Kind::Error, id).await.error();
        assert_eq!((reason, error.code()), (Reason::TimePassed, RpcCode::DeadlineExceeded));
    }
    assert_eq!((state.started(), server.stats().refused.time_passed), (0, 59));
}

#[tokio::test]
async fn time_lost_on_the_way_is_taken_off() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    // The first request sets the measure: the sender's clock stands at 60 s.
    let mut sent = head("echo");
    (sent.sent_ms, sent.remaining_ms) = (60_000, 3_000);
    peer.send(request_with(1, 0, sent, &args(&Text { text: "" }))).await;
    peer.expect(Kind::Reply, 1).await;
    // The next says that it was sent five seconds before that one, so it was on its way for five.
    sent.sent_ms = 55_000;
    peer.send(request_with(2, 0, sent, &args(&Text { text: "" }))).await;
    let (reason, error) = peer.expect(Kind::Error, 2).await.error();
    assert_eq!(reason, Reason::TimePassed);
    assert!(error.message().contains("spent 5"), "{error}");
    assert_eq!(state.started(), 1);
}

#[tokio::test]
async fn a_handler_is_dropped_when_its_time_passes() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for id in 1..40 {
        // Some in tasks, some polled by the reader first.
        let mut short = head("wait");
        short.remaining_ms = 5;
        peer.send(request_with(id, 0, short, &args(&Text { text: "" }))).await;
        let (reason, error) = peer.expect(Kind::Error, id).await.error();
        if reason == Reason::TimePassed {
            continue; // The machine is busy: it passed before the first poll.
        }
        assert_eq!((reason, error.code()), (Reason::DeadlinePassed, RpcCode::DeadlineExceeded));
        assert!(error.message().contains("test.Lab.wait"), "{error}");
    }
    until("all are dropped", || state.ended() == state.started()).await;
    assert_eq!(server.stats().in_flight, 0);
}

#[tokio::test]
async fn half_a_large_body_is_forgotten_when_its_time_passes() {
    use rpc_core::wire::flag;
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut short = head("length");
    short.remaining_ms = 2_000;
    let mut rest = 1_000_000u32.to_le_bytes().to_vec();
    rest.extend([0; 1000]);
    peer.send(request_with(1, flag::CHUNKED, short, &rest)).await;
    until("it is held", || server.stats().held_bytes == 1_000_000).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (reason, _) = peer.expect(Kind::Error, 1).await.error();
    assert_eq!(reason, Reason::TimePassed);
    assert_eq!((state.started(), server.stats().held_bytes), (0, 0));
}
