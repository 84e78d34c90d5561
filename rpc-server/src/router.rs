//! From the ids of a request to the service and the method.

use crate::inline::Pace;
use rpc_core::{
    SetupError,
    service::{BoundService, MethodMeta, ServiceMeta},
};
use std::{fmt, sync::Arc};

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
    /// A router for these services.
    ///
    /// # Errors
    ///
    /// Two of them, or two methods of one, have the same id.
    pub(crate) fn new(services: Vec<Arc<dyn BoundService>>) -> Result<Self, SetupError> {
        let mut services: Vec<_> = services.into_iter().map(Served::new).collect();
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

    /// `name` or `name@version` of each service, sorted.
    pub(crate) fn registered(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.services.iter().map(|s| s.meta.registered).collect();
        names.sort_unstable();
        names
    }
}

impl Served {
    fn new(bound: Arc<dyn BoundService>) -> Self {
        let meta = bound.meta();
        let ids = meta.methods.iter().enumerate();
        let mut methods: Vec<_> =
            ids.map(|(index, m)| Method { id: m.id, index, pace: Pace::default() }).collect();
        methods.sort_by_key(|method| method.id);
        Self { meta, bound, methods }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Router").field(&self.registered()).finish()
    }
}
