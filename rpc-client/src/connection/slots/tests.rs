use super::*;
use crate::connection::vigil::Look;
use rpc_core::{
    BoxFuture,
    transport::{Socket, Stream},
};
use std::{
    future::pending,
    io::{self, ErrorKind},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

fn admit(connection: &Connection, deadline: Time) -> Waiter<'_> {
    let waker = Waker::noop().clone();
    let mut waiter =
        Slots::admit(connection, deadline, Time::NEVER, 100_000, waker).expect("there is room");
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

/// A socket that nothing comes or goes through, and whether it was shut down.
#[derive(Debug, Clone, Default)]
struct Still(Arc<AtomicBool>);

impl Stream for Still {
    fn readable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(pending())
    }

    fn writable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(pending())
    }

    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn try_write(&self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        self.0.store(true, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn a_retired_connection_stays_for_a_call_that_was_admitted_before() {
    let still = Still::default();
    let connection = Connection::over(Socket::other(still.clone()));
    let is_shut = || still.0.load(Ordering::SeqCst);
    let (last, next) = (admit(&connection, at(1)), admit(&connection, at(1)));
    drop(last);
    connection.retire();
    // Whoever gave the place back before `next` came was put aside, and looks only now.
    connection.last_place_freed();
    assert!(!is_shut() && !connection.takes_calls());
    drop(next);
    assert!(is_shut());
}

#[tokio::test]
async fn who_comes_while_the_provider_is_silent_is_not_admitted_and_who_waits_is_told_each_time() {
    let connection = Connection::idle().await.unwrap();
    let mut waits = admit(&connection, at(10_000));
    let mut told = || {
        let polled = Pin::new(&mut waits).poll(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Arrival::Silent))
    };
    for _ in 0..2 {
        connection.slots.tell_silent();
        assert!(told() && !told());
    }
    let come = || connection.admit(at(10_000), Time::NEVER, Waker::noop().clone()).is_ok();
    assert!(come());
    assert!(connection.vigil.suspect(at(0)));
    assert_eq!(connection.vigil.look(at(5_000), true), Look::Silent);
    assert!(!come());
    assert_eq!(connection.in_flight(), 1);
}
