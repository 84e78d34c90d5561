//! The only way to make a client.

mod pressure;

use crate::{
    budget::RetryBudget, client::Client, config::Config, pool::PoolSize, pressure::Hook,
    shared::Settings,
};
use rpc_core::{
    Balance, SetupError, Token, defaults,
    discovery::{RegistrySource, SnapshotRegistry},
    service::contracts,
    transport::Network,
    wire::Limits,
};
use std::{ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// Describes a client; see [`Client::builder`].
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    registry: Option<RegistrySource>,
    network: Network,
    hook: Option<Hook>,
    /// What the setters were told. It holds over `config`, whichever came first.
    set: Config,
    config: Config,
}

impl Client {
    /// A client with default settings, for providers that `registry` lists: a URL such as
    /// `zookeeper://h1:2181,h2:2181/rpc`, `static://10.0.0.5:9000` or `memory://name`, or a value
    /// that implements [`Registry`](rpc_core::discovery::Registry).
    ///
    /// # Errors
    ///
    /// Those of [`ClientBuilder::build`]; an unreachable registry is none.
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
            hook: None,
            set: Config::default(),
            config: Config::default(),
        }
    }

    /// What a configuration says: of [`Config::load`], or one that the program has filled in. What
    /// the other setters say holds over it, whether they are called before or after this; of two
    /// configurations the later holds.
    pub fn config(mut self, config: Config) -> Self {
        self.config = self.config.overlaid_with(config);
        self
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

    /// What is shown to providers that take calls from those alone who know it: 1 to 512 bytes of
    /// visible ASCII without a comma. Default: none. A provider that wants another, or any, refuses
    /// calls: they are tried elsewhere, and fail with `Unauthenticated` and `Refused` if no other
    /// provider takes them.
    ///
    /// It is sent to every address that is dialled, and not encrypted: it keeps apart who is not
    /// meant to meet, and does not protect from those who can read the network or write the
    /// registry.
    pub fn token(mut self, token: impl Into<Token>) -> Self {
        self.set.token = Some(token.into());
        self
    }

    /// How calls are spread over providers. Default [`Balance::PeakEwma`].
    ///
    /// A service may have its own, see [`service_balance`](Self::service_balance), and a call too,
    /// see [`CallOptions::balance`](rpc_core::CallOptions::balance).
    pub fn balance(mut self, balance: Balance) -> Self {
        self.set.balance = Some(balance);
        self
    }

    /// How the calls of one service are spread: `name@version`, or `name` for all versions that
    /// have none of their own. Default: as those of all.
    pub fn service_balance(mut self, service: impl Into<String>, balance: Balance) -> Self {
        self.set.service_balance.insert(service.into(), balance);
        self
    }

    /// How long a new instance gets less than its share, so that it can fill its caches: from a
    /// tenth of it when its connection is ready, in a line, to all of it. Default 10 s; up to
    /// 24 h, zero turns it off.
    ///
    /// It is relative to the instance that has been there longest: when all are new, none is
    /// spared. An instance that is connected again is not new. No effect on `Random` and
    /// `RoundRobin`, which promise equal shares, and `ConsistentHash`, whose keys must not move.
    pub fn warm_up(mut self, warm_up: Duration) -> Self {
        self.set.warm_up = Some(warm_up);
        self
    }

    /// How long a call may take when neither it, nor its method, nor its contract says. Default
    /// 10 s; 1 ms to 24 h.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.set.timeout = Some(timeout);
        self
    }

    /// Further attempts of a call after its first, each at another endpoint; where there is no other and
    /// only its connection was in trouble, at the same one over another connection. Default 2, at most
    /// 100. Calls that a handler makes for a request that is a retry itself have none.
    pub fn retries(mut self, retries: u32) -> Self {
        self.set.retries = Some(retries);
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
        self.set.retry_budget_share = Some(share);
        self.set.retry_budget_per_second = Some(per_second);
        self
    }

    /// Share of the calls to a service that may be hedged, 0.0 to 1.0; 0.0 turns hedging off.
    /// Default 0.05.
    ///
    /// A call of an idempotent method that takes longer than 95 % of the calls of its method of
    /// late, and at least 5 ms, is sent to a second provider too. The first answer wins and the
    /// other attempt is cancelled. Calls without retries, and calls that a handler makes for a
    /// request that is a retry, are not hedged.
    ///
    /// Methods that may be hedged are also tried elsewhere when half of a call's time is over,
    /// which is paid for as a retry; 0.0 turns that off, too. The second attempt beside a provider
    /// that has fallen silent stays.
    pub fn hedging(mut self, share: f64) -> Self {
        self.set.hedging = Some(share);
        self
    }

    /// Largest message that is sent or received, in bytes. Default 4 MiB; 64 KiB to 1 GiB.
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.set.max_message = Some(bytes);
        self
    }

    /// Calls in flight at once, those that wait for an endpoint included. Default 131,072; at
    /// least 1. A call beyond it fails with `ResourceExhausted` and `NotSent`.
    pub fn max_in_flight(mut self, calls: u32) -> Self {
        self.set.max_in_flight = Some(calls);
        self
    }

    /// Calls of one service that may wait at once because every connection to every endpoint of
    /// it has as many calls in flight as its provider takes. Default 10,000; 0 lets none wait. A
    /// call beyond it fails with `ResourceExhausted` and `NotSent`.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.set.max_waiting = Some(calls);
        self
    }

    /// The fewest and the most connections to one endpoint. Default `1..=8`; at least 1 and at
    /// most 1,024. Calls share connections, and small calls share a single one best: more are made
    /// when large bodies or very many calls keep those open busy, and closed when they were not
    /// needed for a minute.
    pub fn connections(mut self, range: RangeInclusive<u32>) -> Self {
        self.set.connections_min = Some(*range.start());
        self.set.connections_max = Some(*range.end());
        self
    }

    /// Connections that an endpoint begins with, within [`connections`](Self::connections).
    /// Default 1, or the fewest that there may be.
    pub fn initial_connections(mut self, count: u32) -> Self {
        self.set.initial_connections = Some(count);
        self
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
        self.set.snapshots = Some(directory.into());
        self
    }

    /// Makes the client. Called within a tokio runtime, on which its connections will live; it needs
    /// its I/O and its time (`enable_all`). Calls may be polled anywhere.
    ///
    /// # Errors
    ///
    /// Outside of a runtime. For configuration: no registry, one that cannot be understood, a value
    /// out of range, more connections at least than at most, a strategy for a service of which no
    /// contract is linked into the program, a directory for snapshots that cannot be made or in
    /// which others may write, a webhook or a command that cannot be understood. An unreachable
    /// registry is no error.
    #[expect(clippy::unused_async, reason = "the signature leaves room for work that waits")]
    pub async fn build(self) -> Result<Client, SetupError> {
        let runtime = Handle::try_current()
            .map_err(|_| SetupError::new("a client is built within a tokio runtime"))?;
        let config = self.config.overlaid_with(self.set);
        let registry = self.registry.or(config.registry.as_deref().map(RegistrySource::from));
        let registry = registry.ok_or_else(|| {
            SetupError::new(
                "the client has no registry; add .registry(\"zookeeper://host:2181\"), \
                 .registry(\"static://host:port\") or .registry(\"memory://name\")",
            )
        })?;
        rpc_core::config::check(&config)?;
        let pool = pool(&config)?;
        check_services(config.service_balance.keys())?;
        let audience = pressure::audience(self.hook, &config)?;
        let max_message = config.max_message.unwrap_or(defaults::MAX_MESSAGE);
        let usual = RetryBudget::default();
        let retry_budget = RetryBudget {
            share: config.retry_budget_share.unwrap_or(usual.share),
            per_second: config.retry_budget_per_second.unwrap_or(usual.per_second),
        };
        let settings = Settings {
            pool,
            max_waiting: config.max_waiting.unwrap_or(defaults::MAX_WAITING),
            pressure_window: config.pressure_window.unwrap_or(defaults::PRESSURE_WINDOW),
            retry_budget,
            hedging: config.hedging.unwrap_or(defaults::HEDGE_SHARE),
            balances: config.service_balance,
            warm_up: config.warm_up.unwrap_or(defaults::WARM_UP),
            balance: config.balance.unwrap_or_default(),
            timeout: config.timeout.unwrap_or(defaults::CALL_TIMEOUT),
            retries: config.retries.unwrap_or(defaults::RETRIES),
            limits: Limits { max_message, ..Limits::default() },
            token: config.token,
            max_in_flight: config.max_in_flight.unwrap_or(defaults::MAX_IN_FLIGHT_PER_PROCESS),
        };
        let mut registry = registry.open()?;
        if let Some(directory) = config.snapshots {
            registry = Arc::new(SnapshotRegistry::new(registry, directory)?);
        }
        Ok(Client::start(settings, self.network, registry, audience, runtime))
    }
}

/// How many connections an endpoint has; what is said of that has to fit together.
fn pool(config: &Config) -> Result<PoolSize, SetupError> {
    // One that is said alone moves the other, if that was not said.
    let max = config.connections_max.unwrap_or_else(|| {
        config.connections_min.unwrap_or_default().max(defaults::CONNECTIONS_MAX)
    });
    let min = config.connections_min.unwrap_or(defaults::CONNECTIONS_MIN.min(max));
    if min > max {
        return Err(SetupError::new(format!(
            "`connections_min` is {min} and `connections_max` is {max}; write the lower first"
        )));
    }
    let initial = config.initial_connections.unwrap_or(defaults::CONNECTIONS_INITIAL.max(min));
    if !(min..=max).contains(&initial) {
        return Err(SetupError::new(format!(
            "`initial_connections` is {initial}; it is within `connections`, {min} to {max}"
        )));
    }
    Ok(PoolSize { initial, min, max })
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(builder: ClientBuilder) -> String {
        builder.registry("static://127.0.0.1:1").build().await.unwrap_err().to_string()
    }

    #[test]
    fn a_setter_holds_over_a_configuration_in_whatever_order() {
        let second = Duration::from_secs(1);
        let config = |text| Config::parse(text, "x").unwrap();
        let first = config("[client]\ntimeout = \"5s\"\nretries = 5\n");
        let later = config("[client]\nretries = 6\nmax_in_flight = 7\n");
        for builder in [
            Client::builder().timeout(second).config(first.clone()).config(later.clone()),
            Client::builder().config(first).config(later).timeout(second),
        ] {
            let settled = builder.config.overlaid_with(builder.set);
            assert_eq!(settled.timeout, Some(second));
            assert_eq!((settled.retries, settled.max_in_flight), (Some(6), Some(7)));
        }
    }

    #[tokio::test]
    async fn a_registry_may_come_from_a_configuration() {
        let config = Config { registry: Some("static://127.0.0.1:1".into()), ..Config::default() };
        assert!(Client::builder().config(config.clone()).build().await.is_ok());
        let config = Config { registry: Some("consul://a".into()), ..config };
        let text = Client::builder().config(config.clone()).build().await.unwrap_err().to_string();
        assert!(text.contains("unknown scheme"), "{text}");
        // The builder's holds, and the other is not even looked at.
        let builder = Client::builder().registry("static://127.0.0.1:1").config(config);
        assert!(builder.build().await.is_ok());
    }

    #[test]
    fn a_number_of_connections_that_is_said_alone_moves_the_others() {
        let sizes = |text| {
            let size = pool(&Config::parse(text, "x").unwrap()).unwrap();
            (size.initial, size.min, size.max)
        };
        assert_eq!(sizes(""), (1, 1, 8));
        assert_eq!(sizes("[client]\nconnections_min = 20\n"), (20, 20, 20));
        assert_eq!(sizes("[client]\nconnections_max = 4\n"), (1, 1, 4));
        assert_eq!(sizes("[client]\ninitial_connections = 3\n"), (3, 1, 8));
    }

    #[tokio::test]
    async fn values_out_of_range_are_told_wherever_they_come_from() {
        let text = refusal(Client::builder().timeout(Duration::ZERO)).await;
        assert!(text.contains("`timeout` is 0s: write a duration"), "{text}");
        let config = Config { max_message: Some(1), max_in_flight: Some(0), ..Config::default() };
        let text = refusal(Client::builder().config(config)).await;
        assert!(text.contains("`max_message` is 1: write bytes"), "{text}");
        assert!(text.contains("`max_in_flight` is 0: write a number, from 1 to"), "{text}");
        let text = refusal(Client::builder().pressure_window(Duration::ZERO)).await;
        assert!(text.contains("`pressure_window` is 0s: write a duration"), "{text}");
        let text = refusal(Client::builder().pressure_command([""])).await;
        assert!(text.contains("`pressure_command` is : write a list of"), "{text}");
        let text = refusal(Client::builder().pressure_command([""; 0])).await;
        assert!(text.contains("`pressure_command` is empty"), "{text}");
        let text = refusal(Client::builder().pressure_webhook("https://alerts/")).await;
        assert!(text.contains("`pressure_webhook`"), "{text}");
        let text = refusal(Client::builder().retry_budget(1.5, 0)).await;
        assert!(text.contains("`retry_budget_share` is 1.5: write a number"), "{text}");
    }
}
