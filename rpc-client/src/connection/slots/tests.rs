use super::*;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

fn admit(connection: &Connection, deadline: Time) -> Waiter<'_> {
    let waker = Waker::noop().clone();
    let mut waiter = Slots::admit(connection, deadline, Time::NEVER, false, 100_000, waker)
        .expect("there is room");
    waiter.look_away();
    waiter
}

fn has_ended(waiter: &mut Waiter<'_>) -> bool {
    let polled = Pin::new(waiter).poll(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Ready(Arrival::Deadline))
}

fn at(ms: u64) -> Time {
    Time::from_nanos((1000 + ms) * 1_000_000)
}

#[tokio::test]
async fn calls_end_at_their_deadlines_and_the_table_knows_the_next() {
    let connection = Connection::idle().await.unwrap();
    let slots = &connection.slots;
    assert_eq!(slots.expire(at(0)), Time::NEVER);
    let mut late = admit(&connection, at(500));
    let mut soon = admit(&connection, at(100));
    assert_eq!(slots.expire(at(0)), at(100));
    assert_eq!(slots.expire(at(99)), at(100));
    assert!(!has_ended(&mut soon));
    assert_eq!(slots.expire(at(100)), at(500));
    assert!(has_ended(&mut soon) && !has_ended(&mut late));
    // That a call has ended by itself is seen when its deadline comes.
    drop(late);
    assert_eq!(slots.expire(at(200)), at(500));
    assert_eq!(slots.expire(at(500)), Time::NEVER);
    let _again = admit(&connection, at(600));
    assert_eq!(slots.expire(at(500)), at(600));
}

#[tokio::test]
async fn a_large_table_rests_after_it_was_looked_through() {
    const CALLS: u32 = 60_000;
    let connection = Connection::idle().await.unwrap();
    let slots = &connection.slots;
    let mut waiting: Vec<_> = (1..=CALLS).map(|n| admit(&connection, at(u64::from(n)))).collect();
    let rest = REST * CALLS;
    assert_eq!(slots.expire(at(1)), at(1) + rest, "though the next deadline is a ms away");
    let mut new = admit(&connection, at(2));
    assert_eq!(slots.expire(at(3)), at(1) + rest);
    assert!(has_ended(&mut waiting[0]) && !has_ended(&mut waiting[1]) && !has_ended(&mut new));
    slots.expire(at(1) + rest);
    assert!(has_ended(&mut waiting[1]) && has_ended(&mut new), "none is forgotten");
}
