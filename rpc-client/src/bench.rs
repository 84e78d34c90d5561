//! Parts of the client for benchmarks: the feature `bench`. Not for programs: it changes without
//! notice.

pub use crate::connection::bench::Table;

use crate::{
    balance::{self, Field, Lesson, Load, Member, Query},
    clock::Time,
};
use rpc_core::Balance;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// For how long an instance is new.
const RAMP: Duration = Duration::from_secs(10);

/// The choice among endpoints, each with its gauge in memory of its own.
#[derive(Debug)]
pub struct Choice {
    balance: Balance,
    members: Vec<Member>,
    field: Field,
    endpoints: Endpoints,
    key: u64,
}

#[derive(Debug)]
struct Endpoints {
    gauges: Vec<Arc<(AtomicUsize, balance::Gauge)>>,
    turn: AtomicUsize,
    now: Time,
}

impl Query for &Endpoints {
    fn turn(&mut self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&mut self) -> u64 {
        fastrand::u64(..)
    }

    fn load(&self, index: usize) -> Load {
        let (active, gauge) = &*self.gauges[index];
        gauge.load(active.load(Ordering::Relaxed), true, self.now)
    }

    fn fits(&mut self, index: usize) -> bool {
        self.gauges[index].0.load(Ordering::Relaxed) < 1000
    }
}

impl Choice {
    /// Among `count` endpoints of which some are busier. They weigh the same, or one is new and
    /// most weigh differently.
    pub fn new(balance: Balance, count: u32, even: bool) -> Self {
        let member = |index| Member {
            addr: SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + index), 9000)),
            weight: if even { 100 } else { 50 + index % 100 },
            age: if even || index > 0 { 10 * RAMP } else { RAMP / 10 },
        };
        let gauge = |index: u32| {
            let gauge = balance::Gauge::default();
            let took = Duration::from_micros(100 + u64::from(index % 7));
            gauge.learn(Lesson::Answered, Time::from_nanos(0), Time::from_nanos(0) + took);
            Arc::new((AtomicUsize::new(index as usize % 3), gauge))
        };
        let members: Vec<_> = (0..count).map(member).collect();
        let field = Field::new(&members, RAMP, None);
        field.prepare(balance);
        let endpoints = Endpoints {
            gauges: (0..count).map(gauge).collect(),
            turn: AtomicUsize::new(0),
            now: Time::now(),
        };
        Self { balance, members, field, endpoints, key: 0 }
    }

    /// The endpoint of the next call.
    pub fn pick(&mut self) -> Option<usize> {
        self.key = self.key.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.field.choose(self.balance, Some(self.key), &mut &self.endpoints)
    }

    /// Makes the tables of a list of endpoints that was not there before.
    pub fn prepare(&self) {
        Field::new(&self.members, RAMP, None).prepare(self.balance);
    }

    /// Takes over a list that is the same as before.
    pub fn prepare_again(&self) {
        let _ = Field::new(&self.members, RAMP, Some(&self.field));
    }
}

/// What an endpoint is known to take, learned from answers that come one after the other.
#[derive(Debug)]
pub struct Gauge {
    gauge: balance::Gauge,
    now: Time,
}

impl Gauge {
    /// One that knows nothing.
    #[expect(clippy::new_without_default, reason = "it depends on the clock")]
    pub fn new() -> Self {
        Self { gauge: balance::Gauge::default(), now: Time::now() }
    }

    /// Learns of an answer after this time.
    pub fn learn(&mut self, took: Duration) {
        let since = self.now;
        self.now = since + took;
        self.gauge.learn(Lesson::Answered, since, self.now);
    }
}

/// Where on the ring of consistent hashing a key lies.
pub fn position(key: &[u8]) -> u64 {
    balance::position(key)
}
