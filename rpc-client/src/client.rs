//! The client: a cheap handle that makes proxies.

use crate::{
    call::Route,
    cluster::Cluster,
    pace::Paces,
    pressure::Audience,
    shared::{Life, Settings, Shared},
    stats::ClientStats,
};
use dashmap::DashMap;
use rpc_core::{
    BoxFuture, Call, Invoke, Outcome, Place, Proxy, RawReply, RpcError, RpcProxy, SetupError,
    discovery::Registry,
    service::{ServiceMeta, contracts},
    transport::Network,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};

/// Finds providers and calls them. Cheap to clone; one client serves every contract.
///
/// Its connections and tasks live on the runtime in which it was built, and end when the last
/// handle and the last proxy are dropped.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    life: Arc<Life>,
    /// Made when they are first asked for, and not under the lock of the map.
    clusters: DashMap<u64, Arc<OnceLock<Arc<Cluster>>>>,
    /// By the address of the contract's description.
    paces: DashMap<usize, Arc<Paces>>,
    runtime: Handle,
}

impl Client {
    pub(crate) fn start(
        settings: Settings,
        network: Network,
        registry: Arc<dyn Registry>,
        audience: Audience,
        runtime: Handle,
    ) -> Self {
        let (shared, life) = Shared::start(settings, network, registry, audience);
        Self {
            inner: Arc::new(Inner {
                shared,
                life,
                clusters: DashMap::new(),
                paces: DashMap::new(),
                runtime,
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
        self.inner.shared.stats()
    }

    /// How long a new instance gets less than its share.
    pub(crate) fn warm_up(&self) -> Duration {
        self.inner.shared.settings.warm_up
    }

    /// The services that were asked for, by name.
    pub(crate) fn clusters(&self) -> BTreeMap<String, Arc<Cluster>> {
        let made = self.inner.clusters.iter().filter_map(|cell| cell.get().cloned());
        made.map(|cluster| (cluster.service.to_string(), cluster)).collect()
    }

    fn route(&self, meta: &'static ServiceMeta) -> Arc<dyn Invoke> {
        match self.inner.cluster(meta) {
            Some(cluster) => Arc::new(Route {
                shared: Arc::clone(&self.inner.shared),
                cluster,
                paces: self.inner.paces(meta),
                _life: Arc::clone(&self.inner.life),
            }),
            None => Arc::new(Collision),
        }
    }
}

impl Inner {
    /// How long the calls of a contract take.
    fn paces(&self, meta: &'static ServiceMeta) -> Arc<Paces> {
        let hedging = self.shared.settings.hedging > 0.0;
        let paces = self.paces.entry(std::ptr::from_ref(meta).addr());
        Arc::clone(&paces.or_insert_with(|| Arc::new(Paces::new(meta, hedging))))
    }

    /// The cluster of a service; `None` when another service has the same id.
    fn cluster(&self, meta: &'static ServiceMeta) -> Option<Arc<Cluster>> {
        let cell = Arc::clone(&self.clusters.entry(meta.id).or_default());
        let cluster = cell.get_or_init(|| {
            let _runtime = self.runtime.enter();
            let subscription = self.life.registry.watch(meta.registered);
            Cluster::start(&self.shared, meta.registered, subscription)
        });
        let cluster = Arc::clone(cluster);
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

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.clusters().into_keys().collect();
        f.debug_struct("Client").field("services", &services).finish_non_exhaustive()
    }
}
