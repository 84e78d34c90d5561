//! The time for a call: passed on arrival, or while the handler runs.

use crate::support::*;
use rpc_core::{
    RpcCode,
    wire::{Kind, Reason, RequestHead, read_error},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

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
async fn a_call_whose_time_passes_behind_another_is_not_started() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let begun = Instant::now();
    let mut ids = 1..;
    let mut call = |method: &str, millis: u64, remaining_ms: u32| {
        let sent_ms = u32::try_from(begun.elapsed().as_millis()).unwrap();
        let head = RequestHead { sent_ms, remaining_ms, ..head(method) };
        let text = args(&Text { text: "" });
        let body = if method == "block" { args(&Millis { millis }) } else { text };
        request_with(ids.next().unwrap(), 0, head, &body)
    };
    // Whether both are polled by the reader depends on how they behaved before: then once more.
    for _ in 0..1_000 {
        for _ in 0..16 {
            peer.send([call("block", 0, 10_000), call("echo", 0, 10_000)].concat()).await;
            peer.next().await.unwrap();
            peer.next().await.unwrap();
        }
        let before = state.started();
        peer.send([call("block", 100, 10_000), call("echo", 0, 50)].concat()).await;
        let [first, second] = [peer.next().await.unwrap(), peer.next().await.unwrap()];
        if first.header.id > second.header.id {
            continue; // It did not come behind the other.
        }
        let (reason, error) = second.error();
        assert_eq!((reason, state.started()), (Reason::TimePassed, before), "{error}");
        if error.message().contains("behind others") {
            return;
        }
    }
    panic!("the reader never polled both");
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

#[tokio::test]
async fn a_connection_that_is_never_silent_forgets_it_just_as_well() {
    use rpc_core::wire::{flag, next_frame};
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut short = head("length");
    short.remaining_ms = 500;
    let mut rest = 1_000_000u32.to_le_bytes().to_vec();
    rest.extend([0; 1000]);
    peer.send(request_with(1, flag::CHUNKED, short, &rest)).await;
    let (mut read, mut write) = peer.stream.into_split();
    let pings: Vec<u8> = (0..2_000).flat_map(|n| signal(Kind::Ping, n)).collect();
    let busy = tokio::spawn(async move {
        loop {
            write.write_all(&pings).await.unwrap();
        }
    });
    let mut bytes = Vec::new();
    let reason = timeout(BOUND, async {
        loop {
            assert_ne!(read.read_buf(&mut bytes).await.unwrap(), 0);
            while let Some((header, payload, length)) = next_frame(&bytes).unwrap() {
                if header.kind == Kind::Error {
                    return read_error(payload).0;
                }
                bytes.drain(..length);
            }
        }
    });
    assert_eq!(reason.await.unwrap(), Reason::TimePassed);
    assert_eq!(server.stats().held_bytes, 0);
    busy.abort();
}
