//! The contract of the scenarios, and what they all check.

use rpc_client::{Client, ClientBuilder};
use rpc_core::{Outcome, RpcError, rpc_client, rpc_service};
use rpc_server::ServerBuilder;
use rpc_testkit::{
    lab::{Lab, Tally},
    load::{Calls, Load, Turn},
};
use serde_bytes::ByteBuf;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// The default deadline of a call.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Calls a second.
pub(crate) const RATE: u32 = 100;

#[rpc_client(name = "lab.Ledger")]
pub(crate) trait Ledger {
    /// Notes `key`, takes `hold` ms, gives the key back.
    #[rpc(idempotent)]
    async fn look(&self, key: String, hold: u32, data: ByteBuf) -> rpc_core::Result<Page>;
    /// The same, and it must not run twice.
    async fn book(&self, key: String, hold: u32, data: ByteBuf) -> rpc_core::Result<Page>;
    /// The number of the provider.
    #[rpc(idempotent)]
    async fn who(&self) -> rpc_core::Result<usize>;
}

/// What a call brings back: all that it was given.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Page {
    pub(crate) key: String,
    pub(crate) data: ByteBuf,
}

pub(crate) struct Clerk {
    tally: Tally,
    number: usize,
    manner: Arc<Manner>,
}

/// What a provider does to its calls beside its work, as it is told while it runs, and how many it
/// was given.
#[derive(Debug, Default)]
pub(crate) struct Manner {
    /// It fails at once.
    pub(crate) fails: AtomicBool,
    /// It does not answer as long as this is so.
    pub(crate) hangs: AtomicBool,
    pub(crate) given: AtomicUsize,
}

impl Clerk {
    async fn run(&self, key: String, hold: u32, data: ByteBuf) -> rpc_core::Result<Page> {
        self.tally.ran(&key);
        self.manner.given.fetch_add(1, Ordering::Relaxed);
        if self.manner.fails.load(Ordering::Relaxed) {
            return Err(RpcError::unavailable("told to fail"));
        }
        while self.manner.hangs.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(20)).await;
        }
        if hold > 0 {
            sleep(Duration::from_millis(hold.into())).await;
        }
        Ok(Page { key, data })
    }
}

#[rpc_service]
impl Ledger for Clerk {
    async fn look(&self, key: String, hold: u32, data: ByteBuf) -> rpc_core::Result<Page> {
        self.run(key, hold, data).await
    }

    async fn book(&self, key: String, hold: u32, data: ByteBuf) -> rpc_core::Result<Page> {
        self.run(key, hold, data).await
    }

    async fn who(&self) -> rpc_core::Result<usize> {
        Ok(self.number)
    }
}

/// Starts so many providers of it, and gives them manners.
pub(crate) async fn clerks(lab: &mut Lab, count: usize) -> Vec<Arc<Manner>> {
    clerks_with(lab, count, |server| server).await
}

/// The same with settings of their own.
pub(crate) async fn clerks_with(
    lab: &mut Lab,
    count: usize,
    build: fn(ServerBuilder) -> ServerBuilder,
) -> Vec<Arc<Manner>> {
    let mut manners = Vec::new();
    for number in 0..count {
        let (tally, manner) = (lab.tally(), Arc::<Manner>::default());
        manners.push(Arc::clone(&manner));
        lab.provider(move |server| {
            let (tally, manner) = (tally.clone(), Arc::clone(&manner));
            build(server).collected(false).service(Clerk { tally, number, manner })
        })
        .await;
    }
    manners
}

/// A client that has found its providers.
pub(crate) async fn client(
    lab: &mut Lab,
    build: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Client {
    let client = lab.client(build).await;
    let ledger: LedgerClient = client.get();
    ledger.who().await.unwrap();
    // Time for the others to be found.
    sleep(Duration::from_millis(500)).await;
    client
}

/// A load on it, whose handlers take `hold` ms.
pub(crate) fn load(lab: &mut Lab, client: &Client, hold: u32) -> Load {
    load_with(lab, client, RATE, move |_| (hold, 0))
}

/// A load of so many calls a second; `what` says how long each takes, in ms, and how many bytes it
/// carries there and back.
pub(crate) fn load_with(
    lab: &mut Lab,
    client: &Client,
    rate: u32,
    what: impl Fn(&Turn) -> (u32, usize) + Send + 'static,
) -> Load {
    let ledger: LedgerClient = client.get();
    lab.load(rate, move |turn| {
        let ledger = ledger.clone();
        let (hold, size) = what(&turn);
        async move {
            let data = ByteBuf::from(vec![0; size]);
            let page = if turn.idempotent {
                ledger.look(turn.key, hold, data).await?
            } else {
                ledger.book(turn.key, hold, data).await?
            };
            assert_eq!(page.data.len(), size);
            Ok(page.key)
        }
    })
}

/// What holds in every scenario as long as one provider can answer: what failed says `Unknown` if
/// it failed; nothing ran twice that must not, or though it was said not to have run; every call
/// ended in time, give or take `slack`. How many failed.
#[track_caller]
pub(crate) fn check(lab: &Lab, calls: &Calls, slack: Duration) -> usize {
    calls.agree_with(&lab.tally().executions(), DEADLINE + slack);
    for call in &calls.0 {
        let took = call.ended - call.began;
        assert!(took <= DEADLINE + slack, "{} took {took:?}: {:?}", call.key, call.result);
    }
    let failed = calls.failed();
    for (_, error) in &failed {
        assert_eq!(error.outcome(), Outcome::Unknown, "{}", calls.failures());
    }
    failed.len()
}
