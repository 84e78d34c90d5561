//! What the parts of one client share: its settings, its counts, its life.

use crate::{
    budget::RetryBudget,
    connection::Dialer,
    permits::{Permit, Permits},
    pool::PoolSize,
    pressure::{Audience, Teller},
    stats::{ClientStats, Counters},
    timekeeper::Timekeeper,
};
use rpc_core::{
    Balance, Outcome, RpcError, Token, discovery::Registry, transport::Network, wire::Limits,
};
use std::{
    collections::BTreeMap,
    fmt,
    num::NonZero,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// What a builder has found to be right.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) balance: Balance,
    /// Of single services, by `name@version` or name.
    pub(crate) balances: BTreeMap<String, Balance>,
    /// How long a new instance gets less than its share.
    pub(crate) warm_up: Duration,
    /// Of calls that name none.
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) retry_budget: RetryBudget,
    /// Share of the calls that may be hedged.
    pub(crate) hedging: f64,
    /// What this client is ready to receive.
    pub(crate) limits: Limits,
    /// What it shows to providers.
    pub(crate) token: Option<Token>,
    pub(crate) max_in_flight: u32,
    /// Calls that may wait for room, per service.
    pub(crate) max_waiting: u32,
    /// People are told at most this often that a service is full.
    pub(crate) pressure_window: Duration,
    /// Connections per endpoint.
    pub(crate) pool: PoolSize,
}

impl Settings {
    /// The strategy of a service: under its own name and version, under its name, of all.
    pub(crate) fn balance_of(&self, registered: &str) -> Balance {
        let name = registered.split('@').next().unwrap_or(registered);
        let own = self.balances.get(registered).or_else(|| self.balances.get(name));
        own.copied().unwrap_or(self.balance)
    }
}

/// What the client's tasks and calls share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) dialer: Arc<Dialer>,
    /// Tells people that a service is full.
    pub(crate) teller: Teller,
    /// Triggered when the client's [`Life`] is over.
    pub(crate) end: CancellationToken,
    /// The one that the client was built in.
    pub(crate) runtime: Handle,
    in_flight: Permits,
}

/// Kept by handles and proxies: when the last is dropped, the client's tasks end.
pub(crate) struct Life {
    pub(crate) registry: Arc<dyn Registry>,
    _end: DropGuard,
}

impl Shared {
    /// Starts the tasks that every client has. Called within its runtime.
    pub(crate) fn start(
        settings: Settings,
        network: Network,
        registry: Arc<dyn Registry>,
        audience: Audience,
    ) -> (Arc<Self>, Arc<Life>) {
        let end = CancellationToken::new();
        let dialer = Arc::new(Dialer {
            limits: settings.limits,
            token: settings.token.clone(),
            network,
            timekeeper: Timekeeper::new(),
            counters: Counters::default(),
            tasks: TaskTracker::new(),
            cores: std::thread::available_parallelism().map_or(1, NonZero::get),
        });
        let clock = Arc::clone(&dialer);
        let timekeeper = async move { clock.timekeeper.run().await };
        dialer.tasks.spawn(end.clone().run_until_cancelled_owned(timekeeper));
        let window = settings.pressure_window;
        let told = Arc::clone(&registry);
        let teller = Teller::start(audience, window, told, &dialer.tasks, &end);
        let life = Life { registry, _end: end.clone().drop_guard() };
        let in_flight = Permits::new(settings.max_in_flight);
        let shared = Self { settings, dialer, teller, end, runtime: Handle::current(), in_flight };
        (Arc::new(shared), Arc::new(life))
    }

    pub(crate) fn stats(&self) -> ClientStats {
        self.dialer.counters.read(self.in_flight())
    }

    /// Counts a look at endpoints.
    pub(crate) fn reviewed(&self) {
        self.dialer.counters.reviews.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that have begun and not ended.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.taken()
    }

    /// Counts a call among those in flight.
    ///
    /// # Errors
    ///
    /// There are as many as may be.
    #[inline]
    pub(crate) fn enter(&self) -> Result<Permit<'_>, RpcError> {
        self.in_flight.take().ok_or_else(|| {
            let text = format!(
                "{} calls are in flight in this client, its limit; slow down, or raise \
                 `max_in_flight`",
                self.in_flight.limit()
            );
            RpcError::resource_exhausted(text).with_outcome(Outcome::NotSent)
        })
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").finish_non_exhaustive()
    }
}
