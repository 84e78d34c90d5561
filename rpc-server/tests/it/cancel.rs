//! Calls that nobody waits for any more: their handlers are dropped, or never run.

use crate::support::*;
use rpc_core::wire::Kind;

#[tokio::test]
async fn a_cancel_drops_the_handler_and_nothing_is_answered() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    peer.send(request(1, "wait", &Text { text: "" })).await;
    until("it runs", || state.started() == 1).await;
    peer.send(signal(Kind::Cancel, 1)).await;
    until("it is dropped", || state.ended() == 1).await;
    // The gate would let it answer now.
    state.gate.add_permits(1);
    peer.check_alive().await;
    assert_eq!(server.stats().cancelled, 1);
    until("its permit is back", || server.stats().in_flight == 0).await;
}

#[tokio::test]
async fn a_call_and_its_cancel_in_one_write_never_run() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for round in 0..100 {
        let before = state.started();
        let (a, b) = (round * 2 + 1, round * 2 + 2);
        let bytes = [
            request(a, "echo", &Text { text: "cancelled" }),
            request(b, "echo", &Text { text: "wanted" }),
            signal(Kind::Cancel, a),
        ];
        peer.send(bytes.concat()).await;
        assert_eq!(peer.expect(Kind::Reply, b).await.value::<String>(), "wanted");
        assert_eq!(state.started(), before + 1, "in round {round}");
    }
    assert_eq!(server.stats().cancelled, 100);
}

#[tokio::test]
async fn a_large_call_that_is_cancelled_half_way_is_forgotten() {
    use rpc_core::wire::flag;
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut rest = 1_000_000u32.to_le_bytes().to_vec();
    rest.extend([0; 1000]);
    peer.send(request_with(1, flag::CHUNKED, head("length"), &rest)).await;
    until("it is held", || server.stats().held_bytes == 1_000_000).await;
    peer.send(signal(Kind::Cancel, 1)).await;
    until("it is forgotten", || server.stats().held_bytes == 0).await;
    // The rest of it may be on its way still.
    peer.send(frame(Kind::Data, 0, 1, &[0; 1000])).await;
    peer.check_alive().await;
    assert_eq!((state.started(), server.stats().cancelled), (0, 1));
}

#[tokio::test]
async fn cancels_of_unknown_calls_are_ignored() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    peer.call(1, "echo", &Text { text: "" }).await.value::<String>();
    let twice = [signal(Kind::Cancel, 1), signal(Kind::Cancel, 1), signal(Kind::Cancel, 99)];
    peer.send(twice.concat()).await;
    peer.check_alive().await;
    assert_eq!(peer.call(1, "echo", &Text { text: "again" }).await.value::<String>(), "again");
    assert_eq!(server.stats().cancelled, 0);
}

#[tokio::test]
async fn the_end_of_a_connection_drops_its_handlers() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut other = RawPeer::connect(server.local_addr()).await;
    for id in 1..=50 {
        peer.send(request(id, "wait", &Text { text: "" })).await;
    }
    other.send(request(1, "wait", &Text { text: "mine" })).await;
    until("they run", || state.started() == 51).await;
    drop(peer);
    until("they are dropped", || state.ended() == 50).await;
    state.gate.add_permits(1);
    assert_eq!(other.expect(Kind::Reply, 1).await.value::<String>(), "mine");
    assert_eq!(server.stats().cancelled, 50);
}

#[tokio::test]
async fn thousands_of_cancels_in_one_write_reach_their_calls_alone() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let (calls, text) = (5_000, Text { text: "" });
    let mut bytes: Vec<u8> = (1..=calls).flat_map(|id| request(id, "echo", &text)).collect();
    // All but the last, the other way round, and an id that is used again afterwards.
    bytes.extend((1..calls).rev().flat_map(|id| signal(Kind::Cancel, id)));
    bytes.extend(request(1, "echo", &text));
    peer.send(bytes).await;
    // How much of it one read brings is the kernel's choice: some run before their cancel is seen.
    let total = || server.stats().served + server.stats().cancelled;
    until("each has run or was cancelled", || total() == calls + 1).await;
    let mut answered = std::collections::BTreeMap::<u64, u32>::new();
    for _ in 0..server.stats().served {
        *answered.entry(peer.next().await.unwrap().header.id).or_default() += 1;
    }
    assert_eq!(answered[&calls], 1, "it was never cancelled");
    assert!(answered[&1] >= 1, "the second call of this id was not");
    assert_eq!(state.started() as u64, server.stats().served);
    peer.check_alive().await;
}
