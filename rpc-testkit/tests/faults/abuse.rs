//! Providers that break the rules, against the real client: each caller gets its own reply or an
//! error that says what happened, and nothing crashes, hangs or grows.

use crate::{
    ledger::{Ledger as _, LedgerClient},
    scene::{LONG, SOON, Scene, resident},
};
use proptest::{collection::vec, prelude::*, test_runner::TestCaseResult};
use rpc_client::Client;
use rpc_core::{
    CallOptions, Outcome, RpcCode, RpcError,
    codec::Codec,
    discovery::InstanceId,
    wire::{Header, Kind, Limits, Preface, Reason, put_credit, put_frame, put_signal},
};
use rpc_testkit::peer::{Frame, Peer, PeerListener};
use serde::Deserialize;
use std::{collections::HashMap, time::Duration};
use tokio::{
    runtime::Runtime,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The arguments of `look` and `book`.
#[derive(Debug, Deserialize)]
struct Args {
    key: String,
}

fn key_of(request: &Frame) -> String {
    Codec::Named.decode::<Args>(request.request().unwrap().1).unwrap().key
}

/// A client of a scripted provider that has greeted.
struct Stage {
    client: Client,
    ledger: LedgerClient,
    listener: PeerListener,
}

impl Stage {
    async fn new() -> Self {
        let listener = PeerListener::bind().await.unwrap();
        let client = Client::connect(format!("static://{}", listener.addr())).await.unwrap();
        let ledger: LedgerClient = client.get();
        let ledger = ledger.with_options(CallOptions::new().timeout(Duration::from_secs(3)));
        Self { client, ledger, listener }
    }

    async fn greet(&self) -> Peer {
        self.listener.greet(Limits::default()).await.unwrap()
    }

    /// Makes a call that must not run twice.
    fn book(&self, key: &str) -> JoinHandle<Result<String, RpcError>> {
        let (ledger, key) = (self.ledger.clone(), key.to_owned());
        tokio::spawn(async move { ledger.book(key, 0).await })
    }

    /// The next call is answered as if nothing had happened; on `peer` if that still is the
    /// connection, or else on the next one.
    async fn goes_on(&self, peer: Option<Peer>) {
        let mut peer = match peer {
            Some(peer) => peer,
            None => timeout(SOON, self.greet()).await.unwrap(),
        };
        let call = self.book("goes-on");
        let request = timeout(SOON, peer.expect(Kind::Request)).await.unwrap().unwrap();
        assert_eq!(key_of(&request), "goes-on");
        peer.reply(request.header.id, &"goes-on").await.unwrap();
        assert_eq!(call.await.unwrap().unwrap(), "goes-on");
    }
}

/// What a provider sends instead of a reply, and what the caller reads.
async fn breaks_the_connection(bytes: &[u8], text: &str) {
    let stage = Stage::new().await;
    let mut peer = stage.greet().await;
    let call = stage.book("unlucky");
    peer.expect(Kind::Request).await.unwrap();
    peer.raw(bytes).await.unwrap();
    let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        (error.code(), error.outcome()),
        (RpcCode::Unavailable, Outcome::Unknown),
        "{error}"
    );
    assert_eq!(error.endpoint(), Some(stage.listener.addr()));
    assert!(error.message().contains(text), "{error}");
    // It says why it goes, and goes.
    let close = timeout(SOON, peer.expect(Kind::Close)).await.unwrap().unwrap();
    assert!(text.contains(str::from_utf8(&close.payload).unwrap()), "{close:?}");
    timeout(SOON, peer.end()).await.unwrap();
    stage.goes_on(None).await;
}

fn header(kind: Kind, id: u64) -> Header {
    Header { kind, flags: 0, aux: 0, id }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_length_beyond_all_bounds_is_refused_before_it_is_believed() {
    let _scene = Scene::new().await;
    let before = resident();
    let text = "protocol error: a frame's length is out of range";
    breaks_the_connection(&[0xff; 16], text).await;
    breaks_the_connection(&[11, 0, 0, 0], text).await;
    assert!(resident().saturating_sub(before) < 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_frames_that_break_the_rules_end_the_connection_with_a_reason() {
    let _scene = Scene::new().await;
    let unknown = [12, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let text = "protocol error: a frame of an unknown kind that must be understood";
    breaks_the_connection(&unknown, text).await;
    for kind in [Kind::Request, Kind::Cancel, Kind::Left] {
        let mut frame = Vec::new();
        put_signal(&mut frame, kind, 1);
        let text = "protocol error: a server sent a frame that only clients send";
        breaks_the_connection(&frame, text).await;
    }
    let mut credit = Vec::new();
    put_credit(&mut credit, 0, u32::MAX);
    breaks_the_connection(&credit, "protocol error: more credit than was used").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_replies_that_do_not_decode_fail_their_call_and_nothing_else() {
    let _scene = Scene::new().await;
    let before = resident();
    let stage = Stage::new().await;
    let mut peer = stage.greet().await;
    let nested = vec![0x91; 16_000];
    for body in [
        &[][..],
        &[0xc1],
        // An array and a string of 2^32 - 1.
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff, b'x'],
        &nested,
        // A whole string, and a byte too many.
        &[0xa1, b'x', 0],
    ] {
        let call = stage.book("garbled");
        let request = peer.expect(Kind::Request).await.unwrap();
        peer.frame(header(Kind::Reply, request.header.id), body).await.unwrap();
        let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
        assert_eq!((error.code(), error.outcome()), (RpcCode::Internal, Outcome::Ran), "{error}");
        assert_eq!(error.method(), "book");
    }
    // Errors without a reason, or with one that cannot be read.
    for (payload, outcome) in [
        (&[][..], Outcome::Ran),
        (&[Reason::Handler.to_wire(), 0xc1], Outcome::Ran),
        (&[Reason::BadArguments.to_wire(), 0xff], Outcome::Refused),
        (&[77, 0xff], Outcome::Refused),
        (&[250, 0xff], Outcome::Ran),
    ] {
        let call = stage.book("garbled");
        let request = peer.expect(Kind::Request).await.unwrap();
        peer.frame(header(Kind::Error, request.header.id), payload).await.unwrap();
        let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.outcome(), outcome, "{payload:?}: {error}");
    }
    stage.goes_on(Some(peer)).await;
    assert_eq!(stage.client.stats().dials, 1);
    assert!(resident().saturating_sub(before) < 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_large_reply_beyond_the_limit_fails_its_call_and_is_not_kept() {
    let _scene = Scene::new().await;
    let stage = Stage::new().await;
    let mut peer = stage.greet().await;
    let before = resident();
    let call = stage.book("endless");
    let request = peer.expect(Kind::Request).await.unwrap();
    let piece = vec![0; 64 * 1024];
    peer.begin_reply(request.header.id, u32::MAX, &piece).await.unwrap();
    let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::ResourceExhausted, Outcome::Ran));
    assert!(error.message().contains("max_message"), "{error}");
    // The rest of it is thrown away for as long as the provider likes to send it.
    for _ in 0..63 {
        peer.frame(header(Kind::Data, request.header.id), &piece).await.unwrap();
    }
    while peer.expect_credit().await.unwrap().0 != 0 {}
    stage.goes_on(Some(peer)).await;
    assert_eq!(stage.client.stats().dials, 1);
    assert!(resident().saturating_sub(before) < 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_reply_that_is_longer_than_it_said_ends_the_connection() {
    let _scene = Scene::new().await;
    for first in [10, 20] {
        let stage = Stage::new().await;
        let mut peer = stage.greet().await;
        let call = stage.book("stretched");
        let id = peer.expect(Kind::Request).await.unwrap().header.id;
        peer.begin_reply(id, 15, &vec![0; first]).await.unwrap();
        let _ = peer.frame(header(Kind::Data, id), &[0; 10]).await;
        let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
        assert!(error.message().contains("longer than was said"), "{error}");
        stage.goes_on(None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_pings_that_nobody_reads_the_answers_to_are_bounded() {
    let _scene = Scene::new().await;
    let stage = Stage::new().await;
    let mut peer = stage.greet().await;
    let before = resident();
    let ledger = stage.ledger.with_options(CallOptions::new().timeout(LONG));
    let call = tokio::spawn(async move { ledger.book("flooded".into(), 0).await });
    let request = peer.expect(Kind::Request).await.unwrap();
    let mut flood = Vec::new();
    for id in 0..4096 {
        put_signal(&mut flood, Kind::Ping, id);
    }
    // 256 MiB, and nothing is read.
    for _ in 0..4096 {
        peer.raw(&flood).await.unwrap();
    }
    peer.reply(request.header.id, &"flooded").await.unwrap();
    assert_eq!(call.await.unwrap().unwrap(), "flooded");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more than before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b2_a_provider_that_leaves_a_million_times_is_left_once() {
    let _scene = Scene::new().await;
    let stage = Stage::new().await;
    let mut peer = stage.greet().await;
    let call = stage.book("left");
    let request = peer.expect(Kind::Request).await.unwrap();
    let mut leaving = Vec::new();
    (0..4096).for_each(|_| put_signal(&mut leaving, Kind::Leaving, 0));
    for _ in 0..256 {
        peer.raw(&leaving).await.unwrap();
    }
    peer.reply(request.header.id, &"left").await.unwrap();
    assert_eq!(call.await.unwrap().unwrap(), "left");
    peer.expect(Kind::Left).await.unwrap();
    // The client closes once its last call has ended; nothing else comes before that.
    assert_eq!(peer.next().await.unwrap(), None);
    stage.goes_on(None).await;
}

/// Sends byte by byte.
async fn crawl(peer: &mut Peer, bytes: &[u8]) {
    for byte in bytes {
        peer.raw(&[*byte]).await.unwrap();
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b3_a_reply_that_is_cut_off_is_an_end_and_one_byte_at_a_time_is_a_reply() {
    let _scene = Scene::new().await;
    let stage = Stage::new().await;
    let mut peer = stage.greet().await;
    let call = stage.book("cut off");
    peer.expect(Kind::Request).await.unwrap();
    peer.raw(&[64, 0, 0, 0, 2, 0]).await.unwrap();
    drop(peer);
    let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!(
        (error.code(), error.outcome()),
        (RpcCode::Unavailable, Outcome::Unknown),
        "{error}"
    );

    // A provider that crawls: its preface and its reply come byte by byte.
    let stage = Stage::new().await;
    let mut peer = stage.listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    Preface::new(Some(InstanceId::random()), Limits::default()).put(&mut bytes);
    let call = stage.book("crawling");
    crawl(&mut peer, &bytes).await;
    peer.expect_preface().await.unwrap();
    let request = peer.expect(Kind::Request).await.unwrap();
    bytes.clear();
    put_frame(&mut bytes, header(Kind::Reply, request.header.id), |out| {
        Codec::Named.encode("crawling", out).unwrap();
    });
    crawl(&mut peer, &bytes).await;
    assert_eq!(call.await.unwrap().unwrap(), "crawling");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b5_what_is_no_provider_is_named() {
    let _scene = Scene::new().await;
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec();
    let tls_alert = vec![0x15, 3, 3, 0, 2, 2, 70];
    let mut later = Vec::new();
    Preface { lowest: 9, highest: 12, ..Preface::new(None, Limits::default()) }.put(&mut later);
    for (bytes, text) in [
        (http, "does not speak this protocol (its first byte is 0x48)"),
        (tls_alert, "does not speak this protocol (its first byte is 0x15)"),
        (later, "speaks protocol versions 9 to 12, this side 1 to 1"),
    ] {
        let stage = Stage::new().await;
        let listening = async {
            loop {
                let mut peer = stage.listener.accept().await.unwrap();
                let _ = peer.raw(&bytes).await;
                peer.end().await;
            }
        };
        let error = tokio::select! {
            () = listening => unreachable!(),
            error = stage.book("misdirected") => error.unwrap().unwrap_err(),
        };
        assert_eq!((error.code(), error.outcome()), (RpcCode::Unavailable, Outcome::NotSent));
        assert!(error.message().contains(text), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_says_nothing_costs_no_more_than_the_deadline() {
    let _scene = Scene::new().await;
    for greets in [false, true] {
        let stage = Stage::new().await;
        let call = stage.book("mute");
        let _mute =
            if greets { stage.greet().await } else { stage.listener.accept().await.unwrap() };
        let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
        // It is sent nothing before it has said who it is.
        let expected = if greets {
            (RpcCode::DeadlineExceeded, Outcome::Unknown)
        } else {
            (RpcCode::Unavailable, Outcome::NotSent)
        };
        assert_eq!((error.code(), error.outcome()), expected, "{error}");
    }
}

/// An error speaks of the whole call: what an earlier attempt may have done is not forgotten when
/// a later one was not even sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_may_have_run_says_so_although_its_last_attempt_did_not() {
    let _scene = Scene::new().await;
    for last in [Reason::Overloaded, Reason::Draining] {
        let stage = Stage::new().await;
        let mut first = stage.greet().await;
        let ledger = stage.ledger.with_options(CallOptions::new().retries(1));
        let call = tokio::spawn(async move { ledger.look("doubtful".into(), 0).await });
        first.expect(Kind::Request).await.unwrap();
        drop(first);
        let mut second = stage.greet().await;
        let request = second.expect(Kind::Request).await.unwrap();
        second.error(request.header.id, last, "not now").await.unwrap();
        let error = timeout(SOON, call).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.attempts(), 2, "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    }
}

/// A provider that goes the moment it has a request: the request is not taken for unsent, however
/// fast that is, or it would run twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_provider_has_received_is_never_taken_for_unsent() {
    let _scene = Scene::new().await;
    let mut rounds = tokio::task::JoinSet::new();
    for _ in 0..8 {
        rounds.spawn(async {
            for round in 0..100 {
                let stage = Stage::new().await;
                let mut peer = stage.greet().await;
                let call = stage.book("once");
                peer.expect(Kind::Request).await.unwrap();
                if round % 2 == 0 {
                    peer.raw(&[0xff; 16]).await.unwrap();
                }
                drop(peer);
                let error = call.await.unwrap().unwrap_err();
                assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{error}");
            }
        });
    }
    rounds.join_all().await;
}

/// A provider that reads late finds requests whose callers have gone: none of those callers was
/// told that its request had not been sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_reads_after_the_deadline_was_never_said_to_be_unsent() {
    let _scene = Scene::new().await;
    let stage = Stage::new().await;
    let mut peer = stage.greet().await;
    let ledger = stage.ledger.with_options(CallOptions::new().timeout(Duration::from_secs(1)));
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let ledger = ledger.clone();
        let key = format!("{number}:{}", "x".repeat(12_000));
        calls.spawn(async move {
            let error = ledger.book(key.clone(), 0).await.unwrap_err();
            assert_eq!(error.code(), RpcCode::DeadlineExceeded, "{error}");
            (key, error.outcome())
        });
    }
    let told = calls.join_all().await;
    assert!(told.iter().any(|(_, outcome)| *outcome == Outcome::NotSent), "all fit into buffers");
    let last = stage.book("last");
    let mut read = std::collections::HashSet::new();
    while !read.contains("last") {
        let request = peer.expect(Kind::Request).await.unwrap();
        let key = key_of(&request);
        if key == "last" {
            peer.reply(request.header.id, &key).await.unwrap();
        }
        read.insert(key);
    }
    assert_eq!(last.await.unwrap().unwrap(), "last");
    for (key, outcome) in told {
        assert!(
            outcome == Outcome::Unknown || !read.contains(&key),
            "{outcome:?}, and it was read"
        );
    }
}

/// What the provider of one case does, and the caller.
#[derive(Debug, Clone)]
enum Step {
    /// A call is made.
    Call,
    /// A waiting call is answered.
    Answer(usize),
    /// A waiting call is answered twice.
    AnswerTwice(usize),
    /// A waiting call is refused.
    Refuse(usize),
    /// A caller goes away.
    Drop(usize),
    /// A call that was answered, or whose caller has gone, is answered again.
    AnswerLate(usize),
    /// A call that was never made is answered.
    AnswerUnknown(u64),
    /// Pieces of a large reply that nobody waits for.
    Stray(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Call),
        2 => any::<usize>().prop_map(Step::Answer),
        1 => any::<usize>().prop_map(Step::AnswerTwice),
        1 => any::<usize>().prop_map(Step::Refuse),
        2 => any::<usize>().prop_map(Step::Drop),
        3 => any::<usize>().prop_map(Step::AnswerLate),
        1 => any::<u64>().prop_map(Step::AnswerUnknown),
        1 => (0..64_u64).prop_map(|id| Step::AnswerUnknown(id << 32 | id)),
        1 => any::<u64>().prop_map(Step::Stray),
    ]
}

type Waiting = HashMap<u64, (String, JoinHandle<Result<String, RpcError>>)>;

fn chosen(ids: impl Iterator<Item = u64>, at: usize) -> Option<u64> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.get(at.checked_rem(ids.len())?).copied()
}

/// Plays the steps; every caller gets its own reply, its own refusal, or has gone.
async fn play(steps: Vec<Step>) {
    let stage = Stage::new().await;
    let mut peer = stage.greet().await;
    let mut waiting = Waiting::new();
    let mut over = Vec::new();
    let mut late = 0;
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Call => {
                let key = format!("key-{number}");
                let call = stage.book(&key);
                let request = peer.expect(Kind::Request).await.unwrap();
                assert_eq!(key_of(&request), key);
                let before = waiting.insert(request.header.id, (key, call));
                assert!(before.is_none(), "an id of two calls at once");
            }
            Step::Answer(at) | Step::AnswerTwice(at) | Step::Refuse(at) => {
                let Some(id) = chosen(waiting.keys().copied(), at) else { continue };
                let Some((key, call)) = waiting.remove(&id) else { continue };
                if matches!(step, Step::Refuse(_)) {
                    peer.error(id, Reason::NotPermitted, &key).await.unwrap();
                    let error = call.await.unwrap().unwrap_err();
                    assert_eq!(error.message(), key);
                } else {
                    peer.reply(id, &key).await.unwrap();
                    if matches!(step, Step::AnswerTwice(_)) {
                        peer.reply(id, &"wrong: the second answer").await.unwrap();
                    }
                    assert_eq!(call.await.unwrap().unwrap(), key);
                }
                over.push(id);
            }
            Step::Drop(at) => {
                let Some(id) = chosen(waiting.keys().copied(), at) else { continue };
                let Some((_, call)) = waiting.remove(&id) else { continue };
                call.abort();
                assert!(call.await.unwrap_err().is_cancelled());
                let cancel = peer.expect(Kind::Cancel).await.unwrap();
                assert_eq!(cancel.header.id, id);
                over.push(id);
            }
            Step::AnswerLate(at) => {
                let Some(id) = chosen(over.iter().copied(), at) else { continue };
                peer.reply(id, &"wrong: a late answer").await.unwrap();
                late += 1;
            }
            Step::AnswerUnknown(id) if !waiting.contains_key(&id) => {
                peer.reply(id, &"wrong: an unknown call").await.unwrap();
                // Read before it can be the id of a call.
                pong(&mut peer).await;
                late += 1;
            }
            Step::Stray(id) if !waiting.contains_key(&id) => {
                peer.begin_reply(id, 40_000, &[0; 1_000]).await.unwrap();
                peer.frame(header(Kind::Data, id), &[0; 1_000]).await.unwrap();
            }
            Step::AnswerUnknown(_) | Step::Stray(_) => {}
        }
    }
    for (id, (key, call)) in waiting {
        peer.reply(id, &key).await.unwrap();
        assert_eq!(call.await.unwrap().unwrap(), key);
    }
    // Everything before the pong was read.
    pong(&mut peer).await;
    let stats = stage.client.stats();
    assert!(stats.late_replies >= late, "{late} late replies, counted {stats:?}");
    assert_eq!((stats.dials, stats.in_flight), (1, 0));
}

/// Waits until the client has read all that it was sent.
async fn pong(peer: &mut Peer) {
    peer.signal(Kind::Ping, 4711).await.unwrap();
    assert_eq!(peer.expect(Kind::Pong).await.unwrap().header.id, 4711);
}

fn b4(cases: u32) {
    let runtime = Runtime::new().unwrap();
    let _scene = runtime.block_on(Scene::new());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let played = proptest::test_runner::TestRunner::new(config).run(
        &vec(step(), 0..60),
        |steps| -> TestCaseResult {
            let played = runtime.block_on(async { timeout(SOON, tokio::spawn(play(steps))).await });
            match played {
                Ok(Ok(())) => Ok(()),
                Ok(Err(panic)) => Err(TestCaseError::fail(panic.to_string())),
                Err(_) => Err(TestCaseError::fail("it hangs")),
            }
        },
    );
    played.unwrap();
}

#[test]
fn b4_no_caller_ever_gets_the_reply_of_another() {
    b4(300);
}

#[test]
#[ignore = "takes minutes: ./test.sh --all"]
fn b4_no_caller_ever_gets_the_reply_of_another_in_a_million_steps() {
    b4(30_000);
}
