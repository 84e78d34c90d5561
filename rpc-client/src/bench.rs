//! Parts of the client for benchmarks: the feature `bench`. Not for programs: it changes without
//! notice.

pub use crate::connection::bench::Table;

use crate::{
    balance::{Field, Gauge, Lesson, Load, Member, Query},
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

/// The choice among endpoints, each with its gauge in memory of its own.
#[derive(Debug)]
pub struct Choice {
    balance: Balance,
    field: Field,
    endpoints: Endpoints,
    key: u64,
}

#[derive(Debug)]
struct Endpoints {
    gauges: Vec<Arc<(AtomicUsize, Gauge)>>,
    turn: AtomicUsize,
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
        gauge.load(active.load(Ordering::Relaxed))
    }

    fn fits(&mut self, index: usize) -> bool {
        self.gauges[index].0.load(Ordering::Relaxed) < 1000
    }
}

impl Choice {
    /// Among `count` endpoints that weigh the same, and of which some are busier.
    pub fn new(balance: Balance, count: u32) -> Self {
        let member = |index| Member {
            addr: SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + index), 9000)),
            weight: 100,
            age: Duration::from_secs(100),
        };
        let gauge = |index: u32| {
            let gauge = Gauge::default();
            let took = Duration::from_micros(100 + u64::from(index % 7));
            gauge.learn(Lesson::Answered, Time::from_nanos(0), Time::from_nanos(0) + took);
            Arc::new((AtomicUsize::new(index as usize % 3), gauge))
        };
        let members: Vec<_> = (0..count).map(member).collect();
        let field = Field::new(&members, Duration::from_secs(10), None);
        field.prepare(balance);
        let endpoints =
            Endpoints { gauges: (0..count).map(gauge).collect(), turn: AtomicUsize::new(0) };
        Self { balance, field, endpoints, key: 0 }
    }

    /// The endpoint of the next call.
    pub fn pick(&mut self) -> Option<usize> {
        self.key = self.key.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.field.choose(self.balance, Some(self.key), &mut &self.endpoints)
    }
}
