//! What a fault test is made of: providers in processes of their own, a client, a load, a journal.

use crate::ledger::{Clerk, Ledger as _, LedgerClient, STUMBLED};
use rpc_client::{Balance, Client};
use rpc_core::{CallOptions, Outcome, RpcCode};
use rpc_server::Server;
use rpc_testkit::{
    journal::Journal,
    load::{Calls, Load},
    process::{self, Process},
    zookeeper::{self, ZooKeeper},
};
use std::{
    net::SocketAddr,
    panic,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::{Mutex, MutexGuard},
    time::{sleep, timeout},
};

/// The session timeout that the tests ask ZooKeeper for.
pub(crate) const SESSION: Duration = Duration::from_secs(2);
/// Limit for what is expected within a second.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// The default deadline of a call, and a little for the way to the journal.
pub(crate) const DEADLINE: Duration = Duration::from_millis(10_100);
/// More than any test takes.
pub(crate) const LONG: Duration = Duration::from_mins(10);
/// A registry for providers that are not found through one: the client has a list.
pub(crate) const NONE: &str = "static://127.0.0.1:1";
/// Calls a second of a load.
const RATE: u32 = 400;

/// One test at a time: each wants the machine for itself.
static TURN: Mutex<()> = Mutex::const_new(());

/// The surroundings of one test.
pub(crate) struct Scene {
    pub(crate) journal: Journal,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let turn = TURN.lock().await;
        if std::env::var_os("RUST_LOG").is_some() {
            let filter = tracing_subscriber::EnvFilter::from_default_env();
            let _ = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .try_init();
        }
        Self { journal: Journal::new().unwrap(), _turn: turn }
    }

    /// With a ZooKeeper of its own; `None` when the test is to be skipped.
    pub(crate) async fn with_zookeeper(test: &str) -> Option<(Self, ZooKeeper)> {
        let scene = Self::new().await;
        Some((scene, zookeeper::begin(&format!("faults::{test}")).await?))
    }

    /// With an ensemble of three.
    pub(crate) async fn with_ensemble(test: &str) -> Option<(Self, ZooKeeper)> {
        let scene = Self::new().await;
        Some((scene, zookeeper::begin_ensemble(&format!("faults::{test}")).await?))
    }

    /// Starts a provider in a process of its own and waits until it serves.
    pub(crate) async fn provider(&self, registry: &str) -> Provider {
        self.provider_at("127.0.0.1:0", "", registry).await
    }

    /// The same, bound to an address, and advertising another one unless that is empty.
    pub(crate) async fn provider_at(
        &self,
        bind: &str,
        advertise: &str,
        registry: &str,
    ) -> Provider {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = self.journal.folder().join(format!("provider-{number}.log"));
        let folder = self.journal.folder().to_str().unwrap();
        let words = [folder, bind, advertise, registry];
        let mut process = Process::start("provider_process", &words, log).unwrap();
        let said = timeout(2 * SOON, process.hear()).await.unwrap().unwrap();
        let (addr, registered) = said.split_once(' ').unwrap();
        Provider { process, addr: addr.parse().unwrap(), registered: registered == "true" }
    }

    /// Three providers.
    pub(crate) async fn three(&self, registry: &str) -> [Provider; 3] {
        [
            self.provider(registry).await,
            self.provider(registry).await,
            self.provider(registry).await,
        ]
    }

    /// Ends a load of which no call may fail, and checks it.
    pub(crate) async fn none_failed(&self, load: Load) {
        let calls = load.finish().await;
        calls.none_failed();
        self.check(&calls, DEADLINE);
    }

    /// Compares what callers were told with what the handlers wrote down.
    #[track_caller]
    pub(crate) fn check(&self, calls: &Calls, deadline: Duration) {
        calls.agree_with(&self.journal.read().unwrap(), deadline);
    }
}

/// A provider process.
pub(crate) struct Provider {
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
    pub(crate) registered: bool,
}

impl Provider {
    /// Ends it in order and waits for that.
    pub(crate) async fn stop(mut self) {
        self.process.signal("TERM");
        let ended = timeout(2 * SOON, self.process.ended()).await;
        assert!(ended.unwrap().unwrap().success(), "{}", self.process.log());
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.process.signal("KILL");
        let _ = self.process.ended().await;
    }
}

/// The body of a provider process.
pub(crate) fn provider_process() {
    let Some(words) = process::role() else { return };
    let [journal, bind, advertise, registry] = &words[..] else { panic!("{words:?}") };
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // The handlers' own panics are meant.
        if info.payload_as_str() != Some(STUMBLED) {
            usual(info);
        }
    }));
    Runtime::new().unwrap().block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let mut server = Server::builder()
            .bind(bind)
            .registry(registry)
            .service(Clerk::new(Path::new(journal)))
            .collected(false);
        if !advertise.is_empty() {
            server = server.advertise(advertise);
        }
        let server = server.start().await.unwrap();
        process::say(&format!("{} {}", server.local_addr(), server.registered()));
        terminate.recv().await;
        server.shutdown().await;
    });
}

/// The URL of a ZooKeeper registry with short sessions.
pub(crate) fn short(zookeeper: &ZooKeeper) -> String {
    with_session(&zookeeper.url("/rpc"))
}

pub(crate) fn with_session(url: &str) -> String {
    format!("{url}?session={}s", SESSION.as_secs())
}

/// The URL of a list.
pub(crate) fn list<'a>(providers: impl IntoIterator<Item = &'a Provider>) -> String {
    let addrs: Vec<_> = providers.into_iter().map(|provider| provider.addr.to_string()).collect();
    format!("static://{}", addrs.join(","))
}

/// A steady load through `client`, whose handlers take `hold` ms.
pub(crate) fn load(client: &Client, hold: u32) -> Load {
    load_at(RATE, client, hold)
}

pub(crate) fn load_at(rate: u32, client: &Client, hold: u32) -> Load {
    let ledger: LedgerClient = client.get();
    Load::start(rate, move |turn| {
        let ledger = ledger.clone();
        async move {
            if turn.idempotent {
                ledger.look(turn.key, hold).await
            } else {
                ledger.book(turn.key, hold).await
            }
        }
    })
}

/// What holds when the connection to `addr` broke under load: nothing that is idempotent failed,
/// the rest only if it was in flight then, and it says that it may have run. How many failed.
#[track_caller]
pub(crate) fn broken_under_load(calls: &Calls, addr: SocketAddr) -> usize {
    let failed = calls.failed();
    for (call, error) in &failed {
        assert!(!call.idempotent, "{}", calls.failures());
        assert_eq!(error.outcome(), Outcome::Unknown, "{}", calls.failures());
        assert_eq!(error.code(), RpcCode::Unavailable, "{}", calls.failures());
        assert_eq!(error.endpoint(), Some(addr), "{}", calls.failures());
    }
    // The first failure was told after the end was seen; no attempt started after that.
    if let Some(told) = failed.iter().map(|(call, _)| call.ended).min() {
        let late = failed.iter().filter(|(call, _)| call.began > told).count();
        assert_eq!(late, 0, "attempts that started on a broken connection");
        let in_flight = calls.0.iter().filter(|c| c.began <= told && c.ended >= told).count();
        assert!(failed.len() <= in_flight, "{} of {in_flight}", failed.len());
    }
    failed.len()
}

/// Waits until `client` reaches this many providers at once.
pub(crate) async fn until_reached(client: &Client, providers: usize) {
    let ledger: LedgerClient = client.get();
    // In turns: one that is a little slower than the others is reached too.
    let ledger = ledger.with_options(CallOptions::new().balance(Balance::RoundRobin));
    let limit = tokio::time::Instant::now() + SOON;
    loop {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..providers * 2 {
            seen.insert(ledger.who().await.unwrap());
        }
        if seen.len() == providers {
            return;
        }
        assert!(tokio::time::Instant::now() < limit, "only {} of {providers}", seen.len());
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < limit, "not within {SOON:?}: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Resident memory of this process, in MiB.
pub(crate) fn resident() -> u64 {
    resident_of(std::process::id())
}

/// The same of another one.
pub(crate) fn resident_of(process: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}
