//! The only way to make a client.

use crate::{budget::RetryBudget, client::Client, endpoint::PoolSize, shared::Settings};
use rpc_core::{
    Balance, SetupError, defaults,
    discovery::{RegistrySource, SnapshotRegistry},
    service::contracts,
    transport::Network,
    wire::Limits,
};
use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// The most connections to one endpoint that can be asked for.
const MAX_CONNECTIONS: u32 = 1_024;

/// Describes a client; see [`Client::builder`].
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    registry: Option<RegistrySource>,
    network: Network,
    balance: Balance,
    balances: BTreeMap<String, Balance>,
    warm_up: Duration,
    timeout: Duration,
    retries: u32,
    retry_budget: RetryBudget,
    max_message: u32,
    max_in_flight: u32,
    max_waiting: u32,
    connections: RangeInclusive<u32>,
    initial_connections: Option<u32>,
    snapshots: Option<PathBuf>,
}

/// What a retry budget gives each second at most.
const MOST_PER_SECOND: u32 = 1_000_000;

impl Client {
    /// A client with default settings, for providers that `registry` lists: a URL such as
    /// `zookeeper://h1:2181,h2:2181/rpc`, `static://10.0.0.5:9000` or `memory://name`, or a value
    /// that implements [`Registry`](rpc_core::discovery::Registry).
    ///
    /// # Errors
    ///
    /// Only for configuration; an unreachable registry is no error.
    pub async fn connect(registry: impl Into<RegistrySource>) -> Result<Self, SetupError> {
        Self::builder().registry(registry).build().await
    }

    /// Starts to describe a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }
}

impl ClientBuilder {
    fn new() -> Self {
        Self {
            registry: None,
            network: Network::TCP,
            balance: Balance::default(),
            balances: BTreeMap::new(),
            warm_up: defaults::WARM_UP,
            timeout: defaults::CALL_TIMEOUT,
            retries: defaults::RETRIES,
            retry_budget: RetryBudget::default(),
            max_message: defaults::MAX_MESSAGE,
            max_in_flight: defaults::MAX_IN_FLIGHT_PER_PROCESS,
            max_waiting: defaults::MAX_WAITING,
            connections: defaults::CONNECTIONS_MIN..=defaults::CONNECTIONS_MAX,
            initial_connections: None,
            snapshots: None,
        }
    }

    /// Where providers are found: `zookeeper://h1:2181,h2:2181/rpc`, `static://host:port,..`,
    /// `memory://name`, or a value that implements [`rpc_core::discovery::Registry`]. Required.
    pub fn registry(mut self, registry: impl Into<RegistrySource>) -> Self {
        self.registry = Some(registry.into());
        self
    }

    /// Another network than TCP, for tests: a simulated one, see the crate `rpc-testkit`.
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// How calls are spread over providers. Default [`Balance::PeakEwma`].
    ///
    /// A service may have its own, see [`service_balance`](Self::service_balance), and a call too,
    /// see [`CallOptions::balance`](rpc_core::CallOptions::balance).
    pub fn balance(mut self, balance: Balance) -> Self {
        self.balance = balance;
        self
    }

    /// How the calls of one service are spread: `name@version`, or `name` for all versions that
    /// have none of their own. Default: as those of all.
    pub fn service_balance(mut self, service: impl Into<String>, balance: Balance) -> Self {
        self.balances.insert(service.into(), balance);
        self
    }

    /// How long a new instance gets less than its share, so that it can fill its caches: from a
    /// tenth of it when its connection is ready, in a line, to all of it. Default 10 s; zero turns
    /// it off.
    ///
    /// It is relative to the instance that has been there longest: when all are new, none is
    /// spared. An instance that is connected again is not new. No effect on `Random` and
    /// `RoundRobin`, which promise equal shares, and `ConsistentHash`, whose keys must not move.
    pub fn warm_up(mut self, warm_up: Duration) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// How long a call may take when neither it, nor its method, nor its contract says. Default
    /// 10 s; more than zero.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Further attempts of a call after its first, each at another endpoint. Default 2. Calls that
    /// a handler makes for a request that is a retry itself have none.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// What all retries of the calls to one service may cost: so many for each call, 0.0 to 1.0,
    /// and so many more each second, at most 1,000,000. Default 0.2 and 10; `retry_budget(0.0, 0)`
    /// retries nothing.
    ///
    /// What is saved up for a lull is what ten seconds give, and what the calls of about the last
    /// second do. Calls that were lost together with their provider may overdraw it. A call that
    /// moves without having reached a provider costs nothing. When the budget is spent, a call
    /// ends with the error of its last attempt; [`ClientStats`](crate::ClientStats) counts that.
    pub fn retry_budget(mut self, share: f64, per_second: u32) -> Self {
        self.retry_budget = RetryBudget { share, per_second };
        self
    }

    /// Largest message that is sent or received, in bytes. Default 4 MiB; 64 KiB to 1 GiB.
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.max_message = bytes;
        self
    }

    /// Calls in flight at once, those that wait for an endpoint included. Default 131,072; at
    /// least 1. A call beyond it fails with `ResourceExhausted` and `NotSent`.
    pub fn max_in_flight(mut self, calls: u32) -> Self {
        self.max_in_flight = calls;
        self
    }

    /// Calls of one service that may wait at once because every connection to every endpoint of
    /// it has as many calls in flight as its provider takes. Default 10,000; 0 lets none wait. A
    /// call beyond it fails with `ResourceExhausted` and `NotSent`.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    /// The fewest and the most connections to one endpoint. Default `1..=8`; at least 1 and at
    /// most 1,024. Calls share connections, and small calls share a single one best: more are made
    /// when large bodies or very many calls keep those open busy, and closed when they were not
    /// needed for a minute.
    pub fn connections(mut self, range: RangeInclusive<u32>) -> Self {
        self.connections = range;
        self
    }

    /// Connections that an endpoint begins with, within [`connections`](Self::connections).
    /// Default 1, or the fewest that there may be.
    pub fn initial_connections(mut self, count: u32) -> Self {
        self.initial_connections = Some(count);
        self
    }

    fn pool(&self) -> Result<PoolSize, SetupError> {
        let (min, max) = (*self.connections.start(), *self.connections.end());
        if min == 0 || min > max || max > MAX_CONNECTIONS {
            return Err(SetupError::new(format!(
                "`connections` is {min}..={max}; it begins at 1 or later, ends there or later, and \
                 at {MAX_CONNECTIONS} at the latest"
            )));
        }
        let initial = self.initial_connections.unwrap_or(defaults::CONNECTIONS_INITIAL.max(min));
        if !self.connections.contains(&initial) {
            return Err(SetupError::new(format!(
                "`initial_connections` is {initial}; it is within `connections`, {min} to {max}"
            )));
        }
        Ok(PoolSize { initial, min, max })
    }

    /// A directory in which the newest list of each service is kept, so that a client which starts
    /// while the registry is away finds its providers all the same. Default: none.
    ///
    /// It is made for this user alone if it is not there, and refused when others may write in it:
    /// who can write a snapshot decides where calls go. Several processes may share it. An address
    /// of a snapshot takes calls once the instance that was listed there answers; another instance
    /// at that address takes them only when, after 1.2 s, nobody else does. The first list that
    /// the registry gives replaces the snapshot's. Nothing is kept of `static://` and `memory://`.
    /// See [`SnapshotRegistry`].
    pub fn snapshots(mut self, directory: impl Into<PathBuf>) -> Self {
        self.snapshots = Some(directory.into());
        self
    }

    /// Makes the client. Called within a tokio runtime, on which its connections will live.
    ///
    /// # Errors
    ///
    /// Only for configuration: no registry, one that cannot be understood, a value out of range, a
    /// strategy for a service of which no contract is linked into the program. An unreachable registry is no error.
    #[expect(clippy::unused_async, reason = "the signature leaves room for work that waits")]
    pub async fn build(self) -> Result<Client, SetupError> {
        let runtime = Handle::try_current()
            .map_err(|_| SetupError::new("a client is built within a tokio runtime"))?;
        let pool = self.pool()?;
        let registry = self.registry.ok_or_else(|| {
            SetupError::new(
                "the client has no registry; add .registry(\"zookeeper://host:2181\"), \
                 .registry(\"static://host:port\") or .registry(\"memory://name\")",
            )
        })?;
        if self.timeout.is_zero() {
            return Err(SetupError::new("`timeout` is zero; it is more than that"));
        }
        let RetryBudget { share, per_second } = self.retry_budget;
        if !(0.0..=1.0).contains(&share) || per_second > MOST_PER_SECOND {
            return Err(SetupError::new(format!(
                "`retry_budget` is {share} of the calls and {per_second} a second; it is 0 to 1 of \
                 the calls and at most {MOST_PER_SECOND} a second"
            )));
        }
        let range = crate::MIN_MESSAGE..=crate::MAX_MESSAGE;
        if !range.contains(&self.max_message) {
            return Err(SetupError::new(format!(
                "`max_message` is {}; it is {} to {} bytes",
                self.max_message,
                range.start(),
                range.end()
            )));
        }
        if self.max_in_flight == 0 {
            return Err(SetupError::new("`max_in_flight` is 0; it is at least 1"));
        }
        check_services(self.balances.keys())?;
        let settings = Settings {
            pool,
            max_waiting: self.max_waiting,
            balances: self.balances,
            warm_up: self.warm_up,
            balance: self.balance,
            timeout: self.timeout,
            retries: self.retries,
            retry_budget: self.retry_budget,
            limits: Limits { max_message: self.max_message, ..Limits::default() },
            max_in_flight: self.max_in_flight,
        };
        let mut registry = registry.open()?;
        if let Some(directory) = self.snapshots {
            registry = Arc::new(SnapshotRegistry::new(registry, directory)?);
        }
        Ok(Client::start(settings, self.network, registry, runtime))
    }
}

/// A misspelled service would go unnoticed.
fn check_services<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), SetupError> {
    let known = contracts();
    for wanted in names {
        if !known.iter().any(|meta| meta.registered == wanted || meta.name == wanted) {
            let known: Vec<_> = known.iter().map(|meta| meta.registered).collect();
            return Err(SetupError::new(format!(
                "`service_balance` names `{wanted}`, but no contract that is linked into this \
                 program is called so; there are: {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}
