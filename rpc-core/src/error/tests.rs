//! Numbers, texts and the serialized form of errors.

use super::*;

#[test]
fn wire_numbers_are_stable_and_unknown_ones_are_tolerated() {
    for number in 0..=16 {
        assert_eq!(RpcCode::from_wire(number).to_wire(), number);
    }
    assert_eq!(RpcCode::from_wire(200), RpcCode::Unknown);
    for number in 0..=3 {
        assert_eq!(Outcome::from_wire(number).to_wire(), number);
    }
    assert_eq!(Outcome::from_wire(77), Outcome::Unknown);
}

#[test]
fn a_deserialized_error_is_remote_and_keeps_its_deeper_outcome() {
    let deep = RpcError::unavailable("nobody there").with_outcome(Outcome::NotSent);
    let bytes = rmp_serde::to_vec(&deep).unwrap();
    let back: RpcError = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(back, deep);
    assert!(back.is_remote() && !deep.is_remote());
    assert_eq!(back.outcome(), Outcome::Ran);
    assert_eq!(back.remote_outcome(), Some(Outcome::NotSent));
    // A second hop does not wash it out.
    let again: RpcError = rmp_serde::from_slice(&rmp_serde::to_vec(&back).unwrap()).unwrap();
    assert_eq!(again.remote_outcome(), Some(Outcome::NotSent));
}

#[test]
fn names_that_come_from_a_peer_are_cut() {
    let form = (3, "no", "\u{e9}".repeat(200), "m".repeat(90_000));
    let read: RpcError = rmp_serde::from_slice(&rmp_serde::to_vec(&form).unwrap()).unwrap();
    assert_eq!(read.service(), "\u{e9}".repeat(128));
    assert_eq!(read.method(), "m".repeat(256));
}

#[test]
fn an_error_decoded_inside_a_users_type_learns_its_place() {
    #[derive(Deserialize)]
    struct Mine(RpcError);
    let bytes = rmp_serde::to_vec(&RpcError::not_found("no user 7")).unwrap();
    let place = Place {
        service: "demo.Users",
        method: "find",
        endpoint: Some(SocketAddr::from(([127, 0, 0, 1], 9))),
        attempts: 2,
        elapsed: Duration::from_millis(3),
        outcome: None,
    };
    let mine: Mine = decoding_at(place, || rmp_serde::from_slice(&bytes)).unwrap();
    assert_eq!((mine.0.service(), mine.0.method()), ("demo.Users", "find"));
    assert_eq!((mine.0.endpoint(), mine.0.attempts()), (place.endpoint, 2));
    let outside: Mine = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(outside.0.service(), "");
}

#[test]
fn the_text_says_what_where_how_often_how_long_and_whether_it_ran() {
    let e = RpcError::unavailable("connection reset").placed(Place {
        service: "demo.Users@2",
        method: "find",
        endpoint: Some(SocketAddr::from(([10, 0, 0, 5], 9000))),
        attempts: 2,
        elapsed: Duration::from_millis(1250),
        outcome: Some(Outcome::Unknown),
    });
    assert_eq!(
        e.to_string(),
        "demo.Users@2.find on 10.0.0.5:9000: unavailable: connection reset \
         (2 attempts, 1.2s, it may have run)"
    );
}

#[test]
fn an_error_that_a_handler_passed_on_names_both_calls() {
    let place = |service, port| Place {
        service,
        method: "go",
        endpoint: Some(SocketAddr::from(([10, 0, 0, 5], port))),
        attempts: 1,
        elapsed: Duration::from_millis(2),
        outcome: None,
    };
    let deep = RpcError::unavailable("the disk is away").placed(place("demo.Inner", 1));
    let passed_on: RpcError = rmp_serde::from_slice(&rmp_serde::to_vec(&deep).unwrap()).unwrap();
    let error = passed_on.placed(place("demo.Outer", 2));
    assert_eq!((error.service(), error.message()), ("demo.Outer", "the disk is away"));
    assert_eq!(
        error.to_string(),
        "demo.Outer.go on 10.0.0.5:2: unavailable: the disk is away, said demo.Inner.go on \
         10.0.0.5:1 (1 attempt, 2.0ms, it ran)"
    );
}

#[test]
fn the_trail_tells_what_came_before_and_stays_here() {
    let at = |n| SocketAddr::from(([10, 0, 0, n], 9000));
    let ms = Duration::from_millis;
    let mut trail = Trail::default();
    let reset = RpcError::unavailable("connection reset").with_outcome(Outcome::Unknown);
    trail.push(Attempt::new(at(1), &reset, ms(0), ms(2)));
    let told = RpcError::unavailable("told to fail");
    trail.push(Attempt::new(at(2), &told, ms(2), ms(5)));
    trail.ended_because("there is no money");
    let e = told
        .placed(Place {
            service: "demo.Users",
            method: "find",
            endpoint: Some(at(2)),
            attempts: 2,
            elapsed: ms(7),
            outcome: None,
        })
        .with_trail(trail);
    assert_eq!(
        e.to_string(),
        "demo.Users.find on 10.0.0.2:9000: unavailable: told to fail (2 attempts, 7.0ms, it ran); not \
         tried again: there is no money; before that 10.0.0.1:9000: unavailable: connection reset \
         (2.0ms, it may have run)"
    );
    let [first, second] = e.trail() else { panic!("{e}") };
    assert_eq!((first.endpoint, first.outcome), (at(1), Outcome::Unknown));
    assert_eq!((second.began, second.took), (ms(2), ms(5)));
    let away: RpcError = rmp_serde::from_slice(&rmp_serde::to_vec(&e).unwrap()).unwrap();
    assert!(away.trail().is_empty());
}

#[test]
fn a_trail_keeps_the_last_eight() {
    let mut trail = Trail::default();
    for n in 0..20 {
        let at = SocketAddr::from(([10, 0, 0, n], 9000));
        trail.push(Attempt::new(at, &RpcError::internal("x"), Duration::ZERO, Duration::ZERO));
    }
    let e = RpcError::internal("x").with_trail(trail);
    let kept: Vec<_> = e.trail().iter().map(|a| a.endpoint.to_string()).collect();
    assert_eq!((kept.len(), &*kept[0], &*kept[7]), (8, "10.0.0.12:9000", "10.0.0.19:9000"));
}
