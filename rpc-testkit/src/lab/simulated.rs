//! The laboratory under paused time.

use super::{Build, Event, Lie, liar::Liar};
use crate::sim::{Path, SimNet, SimRegistry};
use rpc_client::{Client, ClientBuilder};
use rpc_core::{SetupError, discovery::Instance};
use rpc_server::{Server, ServerStats};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};

const PORT: u16 = 9000;

#[derive(Debug)]
pub(super) struct Simulated {
    net: SimNet,
    registry: SimRegistry,
    providers: Vec<Provider>,
    clients: Vec<IpAddr>,
    usual: Path,
    liar: Liar,
    /// Where it listens, also when that is over.
    lies: Vec<SocketAddr>,
}

struct Provider {
    build: Build,
    addr: SocketAddr,
    /// How often it was started: each time it is another process.
    starts: u32,
    server: Option<Server>,
    /// On its way out; and on its way back.
    leaving: Option<JoinHandle<()>>,
    starting: Option<JoinHandle<Result<Server, SetupError>>>,
    /// The ways from clients and to them.
    paths: [Path; 2],
    cut: bool,
    paused: watch::Sender<bool>,
}

impl Simulated {
    pub(super) fn new(seed: u64, session: Duration, usual: Path) -> Self {
        Self {
            net: SimNet::new(seed),
            registry: SimRegistry::new(seed, session),
            providers: Vec::new(),
            clients: Vec::new(),
            usual,
            liar: Liar::default(),
            lies: Vec::new(),
        }
    }

    pub(super) fn lies(&self) -> &[SocketAddr] {
        &self.lies
    }

    async fn list(&mut self, service: &str, lie: Lie) {
        let number = small(self.lies.len());
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 2, 0, 1)) + number).into();
        for client in &self.clients {
            self.net.set_path(*client, ip, self.usual);
            self.net.set_path(ip, *client, self.usual);
        }
        let (network, address) = (self.net.host(ip).network(), SocketAddr::new(ip, PORT));
        if let Err(error) = self.liar.listen(&network, &address.to_string(), lie).await {
            panic!("a lie of the laboratory: {error}");
        }
        self.lies.push(address);
        self.registry.list(service, Instance { id: Liar::instance(), ..Instance::at(address) });
    }

    fn unlist(&mut self) {
        self.lies.iter().for_each(|addr| self.registry.delete(*addr));
        self.liar = Liar::default();
    }

    pub(super) fn addr(&self, number: usize) -> SocketAddr {
        self.providers[number].addr
    }

    pub(super) async fn stats(&mut self, number: usize) -> Option<ServerStats> {
        self.settle(number).await;
        self.providers[number].server.as_ref().map(Server::stats)
    }

    pub(super) async fn add(&mut self, build: Build) -> usize {
        let number = self.providers.len();
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 1)) + small(number));
        self.providers.push(Provider {
            build,
            addr: SocketAddr::new(ip.into(), PORT),
            starts: 0,
            server: None,
            leaving: None,
            starting: None,
            paths: [self.usual; 2],
            cut: false,
            paused: watch::Sender::new(false),
        });
        self.start(number);
        self.settle(number).await;
        number
    }

    pub(super) fn client(&mut self) -> ClientBuilder {
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 1)) + small(self.clients.len()));
        let name = format!("client-{}", self.clients.len());
        self.clients.push(ip.into());
        for number in 0..self.providers.len() {
            self.lay(number);
        }
        Client::builder()
            .registry(self.registry.handle(&name))
            .network(self.net.host(ip.into()).network())
    }

    /// Begins to start it, once it has left.
    fn start(&mut self, number: usize) {
        let provider = &mut self.providers[number];
        provider.starts += 1;
        let described = Server::builder()
            .bind(provider.addr)
            .network(self.net.host(provider.addr.ip()).network())
            .registry(self.registry.handle(&provider.process(number)));
        self.registry.cut(&provider.process(number), provider.cut);
        let (described, leaving) = ((provider.build)(described), provider.leaving.take());
        let mut paused = provider.paused.subscribe();
        provider.starting = Some(tokio::spawn(async move {
            if let Some(leaving) = leaving {
                let _ = leaving.await;
            }
            let mut start = pin!(described.start());
            loop {
                // Who stands still gets no further with it.
                let _ = paused.wait_for(|paused| !paused).await;
                tokio::select! {
                    biased;
                    Ok(_) = paused.wait_for(|paused| *paused) => {}
                    started = &mut start => return started,
                }
            }
        }));
    }

    /// Waits until a provider that starts has started.
    async fn settle(&mut self, number: usize) {
        let provider = &mut self.providers[number];
        let Some(starting) = provider.starting.take() else { return };
        match starting.await {
            Ok(Ok(server)) => provider.server = Some(server),
            Ok(Err(error)) => panic!("provider {number} of the laboratory: {error}"),
            Err(error) => panic!("provider {number} of the laboratory: {error}"),
        }
    }

    pub(super) async fn apply(&mut self, event: Event) {
        tracing::debug!(?event, "the laboratory");
        match event {
            Event::RegistryDown => self.registry.set_away(true),
            Event::RegistryUp => self.registry.set_away(false),
            Event::RegistryWiped => self.registry.wipe(),
            Event::RegistryCut(number) => self.cut(number, true),
            Event::RegistryBack(number) => self.cut(number, false),
            Event::SessionExpired(number) => {
                self.registry.expire(&self.providers[number].process(number));
            }
            Event::NodesGone(numbers) => {
                for number in numbers {
                    self.cut(number, true);
                    self.registry.delete(self.providers[number].addr);
                }
            }
            Event::Partition(number) => self.change(number, |path| path.held = true),
            Event::RepliesLost(number) => {
                self.providers[number].paths[1].held = true;
                self.lay(number);
            }
            Event::Slow(number, latency) => self.change(number, |path| path.latency = latency),
            Event::Narrow(number, bandwidth) => {
                self.change(number, |path| path.bandwidth = Some(bandwidth));
            }
            Event::Refuse(number) => self.net.refuse(self.addr(number), true),
            Event::Heal(number) => {
                self.net.refuse(self.addr(number), false);
                let usual = self.usual;
                self.change(number, |path| *path = usual);
            }
            Event::Listed(service, lie) => self.list(&service, lie).await,
            Event::Unlisted => self.unlist(),
            Event::Reset(number) => self.net.reset(self.addr(number).ip()),
            Event::Pause(number) => self.pause(number, true),
            Event::Resume(number) => self.pause(number, false),
            Event::Kill(number) => self.kill(number),
            Event::Stop(number) => {
                self.settle(number).await;
                let provider = &mut self.providers[number];
                if let Some(server) = provider.server.take() {
                    provider.leaving = Some(tokio::spawn(async move { server.shutdown().await }));
                }
            }
            Event::Restart(number) => {
                let provider = &self.providers[number];
                if provider.server.is_none() && provider.starting.is_none() {
                    self.start(number);
                }
            }
        }
    }

    fn cut(&mut self, number: usize, cut: bool) {
        let provider = &mut self.providers[number];
        provider.cut = cut;
        self.registry.cut(&provider.process(number), provider.cut || *provider.paused.borrow());
    }

    fn pause(&mut self, number: usize, pause: bool) {
        let provider = &mut self.providers[number];
        provider.paused.send_replace(pause);
        self.registry.cut(&provider.process(number), provider.cut || pause);
        self.net.freeze(provider.addr.ip(), pause);
    }

    fn kill(&mut self, number: usize) {
        let provider = &mut self.providers[number];
        // What dies says nothing any more, to nobody.
        self.registry.cut(&provider.process(number), true);
        self.net.kill(provider.addr.ip());
        provider.paused.send_replace(false);
        provider.server = None;
        if let Some(leaving) = provider.leaving.take() {
            leaving.abort();
        }
        if let Some(starting) = provider.starting.take() {
            starting.abort();
        }
    }

    /// Changes both ways between a provider and its clients.
    fn change(&mut self, number: usize, change: impl Fn(&mut Path)) {
        let [to, from] = &mut self.providers[number].paths;
        change(to);
        change(from);
        self.lay(number);
    }

    /// Gives the paths between a provider and all clients their settings.
    fn lay(&self, number: usize) {
        let provider = &self.providers[number];
        let [to, from] = provider.paths;
        for client in &self.clients {
            self.net.set_path(*client, provider.addr.ip(), to);
            self.net.set_path(provider.addr.ip(), *client, from);
        }
    }
}

impl Provider {
    fn process(&self, number: usize) -> String {
        format!("provider-{number}-{}", self.starts)
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("addr", &self.addr).finish_non_exhaustive()
    }
}
