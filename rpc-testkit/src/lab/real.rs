//! The laboratory on loopback TCP, with a real ZooKeeper.

use super::{Build, Event, Lie, liar::Liar, thread::ProviderThread};
use crate::{
    proxy::ChaosProxy,
    zookeeper::{self, ZooKeeper},
};
use rpc_client::{Client, ClientBuilder};
use rpc_core::{SetupError, transport::Network};
use rpc_server::ServerStats;
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};
use zookeeper_client as zk;

const ROOT: &str = "/rpc";
/// Limit for what ZooKeeper does in seconds.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Real {
    zookeeper: ZooKeeper,
    is_up: bool,
    session: Duration,
    providers: Vec<Provider>,
    liar: Liar,
    /// Where it listens, also when that is over.
    lies: Vec<SocketAddr>,
}

struct Provider {
    build: Build,
    bind: SocketAddr,
    /// What clients reach it through, and what it reaches ZooKeeper through.
    data: ChaosProxy,
    registry: ChaosProxy,
    thread: Option<ProviderThread>,
    /// On its way out, with what tells its end; and on its way back.
    leaving: Option<(ProviderThread, oneshot::Receiver<()>)>,
    starting: Option<JoinHandle<Result<ProviderThread, SetupError>>>,
    cut: bool,
}

impl Real {
    /// `None`: the test is left out.
    pub(super) async fn begin(test: &str, session: Duration) -> Option<Self> {
        let zookeeper = zookeeper::begin(test).await?;
        Some(Self {
            zookeeper,
            is_up: true,
            session,
            providers: Vec::new(),
            liar: Liar::default(),
            lies: Vec::new(),
        })
    }

    pub(super) fn addr(&self, number: usize) -> SocketAddr {
        self.providers[number].data.addr()
    }

    pub(super) async fn stats(&mut self, number: usize) -> Option<ServerStats> {
        self.settle(number).await;
        self.providers[number].thread.as_ref()?.stats().await
    }

    pub(super) async fn add(&mut self, build: Build) -> usize {
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, must(zookeeper::free_port())));
        let hosts: SocketAddr = must(self.zookeeper.hosts().parse());
        self.providers.push(Provider {
            build,
            bind,
            data: must(ChaosProxy::start(bind).await),
            registry: must(ChaosProxy::start(hosts).await),
            thread: None,
            leaving: None,
            starting: None,
            cut: false,
        });
        let number = self.providers.len() - 1;
        self.start(number);
        self.settle(number).await;
        number
    }

    fn url(&self, hosts: &str) -> String {
        format!("zookeeper://{hosts}{ROOT}?session={}ms", self.session.as_millis())
    }

    pub(super) fn client(&mut self) -> ClientBuilder {
        Client::builder().registry(self.url(&self.zookeeper.hosts()))
    }

    /// Begins to start it, once it has left.
    fn start(&mut self, number: usize) {
        let url = self.url(&self.providers[number].registry.addr().to_string());
        let provider = &mut self.providers[number];
        let (bind, advertise) = (provider.bind, provider.data.addr());
        let build = provider.build.clone();
        let leaving = provider.leaving.take();
        provider.starting = Some(tokio::spawn(async move {
            if let Some((thread, left)) = leaving {
                let _ = left.await;
                drop(thread);
            }
            ProviderThread::start(build, bind, advertise, url).await
        }));
    }

    /// Waits until a provider that starts has started.
    async fn settle(&mut self, number: usize) {
        let provider = &mut self.providers[number];
        if let Some(starting) = provider.starting.take() {
            provider.thread = Some(must(must(starting.await)));
        }
    }

    pub(super) async fn apply(&mut self, event: Event) {
        tracing::debug!(?event, "the laboratory");
        match event {
            Event::RegistryDown => self.down().await,
            Event::RegistryUp => self.up().await,
            Event::RegistryWiped => {
                let was_up = self.is_up;
                self.down().await;
                self.zookeeper.wipe().await;
                if was_up {
                    self.up().await;
                }
            }
            Event::RegistryCut(number) => self.providers[number].cut(true),
            Event::RegistryBack(number) => self.providers[number].cut(false),
            Event::SessionExpired(number) => self.expire(number).await,
            Event::NodesGone(numbers) => self.delete(&numbers).await,
            Event::Partition(number) => self.providers[number].data.set_blackhole(true),
            Event::RepliesLost(number) => self.providers[number].data.hold_replies(true),
            Event::Slow(number, latency) => self.providers[number].data.set_latency(latency),
            Event::Narrow(number, rate) => self.providers[number].data.set_bandwidth(Some(rate)),
            Event::Refuse(number) => self.providers[number].data.refuse(true).await,
            Event::Heal(number) => self.providers[number].data.heal().await,
            Event::Listed(service, lie) => self.list(&service, lie).await,
            Event::Unlisted => self.unlist().await,
            Event::Reset(number) => self.providers[number].data.reset_all(),
            Event::Pause(number) => {
                self.settle(number).await;
                if let Some(thread) = &mut self.providers[number].thread {
                    thread.pause().await;
                }
            }
            Event::Resume(number) => {
                if let Some(thread) = &mut self.providers[number].thread {
                    thread.resume();
                }
            }
            Event::Kill(number) => self.kill(number).await,
            Event::Stop(number) => {
                self.settle(number).await;
                let provider = &mut self.providers[number];
                if let Some(thread) = provider.thread.take() {
                    let left = thread.leave().await;
                    provider.leaving = Some((thread, left));
                }
            }
            Event::Restart(number) => self.restart(number).await,
        }
    }

    async fn down(&mut self) {
        if std::mem::take(&mut self.is_up) {
            self.zookeeper.kill().await;
        }
    }

    async fn up(&mut self) {
        if !std::mem::replace(&mut self.is_up, true) {
            self.zookeeper.up().await;
        }
    }

    /// Cut off first, so that it cannot say anything; then its port is closed and its connections
    /// are reset; then its thread ends.
    async fn kill(&mut self, number: usize) {
        let provider = &mut self.providers[number];
        provider.registry.set_blackhole(true);
        provider.data.refuse(true).await;
        provider.data.reset_all();
        provider.thread = None;
        provider.leaving = None;
        if let Some(starting) = provider.starting.take() {
            starting.abort();
        }
        // What it held open there must not be heard of later.
        provider.registry.reset_all();
    }

    async fn restart(&mut self, number: usize) {
        let provider = &mut self.providers[number];
        if provider.thread.is_some() || provider.starting.is_some() {
            return;
        }
        provider.registry.set_blackhole(provider.cut);
        provider.data.refuse(false).await;
        self.start(number);
    }

    /// Cuts the provider off until ZooKeeper has ended its session.
    async fn expire(&mut self, number: usize) {
        let admin = self.admin().await;
        let provider = &self.providers[number];
        provider.registry.set_blackhole(true);
        let limit = Instant::now() + PATIENCE;
        while !nodes(&admin, self.addr(number)).await.is_empty() {
            assert!(Instant::now() < limit, "the session of provider {number} does not end");
            sleep(Duration::from_millis(20)).await;
        }
        provider.registry.set_blackhole(provider.cut);
    }

    async fn delete(&mut self, numbers: &[usize]) {
        let admin = self.admin().await;
        for number in numbers {
            self.providers[*number].cut(true);
            for path in nodes(&admin, self.addr(*number)).await {
                // Its session may have taken it along meanwhile.
                let _ = admin.delete(&path, None).await;
            }
        }
    }

    pub(super) fn lies(&self) -> &[SocketAddr] {
        &self.lies
    }

    async fn list(&mut self, service: &str, lie: Lie) {
        let addr = must(self.liar.listen(&Network::TCP, "127.0.0.1:0", lie).await);
        self.lies.push(addr);
        let id = Liar::instance().map_or(String::new(), |id| id.to_string());
        let data = format!(r#"{{"instance":"{id}","protocol":1,"weight":100}}"#);
        let (admin, path) = (self.admin().await, format!("{ROOT}/{service}/{addr}"));
        let options = zk::CreateMode::Persistent.with_acls(zk::Acls::anyone_all());
        must(admin.create(&path, data.as_bytes(), &options).await);
    }

    async fn unlist(&mut self) {
        let admin = self.admin().await;
        for addr in &self.lies {
            for path in nodes(&admin, *addr).await {
                let _ = admin.delete(&path, None).await;
            }
        }
        self.liar = Liar::default();
    }

    async fn admin(&self) -> zk::Client {
        assert!(self.is_up, "the registry is down");
        must(zk::Client::connector().connect(&self.zookeeper.hosts()).await)
    }
}

impl Provider {
    fn cut(&mut self, cut: bool) {
        self.cut = cut;
        self.registry.set_blackhole(cut);
    }
}

/// The nodes of an address, one per service.
async fn nodes(admin: &zk::Client, addr: SocketAddr) -> Vec<String> {
    let mut nodes = Vec::new();
    for service in admin.list_children(ROOT).await.unwrap_or_default() {
        let path = format!("{ROOT}/{service}/{addr}");
        if matches!(admin.check_stat(&path).await, Ok(Some(_))) {
            nodes.push(path);
        }
    }
    nodes
}

fn must<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("the laboratory: {error}"))
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("addr", &self.data.addr()).finish_non_exhaustive()
    }
}
