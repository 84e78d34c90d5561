//! Limits of services and methods: who is refused, who is not, and what is told.

use crate::support::*;
use rpc_core::{
    RpcCode,
    wire::{Kind, Reason},
};
use rpc_server::{Limit, MethodStats, Server};
use std::sync::Arc;

async fn limited(limits: &[(&str, Limit)]) -> (Server, Arc<State>) {
    let state = Arc::<State>::default();
    let builder = limits.iter().fold(lab(&state), |lab, (name, limit)| lab.limit(*name, *limit));
    (builder.start().await.unwrap(), state)
}

fn load(frame: &Frame) -> u8 {
    frame.header.aux.to_le_bytes()[1]
}

fn method(server: &Server, name: &str) -> MethodStats {
    *server.method_stats().iter().find(|stats| stats.method == name).unwrap()
}

#[tokio::test]
async fn a_method_at_its_limit_is_refused_and_the_others_are_not() {
    let (server, state) = limited(&[("test.Lab/wait", Limit::fixed(3))]).await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut other = RawPeer::connect(server.local_addr()).await;
    for id in 1..=3 {
        peer.send(request(id, "wait", &Text { text: "" })).await;
    }
    until("they run", || state.started() == 3).await;
    for id in 4..54 {
        // The limit holds for all connections together.
        let peer = if id % 2 == 0 { &mut peer } else { &mut other };
        let refused = peer.call(id, "wait", &Text { text: "" }).await;
        let (reason, error) = refused.error();
        assert_eq!((reason, error.code()), (Reason::Overloaded, RpcCode::ResourceExhausted));
        let text = error.message();
        assert!(text.contains("test.Lab/wait has reached its limit: 3 calls run, 3 may"), "{text}");
        assert!(text.contains("another instance"), "{text}");
        assert_eq!(load(&refused), 255);
        // A slow method at its limit is nobody else's.
        let answer = peer.call(1000 + id, "echo", &Text { text: "on" }).await;
        assert!(load(&answer) < 10, "{}", load(&answer));
        assert_eq!(answer.value::<String>(), "on");
    }
    assert_eq!(state.started(), 3 + 50, "what was refused did not run");
    let seen = method(&server, "wait");
    assert_eq!((seen.served, seen.running, seen.refused), (0, 3, 50));
    let limit = seen.limit.unwrap();
    assert_eq!((limit.running, limit.limit, limit.refused, limit.adaptive), (3, 3, 50, false));
    assert_eq!((method(&server, "echo").served, server.stats().refused.overloaded), (50, 50));
    assert!(seen.to_string().contains("limit 3 of 3 (fixed), 50 refused"), "{seen}");

    state.gate.add_permits(1);
    assert_eq!(load(&peer.next().await.unwrap()), 170, "two of three are left");
    state.gate.add_permits(1);
    peer.next().await.unwrap();
    until("their places are free", || method(&server, "wait").running == 1).await;
    peer.send(request(90, "wait", &Text { text: "" })).await;
    until("it runs", || method(&server, "wait").running == 2).await;
}

#[tokio::test]
async fn places_come_back_however_a_call_ends() {
    let names = ["wait", "panic", "fail", "echo", "length", "bytes"];
    let names = names.map(|name| format!("test.Lab/{name}"));
    let limits: Vec<_> = names.iter().map(|name| (name.as_str(), Limit::fixed(1))).collect();
    let (server, state) = limited(&limits).await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for round in 0..60 {
        let id = 10 * round;
        // Cancelled.
        peer.send(request(id + 1, "wait", &Text { text: "" })).await;
        until("it runs", || method(&server, "wait").running == 1).await;
        peer.send(signal(Kind::Cancel, id + 1)).await;
        until("it is dropped", || method(&server, "wait").running == 0).await;
        // Out of time.
        let mut short = head("wait");
        short.remaining_ms = 20;
        peer.send(request_with(id + 2, 0, short, &args(&Text { text: "" }))).await;
        let (reason, _) = peer.expect(Kind::Error, id + 2).await.error();
        assert!(matches!(reason, Reason::DeadlinePassed | Reason::TimePassed), "{reason:?}");
        // With a panic, an error, arguments that do not decode, and an answer.
        let (reason, _) = peer.call(id + 3, "panic", &Nothing {}).await.error();
        assert_eq!(reason, Reason::Panicked);
        peer.send(request(id + 4, "fail", &Text { text: "" })).await;
        peer.expect(Kind::AppError, id + 4).await;
        peer.send(request_with(id + 5, 0, head("length"), &[0xc1])).await;
        assert_eq!(peer.expect(Kind::Error, id + 5).await.error().0, Reason::BadArguments);
        peer.call(id + 6, "echo", &Text { text: "" }).await.value::<String>();
    }
    // An answer that waits to be read holds no place.
    peer.send(request(601, "bytes", &Count { count: 1_000_000 })).await;
    peer.expect(Kind::Reply, 601).await;
    assert_eq!((server.stats().in_flight, method(&server, "bytes").running), (1, 0));
    for stats in server.method_stats() {
        assert_eq!(
            (stats.running, stats.limit.map_or(0, |limit| limit.refused)),
            (0, 0),
            "{stats}"
        );
    }
    assert_eq!(method(&server, "fail").errors, 60);
    assert_eq!(method(&server, "panic").failed, 60);
    assert_eq!(state.started(), state.ended());
}

#[tokio::test]
async fn a_service_shares_its_limit_among_its_methods() {
    let state = Arc::<State>::default();
    let server = lab(&state).limit_each(Limit::fixed(2)).start().await.unwrap();
    let mut peer = RawPeer::connect(server.local_addr()).await;
    for id in 1..=2 {
        peer.send(request(id, "wait", &Text { text: "" })).await;
    }
    until("they run", || state.started() == 2).await;
    let refused = peer.call(3, "echo", &Text { text: "" }).await;
    let (reason, error) = refused.error();
    assert_eq!(reason, Reason::Overloaded);
    assert!(
        error.message().contains("test.Lab has reached its limit: 2 calls run, 2 may"),
        "{error}"
    );
    assert_eq!(load(&refused), 255);
    let limit = method(&server, "echo").service_limit.unwrap();
    assert_eq!((limit.running, limit.limit, limit.refused), (2, 2, 1));
    // What is named has its own limit instead.
    let server = lab(&state)
        .limit_each(Limit::fixed(2))
        .limit("test.Lab", Limit::none())
        .start()
        .await
        .unwrap();
    assert!(method(&server, "echo").service_limit.is_none());
}

#[tokio::test]
async fn a_body_that_is_slow_to_come_keeps_nobody_out() {
    use rpc_core::wire::flag;
    let (server, _) = limited(&[("test.Lab/length", Limit::fixed(1))]).await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut rest = 100_000u32.to_le_bytes().to_vec();
    rest.extend([0; 1000]);
    for id in 1..=3 {
        peer.send(request_with(id, flag::CHUNKED, head("length"), &rest)).await;
    }
    assert_eq!(peer.call(4, "length", &Data { data: b"four" }).await.value::<u64>(), 4);
}

#[tokio::test]
async fn limits_for_what_is_not_there_are_told_at_the_start() {
    for (name, words) in [
        ("test.Lap", "no service \"test.Lap\" is served here; these are: test.Lab"),
        ("test.Lab/ecko", "test.Lab has no method \"ecko\"; it has: echo, wait"),
        ("test.Lab@2", "no service \"test.Lab@2\""),
    ] {
        let state = Arc::<State>::default();
        let error = lab(&state).limit(name, Limit::fixed(1)).start().await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let state = Arc::<State>::default();
    let error = lab(&state).limit("test.Lab", Limit::fixed(0)).start().await.unwrap_err();
    assert!(error.to_string().contains("write 1 to 1000000"), "{error}");
}

/// The queue that a limit leaves is the runtime's: tasks that wait for a thread. Whoever has run
/// out of time there is not started.
#[tokio::test]
async fn calls_that_waited_too_long_for_a_thread_are_not_started() {
    let (server, state) = limited(&[("test.Lab", Limit::fixed(1_000))]).await;
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut short = head("echo");
    short.remaining_ms = 50;
    // The only thread is blocked by the first for longer than the others have. They are in tasks,
    // since the method is new.
    let mut bytes = request(1, "block", &Millis { millis: 500 });
    for id in 2..=12 {
        bytes.extend(request_with(id, 0, short, &args(&Text { text: "" })));
    }
    peer.send(bytes).await;
    let mut late = 0;
    for _ in 1..=12 {
        let frame = peer.next().await.unwrap();
        if frame.header.id != 1 {
            assert_eq!(frame.error().0, Reason::TimePassed);
            late += 1;
        }
    }
    assert_eq!((late, state.started(), server.stats().refused.time_passed), (11, 0, 11));
    assert_eq!(method(&server, "echo").running, 0);
}

/// Workers of 20 ms: what they can do is 400 calls a second.
const WORKERS: usize = 8;

/// Eight workers under twice what they can do, from callers that give each call 300 ms and do not
/// wait for the answers before they send more. How many of 12 s of calls were answered, as a share
/// of what the workers can do.
async fn goodput(limit: Limit) -> f64 {
    let (server, state) = limited(&[("test.Lab/work", limit)]).await;
    state.gate.add_permits(WORKERS);
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut head = head("work");
    head.remaining_ms = 300;
    let (calls, rest) = (12 * 800, args(&Millis { millis: 20 }));
    let mut every = tokio::time::interval(std::time::Duration::from_micros(1_250));
    let begun = tokio::time::Instant::now();
    let (mut sent, mut answered, mut refused, mut late) = (0, 0, 0, 0);
    while answered + refused + late < calls {
        // Reading loses nothing when it is given up for the next tick.
        let frame = tokio::select! {
            _ = every.tick(), if sent < calls => {
                sent += 1;
                head.sent_ms = u32::try_from(begun.elapsed().as_millis()).unwrap();
                peer.send(request_with(sent, 0, head, &rest)).await;
                continue;
            }
            frame = peer.next() => frame.unwrap(),
        };
        match frame.header.kind {
            Kind::Reply => answered += 1,
            _ => match frame.error().0 {
                Reason::Overloaded => refused += 1,
                Reason::DeadlinePassed | Reason::TimePassed => late += 1,
                other => panic!("{other:?}"),
            },
        }
    }
    // What was refused did not run, whatever else did.
    assert_eq!(method(&server, "work").refused, refused + server.stats().refused.time_passed);
    assert_eq!(state.started() as u64, answered + server.stats().deadlines_passed);
    f64::from(u32::try_from(answered).unwrap()) / f64::from(12 * 400)
}

#[tokio::test]
#[ignore = "takes a minute"]
async fn goodput_holds_under_twice_the_capacity() {
    let without = goodput(Limit::none()).await;
    assert!(without < 0.5, "without a limit nearly all are late: {without}");
    for limit in [Limit::fixed(16), Limit::adaptive_between(4, 1_000)] {
        let share = goodput(limit).await;
        assert!(share >= 0.8, "{limit:?}: {share}");
    }
}
