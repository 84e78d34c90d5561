//! How a server is described, started and run.

use crate::{
    config::Config,
    gates::{Limit, LimitPlan},
    lifecycle::{self, Plan},
    limits::{ServerLimits, max_message},
    runtime,
    selection::Selection,
    server::Server,
    signals::Signals,
};
use rpc_core::{
    SetupError, Token, defaults, discovery::RegistrySource, service::BoundService,
    transport::Network,
};
use std::{fmt::Display, sync::Arc, time::Duration};

/// Describes a server; see [`Server::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started or run"]
pub struct ServerBuilder {
    registry: Option<RegistrySource>,
    network: Network,
    selection: Selection,
    /// What the setters were told. It holds over `config`, whichever came first.
    set: Config,
    config: Config,
}

impl Server {
    /// A server that serves every `#[rpc_service]` impl that is linked into the program, at a free
    /// port of 127.0.0.1. It needs a [registry](ServerBuilder::registry).
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            registry: None,
            network: Network::TCP,
            selection: Selection::default(),
            set: Config::default(),
            config: Config::default(),
        }
    }
}

impl ServerBuilder {
    /// What a configuration says: of [`Config::load`], or one that the program has filled in. What
    /// the other setters say holds over it, whether they are called before or after this; of two
    /// configurations the later holds.
    pub fn config(mut self, config: Config) -> Self {
        self.config = self.config.overlaid_with(config);
        self
    }

    /// Where to listen: `host:port`. Port 0 takes a free one, `0.0.0.0` listens on all addresses
    /// of IPv4, `[::]` on all there are. Default `127.0.0.1:0`.
    pub fn bind(mut self, address: impl Display) -> Self {
        self.set.bind = Some(address.to_string());
        self
    }

    /// The `host:port` by which clients reach this server. Default: the bound address, or, when
    /// that is unspecified, the one that this machine uses towards the registry.
    ///
    /// It should lead back to this server. If it does not, as behind some NATs, it is registered
    /// all the same and a warning logged.
    pub fn advertise(mut self, address: impl Display) -> Self {
        self.set.advertise = Some(address.to_string());
        self
    }

    /// Where clients look for this server: `zookeeper://host:2181/rpc`, `memory://name` within one
    /// process, `static://host:port` when clients are given the address, or a value that
    /// implements the traits of [`rpc_core::discovery`]. Without one the server does not start.
    pub fn registry(mut self, registry: impl Into<RegistrySource>) -> Self {
        self.registry = Some(registry.into());
        self
    }

    /// Another network than TCP, for tests: a simulated one, see the crate `rpc-testkit`.
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// A value for the `Shared<T>` parameters of `init` functions. One of each type; a later one
    /// replaces an earlier.
    pub fn provide<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.selection.provide(value);
        self
    }

    /// An instance for all `#[rpc_service]` impls of its type, instead of one that is made by
    /// `init` or `Default`. It replaces collected impls of the same service and version by other
    /// types.
    ///
    /// The type must be the one of the impl: an `Arc<T>` does not match `T`. A value of a type
    /// without such an impl, and two values of one type, are errors when the server is started.
    pub fn service<T: Send + Sync + 'static>(mut self, service: T) -> Self {
        self.selection.service(service);
        self
    }

    /// A service that was made without the attributes.
    #[doc(hidden)]
    pub fn bound_service(mut self, service: Arc<dyn BoundService>) -> Self {
        self.selection.bound(service);
        self
    }

    /// Takes calls from those clients alone that show this token: 1 to 512 bytes of visible ASCII
    /// without a comma. Further calls add to it, so that an old token can be taken beside a new
    /// one while clients change over. Default: every client's calls are taken.
    ///
    /// Calls of others are refused with `Unauthenticated` before anything of them is looked at, and
    /// counted in [`Refused::not_permitted`](crate::Refused::not_permitted). A token is not
    /// encrypted on its way: it keeps apart who is not meant to meet, and does not protect from
    /// those who can read the network.
    pub fn token(mut self, token: impl Into<Token>) -> Self {
        self.set.token.get_or_insert_default().push(token.into());
        self
    }

    /// Serves these services alone: `name` for all versions, or `name@version`; further calls add
    /// to them. Default: all. A name that nothing serves is an error when the server is started.
    pub fn only<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.set.only.get_or_insert_default().extend(names.into_iter().map(Into::into));
        self
    }

    /// With `false`, serves only what [`service`](Self::service) was given. Default `true`.
    pub fn collected(mut self, collected: bool) -> Self {
        self.selection.collected(collected);
        self
    }

    /// A label of this instance, such as `region` or `zone`. Labels are in the registry, for people
    /// and for programs that read it; the framework's own clients do not heed them. A later value
    /// of the same key replaces the earlier. Default: none.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.labels.insert(key.into(), value.into());
        self
    }

    /// This instance's share of the calls under strategies that heed weights: 0 to 10,000, default
    /// 100. 0 is no new calls under any strategy, unless all instances have 0.
    pub fn weight(mut self, weight: u32) -> Self {
        self.set.weight = Some(weight);
        self
    }

    /// Makes it an error when the server is not registered within 5 s. Without it the server
    /// starts with a warning and goes on trying.
    pub fn require_registration(mut self) -> Self {
        self.set.require_registration = Some(true);
        self
    }

    /// How long a leaving server goes on serving after it told everybody. Default 1 s; up to 24 h.
    pub fn notice(mut self, notice: Duration) -> Self {
        self.set.notice = Some(notice);
        self
    }

    /// How long a leaving server waits for running calls, and for its clients to leave. Those
    /// that are not done then are stopped. Default 30 s; up to 24 h.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.set.drain = Some(drain);
        self
    }

    /// Largest request, in bytes: 64 KiB to 1 GiB, default 4 MiB, or as much as may be
    /// [held](Self::max_held) if that is less. A larger one is refused with `ResourceExhausted`
    /// before it is received. More than may be held is a mistake.
    pub fn max_message(mut self, bytes: u32) -> Self {
        self.set.max_message = Some(bytes);
        self
    }

    /// Most calls in flight on one connection; more are refused with `ResourceExhausted` at once.
    /// Default 16,384; at least 1.
    pub fn max_in_flight_per_connection(mut self, calls: u32) -> Self {
        self.set.max_in_flight_per_connection = Some(calls);
        self
    }

    /// Most calls in flight in all; more are refused with `ResourceExhausted` at once. Default
    /// 131,072; at least 1.
    pub fn max_in_flight(mut self, calls: u32) -> Self {
        self.set.max_in_flight = Some(calls);
        self
    }

    /// A limit for the calls of a service, `demo-api.Greeter`, or of a method,
    /// `demo-api.Greeter/greet`; a service's version is written as in `demo-api.Greeter@2/greet`,
    /// without it every version has this limit for itself. A call needs a place in both.
    /// [`Limit`] says what becomes of calls beyond it. Default: none but those of connections and
    /// of the process.
    ///
    /// A name that is not served, or has no such method, is an error when the server is started.
    ///
    /// ```
    /// use rpc_server::{Limit, Server};
    ///
    /// let server = Server::builder()
    ///     .limit_each(Limit::fixed(1_000))
    ///     .limit("shop.Orders", Limit::adaptive())
    ///     .limit("shop.Orders/export", Limit::fixed(4));
    /// ```
    pub fn limit(mut self, name: impl Into<String>, limit: Limit) -> Self {
        self.set.limits.insert(name.into(), limit);
        self
    }

    /// A limit for every service, each by itself, that has none of its own by
    /// [`limit`](Self::limit). Default: none.
    pub fn limit_each(mut self, limit: Limit) -> Self {
        self.set.limit_each = Some(limit);
        self
    }

    /// Most bytes of request and reply bodies and of metadata held for one connection; more are
    /// refused with `ResourceExhausted` at once. Default 512 MiB; 1 byte to 1 TiB.
    pub fn max_held_per_connection(mut self, bytes: usize) -> Self {
        self.set.max_held_per_connection = Some(bytes);
        self
    }

    /// Most bytes of request and reply bodies and of metadata held in all; more are refused with
    /// `ResourceExhausted` at once. Default 1 GiB; 1 byte to 1 TiB.
    pub fn max_held(mut self, bytes: usize) -> Self {
        self.set.max_held = Some(bytes);
        self
    }

    /// Bytes of one large request, and of all of a connection, that clients may have on their way.
    /// At least 64 KiB and 256 KiB, at most 1 GiB; default 260 KiB and 4 MiB. Less saves memory,
    /// more is needed where bandwidth times delay is larger.
    pub fn credit(mut self, per_body: u32, per_connection: u32) -> Self {
        self.set.credit_per_body = Some(per_body);
        self.set.credit_per_connection = Some(per_connection);
        self
    }

    /// Binds, makes the instances, proves that the address leads here, registers, and waits up to
    /// 5 s for the registration. A registry that is away is no error, see
    /// [`require_registration`](Self::require_registration).
    ///
    /// # Errors
    ///
    /// What is wrong with the runtime, the description, the services, the address or the registry's
    /// URL, and what to write instead.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, what was begun is stopped and withdrawn.
    pub async fn start(self) -> Result<Server, SetupError> {
        let Self { registry, network, mut selection, set, config } = self;
        let mut config = config.overlaid_with(set);
        rpc_core::config::check(&config)?;
        if let Some(names) = config.only.take() {
            selection.only(names);
        }
        runtime::check(network.is_tcp())?;
        let registry = registry.or(config.registry.take().map(RegistrySource::from));
        let plan = plan(config, registry, network)?;
        let services = selection.make().await?;
        Ok(Server::new(lifecycle::start(plan, services).await?))
    }

    /// Starts, serves until Ctrl-C or SIGTERM, and [leaves in order](Server::shutdown). A second
    /// signal stops at once.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), or signals that cannot be listened for.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the server is stopped without drain.
    pub async fn run(self) -> Result<(), SetupError> {
        let mut signals = Signals::new().map_err(|error| {
            SetupError::new(format!("cannot listen for signals, use start() instead: {error}"))
        })?;
        let server = self.start().await?;
        signals.next().await;
        tracing::info!("leaving; a second signal stops at once");
        tokio::select! {
            () = server.shutdown() => {}
            () = signals.next() => tracing::warn!("stopped by a second signal"),
        }
        Ok(())
    }

    /// Starts, serves until `until` ends, and [leaves in order](Server::shutdown).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the server is stopped without drain.
    pub async fn run_until(self, until: impl Future) -> Result<(), SetupError> {
        let server = self.start().await?;
        until.await;
        server.shutdown().await;
        Ok(())
    }
}

/// What is to be done, with defaults where nothing was said.
fn plan(
    config: Config,
    registry: Option<RegistrySource>,
    network: Network,
) -> Result<Plan, SetupError> {
    let usual = ServerLimits::default();
    let held_per_connection = config.max_held_per_connection.unwrap_or(usual.held_per_connection);
    let held_per_process = config.max_held.unwrap_or(usual.held_per_process);
    let per_connection = config.max_in_flight_per_connection;
    let mut method_limits = LimitPlan::default();
    if let Some(limit) = config.limit_each {
        method_limits.each(limit);
    }
    for (name, limit) in config.limits {
        method_limits.named(name, limit);
    }
    Ok(Plan {
        bind: config.bind.unwrap_or_else(|| "127.0.0.1:0".to_owned()),
        advertise: config.advertise,
        registry,
        network,
        labels: config.labels,
        weight: config.weight.unwrap_or(defaults::WEIGHT),
        require_registration: config.require_registration.unwrap_or(false),
        limits: ServerLimits {
            max_message: max_message(config.max_message, held_per_connection, held_per_process)?,
            in_flight_per_connection: per_connection.unwrap_or(usual.in_flight_per_connection),
            in_flight_per_process: config.max_in_flight.unwrap_or(usual.in_flight_per_process),
            held_per_connection,
            held_per_process,
            credit_per_body: config.credit_per_body.unwrap_or(usual.credit_per_body),
            credit_per_connection: (config.credit_per_connection)
                .unwrap_or(usual.credit_per_connection),
        },
        method_limits,
        tokens: config.token.unwrap_or_default(),
        notice: config.notice.unwrap_or(defaults::NOTICE),
        drain: config.drain.unwrap_or(defaults::DRAIN),
    })
}
