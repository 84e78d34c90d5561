//! From the ids of a request to the service and the method.

use crate::{
    gates::{Gate, Gates, Limit, LimitPlan},
    inline::Pace,
    method_stats::{MethodCounters, MethodStats},
};
use rpc_core::{
    SetupError,
    service::{BoundService, MethodMeta, ServiceMeta},
};
use std::{fmt, sync::Arc};
use tokio::time::Instant;

/// All services of a server, found by id.
pub(crate) struct Router {
    /// Sorted by id.
    services: Vec<Served>,
}

/// One service.
pub(crate) struct Served {
    meta: &'static ServiceMeta,
    bound: Arc<dyn BoundService>,
    /// Sorted by id.
    methods: Vec<Method>,
}

struct Method {
    id: u32,
    /// Its place in the contract.
    index: usize,
    pace: Pace,
    /// Whether a limit applies.
    limited: bool,
    gates: Arc<Gates>,
    counters: MethodCounters,
}

/// Where a request goes; valid for the router that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    service: usize,
    method: usize,
}

/// Why a request goes nowhere.
#[derive(Debug)]
pub(crate) enum NoRoute<'a> {
    Service,
    Method(&'a ServiceMeta),
}

impl Router {
    /// A router for these services and their limits.
    ///
    /// # Errors
    ///
    /// Two of them, or two methods of one, have the same id; a limit that makes no sense.
    pub(crate) fn new(
        services: Vec<Arc<dyn BoundService>>,
        limits: &LimitPlan,
    ) -> Result<Self, SetupError> {
        let mut metas: Vec<_> = services.iter().map(|bound| bound.meta()).collect();
        metas.sort_by_key(|meta| meta.registered);
        limits.check(&metas)?;
        let served = services.into_iter().map(|bound| Served::new(bound, limits));
        let mut services: Vec<_> = served.collect();
        services.sort_by_key(|served| served.meta.id);
        for pair in services.windows(2) {
            let (a, b) = (pair[0].meta, pair[1].meta);
            if a.id == b.id && a.registered != b.registered {
                return Err(SetupError::new(format!(
                    "the services {} and {} have the same id {:#018x}: rename one of them with \
                     #[rpc_client(name = \"..\")]",
                    a.registered, b.registered, a.id
                )));
            }
            if a.id == b.id {
                return Err(SetupError::new(format!("{} is served twice", a.registered)));
            }
        }
        for served in &services {
            for pair in served.methods.windows(2) {
                if pair[0].id == pair[1].id {
                    let name = |method: &Method| served.meta.methods[method.index].name;
                    return Err(SetupError::new(format!(
                        "the methods {} and {} of {} have the same id {:#010x}: rename one of \
                         them with #[rpc(name = \"..\")]",
                        name(&pair[0]),
                        name(&pair[1]),
                        served.meta.registered,
                        pair[0].id
                    )));
                }
            }
        }
        Ok(Self { services })
    }

    /// Finds the method.
    pub(crate) fn find(&self, service: u64, method: u32) -> Result<Route, NoRoute<'_>> {
        let at = self.services.binary_search_by_key(&service, |served| served.meta.id);
        let Ok(service) = at else { return Err(NoRoute::Service) };
        let served = &self.services[service];
        match served.methods.binary_search_by_key(&method, |method| method.id) {
            Ok(method) => Ok(Route { service, method }),
            Err(_) => Err(NoRoute::Method(served.meta)),
        }
    }

    /// The instance, and the method's place in its contract.
    pub(crate) fn target(&self, route: Route) -> (&dyn BoundService, usize) {
        let served = &self.services[route.service];
        (&*served.bound, served.methods[route.method].index)
    }

    /// What service and method are called.
    pub(crate) fn names(&self, route: Route) -> (&'static ServiceMeta, &'static MethodMeta) {
        let served = &self.services[route.service];
        (served.meta, served.meta.methods[served.methods[route.method].index])
    }

    /// How the method has behaved.
    pub(crate) fn pace(&self, route: Route) -> &Pace {
        &self.services[route.service].methods[route.method].pace
    }

    /// The limits of the method, if there are any.
    pub(crate) fn limits(&self, route: Route) -> Option<&Arc<Gates>> {
        let method = &self.services[route.service].methods[route.method];
        method.limited.then_some(&method.gates)
    }

    /// The running calls of the method, limited or not.
    pub(crate) fn gates(&self, route: Route) -> &Arc<Gates> {
        &self.services[route.service].methods[route.method].gates
    }

    /// What became of the method's calls.
    pub(crate) fn counters(&self, route: Route) -> &MethodCounters {
        &self.services[route.service].methods[route.method].counters
    }

    /// Handlers that ended with an answer, of all methods.
    pub(crate) fn served(&self) -> u64 {
        self.methods().map(|(_, method)| method.counters.served()).sum()
    }

    /// Every method's statistics, by service and method.
    pub(crate) fn stats(&self) -> Vec<MethodStats> {
        let stats = self.methods().map(|(meta, method)| {
            let (counters, gates) = (&method.counters, &*method.gates);
            MethodStats {
                running: gates.method().running(),
                limit: gates.method().stats(),
                service_limit: gates.service().and_then(Gate::stats),
                latency: gates.method().latency(),
                ..counters.snapshot(meta.registered, meta.methods[method.index].name)
            }
        });
        let mut stats: Vec<_> = stats.collect();
        stats.sort_by_key(|stats| (stats.service, stats.method));
        stats
    }

    fn methods(&self) -> impl Iterator<Item = (&'static ServiceMeta, &Method)> {
        self.services.iter().flat_map(|s| s.methods.iter().map(|method| (s.meta, method)))
    }

    /// `name` or `name@version` of each service, sorted.
    pub(crate) fn registered(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.services.iter().map(|s| s.meta.registered).collect();
        names.sort_unstable();
        names
    }
}

impl Served {
    fn new(bound: Arc<dyn BoundService>, limits: &LimitPlan) -> Self {
        let (meta, epoch) = (bound.meta(), Instant::now());
        let limit = Some(limits.of_service(meta)).filter(|limit| *limit != Limit::none());
        let service = limit.map(|limit| Arc::new(Gate::new(meta.registered.to_owned(), limit)));
        let methods = meta.methods.iter().enumerate().map(|(index, m)| {
            let name = format!("{}/{}", meta.registered, m.name);
            let gate = Gate::new(name, limits.of_method(meta, m));
            let gates = Arc::new(Gates::new(gate, service.clone(), epoch));
            let (pace, counters) = (Pace::default(), MethodCounters::default());
            Method { id: m.id, index, pace, limited: gates.is_limited(), gates, counters }
        });
        let mut methods: Vec<_> = methods.collect();
        methods.sort_by_key(|method| method.id);
        Self { meta, bound, methods }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Router").field(&self.registered()).finish()
    }
}
