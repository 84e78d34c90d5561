//! Large requests and replies.

use crate::script::{BOUND, Provider, Raw, RawClient};
use rpc_core::{
    Outcome, RpcCode,
    wire::{Header, Kind, flag, put_frame},
};
use tokio::time::timeout;

#[tokio::test]
async fn a_reply_beyond_the_clients_limit_fails_its_call_and_takes_no_memory() {
    let provider = Provider::bind().await;
    let client: RawClient = provider.client().await.get();
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.load().await }
    });
    let mut peer = provider.greet().await;
    let id = peer.expect(Kind::Request).await.id();
    let mut out = Vec::new();
    put_frame(&mut out, Header { kind: Kind::Reply, flags: flag::CHUNKED, aux: 0, id }, |out| {
        out.extend_from_slice(&u32::MAX.to_le_bytes());
        out.resize(out.len() + 50_000, 0);
    });
    peer.send(&out).await;
    let error = timeout(BOUND, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::ResourceExhausted, Outcome::Ran));
    assert!(error.message().contains("max_message"), "{error}");
    assert_eq!(peer.expect(Kind::Cancel).await.id(), id);
    // The connection lives on, and its credit with it.
    let mut more = Vec::new();
    for _ in 0..20 {
        put_frame(&mut more, Header { kind: Kind::Data, flags: 0, aux: 0, id }, |out| {
            out.resize(out.len() + 50_000, 0);
        });
    }
    let call = tokio::spawn(async move { client.put("a".into()).await });
    peer.send(&more).await;
    let mut credit = None;
    let id = loop {
        let frame = peer.frame().await;
        match frame.header.kind {
            Kind::Credit => credit = Some(frame.id()),
            Kind::Request => break frame.id(),
            kind => panic!("{kind:?}"),
        }
    };
    peer.reply(id, &"b").await;
    assert_eq!(call.await.unwrap().as_deref(), Ok("b"));
    if credit.is_none() {
        credit = Some(peer.expect(Kind::Credit).await.id());
    }
    assert_eq!(credit, Some(0));
}
