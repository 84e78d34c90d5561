//! A laboratory for faults: providers, clients and a registry that a script breaks, in two kinds.
//!
//! [`Lab::simulated`] runs everything in one thread under tokio's paused clock, on a simulated
//! network and registry: half a minute takes milliseconds, and hundreds of seeds can be tried.
//! [`Lab::real`] runs the same scenario on loopback TCP through chaos proxies, with a throw-away
//! ZooKeeper and each provider in a thread that can be stopped and killed. What a scenario does and
//! asserts is the same for both.
//!
//! ```
//! use rpc_core::{rpc_client, rpc_service};
//! use rpc_testkit::lab::{Event, Lab, Script, Tally};
//! use std::time::Duration;
//!
//! #[rpc_client(name = "shop.Orders")]
//! trait Orders {
//!     /// Its handler notes the key, so that executions can be counted.
//!     async fn place(&self, key: String) -> rpc_core::Result<String>;
//! }
//!
//! struct Shop(Tally);
//!
//! #[rpc_service]
//! impl Orders for Shop {
//!     async fn place(&self, key: String) -> rpc_core::Result<String> {
//!         self.0.ran(&key);
//!         Ok(key)
//!     }
//! }
//!
//! async fn half_of_the_nodes_gone(mut lab: Lab) {
//!     let tally = lab.tally();
//!     lab.providers(4, move |server| server.collected(false).service(Shop(tally.clone()))).await;
//!     let client = lab.client(|client| client).await;
//!     let orders: OrdersClient = client.get();
//!     let load = lab.load(50, move |turn| {
//!         let orders = orders.clone();
//!         async move { orders.place(turn.key).await }
//!     });
//!     let second = Duration::from_secs(1);
//!     lab.play(
//!         Script::new()
//!             .at(second, Event::NodesGone(vec![0, 1]))
//!             .at(4 * second, Event::RegistryBack(0))
//!             .at(4 * second, Event::RegistryBack(1)),
//!     )
//!     .await;
//!     let calls = load.finish().await;
//!     calls.none_failed();
//!     calls.agree_with(&lab.tally().executions(), Duration::from_secs(10));
//! }
//!
//! for seed in 0..10 {
//!     Lab::simulated(seed).run(half_of_the_nodes_gone);
//! }
//! // Lab::real("half_of_the_nodes_gone").run(half_of_the_nodes_gone);
//! ```

mod liar;
mod real;
mod script;
mod simulated;
mod tally;
mod thread;

pub use script::{Event, Lie, Script};
pub use tally::Tally;

use crate::{
    load::{Load, Turn},
    sim::Path,
};
use real::Real;
use rpc_client::{Client, ClientBuilder};
use rpc_core::RpcError;
use rpc_server::{ServerBuilder, ServerStats};
use simulated::Simulated;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    runtime::Builder,
    time::{Instant, sleep_until},
};

/// How a provider is built; more than once when it is killed and restarted.
type Build = Arc<dyn Fn(ServerBuilder) -> ServerBuilder + Send + Sync>;

/// Providers, clients and a registry, and what can be done to them. See [the module](self).
///
/// Its methods panic when the laboratory itself fails, for example when a provider does not start:
/// they are made for tests.
#[derive(Debug)]
pub struct Lab {
    kind: Kind,
    tally: Tally,
    loads: u32,
}

#[derive(Debug)]
enum Kind {
    Simulated(Simulated),
    Real(Real),
}

/// A laboratory that is about to run.
#[derive(Debug, Clone)]
#[must_use = "nothing happens until it is run"]
pub struct LabBuilder {
    choice: Choice,
    session: Duration,
    path: Path,
}

#[derive(Debug, Clone)]
enum Choice {
    Simulated(u64),
    Real(String),
}

impl Lab {
    /// A simulated laboratory. `seed` decides what is random: delays, what a reset destroys, how
    /// reads and writes are cut, and what the client and the server draw.
    pub fn simulated(seed: u64) -> LabBuilder {
        LabBuilder::new(Choice::Simulated(seed))
    }

    /// A real laboratory for the test called `test`. It needs ZooKeeper, see
    /// [`zookeeper`](crate::zookeeper); the test is left out, and says so, where there is none.
    pub fn real(test: &str) -> LabBuilder {
        LabBuilder::new(Choice::Real(test.to_owned()))
    }

    /// Whether time is simulated.
    pub fn is_simulated(&self) -> bool {
        matches!(self.kind, Kind::Simulated(_))
    }

    /// Where handlers note what they run.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Starts a provider and returns its number, from 0. `build` adds the services; address and
    /// registry are set already, and stay as they are. It is called again when the provider is
    /// restarted.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn provider<F>(&mut self, build: F) -> usize
    where
        F: Fn(ServerBuilder) -> ServerBuilder + Send + Sync + 'static,
    {
        self.add(Arc::new(build)).await
    }

    /// Starts `count` providers, all alike.
    ///
    /// # Panics
    ///
    /// If one does not start.
    pub async fn providers<F>(&mut self, count: usize, build: F)
    where
        F: Fn(ServerBuilder) -> ServerBuilder + Send + Sync + 'static,
    {
        let build: Build = Arc::new(build);
        for _ in 0..count {
            self.add(Arc::clone(&build)).await;
        }
    }

    async fn add(&mut self, build: Build) -> usize {
        match &mut self.kind {
            Kind::Simulated(lab) => lab.add(build).await,
            Kind::Real(lab) => lab.add(build).await,
        }
    }

    /// The address under which a provider is listed.
    ///
    /// # Panics
    ///
    /// If there is no provider with this number.
    pub fn addr(&self, provider: usize) -> SocketAddr {
        match &self.kind {
            Kind::Simulated(lab) => lab.addr(provider),
            Kind::Real(lab) => lab.addr(provider),
        }
    }

    /// The addresses that [`Event::Listed`] has put on the list, the first first.
    pub fn lies(&self) -> Vec<SocketAddr> {
        match &self.kind {
            Kind::Simulated(lab) => lab.lies().to_vec(),
            Kind::Real(lab) => lab.lies().to_vec(),
        }
    }

    /// What a provider has counted; `None` while it does not run. Waits while it starts.
    ///
    /// # Panics
    ///
    /// If there is no provider with this number.
    pub async fn stats(&mut self, provider: usize) -> Option<ServerStats> {
        match &mut self.kind {
            Kind::Simulated(lab) => lab.stats(provider).await,
            Kind::Real(lab) => lab.stats(provider).await,
        }
    }

    /// Makes a client; `build` changes what it likes, but for the registry.
    ///
    /// # Panics
    ///
    /// If `build` asks for something that a client refuses.
    pub async fn client(&mut self, build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
        let described = match &mut self.kind {
            Kind::Simulated(lab) => lab.client(),
            Kind::Real(lab) => lab.client(),
        };
        match build(described).build().await {
            Ok(client) => client,
            Err(error) => panic!("a client of the laboratory: {error}"),
        }
    }

    /// Begins to make `per_second` calls a second, see [`Load::start`].
    pub fn load<F, R>(&mut self, per_second: u32, call: F) -> Load
    where
        F: Fn(Turn) -> R + Send + 'static,
        R: Future<Output = Result<String, RpcError>> + Send + 'static,
    {
        self.loads += 1;
        Load::named(&format!("load{}", self.loads), per_second, call)
    }

    /// Lets something happen now. Returns when it has: a session that expires for real takes its
    /// time.
    ///
    /// # Panics
    ///
    /// If there is no provider with the number that the event names, or if the laboratory fails.
    pub async fn apply(&mut self, event: Event) {
        match &mut self.kind {
            Kind::Simulated(lab) => lab.apply(event).await,
            Kind::Real(lab) => lab.apply(event).await,
        }
    }

    /// Lets what is in the script happen, each at its time from now; what comes late because of
    /// the one before it happens at once. Returns at the script's end.
    ///
    /// # Panics
    ///
    /// As [`apply`](Self::apply).
    pub async fn play(&mut self, script: Script) {
        let began = Instant::now();
        let end = began + script.end();
        for (after, event) in script.into_events() {
            sleep_until(began + after).await;
            self.apply(event).await;
        }
        sleep_until(end).await;
    }
}

impl LabBuilder {
    fn new(choice: Choice) -> Self {
        Self { choice, session: Duration::from_secs(2), path: Path::default() }
    }

    /// What lies between clients and providers when nothing else has happened. Only for the
    /// simulated kind; for real it is loopback.
    pub fn path(mut self, path: Path) -> Self {
        self.path = path;
        self
    }

    /// The session timeout of providers at the registry. Default 2 s, in both kinds.
    pub fn session(mut self, session: Duration) -> Self {
        self.session = session;
        self
    }

    /// Runs a scenario on a runtime of its own, and returns its result. `None` when the test is
    /// left out for want of a ZooKeeper.
    ///
    /// # Panics
    ///
    /// When the scenario does, within a runtime, or when no ZooKeeper can be had though
    /// `RPC_TEST_ZOOKEEPER=required`.
    pub fn run<T>(self, scenario: impl AsyncFnOnce(Lab) -> T) -> Option<T> {
        let mut builder = match &self.choice {
            Choice::Simulated(seed) => {
                fastrand::seed(*seed);
                let mut builder = Builder::new_current_thread();
                builder.enable_time().start_paused(true);
                builder
            }
            Choice::Real(_) => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(2).enable_all();
                builder
            }
        };
        let runtime = match builder.build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the laboratory has no runtime: {error}"),
        };
        runtime.block_on(async {
            let kind = match self.choice {
                Choice::Simulated(seed) => {
                    Kind::Simulated(Simulated::new(seed, self.session, self.path))
                }
                Choice::Real(test) => Kind::Real(Real::begin(&test, self.session).await?),
            };
            Some(scenario(Lab { kind, tally: Tally::default(), loads: 0 }).await)
        })
    }
}
