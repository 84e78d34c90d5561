//! How a server starts and how it leaves: both orders, step by step.

use crate::{
    advertise,
    gates::LimitPlan,
    limits::ServerLimits,
    listener::{self, Listener},
    peers::Peers,
    router::Router,
    serving::Serving,
};
use rpc_core::{
    SetupError, Token, defaults,
    discovery::{
        Announcement, Instance, InstanceId, Registered, RegistrationState, Registry, RegistrySource,
    },
    service::BoundService,
    transport::{Network, Port, lock},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

/// Closing a registration is bounded by itself; this holds if a registry does not keep to it.
const WITHDRAWAL: Duration = Duration::from_secs(3);
/// What connections get to end once they must.
const ENDING: Duration = Duration::from_secs(3);

/// How a server is to start.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) bind: String,
    pub(crate) advertise: Option<String>,
    pub(crate) registry: Option<RegistrySource>,
    pub(crate) network: Network,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) weight: u32,
    pub(crate) require_registration: bool,
    pub(crate) limits: ServerLimits,
    pub(crate) method_limits: LimitPlan,
    pub(crate) tokens: Vec<Token>,
    pub(crate) notice: Duration,
    pub(crate) drain: Duration,
}

/// A server that has started. Dropped, it stops at once.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) serving: Arc<Serving>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) bound: SocketAddr,
    pub(crate) advertised: SocketAddr,
    tasks: TaskTracker,
    registration: Registration,
    notice: Duration,
    drain: Duration,
}

/// The registration, until it is withdrawn.
struct Registration {
    handle: Mutex<Option<Box<dyn Registered>>>,
    state: watch::Receiver<RegistrationState>,
}

/// Starts: bind, accept, prove the address, register, wait for the registration.
pub(crate) async fn start(
    plan: Plan,
    services: Vec<Arc<dyn BoundService>>,
) -> Result<Started, SetupError> {
    let registry = open_registry(plan.registry.clone())?;
    let router = Router::new(services, &plan.method_limits)?;
    let serving =
        Arc::new(Serving::new(router, plan.limits, plan.tokens.clone(), InstanceId::random()));
    // From here on a failure stops what was begun.
    let stop = serving.stop().clone().drop_guard();

    let (port, bound) = listener::bind(&plan.network, &plan.bind).await?;
    let (peers, tasks) = (Arc::<Peers>::default(), TaskTracker::new());
    accept(port, &serving, &peers, &tasks);
    relieve(&serving, &peers);
    let advertised = prove(&plan, &*registry, bound, serving.instance).await?;
    let registration = register(&plan, &*registry, &serving, advertised);
    await_registration(&plan, &registration, &serving, advertised).await?;

    stop.disarm();
    let Plan { notice, drain, .. } = plan;
    Ok(Started { serving, peers, bound, advertised, tasks, registration, notice, drain })
}

impl Started {
    /// Leaves: withdraw, tell the peers, keep serving for the notice, refuse new calls, let the
    /// running ones end, close. Every step has its bound.
    ///
    /// A step that was done is not done again, so it may be called twice or given up half-way.
    pub(crate) async fn leave(&self) {
        self.withdraw().await;
        self.tell_peers();
        if !self.serving.draining().is_cancelled() {
            sleep(self.notice).await;
        }
        self.refuse_new_calls();
        self.await_running_calls().await;
        self.close_connections().await;
        tracing::info!(address = %self.advertised, "the server has left");
    }

    /// Whether the registry lists this server.
    pub(crate) fn is_registered(&self) -> bool {
        lock(&self.registration.handle).is_some()
            && *self.registration.state.borrow() == RegistrationState::Registered
    }

    /// New clients no longer find this server.
    async fn withdraw(&self) {
        let handle = lock(&self.registration.handle).take();
        if let Some(handle) = handle
            && timeout(WITHDRAWAL, handle.close()).await.is_err()
        {
            tracing::warn!("the registry did not end the registration in time");
        }
    }

    /// Clients that are connected move elsewhere. The flag first: connections that come later
    /// are told when they are greeted.
    fn tell_peers(&self) {
        self.serving.start_leaving();
        self.peers.all().iter().for_each(|peer| peer.tell_leaving());
    }

    /// New calls are refused, and no connection is accepted any more.
    fn refuse_new_calls(&self) {
        self.serving.draining().cancel();
        self.tasks.close();
    }

    /// A connection ends by itself when its client has left and its last answer is sent.
    async fn await_running_calls(&self) {
        if timeout(self.drain, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                connections = self.peers.count(),
                calls = self.serving.usage.calls(),
                "the drain limit has passed: stopping what still runs"
            );
        }
    }

    /// Those that are left end now.
    async fn close_connections(&self) {
        self.serving.stop().cancel();
        // A handler that blocks its thread cannot be stopped; it is not waited for.
        let _ = timeout(ENDING, self.tasks.wait()).await;
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.serving.stop().cancel();
    }
}

fn open_registry(source: Option<RegistrySource>) -> Result<Arc<dyn Registry>, SetupError> {
    let Some(source) = source else {
        return Err(SetupError::new(
            "no registry: a server must be found by somebody. Write \
             .registry(\"zookeeper://host:2181/rpc\"), .registry(\"memory://name\") for one \
             process, or .registry(\"static://host:port\") when clients are given the address",
        ));
    };
    source.open()
}

fn accept(port: Port, serving: &Arc<Serving>, peers: &Arc<Peers>, tasks: &TaskTracker) {
    let listener = Listener {
        port,
        serving: Arc::clone(serving),
        peers: Arc::clone(peers),
        tasks: tasks.clone(),
    };
    tasks.spawn(listener.run());
}

/// Starts the task that looks after answers which wait for a task without a turn.
fn relieve(serving: &Arc<Serving>, peers: &Arc<Peers>) {
    let (serving, peers) = (Arc::clone(serving), Arc::clone(peers));
    tokio::spawn(async move {
        tokio::select! {
            () = serving.stop().cancelled() => {}
            () = serving.relief.run(|| peers.relieve()) => {}
        }
    });
}

/// The address to register, which must answer as this server. One that was worked out and does
/// not is a mistake; a given one may lie behind a translation that does not work from inside.
async fn prove(
    plan: &Plan,
    registry: &dyn Registry,
    bound: SocketAddr,
    instance: InstanceId,
) -> Result<SocketAddr, SetupError> {
    let address = advertise::address(bound, plan.advertise.as_deref(), &registry.hosts()).await?;
    match advertise::prove(&plan.network, address, instance).await {
        Ok(()) => {}
        Err(why) if plan.advertise.is_some() => {
            tracing::warn!(
                %address,
                why,
                "the advertised address does not lead back here; it is registered all the same, \
                 as it may lie behind a NAT: if clients cannot call it either, correct \
                 .advertise(..)"
            );
        }
        Err(why) => {
            return Err(SetupError::new(format!(
                "the address {address}, worked out for {:?}, does not lead to this server: {why}: \
                 write .advertise(\"host:port\") with one that does",
                plan.bind
            )));
        }
    }
    Ok(address)
}

fn register(
    plan: &Plan,
    registry: &dyn Registry,
    serving: &Serving,
    addr: SocketAddr,
) -> Registration {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let instance = Instance {
        id: Some(serving.instance),
        weight: plan.weight,
        started_at: since_epoch.as_secs(),
        labels: plan.labels.clone(),
        ..Instance::at(addr)
    };
    let services = serving.router.registered().into_iter().map(str::to_owned).collect();
    let handle = registry.register(Announcement { services, instance: Arc::new(instance) });
    Registration { state: handle.state(), handle: Mutex::new(Some(handle)) }
}

/// Waits for the registry, but not for long: it may be away for hours while clients that know
/// this server from before could be served.
async fn await_registration(
    plan: &Plan,
    registration: &Registration,
    serving: &Serving,
    address: SocketAddr,
) -> Result<(), SetupError> {
    let mut state = registration.state.clone();
    let settled = state.wait_for(|state| !matches!(state, RegistrationState::Pending(_)));
    // Beyond the limit the state says why.
    let _ = timeout(defaults::REGISTRATION_WAIT, settled).await;
    let why = match &*registration.state.borrow() {
        RegistrationState::Registered => {
            let clients = if serving.is_guarded() { "those with a token" } else { "all" };
            let services = serving.router.registered();
            tracing::info!(%address, ?services, clients, "serving");
            return Ok(());
        }
        RegistrationState::Impossible(why) => {
            return Err(SetupError::new(format!("{address} can never be registered: {why}")));
        }
        RegistrationState::Pending(why) => why.clone(),
    };
    let waited = defaults::REGISTRATION_WAIT;
    if plan.require_registration {
        return Err(SetupError::new(format!(
            "{address} was not registered within {waited:?}: {why}: check the registry's address, \
             or leave .require_registration() out to start without it"
        )));
    }
    tracing::warn!(%address, why, "serving, but not registered yet; it is tried again");
    Ok(())
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Registration").field(&*self.state.borrow()).finish()
    }
}
