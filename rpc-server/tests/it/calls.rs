//! Calls that are answered, by whichever way they run.

use crate::support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use rpc_core::{
    CallOptions, RpcCode, rpc_client, rpc_service,
    wire::{Kind, Reason, RequestHead, flag, fnv1a_32, fnv1a_64, put_metadata},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

#[tokio::test]
async fn a_method_is_answered_in_a_task_and_where_it_was_read() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    // The first ones run in tasks; after sixteen short ones the reader polls them itself.
    for id in 1..200 {
        let text = format!("call {id}");
        let answer = peer.call(id, "echo", &Text { text: &text }).await;
        assert_eq!(answer.value::<String>(), text);
    }
    assert_eq!(server.stats().served, 199);
    assert_eq!(server.stats().connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_in_one_write_are_all_answered() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut sent = Vec::new();
    for id in 1..=3000 {
        sent.extend(request(id, if id % 3 == 0 { "wait" } else { "echo" }, &Text { text: "x" }));
    }
    state.gate.add_permits(1000);
    peer.send(sent).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3000 {
        let answer = peer.next().await.unwrap();
        assert_eq!(answer.value::<String>(), "x");
        assert!(seen.insert(answer.header.id));
    }
    assert_eq!(server.stats().served, 3000);
    until("every permit is back", || server.stats().in_flight == 0).await;
    assert_eq!(server.stats().held_bytes, 0);
}

#[tokio::test]
async fn a_call_that_waits_holds_up_no_other() {
    let (server, state) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    // Make the method one that is polled by the reader first.
    state.gate.add_permits(40);
    for id in 1..=40 {
        peer.call(id, "wait", &Text { text: "" }).await.value::<String>();
    }
    peer.send(request(100, "wait", &Text { text: "late" })).await;
    let early = peer.call(101, "echo", &Text { text: "early" }).await;
    assert_eq!(early.value::<String>(), "early");
    assert_eq!(server.stats().in_flight, 1);
    state.gate.add_permits(1);
    assert_eq!(peer.expect(Kind::Reply, 100).await.value::<String>(), "late");
}

#[tokio::test]
async fn a_request_may_travel_with_the_preface() {
    let (server, _) = start_lab().await;
    let mut stream = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
    let mut bytes = preface(rpc_core::wire::Limits::default());
    bytes.extend(request(1, "echo", &Text { text: "first" }));
    // Byte by byte, as a slow network may deliver it.
    for byte in bytes {
        stream.write_all(&[byte]).await.unwrap();
    }
    let mut answer = Vec::new();
    while rpc_core::wire::read_preface(&answer).unwrap().is_none_or(|(_, n)| answer.len() < n + 16)
    {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn application_errors_travel_as_themselves() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let answer = peer.call(1, "fail", &Text { text: "no" }).await;
    assert_eq!((answer.header.kind, answer.header.flags), (Kind::AppError, 0));
    for id in 2..60 {
        let answer = peer.call(id, "fault", &Nothing {}).await;
        assert_eq!((answer.header.kind, answer.header.flags), (Kind::AppError, flag::FAULT));
    }
    for id in 60..120 {
        let answer = peer.call(id, "fail", &Text { text: "no" }).await;
        assert_eq!(answer.header.flags, 0, "a flag stays with its call");
    }
}

#[tokio::test]
async fn handlers_see_their_deadline_and_metadata() {
    #[derive(serde::Serialize)]
    struct Key<'a> {
        key: &'a str,
    }
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for id in 1..60 {
        let mut rest = Vec::new();
        let options = CallOptions::new().metadata("tenant", format!("t{id}"));
        put_metadata(&mut rest, options.settings().metadata.iter()).unwrap();
        rest.extend(args(&Key { key: "tenant" }));
        peer.send(request_with(id, flag::METADATA, head("context"), &rest)).await;
        let (left, tenant) = peer.expect(Kind::Reply, id).await.value::<(u64, Option<String>)>();
        assert!((1..=10_000).contains(&left), "{left}");
        assert_eq!(tenant, Some(format!("t{id}")));
    }
}

#[tokio::test]
async fn an_unknown_service_or_method_is_told_and_the_connection_lives() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let answer = peer.call(1, "nonsense", &Nothing {}).await;
    let (reason, error) = answer.error();
    assert_eq!((reason, error.code()), (Reason::UnknownMethod, RpcCode::Unimplemented));
    assert!(error.message().contains("test.Lab") && error.message().contains("echo"), "{error}");

    let mut elsewhere = head("echo");
    elsewhere.service = 1;
    peer.send(request_with(2, 0, elsewhere, &[])).await;
    let (reason, error) = peer.expect(Kind::Error, 2).await.error();
    assert_eq!((reason, error.code()), (Reason::UnknownService, RpcCode::Unimplemented));
    assert!(error.message().contains("0x0000000000000001"), "{error}");
    assert!(error.message().contains("test.Lab"), "{error}");

    assert_eq!(peer.call(3, "echo", &Text { text: "on" }).await.value::<String>(), "on");
    let refused = server.stats().refused;
    assert_eq!((refused.unknown_service, refused.unknown_method), (1, 1));
}

#[tokio::test]
async fn arguments_that_do_not_decode_are_refused() {
    let (server, _) = start_lab().await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for id in 1..60 {
        peer.send(request_with(id, 0, head("echo"), &[0xc1])).await;
        let (reason, error) = peer.expect(Kind::Error, id).await.error();
        assert_eq!((reason, error.code()), (Reason::BadArguments, RpcCode::InvalidArgument));
    }
    assert_eq!(server.stats().refused.bad_arguments, 59);
}

#[test]
fn a_single_threaded_runtime_serves_as_well() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (server, _) = start_lab().await;
        let mut peer = RawPeer::connect(server.local_addr()).await;
        for id in 1..100 {
            peer.call(id, "echo", &Text { text: "x" }).await.value::<String>();
        }
        drop(peer);
        server.shutdown().await;
    });
}

#[rpc_client(name = "test.Clock")]
trait Clock {
    async fn long_ago(&self) -> rpc_core::Result<SystemTime>;
}

#[derive(Debug, Default)]
struct ClockService;

#[rpc_service]
impl Clock for ClockService {
    async fn long_ago(&self) -> rpc_core::Result<SystemTime> {
        // Times before 1970 are none to serde.
        Ok(SystemTime::UNIX_EPOCH - Duration::from_secs(1))
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_encoded_is_told_and_counted_as_one() {
    let server = lab(&Arc::default()).service(ClockService).start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let head = RequestHead {
        service: fnv1a_64(b"test.Clock"),
        method: fnv1a_32(b"long_ago"),
        ..head("echo")
    };
    peer.send(request_with(1, 0, head, &[0x80])).await;
    let (reason, error) = peer.expect(Kind::Error, 1).await.error();
    assert_eq!((reason, error.code()), (Reason::BadAnswer, RpcCode::Internal));
    assert!(error.message().contains("can't be encoded"), "{error}");
    let stats = server.stats();
    assert_eq!((stats.bad_answers, stats.served), (1, 0));
}
