//! The providers: a process each, which writes down what it runs and can be told to be slow or to
//! fail.

use crate::Result;
use rpc_core::{RpcError, rpc_client, rpc_service};
use rpc_server::Server;
use rpc_testkit::{journal::Pen, process};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// What the calls of the scoreboard go to; every execution is counted.
#[rpc_client(name = "scoreboard.Ledger")]
pub(crate) trait Ledger {
    /// Writes `key` down, takes `hold` ms, gives the key back.
    #[rpc(idempotent)]
    async fn look(&self, key: String, hold: u32) -> rpc_core::Result<String>;
    /// The same, and it must not run twice.
    async fn book(&self, key: String, hold: u32) -> rpc_core::Result<String>;
    /// The process that serves the call.
    #[rpc(idempotent)]
    async fn who(&self) -> rpc_core::Result<u32>;
}

/// How a provider is told what to do to the calls of its ledger.
#[rpc_client(name = "scoreboard.Levers")]
pub(crate) trait Levers {
    /// From now on each call takes so many ms more, and fails at once if so told.
    #[rpc(idempotent)]
    async fn behave(&self, slower: u32, failing: bool) -> rpc_core::Result<()>;
}

/// What the levers have been set to.
#[derive(Debug, Default)]
struct Manner {
    slower: AtomicU32,
    failing: AtomicBool,
}

struct Clerk {
    pen: Pen,
    manner: Arc<Manner>,
}

impl Clerk {
    async fn run(&self, key: String, hold: u32) -> Result<String, RpcError> {
        self.pen.note(&key);
        if self.manner.failing.load(Ordering::Relaxed) {
            return Err(RpcError::unavailable("told to fail"));
        }
        let hold = hold + self.manner.slower.load(Ordering::Relaxed);
        if hold > 0 {
            tokio::time::sleep(Duration::from_millis(hold.into())).await;
        }
        Ok(key)
    }
}

#[rpc_service]
impl Ledger for Clerk {
    async fn look(&self, key: String, hold: u32) -> rpc_core::Result<String> {
        self.run(key, hold).await
    }

    async fn book(&self, key: String, hold: u32) -> rpc_core::Result<String> {
        self.run(key, hold).await
    }

    async fn who(&self) -> rpc_core::Result<u32> {
        Ok(std::process::id())
    }
}

struct Board(Arc<Manner>);

#[rpc_service]
impl Levers for Board {
    async fn behave(&self, slower: u32, failing: bool) -> rpc_core::Result<()> {
        self.0.slower.store(slower, Ordering::Relaxed);
        self.0.failing.store(failing, Ordering::Relaxed);
        Ok(())
    }
}

/// Which services a provider has.
pub(crate) const LEDGER: &str = "ledger";
/// One that only knows the levers.
pub(crate) const LEVERS: &str = "levers";

/// The body of a provider process. Its words: the folder of the journal, the address to bind, the
/// registry, the calls in flight that it takes (0: the default), and [`LEDGER`] or [`LEVERS`].
pub(crate) async fn serve(words: &[String]) -> Result<()> {
    let [journal, bind, registry, limit, services] = words else {
        return Err(format!("a provider does not understand {words:?}").into());
    };
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = signal(SignalKind::terminate())?;
    // Ctrl-C reaches the scoreboard too, which ends its providers.
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move { while interrupt.recv().await.is_some() {} });
    let manner = Arc::<Manner>::default();
    let mut server = Server::builder()
        .bind(bind)
        .registry(registry.as_str())
        .collected(false)
        .service(Board(Arc::clone(&manner)));
    if services == LEDGER {
        server = server.service(Clerk { pen: Pen::open(Path::new(journal))?, manner });
    }
    let limit: u32 = limit.parse()?;
    if limit > 0 {
        server = server.max_in_flight(limit);
    }
    let server = server.start().await?;
    process::say(&server.local_addr().to_string());
    terminate.recv().await;
    server.shutdown().await;
    Ok(())
}
