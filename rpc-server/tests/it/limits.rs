//! Everything that a client can make a server hold is bounded.

use crate::support::*;
use rpc_core::{
    MetadataEntry, RpcCode, defaults,
    wire::{Kind, Limits, Reason, flag, put_metadata},
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
    let state = Arc::<State>::default();
    // What calls with a task of their own may hold is not what this is about: most is thrown away.
    let server = lab(&state).max_held_per_connection(1 << 20).start().await.unwrap();
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
    let thrown_away = usize::try_from(server.stats().bad_answers).unwrap();
    let answered = (before - thrown_away) * text.len() / 10;
    let kernel = 16 * 1024 * 1024;
    assert!(answered < defaults::MAX_UNSENT + kernel, "{answered} bytes for each were answered");
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

/// Entries without a text are 4 bytes on the wire, and 14 times as much in memory.
#[tokio::test]
async fn metadata_is_held_for_as_much_as_it_takes_up() {
    let state = Arc::<State>::default();
    let server = lab(&state).max_held_per_connection(1_000_000).start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let entry = MetadataEntry { key: String::new(), value: String::new(), propagates: false };
    let entries = vec![entry; 4_000];
    let mut rest = Vec::new();
    put_metadata(&mut rest, entries.iter()).unwrap();
    let text = args(&Text { text: "" });
    rest.extend_from_slice(&text);
    let each = entries.len() * size_of::<MetadataEntry>() + text.len();
    for id in 1..=50 {
        peer.send(request_with(id, flag::METADATA, head("wait"), &rest)).await;
    }
    let most = 1_000_000 / each;
    for _ in most..50 {
        let (reason, error) = peer.next().await.unwrap().error();
        assert_eq!(reason, Reason::Overloaded);
        assert!(error.message().contains("bytes held for one connection"), "{error}");
    }
    until("the others run", || state.started() == most).await;
    assert_eq!(server.stats().held_bytes, most * each);
    state.gate.add_permits(most);
    until("nothing is held", || server.stats().held_bytes == 0).await;
}

/// All of them are in one read, which the client's other calls made a large one.
#[tokio::test]
async fn answers_to_one_read_are_bounded_for_a_client_that_reads_none() {
    let state = Arc::<State>::default();
    // What calls with a task of their own may hold is not what this is about: most is thrown away.
    let server = lab(&state).max_held_per_connection(1 << 20).start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let arguments = args(&Count { count: 8_000 });
    let calls = |ids: std::ops::Range<u64>| {
        ids.flat_map(|id| request_with(id, 0, head("bytes"), &arguments)).collect::<Vec<_>>()
    };
    // Until they are polled by the reader, and its buffer is as large as it can be.
    for round in 0..50 {
        peer.send(calls(1 + round..2 + round)).await;
        peer.next().await.unwrap();
    }
    let pings: Vec<_> = (0..16_000).flat_map(|n| signal(Kind::Ping, n)).collect();
    for _ in 0..6 {
        peer.send(&pings).await;
        for n in 0..16_000 {
            peer.expect(Kind::Pong, n).await;
        }
    }
    let (before, calls) = (state.started(), calls(1_000..11_000));
    peer.send(&calls).await;
    let mut ran = usize::MAX;
    while state.started() != ran {
        ran = state.started();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    let kernel = 16 * 1024 * 1024;
    let thrown_away = usize::try_from(server.stats().bad_answers).unwrap();
    let answered = (ran - before - thrown_away) * 8_000;
    assert!(answered < defaults::MAX_UNSENT + kernel, "{answered} bytes of {}", 10_000 * 8_000);
    for _ in 0..10_000 {
        peer.next().await.unwrap();
    }
    peer.check_alive().await;
}
