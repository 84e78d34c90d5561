//! Too much, too late, too slow: refused at once, not run in vain, and bounded.

use crate::{
    ledger::{Clerk, Ledger as _, LedgerClient},
    scene::{NONE, SOON, Scene, list, load, resident, resident_of, until_reached},
};
use rpc_client::Client;
use rpc_core::{
    CallContext, CallOptions, Outcome, RpcCode,
    codec::Codec,
    rpc_client, rpc_service,
    wire::{Header, Kind, Limits, Preface, RequestHead, fnv1a_32, fnv1a_64},
};
use rpc_server::Server;
use rpc_testkit::peer::{Peer, PeerListener};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

/// A service that asks the ledger.
#[rpc_client(name = "faults.Relay")]
pub(crate) trait Relay {
    /// Waits so many ms, then asks the ledger what is left of the time.
    async fn remaining_after(&self, ms: u32) -> rpc_core::Result<u64>;
    /// Goes on in a task of its own, and books after so many ms, whatever time was given.
    async fn book_after(&self, ms: u32, key: String) -> rpc_core::Result<()>;
}

struct Relaying {
    ledger: LedgerClient,
    booked: mpsc::Sender<rpc_core::Result<String>>,
}

#[rpc_service]
impl Relay for Relaying {
    async fn remaining_after(&self, ms: u32) -> rpc_core::Result<u64> {
        sleep(Duration::from_millis(ms.into())).await;
        self.ledger.remaining().await
    }

    async fn book_after(&self, ms: u32, key: String) -> rpc_core::Result<()> {
        assert!(CallContext::current().remaining().is_some());
        let (ledger, booked) = (self.ledger.clone(), self.booked.clone());
        rpc_core::spawn(async move {
            sleep(Duration::from_millis(ms.into())).await;
            let _ = booked.send(ledger.book(key, 0).await).await;
        });
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_the_remaining_deadline_reaches_the_second_hop() {
    let scene = Scene::new().await;
    let ledger = scene.provider(NONE).await;
    let client = Client::connect(format!("static://{}", ledger.addr)).await.unwrap();
    until_reached(&client, 1).await;
    let (sender, mut booked) = mpsc::channel(1);
    let relay = Relaying { ledger: client.get(), booked: sender };
    let relay = Server::builder().registry(NONE).service(relay).collected(false).start();
    let relay = relay.await.unwrap();
    let client = Client::connect(format!("static://{}", relay.local_addr())).await.unwrap();
    let relay: RelayClient = client.get();

    let relay_5s = relay.with_options(CallOptions::new().timeout(Duration::from_secs(5)));
    let remaining = relay_5s.remaining_after(500).await.unwrap();
    assert!((1..=4_500).contains(&remaining), "{remaining} ms reached the second hop");

    // The time has passed before the second call is made: it is not made.
    let relay_1s = relay.with_options(CallOptions::new().timeout(Duration::from_secs(1)));
    relay_1s.book_after(1_200, "too late".into()).await.unwrap();
    let error = timeout(SOON, booked.recv()).await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::DeadlineExceeded, Outcome::NotSent));
    relay_1s.book_after(0, "in-time".into()).await.unwrap();
    timeout(SOON, booked.recv()).await.unwrap().unwrap().unwrap();
    let executions = scene.journal.read().unwrap();
    assert_eq!(executions.keys().collect::<Vec<_>>(), ["in-time"]);

    // A handler that outlives its caller's time is stopped; the caller is told by its deadline.
    let error = relay_1s.remaining_after(60_000).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::DeadlineExceeded, Outcome::Unknown));
    assert!(!error.is_remote());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_refuses_for_overload_costs_no_call_while_another_takes_it() {
    let scene = Scene::new().await;
    let mut servers = Vec::new();
    for limit in [4, 1_000] {
        let clerk = Clerk::new(scene.journal.folder());
        let server = Server::builder().registry(NONE).service(clerk).collected(false);
        servers.push(server.max_in_flight(limit).start().await.unwrap());
    }
    let url = format!("static://{},{}", servers[0].local_addr(), servers[1].local_addr());
    let client = Client::connect(url).await.unwrap();
    let ledger: LedgerClient = client.get();
    while !servers.iter().all(|server| server.stats().served > 0) {
        ledger.who().await.unwrap();
    }
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let ledger = ledger.clone();
        calls.spawn(async move { ledger.book(format!("crowd-{number}"), 100).await });
    }
    for result in calls.join_all().await {
        result.unwrap();
    }
    assert!(servers[0].stats().refused.overloaded > 0, "{:?}", servers[0].stats());
    let executions = scene.journal.read().unwrap();
    assert_eq!(executions.len(), 200);
    assert!(executions.values().all(|runs| runs.len() == 1));
}

/// A client that asks for so many answers of `length` bytes and reads none.
async fn deaf(provider: SocketAddr, calls: u64, length: u32) -> io::Result<Peer> {
    #[derive(serde::Serialize)]
    struct Fill {
        length: u32,
    }
    let head = RequestHead {
        service: fnv1a_64(b"faults.Ledger"),
        method: fnv1a_32(b"fill"),
        remaining_ms: 600_000,
        sent_ms: 0,
        trace: None,
    };
    let mut request = Vec::new();
    head.put(&mut request);
    Codec::Named.encode(&Fill { length }, &mut request).map_err(io::Error::other)?;
    let mut peer = Peer::dial(provider).await?;
    peer.preface(Preface::new(None, Limits::default())).await?;
    for id in 1..=calls {
        peer.frame(Header { kind: Kind::Request, flags: 0, aux: 0, id }, &request).await?;
    }
    Ok(peer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_clients_that_never_read_are_bounded_and_cost_others_nothing() {
    const DEAF: usize = 10;
    // 80 MB of answers for each.
    const CALLS: u64 = 80_000;
    const LENGTH: u32 = 1_000;
    let scene = Scene::new().await;
    let provider = scene.provider(NONE).await;
    let client = Client::connect(list([&provider])).await.unwrap();
    until_reached(&client, 1).await;
    let before = resident_of(provider.process.pid());
    let mut asking = JoinSet::new();
    for _ in 0..DEAF {
        asking.spawn(deaf(provider.addr, CALLS, LENGTH));
    }
    let load = load(&client, 5);
    load.more(1_600).await;
    let grown = resident_of(provider.process.pid()).saturating_sub(before);
    // 8 MiB for each and a little, and not much less, or they would have shown nothing.
    assert!((40..=128).contains(&grown), "{grown} MiB more than before");
    scene.none_failed(load).await;
    drop(asking);
}

/// The mirror of a client that does not read its replies: what waits for a provider is bounded,
/// and what may be sent again goes elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_a_provider_that_never_reads_holds_up_only_its_own_calls() {
    let scene = Scene::new().await;
    let provider = scene.provider(NONE).await;
    let listener = PeerListener::bind().await.unwrap();
    let url = format!("static://{},{}", listener.addr(), provider.addr);
    let client = Client::builder().registry(url).timeout(SOON).build().await.unwrap();
    let ledger: LedgerClient = client.get();
    let greeted = tokio::join!(listener.greet(Limits::default()), ledger.who());
    let deaf = greeted.0.unwrap();
    let before = resident();
    let mut calls = JoinSet::new();
    for _ in 0..20_000 {
        let ledger = ledger.clone();
        // Just small enough to travel whole, without asking for credit.
        calls.spawn(async move { ledger.weigh(vec![7; 16_000]).await });
    }
    for result in calls.join_all().await {
        assert_eq!(result.unwrap(), 16_000);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 600, "{grown} MiB more than before, with 320 MB of arguments held by callers");
    assert!(client.stats().retries > 0, "{:?}", client.stats());
    drop(deaf);
}
