//! Handle and runtime dropped in any order, with calls in flight: no hang and no panic.

use crate::support::*;
use rpc_core::{discovery::Watch, wire::Kind};
use tokio::runtime::Runtime;

#[tokio::test]
async fn a_dropped_server_stops_at_once() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    peer.send(request(1, "wait", &Text { text: "" })).await;
    until("it runs", || state.started() == 1).await;
    drop(server);
    peer.expect_close("the server has stopped").await;
    until("the handler is dropped", || state.ended() == 1).await;
}

#[test]
fn the_runtime_may_go_first() {
    for server_first in [false, true] {
        let runtime = Runtime::new().unwrap();
        let (server, state, peer) = runtime.block_on(async {
            let (server, state) = start_lab().await;
            let mut peer = RawPeer::connect(server.local_addr()).await;
            for id in 1..=20 {
                peer.send(request(id, "wait", &Text { text: "" })).await;
            }
            until("they run", || state.started() == 20).await;
            (server, state, peer)
        });
        if server_first {
            drop(server);
            drop(runtime);
        } else {
            drop(runtime);
            drop(server);
        }
        assert_eq!(state.ended(), 20, "every handler is dropped");
        drop(peer);
    }
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_behind() {
    let state = std::sync::Arc::<State>::default();
    let registry = rpc_core::discovery::MemoryRegistry::new();
    registry.set_unreachable("away for the test");
    let start = lab(&state).registry(registry.clone()).bind("127.0.0.1:0").start();
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(50), start).await;
    assert!(given_up.is_err());
    registry.set_reachable();
    assert!(registry.watch("test.Lab").current().instances.is_empty());
}

#[tokio::test]
async fn clients_that_vanish_while_answers_leave_are_no_trouble() {
    let (server, state) = start_lab().await;
    for _ in 0..50 {
        let mut peer = RawPeer::connect(server.local_addr()).await;
        peer.send(request(1, "wait", &Text { text: "" })).await;
        peer.send(request(2, "bytes", &Count { count: 1_000_000 })).await;
        peer.expect(Kind::Reply, 2).await;
        drop(peer);
    }
    until("all connections are gone", || server.stats().connections == 0).await;
    until("all handlers are dropped", || state.started() == state.ended()).await;
    until("all permits are back", || server.stats().in_flight == 0).await;
    assert_eq!(server.stats().held_bytes, 0);
}
