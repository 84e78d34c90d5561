//! Calls whose first attempt fails, and what becomes of them.

use crate::script::{BOUND, Provider, Raw, RawClient};
use rpc_core::wire::{Kind, flag};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_call_waits_for_the_only_provider_to_come_back() {
    for round in 0..20 {
        let provider = Provider::bind().await;
        let client: RawClient = provider.client().await.get();
        let call = tokio::spawn(async move { client.get("a".into()).await });
        let mut peer = provider.greet().await;
        peer.expect(Kind::Request).await;
        drop(peer);
        let mut peer = provider.greet().await;
        let again = timeout(BOUND, peer.frame()).await.unwrap();
        assert_eq!(again.header.flags, flag::RETRY, "round {round}: {again:?}");
        peer.reply(again.id(), &"b").await;
        assert_eq!(call.await.unwrap().as_deref(), Ok("b"), "round {round}");
    }
}
