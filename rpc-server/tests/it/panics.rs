//! A handler that panics costs its own call and nothing else.

use crate::support::*;
use rpc_core::{
    RpcCode,
    wire::{Kind, Reason},
};

#[tokio::test]
async fn ten_thousand_panics_leave_the_connection_as_it_was() {
    std::panic::set_hook(Box::new(|_| {}));
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for round in 0..100 {
        let ids = round * 100 + 1..=round * 100 + 100;
        let bytes: Vec<u8> = ids.clone().flat_map(|id| request(id, "panic", &Nothing {})).collect();
        peer.send(bytes).await;
        for _ in ids {
            let (reason, error) = peer.next().await.unwrap().error();
            assert_eq!((reason, error.code()), (Reason::Panicked, RpcCode::Internal));
            assert!(error.message().contains("test.Lab.panic"), "{error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }
    assert_eq!(peer.call(1, "echo", &Text { text: "on" }).await.header.kind, Kind::Reply);
    let seen = server.stats();
    assert_eq!((seen.panics, seen.accepted, seen.connections), (10_000, 2, 1));
    assert_eq!(state.ended(), 10_001);
    until("every permit is back", || server.stats().in_flight == 0).await;
}
