//! Large bodies travel in pieces under credit, in both directions.

use crate::support::*;
use rpc_core::wire::{BASE_LIMITS, Kind, Reason, flag, read_total};

/// The body of a chunked answer, every piece of which is credited at once.
async fn receive(peer: &mut RawPeer, id: u64) -> Vec<u8> {
    let mut body = Vec::new();
    let mut total = None;
    loop {
        let frame = peer.next().await.expect("the server closed");
        let mut payload = frame.payload.as_slice();
        match frame.header.kind {
            Kind::Credit => continue,
            Kind::Reply => {
                assert_eq!(frame.header.flags & flag::CHUNKED, flag::CHUNKED);
                total = Some(read_total(&mut payload).unwrap() as usize);
            }
            Kind::Data => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(frame.header.id, id);
        body.extend_from_slice(payload);
        let length = u32::try_from(payload.len()).unwrap();
        peer.send(credit(0, length)).await;
        if Some(body.len()) == total {
            return body;
        }
        peer.send(credit(id, length)).await;
    }
}

/// Sends a large request under the credit that the server gives; no more than its windows.
async fn send_large(peer: &mut RawPeer, id: u64, method: &str, body: &[u8]) {
    let mut window = peer.server.limits.credit_per_body as usize;
    let mut rest = body;
    let mut first = true;
    while !rest.is_empty() {
        let length = rest.len().min(32 * 1024);
        while window < length {
            let frame = peer.next().await.expect("the server closed");
            assert_eq!(frame.header.kind, Kind::Credit);
            if frame.header.id == id {
                window += frame.credit() as usize;
            }
        }
        window -= length;
        let (piece, later) = rest.split_at(length);
        rest = later;
        if std::mem::take(&mut first) {
            let mut start = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
            start.extend_from_slice(piece);
            peer.send(request_with(id, flag::CHUNKED, head(method), &start)).await;
        } else {
            peer.send(frame(Kind::Data, 0, id, piece)).await;
        }
    }
}

/// The next frame that is no credit.
async fn answer(peer: &mut RawPeer) -> Frame {
    loop {
        let frame = peer.next().await.expect("the server closed");
        if frame.header.kind != Kind::Credit {
            return frame;
        }
    }
}

#[tokio::test]
async fn a_large_answer_waits_for_credit() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect_with(server.local_addr(), BASE_LIMITS_BUT_LARGE).await;
    peer.send(request(1, "bytes", &Count { count: 500_000 })).await;
    // Two pieces of half a window each, then nothing.
    let first = peer.expect(Kind::Reply, 1).await;
    assert_eq!(first.payload.len(), 4 + 32 * 1024);
    assert_eq!(peer.expect(Kind::Data, 1).await.payload.len(), 32 * 1024);
    peer.check_alive().await;
    peer.send(credit(1, 32 * 1024)).await;
    assert_eq!(peer.expect(Kind::Data, 1).await.payload.len(), 32 * 1024);
    // Small calls are not held up.
    peer.call(2, "echo", &Text { text: "" }).await.value::<String>();
    peer.send(signal(Kind::Cancel, 1)).await;
    until("it is given up", || server.stats().in_flight == 0).await;
    peer.check_alive().await;
}

const BASE_LIMITS_BUT_LARGE: rpc_core::wire::Limits =
    rpc_core::wire::Limits { max_message: 4 * 1024 * 1024, ..BASE_LIMITS };

#[tokio::test]
async fn large_bodies_arrive_whole_through_tiny_windows() {
    let state = std::sync::Arc::<State>::default();
    let base = BASE_LIMITS;
    let server =
        lab(&state).credit(base.credit_per_body, base.credit_per_connection).start().await.unwrap();
    let mut peer = RawPeer::connect_with(server.local_addr(), BASE_LIMITS_BUT_LARGE).await;
    for id in 1..10 {
        peer.send(request(id, "bytes", &Count { count: 1_000_000 })).await;
        let body: Vec<u8> = rpc_core::codec::Codec::Named
            .decode::<serde_bytes_free::Bytes>(&receive(&mut peer, id).await)
            .unwrap()
            .0;
        assert_eq!(body.len(), 1_000_000);
        assert!(body.iter().enumerate().all(|(n, byte)| *byte == n.to_le_bytes()[0]));
    }
    for id in 10..20 {
        let body = args(&Data { data: &vec![3; 1_000_000] });
        send_large(&mut peer, id, "length", &body).await;
        assert_eq!(answer(&mut peer).await.value::<u64>(), 1_000_000);
    }
    until("all is given back", || server.stats().held_bytes == 0).await;
}

/// Bytes as they are, without another crate.
mod serde_bytes_free {
    pub struct Bytes(pub Vec<u8>);

    impl<'de> serde::Deserialize<'de> for Bytes {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = Bytes;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                    Ok(Bytes(bytes.to_vec()))
                }
            }
            deserializer.deserialize_bytes(Visitor)
        }
    }
}

#[tokio::test]
async fn more_than_was_granted_ends_the_connection() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let window = peer.server.limits.credit_per_body as usize;
    let mut start = 4_000_000u32.to_le_bytes().to_vec();
    start.extend(vec![0; 50_000]);
    peer.send(request_with(1, flag::CHUNKED, head("length"), &start)).await;
    // The server gives credit by quarters, so ask it to give none: claim two bodies in one.
    let mut over = 10u32.to_le_bytes().to_vec();
    over.extend([0; 11]);
    peer.send(request_with(2, flag::CHUNKED, head("length"), &over)).await;
    assert!(window > 50_000);
    peer.expect_close("longer than was said").await;
    until("nothing is held", || server.stats().held_bytes == 0).await;
    assert_eq!(state.started(), 0);
}

#[tokio::test]
async fn an_answer_beyond_the_clients_limit_is_an_error() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect_with(server.local_addr(), BASE_LIMITS).await;
    for id in 1..60 {
        let (reason, error) = peer.call(id, "bytes", &Count { count: 100_000 }).await.error();
        assert_eq!(reason, Reason::BadAnswer);
        assert_eq!(error.code(), rpc_core::RpcCode::ResourceExhausted);
        assert!(error.message().contains("at most 65536"), "{error}");
    }
    assert_eq!(server.stats().bad_answers, 59);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_by_its_head() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut start = (5 * 1024 * 1024u32).to_le_bytes().to_vec();
    start.extend([0; 1000]);
    peer.send(request_with(1, flag::CHUNKED, head("length"), &start)).await;
    let (reason, error) = peer.expect(Kind::Error, 1).await.error();
    assert_eq!(reason, Reason::TooLarge, "{error}");
    // Pieces that were on their way are dropped, and the connection gets its credit back.
    let mut given = 0;
    for _ in 0..40 {
        peer.send(frame(Kind::Data, 0, 1, &vec![0; 64 * 1024])).await;
    }
    peer.send(signal(Kind::Ping, 5)).await;
    loop {
        let frame = peer.next().await.unwrap();
        if frame.header.kind == Kind::Pong {
            break;
        }
        assert_eq!(frame.header.id, 0);
        given += frame.credit();
    }
    assert!(given >= 1024 * 1024, "{given}");
    assert_eq!((state.started(), server.stats().held_bytes), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_may_be_used_again_once_the_last_piece_is_there() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect_with(server.local_addr(), BASE_LIMITS_BUT_LARGE).await;
    for _ in 0..200 {
        peer.send(request(1, "bytes", &Count { count: 100_000 })).await;
        assert!(receive(&mut peer, 1).await.len() > 100_000);
    }
    assert_eq!(server.stats().served, 200);
}

/// Its poll takes longer than a reader may be held up, and costs its method nothing.
#[tokio::test]
async fn a_heavy_request_has_a_task_of_its_own_and_others_stay_with_the_reader() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let (light, heavy) = (args(&Data { data: &[] }), args(&Data { data: &vec![1; 200_000] }));
    let mut ids = 1..;
    let mut small = async |peer: &mut RawPeer| {
        peer.send(request_with(ids.next().unwrap(), 0, head("task"), &light)).await;
        answer(peer).await.value::<String>()
    };
    // What polls short may take long on a machine that does other things: then once more.
    for round in 1_000_000..1_001_000 {
        for _ in 0..16 {
            small(&mut peer).await;
        }
        let reader = small(&mut peer).await;
        if small(&mut peer).await != reader {
            continue;
        }
        send_large(&mut peer, round, "task", &heavy).await;
        assert_ne!(answer(&mut peer).await.value::<String>(), reader);
        if small(&mut peer).await == reader {
            return;
        }
    }
    panic!("a heavy request costs its method the short way");
}
