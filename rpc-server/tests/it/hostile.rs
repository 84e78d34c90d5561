//! Bytes that no honest client sends: refused with a reason, and nobody else is hurt.

use crate::support::*;
use rpc_core::wire::{Kind, Reason, flag};
use std::time::Duration;
use tokio::{
    io::AsyncWriteExt,
    time::{advance, pause, resume, sleep},
};

#[tokio::test]
async fn a_length_out_of_range_is_refused_before_anything_is_allocated() {
    let (server, _) = start_lab().await;
    for length in [u32::MAX, 128 * 1024 + 1, 11, 0] {
        let mut peer = RawPeer::connect(server.local_addr()).await;
        peer.send(length.to_le_bytes()).await;
        peer.expect_close("a frame's length is out of range").await;
    }
    RawPeer::connect(server.local_addr()).await.check_alive().await;
}

#[tokio::test]
async fn what_is_in_order_before_the_mistake_is_answered() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut bytes = signal(Kind::Ping, 5);
    bytes.extend([0xff; 4]);
    peer.send(bytes).await;
    peer.expect(Kind::Pong, 5).await;
    peer.expect_close("out of range").await;
}

#[tokio::test]
async fn kinds_that_are_not_known_are_skipped_or_refused_as_their_number_says() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    peer.send(frame(Kind::Skipped, 0x3f, 9, b"from a later version")).await;
    peer.check_alive().await;
    let mut unknown = signal(Kind::Ping, 1);
    unknown[4] = 0x7f;
    peer.send(unknown).await;
    peer.expect_close("unknown kind").await;
}

#[tokio::test]
async fn a_large_request_in_one_frame_ends_the_connection() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let around = args(&Data { data: &vec![0; 32_000] }).len() - 32_000;
    let most = vec![0; 32 * 1024 - around];
    assert_eq!(
        peer.call(1, "length", &Data { data: &most }).await.value::<u64>(),
        most.len() as u64
    );
    peer.send(request(2, "length", &Data { data: &[&most[..], &[0]].concat() })).await;
    peer.expect_close("does not come in pieces").await;
    assert_eq!(state.started(), 1);
}

#[tokio::test]
async fn a_large_request_that_is_not_understood_keeps_no_credit() {
    let (server, _) = start_lab().await;
    for broken in [|frame: &mut Vec<u8>| frame[5] |= 0x10, |frame: &mut Vec<u8>| frame[6] = 200] {
        let mut peer = RawPeer::connect(server.local_addr()).await;
        let window = u64::from(peer.server.limits.credit_per_connection);
        let piece = vec![0; 50_000];
        let (mut sent, mut granted) = (0, 0);
        for id in 1..200 {
            let start = [&100_000u32.to_le_bytes()[..], &piece].concat();
            let mut frame = request_with(id, flag::CHUNKED, head("length"), &start);
            broken(&mut frame);
            peer.send(frame).await;
            sent += piece.len() as u64;
            loop {
                let frame = peer.next().await.expect("the server closed");
                if frame.header.kind == Kind::Error {
                    assert_eq!((frame.header.id, frame.error().0), (id, Reason::Unsupported));
                    break;
                }
                assert_eq!(frame.header.id, 0);
                granted += u64::from(frame.credit());
            }
        }
        peer.check_alive().await;
        assert!(sent > 2 * window && sent - granted < window / 4, "{granted} of {sent}");
    }
}

#[tokio::test]
async fn flags_that_are_not_known_refuse_a_call_or_are_ignored() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let body = args(&Text { text: "x" });
    for (id, flags) in [(1, 0x10), (2, 0x20), (3, 0x30 | flag::CHUNKED)] {
        peer.send(request_with(id, flags, head("echo"), &body)).await;
        let (reason, error) = peer.expect(Kind::Error, id).await.error();
        assert_eq!(reason, Reason::Unsupported);
        assert!(error.message().contains("flags"), "{error}");
    }
    peer.send(request_with(4, 0xc0 | flag::RETRY, head("echo"), &body)).await;
    peer.expect(Kind::Reply, 4).await;
    let mut other_codec = request_with(5, 0, head("echo"), &body);
    other_codec[6] = 200;
    peer.send(other_codec).await;
    let (reason, error) = peer.expect(Kind::Error, 5).await.error();
    assert_eq!(reason, Reason::Unsupported);
    assert!(error.message().contains("codec 200"), "{error}");
    peer.send(frame(Kind::Ping, 0x20, 1, &[])).await;
    peer.expect_close("flags that must be understood").await;
}

#[tokio::test]
async fn a_call_id_that_is_in_use_ends_the_connection() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    peer.send(request(9, "wait", &Text { text: "" })).await;
    until("it runs", || state.started() == 1).await;
    peer.send(request(9, "echo", &Text { text: "" })).await;
    peer.expect_close("id of a call that is running").await;
    until("its handler is dropped", || state.ended() == 1).await;
    // An id may be used again once its call is answered.
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for _ in 0..100 {
        peer.call(9, "echo", &Text { text: "" }).await.value::<String>();
    }
}

#[tokio::test]
async fn frames_against_the_rules_end_the_connection_with_a_reason() {
    let (server, _) = start_lab().await;
    let mut metadata = 3u16.to_le_bytes().to_vec();
    metadata.extend([0, 200, 0]);
    let cases = [
        (request(0, "echo", &Text { text: "" }), "call id 0"),
        (frame(Kind::Request, 0, 1, &[1, 2, 3]), "head is too short"),
        (request_with(1, flag::METADATA, head("echo"), &metadata), "broken metadata"),
        (request_with(1, flag::CHUNKED, head("echo"), &[1, 2]), "too short"),
        (frame(Kind::Reply, 0, 1, &[]), "only servers send"),
        (frame(Kind::Leaving, 0, 0, &[]), "only servers send"),
        (frame(Kind::Credit, 0, 0, &[1]), "too short"),
        (credit(0, 1), "more credit than was used"),
        ([signal(Kind::Left, 0), request(1, "echo", &Text { text: "" })].concat(), "had left"),
    ];
    for (bytes, words) in cases {
        let mut peer = RawPeer::connect(server.local_addr()).await;
        peer.send(bytes).await;
        peer.expect_close(words).await;
    }
    RawPeer::connect(server.local_addr()).await.check_alive().await;
}

#[tokio::test]
async fn a_frame_that_is_cut_off_by_the_end_is_forgotten() {
    let (server, state) = start_lab().await;
    let bytes = request(1, "echo", &Text { text: "never whole" });
    for length in [1, 4, 15, bytes.len() - 1] {
        let mut peer = RawPeer::connect(server.local_addr()).await;
        peer.send(&bytes[..length]).await;
        peer.stream.shutdown().await.unwrap();
        assert_eq!(peer.next().await, None);
    }
    assert_eq!(state.started(), 0);
    until("the connections have ended", || server.stats().connections == 0).await;
}

#[tokio::test]
async fn a_frame_that_does_not_get_on_is_cut_off() {
    let (server, _) = start_lab().await;
    let mut silent = RawPeer::connect(server.local_addr()).await;
    let mut dripping = RawPeer::connect(server.local_addr()).await;
    let mut idle = RawPeer::connect(server.local_addr()).await;
    let bytes = request(1, "echo", &Text { text: "a byte a second is too slow for this" });
    silent.send(&bytes[..10]).await;
    dripping.send(&bytes[..1]).await;
    idle.check_alive().await;
    pause();
    let drip = async {
        for byte in &bytes[1..] {
            sleep(Duration::from_secs(1)).await;
            if dripping.stream.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    let watch = async {
        silent.expect_close("a frame was not complete after 10s").await;
    };
    tokio::join!(drip, watch);
    dripping.expect_close("a frame was not complete after 10s").await;
    // Silence between frames is nobody's fault.
    sleep(Duration::from_mins(1)).await;
    idle.check_alive().await;
}

/// A client whose network is slow reads its answers late and sends the rest of a frame then.
#[tokio::test]
async fn a_frame_that_the_server_does_not_read_on_is_not_late() {
    const CALLS: usize = 1_500;
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let (text, mut patient) = ("x".repeat(16_000), head("wait"));
    patient.remaining_ms = 60_000;
    for id in 1..=CALLS as u64 {
        peer.send(request_with(id, 0, patient, &args(&Text { text: &text }))).await;
    }
    until("they wait", || state.started() == CALLS).await;
    let slow = request_with(9_999, 0, patient, &args(&Text { text: "slow" }));
    let (begin, rest) = slow.split_at(20);
    peer.send(begin).await;
    state.gate.add_permits(CALLS + 1);
    until("more is unsent than may be", || state.ended() == CALLS).await;
    let (next, rest) = rest.split_at(1);
    peer.send(next).await;
    // It rests now, for longer than a frame may take.
    sleep(Duration::from_millis(100)).await;
    pause();
    advance(Duration::from_secs(11)).await;
    resume();
    for _ in 0..CALLS {
        assert_eq!(peer.next().await.unwrap().header.kind, Kind::Reply);
    }
    // Until it has looked for what is slow.
    sleep(Duration::from_millis(700)).await;
    peer.send(rest).await;
    assert_eq!(peer.expect(Kind::Reply, 9_999).await.value::<String>(), "slow");
}

#[tokio::test]
async fn lengths_that_are_only_declared_keep_nobody_out_for_long() {
    let (server, state) = start_lab().await;
    let mut idle = RawPeer::connect(server.local_addr()).await;
    let mut slow = RawPeer::connect(server.local_addr()).await;
    let large = |id| {
        let mut patient = head("length");
        patient.remaining_ms = u32::MAX;
        request_with(id, flag::CHUNKED, patient, &1_000_000u32.to_le_bytes())
    };
    for id in 1..=2 {
        idle.send(large(id)).await;
        slow.send(large(id)).await;
    }
    until("they are held", || server.stats().held_bytes == 4_000_000).await;
    pause();
    // One piece or another of a slow client is always on its way.
    let slow = async {
        for n in 0..20 {
            sleep(Duration::from_secs(3)).await;
            slow.send(frame(Kind::Data, 0, 1 + n % 2, &[0; 10])).await;
            slow.check_alive().await;
        }
        slow
    };
    let idle = async {
        for _ in 1..=2 {
            let (reason, error) = idle.next().await.unwrap().error();
            assert_eq!(reason, Reason::Overloaded);
            assert!(error.message().contains("came for 10s"), "{error}");
        }
        idle
    };
    let (_slow, mut idle) = tokio::join!(slow, idle);
    assert_eq!((state.started(), server.stats().held_bytes), (0, 2_000_000));
    // What comes too late is thrown away, and nothing else of the connection is hurt.
    idle.send(frame(Kind::Data, 0, 1, &[0; 1000])).await;
    idle.check_alive().await;
}
