//! What a scenario plays on: providers, a ZooKeeper, the ways between them, and a client.

use crate::{
    Result,
    fault::{Act, Addr, Manner, Server, Way},
    lie::Liar,
    provider::{LEDGER, Ledger as _, LedgerClient, Levers as _, LeversClient},
    scenario::Scenario,
};
use rpc_client::Client;
use rpc_testkit::{journal::Journal, process::Process, proxy::ChaosProxy, zookeeper::ZooKeeper};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// Limit of every wait for something to start or end.
const LIMIT: Duration = Duration::from_secs(40);
/// What ZooKeeper is asked for: the shortest that its tick allows on a busy machine.
const SESSION: &str = "session=2s";

/// An act that was done, and when.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) act: Act,
    /// The provider that it was done to, or the address that was listed.
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

struct Running {
    process: Process,
    addr: SocketAddr,
}

type Slot = Arc<Mutex<Option<Running>>>;

/// How a provider is started.
#[derive(Debug, Clone)]
struct Recipe {
    journal: String,
    registry: String,
    limit: String,
    number: u32,
}

/// Everything of one scenario. Dropped, it ends all of it.
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) marks: Vec<Mark>,
    slots: Vec<Slot>,
    /// Starts and orderly ends that are under way.
    background: JoinSet<Result<()>>,
    ways: [ChaosProxy; 3],
    liar: Liar,
    limit: u32,
    started: u32,
    zookeeper: ZooKeeper,
    /// Behind those who write into it.
    pub(crate) journal: Journal,
}

impl Stage {
    /// Starts all of it and waits until the client has reached every provider.
    pub(crate) async fn set(scenario: &Scenario) -> Result<Self> {
        let zookeeper = ZooKeeper::start().await?;
        let server: SocketAddr = zookeeper.hosts().parse()?;
        let mut ways = Vec::new();
        for _ in 0..3 {
            ways.push(ChaosProxy::start(server).await?);
        }
        let Ok(ways) = <[_; 3]>::try_from(ways) else { return Err("three ways".into()) };
        let client = Client::connect(registry(&ways[0])).await?;
        let journal = Journal::new()?;
        let mut stage = Self {
            client,
            liar: Liar::new(zookeeper.hosts(), journal.folder().to_owned()),
            journal,
            marks: Vec::new(),
            slots: (0..scenario.providers).map(|_| Slot::default()).collect(),
            background: JoinSet::new(),
            ways,
            limit: scenario.load.limit,
            started: 0,
            zookeeper,
        };
        for at in 0..scenario.providers {
            stage.perform(Act::Start(at, Addr::New)).await?;
        }
        stage.settle().await?;
        stage.marks.clear();
        let ledger: LedgerClient = stage.client.get();
        let reached = async {
            let mut seen = BTreeSet::new();
            while seen.len() < scenario.providers {
                seen.insert(ledger.who().await?);
                sleep(Duration::from_millis(2)).await;
            }
            Result::<()>::Ok(())
        };
        timeout(LIMIT, reached).await.map_err(|_| "the client does not reach all providers")??;
        Ok(stage)
    }

    /// Does one thing now. What takes time of itself goes on in the background.
    pub(crate) async fn perform(&mut self, act: Act) -> Result<()> {
        let began = Instant::now();
        let addr = match act {
            Act::Kill(at) => self.kill(at).await,
            Act::Start(at, addr) => {
                let mut slot = self.slot(at).await;
                // Of two that were to take one place the first has it.
                if slot.as_mut().is_some_and(|running| running.process.is_running()) {
                    return Ok(());
                }
                let recipe = self.recipe(at);
                let bind = match (addr, &*slot) {
                    (Addr::Old, Some(dead)) => dead.addr.to_string(),
                    _ => "127.0.0.1:0".to_owned(),
                };
                self.background.spawn(async move {
                    *slot = Some(start(&recipe, &bind).await?);
                    Ok(())
                });
                None
            }
            Act::Replace(at) => {
                let (recipe, slot) = (self.recipe(at), self.slot(at).await);
                self.background.spawn(replace(recipe, slot));
                None
            }
            Act::Restart(at) => {
                let (recipe, slot) = (self.recipe(at), self.slot(at).await);
                self.background.spawn(restart(recipe, slot));
                None
            }
            Act::Pause(at) => self.signal(at, "STOP").await,
            Act::Resume(at) => self.signal(at, "CONT").await,
            Act::Behave(at, manner) => self.behave(at, manner).await?,
            Act::ZooKeeper(server) => {
                match server {
                    Server::Kill => self.zookeeper.kill().await,
                    Server::Up => self.zookeeper.up().await,
                    Server::Wipe => self.zookeeper.wipe().await,
                    Server::Pause => self.zookeeper.pause().await,
                    Server::Resume => self.zookeeper.resume().await,
                }
                None
            }
            Act::DeleteNodes => {
                self.liar.delete_nodes().await?;
                None
            }
            Act::Cut(way) => self.cut(way, true),
            Act::Heal(way) => self.cut(way, false),
            Act::List(lie) => self.liar.list(lie).await?,
            // The load's.
            Act::Surge(_) => None,
        };
        self.marks.push(Mark { act, addr, began, ended: Instant::now() });
        Ok(())
    }

    /// Waits for what goes on in the background.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        while let Some(done) = self.background.join_next().await {
            done??;
        }
        Ok(())
    }

    async fn slot(&self, at: usize) -> OwnedMutexGuard<Option<Running>> {
        Arc::clone(&self.slots[at]).lock_owned().await
    }

    fn recipe(&mut self, at: usize) -> Recipe {
        self.started += 1;
        // The first provider has a way of its own.
        let way = &self.ways[if at == 0 { 1 } else { 2 }];
        Recipe {
            journal: self.journal.folder().display().to_string(),
            registry: registry(way),
            limit: self.limit.to_string(),
            number: self.started,
        }
    }

    async fn kill(&self, at: usize) -> Option<SocketAddr> {
        let mut slot = self.slot(at).await;
        let running = slot.as_mut()?;
        if running.process.is_running() {
            running.process.signal("KILL");
            let _ = running.process.ended().await;
        }
        Some(running.addr)
    }

    /// Nothing happens to a process that is gone.
    async fn signal(&self, at: usize, name: &str) -> Option<SocketAddr> {
        let mut slot = self.slot(at).await;
        let running = slot.as_mut()?;
        if !running.process.is_running() {
            return None;
        }
        running.process.signal(name);
        Some(running.addr)
    }

    async fn behave(&self, at: usize, manner: Manner) -> Result<Option<SocketAddr>> {
        let slot = self.slot(at).await;
        let Some(addr) = slot.as_ref().map(|running| running.addr) else { return Ok(None) };
        drop(slot);
        // By a connection of its own: what is measured is not touched.
        let levers: LeversClient = Client::connect(format!("static://{addr}")).await?.get();
        let (slower, failing) = match manner {
            Manner::Well => (0, false),
            Manner::Slow => (1_000, false),
            Manner::Failing => (0, true),
        };
        // One that was killed meanwhile behaves well when it is started again.
        let _ = timeout(Duration::from_secs(2), levers.behave(slower, failing)).await;
        Ok(Some(addr))
    }

    fn cut(&self, way: Way, cut: bool) -> Option<SocketAddr> {
        let [client, first, others] = &self.ways;
        match way {
            Way::Client => client.set_blackhole(cut),
            Way::FirstProvider => first.set_blackhole(cut),
            Way::Providers => {
                first.set_blackhole(cut);
                others.set_blackhole(cut);
            }
        }
        None
    }
}

fn registry(way: &ChaosProxy) -> String {
    format!("zookeeper://{}/rpc?{SESSION}", way.addr())
}

/// Starts a provider and waits until it serves.
async fn start(recipe: &Recipe, bind: &str) -> Result<Running> {
    let Recipe { journal, registry, limit, number } = recipe;
    let log = std::path::Path::new(journal).join(format!("provider-{number}.log"));
    let words = [journal, bind, registry, limit, LEDGER];
    let mut process = Process::start_program(&words, log)?;
    let said = timeout(LIMIT, process.hear()).await.map_err(|_| "a provider does not start")??;
    Ok(Running { process, addr: said.parse()? })
}

async fn replace(recipe: Recipe, mut slot: OwnedMutexGuard<Option<Running>>) -> Result<()> {
    let new = start(&recipe, "127.0.0.1:0").await?;
    if let Some(old) = slot.replace(new) {
        leave(old).await?;
    }
    Ok(())
}

async fn restart(recipe: Recipe, mut slot: OwnedMutexGuard<Option<Running>>) -> Result<()> {
    let mut bind = "127.0.0.1:0".to_owned();
    if let Some(old) = slot.take() {
        bind = old.addr.to_string();
        leave(old).await?;
    }
    *slot = Some(start(&recipe, &bind).await?);
    Ok(())
}

/// Ends a provider as an operator would, and waits for that.
async fn leave(mut running: Running) -> Result<()> {
    if !running.process.is_running() {
        return Ok(());
    }
    running.process.signal("TERM");
    let ended = timeout(LIMIT, running.process.ended()).await;
    let status = ended.map_err(|_| "a provider does not leave")??;
    if !status.success() {
        return Err(format!("a provider left with {status}: {}", running.process.log()).into());
    }
    Ok(())
}
