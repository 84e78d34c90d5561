//! One address of a service: the connection to it, and the task that keeps one.

use crate::{
    connection::{Connection, OnChange},
    shared::Shared,
};
use rpc_core::{
    defaults,
    discovery::{Instance, InstanceId},
    transport::lock,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What is known about an address, and the connection to it if there is one.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) addr: SocketAddr,
    state: Mutex<State>,
    /// Another process may listen here now: it is dialled without further pause.
    renewed: Arc<Notify>,
    /// Ends the task that keeps the connection.
    _stop: DropGuard,
}

#[derive(Debug)]
struct State {
    instance: Arc<Instance>,
    connection: Option<Arc<Connection>>,
    /// An instance that has said that it leaves: a connection to it is of no use.
    left: Option<InstanceId>,
    /// A connection to it was lost before, or the address is doubted.
    served: bool,
    /// Since when there has been no usable connection.
    lost: Instant,
    failure: Arc<str>,
    /// Since when the registry no longer lists it, though it answers.
    probation: Option<Instant>,
    /// The instance that takes calls here, and since when: a new one warms up, the same one on
    /// another connection does not.
    takes_calls: Option<(Option<InstanceId>, Instant)>,
}

/// An endpoint at one moment.
#[derive(Debug)]
pub(crate) enum Look {
    /// It takes calls.
    Usable {
        connection: Arc<Connection>,
        /// Its share of the calls under weighted strategies.
        weight: u32,
        /// Since when its instance has been seen to take calls.
        since: Instant,
    },
    /// It is connected, but does not answer at the moment.
    Silent,
    /// No call can be put on it; since when, and why.
    Lost { since: Instant, why: Arc<str> },
}

impl Endpoint {
    /// An endpoint that begins to dial.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        instance: Arc<Instance>,
        changed: &OnChange,
    ) -> Arc<Self> {
        let stop = CancellationToken::new();
        let endpoint = Arc::new(Self {
            addr: instance.addr,
            state: Mutex::new(State {
                instance,
                connection: None,
                left: None,
                served: false,
                lost: Instant::now(),
                failure: Arc::from("being dialled"),
                probation: None,
                takes_calls: None,
            }),
            renewed: Arc::default(),
            _stop: stop.clone().drop_guard(),
        });
        let keeper = Keeper {
            addr: endpoint.addr,
            endpoint: Arc::downgrade(&endpoint),
            shared: Arc::clone(shared),
            changed: Arc::clone(changed),
            renewed: Arc::clone(&endpoint.renewed),
        };
        shared.dialer.tasks.spawn(async move {
            stop.run_until_cancelled_owned(keeper.run()).await;
        });
        endpoint
    }

    /// Nobody vouches for the address: a connection to it is used once its provider has greeted.
    pub(crate) fn doubt(&self) {
        lock(&self.state).served = true;
    }

    /// What can be done with it now.
    pub(crate) fn look(&self) -> Look {
        let mut state = lock(&self.state);
        let State { connection, takes_calls, .. } = &mut *state;
        let mut since = Instant::now();
        if let Some(connection) = connection.as_ref().filter(|c| c.is_greeted() && c.is_usable()) {
            let instance = connection.instance();
            match takes_calls {
                Some((id, at)) if *id == instance => since = *at,
                _ => *takes_calls = Some((instance, since)),
            }
        }
        match &state.connection {
            // After a loss a connection is used once its provider has greeted: a listener that is
            // being closed still accepts, and what is sent to it is lost.
            Some(connection) if !connection.is_greeted() && state.served => {
                Look::Lost { since: state.lost, why: Arc::from("connected, not greeted yet") }
            }
            Some(connection) if connection.is_usable() => {
                let weight = state.instance.weight;
                Look::Usable { connection: Arc::clone(connection), weight, since }
            }
            Some(connection) if connection.is_silent() => Look::Silent,
            // Its keeper is about to note it.
            Some(connection) => Look::Lost { since: Instant::now(), why: connection.why() },
            None => Look::Lost { since: state.lost, why: Arc::clone(&state.failure) },
        }
    }

    /// The registry lists this instance here.
    pub(crate) fn listed(&self, instance: &Arc<Instance>) {
        let mut state = lock(&self.state);
        state.probation = None;
        if Arc::ptr_eq(&state.instance, instance) {
            return;
        }
        let another = state.instance.id != instance.id;
        state.instance = Arc::clone(instance);
        if another && state.connection.is_none() {
            // It was listed just now: calls wait for it as for one that was just lost.
            state.lost = Instant::now();
            drop(state);
            self.renewed.notify_one();
        }
    }

    /// The registry lists nothing here any more. Says whether the endpoint stays in use: its
    /// connection answers as the instance that was listed, which has not said that it leaves, and
    /// that not longer than the time for that.
    pub(crate) fn vanished(&self, now: Instant) -> bool {
        let mut state = lock(&self.state);
        let since = *state.probation.get_or_insert(now);
        let Some(connection) = state.connection.as_ref().filter(|c| !c.is_ended()) else {
            return false;
        };
        let same = match (state.instance.id, connection.instance()) {
            (Some(listed), Some(answers)) => listed == answers,
            // Not greeted yet, or a registry that knows no instances.
            _ => connection.is_greeted(),
        };
        same && !connection.is_leaving() && now.duration_since(since) < defaults::PROBATION
    }

    /// Takes no more calls; closes when the last one has ended.
    pub(crate) fn retire(&self) {
        if let Some(connection) = lock(&self.state).connection.take() {
            connection.retire();
        }
    }
}

/// A connection that served for this long is dialled again without a pause when it is lost.
const SETTLED: Duration = Duration::from_secs(1);

/// The task that keeps an endpoint connected.
struct Keeper {
    addr: SocketAddr,
    endpoint: std::sync::Weak<Endpoint>,
    shared: Arc<Shared>,
    changed: OnChange,
    renewed: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            let began = Instant::now();
            let dialled = self.shared.dialer.dial(self.addr, &self.changed).await;
            let (failure, served, left) = match dialled {
                Ok(connection) => {
                    self.serve(&connection).await;
                    (connection.why(), connection.is_greeted(), connection.is_leaving())
                }
                Err(e) => (Arc::from(format!("dialling failed: {e}")), false, false),
            };
            if !self.note(|state| state.failure = failure) {
                return;
            }
            self.changed.notify_one();
            if served && (!left || began.elapsed() > SETTLED) {
                backoff = Backoff::new();
            }
            if served && !left && began.elapsed() > SETTLED {
                // Most likely only the connection was lost.
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next(fastrand::f64())) => {}
                () = self.renewed.notified() => backoff = Backoff::new(),
            }
        }
    }

    /// Offers a connection until it has ended.
    async fn serve(&self, connection: &Arc<Connection>) {
        /// Whoever drops this task takes no calls away from a connection that still answers.
        struct Retire(Arc<Connection>);
        impl Drop for Retire {
            fn drop(&mut self) {
                self.0.retire();
            }
        }
        let _retire = Retire(Arc::clone(connection));
        if !self.note(|state| state.connection = Some(Arc::clone(connection))) {
            return;
        }
        self.changed.notify_one();
        tokio::select! {
            () = connection.ended() => {}
            () = connection.left() => {}
            () = self.misgreeted(connection) => {}
        }
        let left = connection.is_leaving().then(|| connection.instance()).flatten();
        self.note(|state| {
            state.connection = None;
            state.served |= connection.is_greeted();
            state.left = left.or(state.left);
            state.lost = Instant::now();
        });
    }

    /// Ends when the connection turns out to be of no use: its provider says nothing in time and
    /// no call waits for it, or it is one that has said before that it leaves.
    async fn misgreeted(&self, connection: &Arc<Connection>) {
        let began = Instant::now();
        while !connection.is_greeted() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if began.elapsed() > defaults::DIAL_TIMEOUT && connection.in_flight() == 0 {
                return;
            }
        }
        let left = self.endpoint.upgrade().and_then(|e| lock(&e.state).left);
        if left.is_none() || left != connection.instance() {
            std::future::pending::<()>().await;
        }
    }

    /// Changes the state; `false` when the endpoint is gone.
    fn note(&self, change: impl FnOnce(&mut State)) -> bool {
        let Some(endpoint) = self.endpoint.upgrade() else { return false };
        change(&mut lock(&endpoint.state));
        true
    }
}

/// Pauses between dials: doubling, capped, jittered by half.
#[derive(Debug)]
struct Backoff(Duration);

impl Backoff {
    const fn new() -> Self {
        Self(defaults::REDIAL_MIN)
    }

    /// The next pause; `random` is in 0..1.
    fn next(&mut self, random: f64) -> Duration {
        let pause = self.0.mul_f64(0.5 + random / 2.0);
        self.0 = (self.0 * 2).min(defaults::REDIAL_MAX);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_jittered_downwards() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..10).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(Backoff::new().next(0.0), Duration::from_millis(25));
    }
}
