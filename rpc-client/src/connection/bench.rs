//! The table of calls for benchmarks: reached with the feature `bench` alone.

use super::{Arrival, Connection, Waiter, slots::Slots};
use crate::clock::Time;
use rpc_core::{transport::Body, wire::Kind};
use std::{
    io,
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

/// The table of a connection on which nothing is sent.
#[derive(Debug)]
pub struct Table(Connection);

impl Table {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// When there is no socket for it.
    pub async fn new() -> io::Result<Self> {
        Connection::idle().await.map(Self)
    }

    /// So often, as many calls as are told take their places, wait, are answered as by one read,
    /// and take their answers.
    pub fn round_trips(&self, rounds: usize, calls: usize) {
        let cx = &mut Context::from_waker(Waker::noop());
        let (mut answers, mut wakers) = (Vec::new(), Vec::new());
        let mut waiting = Vec::with_capacity(calls);
        let now = Time::now();
        for _ in 0..rounds {
            for _ in 0..calls {
                let mut waiter = self.admit(now + Duration::from_secs(10));
                let _ = Pin::new(&mut waiter).poll(cx);
                waiting.push(waiter);
            }
            answers.extend(waiting.iter().map(|waiter: &Waiter<'_>| {
                let body = Body::new();
                (
                    waiter.id(),
                    Arrival::Answer { kind: Kind::Reply, flags: 0, aux: 0, body, at: now },
                )
            }));
            self.0.slots.complete(&mut answers, &mut wakers);
            for mut waiter in waiting.drain(..) {
                assert!(Pin::new(&mut waiter).poll(cx).is_ready(), "it was answered");
            }
        }
    }

    /// Looks for deadlines that have passed, so often, while as many calls as are told wait. The
    /// first look is a millisecond from now, the others follow by as much; deadlines are spread
    /// over the time `within`. Returns how many are left.
    pub fn sweeps(&self, looks: u32, calls: u32, within: Duration) -> usize {
        let now = Time::now();
        let cx = &mut Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> =
            (1..=calls).map(|call| self.admit(now + within * call / calls.max(1))).collect();
        for look in 1..=looks {
            self.0.slots.expire(now + Duration::from_millis(look.into()));
        }
        waiting.retain_mut(|waiter| {
            // The first poll need not look.
            waiter.look_away();
            Pin::new(waiter).poll(cx).is_pending()
        });
        waiting.len()
    }

    fn admit(&self, deadline: Time) -> Waiter<'_> {
        let waker = Waker::noop().clone();
        let admitted = Slots::admit(&self.0, deadline, Time::NEVER, usize::MAX, waker);
        admitted.expect("it is open")
    }
}
