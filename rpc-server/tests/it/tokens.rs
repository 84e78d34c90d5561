//! Who has not shown a token that is taken makes no call, and learns nothing of what is served.

use crate::support::*;
use rpc_core::{
    RpcCode, Token,
    wire::{Kind, Limits, Preface, Reason, flag},
};
use rpc_server::Server;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const OF_TODAY: &str = "token-of-today";
const OF_YESTERDAY: &str = "token-of-yesterday";

/// A server that takes two tokens.
async fn guarded() -> (Server, Arc<State>) {
    let state = Arc::<State>::default();
    (lab(&state).token(OF_TODAY).token(OF_YESTERDAY).start().await.unwrap(), state)
}

async fn peer_with(addr: SocketAddr, token: Option<&str>) -> RawPeer {
    let preface = Preface::new(None, Limits::default()).with_token(token.map(Token::from));
    RawPeer::connect_as(addr, preface).await
}

#[tokio::test]
async fn each_token_that_is_taken_opens_and_no_other_does() {
    let (server, state) = guarded().await;
    let addr = server.local_addr();
    for token in [OF_TODAY, OF_YESTERDAY] {
        let mut peer = peer_with(addr, Some(token)).await;
        let echo = peer.call(1, "echo", &Text { text: token }).await;
        assert_eq!(echo.value::<String>(), token);
    }
    assert_eq!(state.started(), 2);
    let near = ["token-of-toda", "token-of-today!", "Token-of-today", "t"];
    let others = near.iter().map(|token| (Some(*token), "showed another"));
    for (token, words) in others.chain([(None, "showed none")]) {
        let mut peer = peer_with(addr, token).await;
        // One after the other: a refusal is none to get used to.
        for id in 1..=2 {
            let (reason, error) = peer.call(id, "echo", &Text { text: "x" }).await.error();
            assert_eq!((reason, error.code()), (Reason::NotPermitted, RpcCode::Unauthenticated));
            assert!(error.message().contains(words), "{error}");
            assert!(!error.message().contains(OF_TODAY), "{error}");
        }
        peer.check_alive().await;
    }
    assert_eq!(state.started(), 2, "no handler ran");
    let counted = server.stats();
    assert_eq!((counted.refused.not_permitted, counted.served), (10, 2));
}

#[tokio::test]
async fn who_may_not_call_learns_nothing_of_what_is_served() {
    let (server, state) = guarded().await;
    let mut peer = peer_with(server.local_addr(), None).await;
    let (mut nowhere, mut nothing) = (head("echo"), head("echo"));
    nowhere.service ^= 1;
    nothing.method ^= 1;
    let mut late = head("echo");
    late.remaining_ms = 0;
    let mut texts = Vec::new();
    let heads = [head("echo"), nowhere, nothing, late, head("echo")];
    for (id, head) in (1..).zip(heads) {
        // The last one has a flag that nobody knows.
        let flags = if id == 5 { 0x10 } else { 0 };
        peer.send(request_with(id, flags, head, &args(&Nothing {}))).await;
        let (reason, error) = peer.expect(Kind::Error, id).await.error();
        assert_eq!(reason, Reason::NotPermitted);
        texts.push(error.message().to_owned());
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");

    let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut page = String::new();
    timeout(BOUND, stream.read_to_string(&mut page)).await.unwrap().unwrap();
    assert!(page.contains("rpc-client") && !page.contains("test.Lab"), "{page}");
    assert_eq!(state.started(), 0);
}

#[tokio::test]
async fn large_requests_of_who_may_not_call_are_neither_kept_nor_do_they_keep_credit() {
    let (server, state) = guarded().await;
    let mut peer = peer_with(server.local_addr(), Some("wrong")).await;
    let window = u64::from(peer.server.limits.credit_per_connection);
    let start = [&100_000_u32.to_le_bytes()[..], &vec![0; 50_000]].concat();
    let rest = vec![0; 50_000];
    let (mut sent, mut granted) = (0, 0);
    for id in 1..=200 {
        peer.send(request_with(id, flag::CHUNKED, head("length"), &start)).await;
        loop {
            let frame = peer.next().await.expect("the server closed");
            if frame.header.kind == Kind::Error {
                assert_eq!(frame.error().0, Reason::NotPermitted);
                break;
            }
            granted += u64::from(frame.credit());
        }
        assert_eq!(server.stats().held_bytes, 0, "the rest of it is not waited for");
        // It may be on its way all the same.
        peer.send(frame(Kind::Data, 0, id, &rest)).await;
        sent += 100_000;
        assert!(sent - granted < window, "{sent} {granted}");
    }
    assert_eq!(state.started(), 0);
}

#[tokio::test]
async fn a_server_without_tokens_does_not_look_at_them() {
    let (server, _) = start_lab().await;
    for token in [None, Some("whatever")] {
        let mut peer = peer_with(server.local_addr(), token).await;
        assert_eq!(peer.call(1, "echo", &Text { text: "x" }).await.value::<String>(), "x");
    }
    assert_eq!(server.stats().refused.not_permitted, 0);
}

#[tokio::test]
async fn a_token_that_could_not_travel_is_a_mistake_that_does_not_show_it() {
    let server = lab(&Arc::default()).token("two words").start().await;
    let text = server.unwrap_err().to_string();
    assert!(text.contains("`token` is (not shown): write a secret") && !text.contains("two words"));
}
