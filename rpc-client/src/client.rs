//! The client: a cheap handle that makes proxies.

use crate::{
    balance::Balance,
    builder::ClientBuilder,
    call::Route,
    cluster::Cluster,
    connection::Dialer,
    stats::{ClientStats, Counters},
    timekeeper::Timekeeper,
};
use dashmap::DashMap;
use rpc_core::{
    Call, Invoke, Outcome, Place, Proxy, RawReply, RpcError, RpcProxy, SetupError,
    discovery::{Registry, RegistrySource},
    invoke::BoxFuture,
    service::{ServiceMeta, contracts},
    wire::Limits,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// Finds providers and calls them. Cheap to clone; one client serves every contract.
///
/// Its connections and tasks live on the runtime in which it was built, and end when the last
/// handle and the last proxy are dropped.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

/// What handles and proxies keep alive.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    clusters: DashMap<u64, Arc<Cluster>>,
    registry: Arc<dyn Registry>,
    runtime: Handle,
    _end: DropGuard,
}

/// What the client's tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) end: CancellationToken,
    pub(crate) balance: Balance,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    max_in_flight: u32,
    in_flight: AtomicU32,
}

/// What a builder has found to be right.
pub(crate) struct Settings {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) balance: Balance,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) limits: Limits,
    pub(crate) max_in_flight: u32,
}

impl Client {
    /// A client with default settings, for providers that `registry` lists: a URL such as
    /// `zookeeper://h1:2181,h2:2181/rpc`, `static://10.0.0.5:9000` or `memory://name`, or a value
    /// that implements [`Registry`].
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

    pub(crate) fn start(settings: Settings, runtime: Handle) -> Self {
        let end = CancellationToken::new();
        let shared = Arc::new(Shared {
            dialer: Arc::new(Dialer {
                limits: settings.limits,
                timekeeper: Timekeeper::new(),
                counters: Counters::default(),
                tasks: TaskTracker::new(),
            }),
            end: end.clone(),
            balance: settings.balance,
            timeout: settings.timeout,
            retries: settings.retries,
            max_in_flight: settings.max_in_flight,
            in_flight: AtomicU32::new(0),
        });
        let dialer = Arc::clone(&shared.dialer);
        let timekeeper = async move { dialer.timekeeper.run().await };
        shared.dialer.tasks.spawn(end.clone().run_until_cancelled_owned(timekeeper));
        Self {
            inner: Arc::new(Inner {
                shared,
                clusters: DashMap::new(),
                registry: settings.registry,
                runtime,
                _end: end.drop_guard(),
            }),
        }
    }

    /// The proxy of a contract. No I/O: the subscription to the service starts in the background,
    /// and a call made before its first list is there waits for it within its deadline.
    #[must_use]
    pub fn get<P: RpcProxy>(&self) -> P {
        P::from(Proxy::new(self.route(P::SERVICE)))
    }

    /// Subscribes to every contract that is linked into the program, and waits until an endpoint
    /// of each takes calls, for at most 5 s.
    ///
    /// # Errors
    ///
    /// The services that have none by then. The client goes on looking for them.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the subscriptions stay.
    pub async fn warm(&self) -> Result<(), SetupError> {
        let mut clusters = Vec::new();
        for meta in contracts() {
            if let Some(cluster) = self.inner.cluster(meta) {
                clusters.push(cluster);
            }
        }
        let until = Instant::now() + rpc_core::defaults::REGISTRATION_WAIT;
        let mut cold = Vec::new();
        for cluster in clusters {
            let mut published = cluster.published();
            let warm = async { while cluster.ready() == 0 && published.changed().await.is_ok() {} };
            let _ = tokio::time::timeout_at(until, warm).await;
            if cluster.ready() == 0 {
                cold.push(format!(
                    "{}: {}",
                    cluster.service,
                    cluster.picks().outlook.describe(Instant::now())
                ));
            }
        }
        if cold.is_empty() {
            return Ok(());
        }
        Err(SetupError::new(format!("no provider takes calls yet of {}", cold.join("; of "))))
    }

    /// What this client has done so far.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        let shared = &self.inner.shared;
        shared.dialer.counters.read(shared.in_flight.load(Ordering::Relaxed))
    }

    fn route(&self, meta: &'static ServiceMeta) -> Arc<dyn Invoke> {
        match self.inner.cluster(meta) {
            Some(cluster) => Arc::new(Route {
                shared: Arc::clone(&self.inner.shared),
                cluster,
                _client: Arc::clone(&self.inner),
            }),
            None => Arc::new(Collision),
        }
    }
}

impl Inner {
    /// The cluster of a service; `None` when another service has the same id.
    fn cluster(&self, meta: &'static ServiceMeta) -> Option<Arc<Cluster>> {
        let cluster = Arc::clone(&self.clusters.entry(meta.id).or_insert_with(|| {
            let _runtime = self.runtime.enter();
            Cluster::start(&self.shared, meta.registered, self.registry.watch(meta.registered))
        }));
        (*cluster.service == *meta.registered).then_some(cluster)
    }
}

/// Refuses the calls of a service whose id another service of this client has.
struct Collision;

impl Invoke for Collision {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<RawReply, RpcError>> {
        let text = "another service that this client uses has the same 64-bit id; rename one of \
                    the two with #[rpc_client(name = \"..\")]";
        let error = RpcError::failed_precondition(text).placed(Place {
            service: call.service.registered,
            method: call.method.name,
            endpoint: None,
            attempts: 0,
            elapsed: Duration::ZERO,
            outcome: Some(Outcome::NotSent),
        });
        Box::pin(std::future::ready(Err(error)))
    }
}

/// A call's share of the limit of calls in flight.
pub(crate) struct InFlight<'a>(&'a Shared);

impl<'a> InFlight<'a> {
    pub(crate) fn enter(shared: &'a Shared) -> Result<Self, RpcError> {
        let guard = Self(shared);
        if shared.in_flight.fetch_add(1, Ordering::Relaxed) < shared.max_in_flight {
            return Ok(guard);
        }
        let text = format!(
            "{} calls are in flight in this client, its limit; slow down, or raise \
             `max_in_flight`",
            shared.max_in_flight
        );
        Err(RpcError::resource_exhausted(text).with_outcome(Outcome::NotSent))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.inner.clusters.iter().map(|c| c.service.to_string()).collect();
        f.debug_struct("Client").field("services", &services).finish_non_exhaustive()
    }
}
