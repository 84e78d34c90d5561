//! What happens to the bytes of one call when another's future stands still.

use crate::script::{BOUND, Provider, Raw, RawClient};
use rpc_core::wire::Kind;
use std::{pin::pin, task::Context};
use tokio::time::timeout;

#[tokio::test]
async fn a_call_that_is_put_aside_while_it_leads_holds_up_no_other() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.put("first".into()).await }
    });
    let mut peer = provider.greet().await;
    peer.expect(Kind::Request).await;
    // Beside a call that waits, the second lets others go first, and is not polled again.
    let mut aside = pin!(client.put("aside".into()));
    let waker = std::task::Waker::noop();
    assert!(aside.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    let third = tokio::spawn({
        let client = client.clone();
        async move { client.put("third".into()).await }
    });
    let aside_id = peer.expect(Kind::Request).await.id();
    let third_id = peer.expect(Kind::Request).await.id();
    peer.reply(third_id, &"three").await;
    let third = timeout(BOUND, third).await.expect("held up").unwrap();
    assert_eq!(third.as_deref(), Ok("three"));
    peer.reply(aside_id, &"two").await;
    assert_eq!(aside.await.as_deref(), Ok("two"));
    first.abort();
}
