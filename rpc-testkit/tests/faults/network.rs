//! Connections that are reset, addresses that refuse or swallow: calls go elsewhere.

use crate::{
    ledger::{Ledger as _, LedgerClient},
    scene::{DEADLINE, NONE, SOON, Scene, broken_under_load, load, until, until_reached},
};
use rpc_client::Client;
use rpc_core::Balance;
use rpc_testkit::proxy::ChaosProxy;
use socket2::{Domain, Socket, Type};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n1_a_reset_of_a_busy_connection_costs_only_what_was_in_flight_on_it() {
    let scene = Scene::new().await;
    let providers = [scene.provider(NONE).await, scene.provider(NONE).await];
    let proxy = ChaosProxy::start(providers[0].addr).await.unwrap();
    let url = format!("static://{},{}", proxy.addr(), providers[1].addr);
    resets(&scene, &url, &proxy, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n1_with_a_single_provider_calls_wait_for_the_new_connection() {
    let scene = Scene::new().await;
    let provider = scene.provider(NONE).await;
    let proxy = ChaosProxy::start(provider.addr).await.unwrap();
    resets(&scene, &format!("static://{}", proxy.addr()), &proxy, 1).await;
}

/// Resets the connections through `proxy` five times under load, each time accounted for.
async fn resets(scene: &Scene, url: &str, proxy: &ChaosProxy, providers: usize) {
    // Each in its turn: others would spare who is reset.
    let client = Client::builder().registry(url).balance(Balance::RoundRobin);
    let client = client.build().await.unwrap();
    let mut failed = 0;
    for round in 0..5 {
        until_reached(&client, providers).await;
        let load = load(&client, 100);
        load.more(100).await;
        proxy.reset_all();
        load.more(200).await;
        let calls = load.finish().await;
        failed += broken_under_load(&calls, proxy.addr());
        scene.check(&calls, DEADLINE);
        let dials = u64::try_from(providers).unwrap() + 1 + round;
        until("dialled once again", || client.stats().dials == dials).await;
    }
    assert!(failed > 0, "calls of 100 ms were in flight at the resets");
}

/// An address that answers no SYN: the queue of its listener is full. Kept by what it returns.
fn swallowing() -> (SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut kept = vec![listener];
    loop {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let full = filler.connect_timeout(&addr, Duration::from_millis(200)).is_err();
        kept.push(filler);
        if full {
            return (addr.as_socket().unwrap(), kept);
        }
        assert!(kept.len() < 100, "the queue does not become full");
    }
}

/// An address that accepts and closes at once, and how often it did.
async fn slamming(tasks: &mut JoinSet<()>) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    tasks.spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (addr, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n3_addresses_that_refuse_or_swallow_cost_no_call_and_few_dials() {
    let scene = Scene::new().await;
    let providers = [scene.provider(NONE).await, scene.provider(NONE).await];
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (swallowing, kept) = swallowing();
    let mut tasks = JoinSet::new();
    let (slamming, slammed) = slamming(&mut tasks).await;
    let [one, two] = [providers[0].addr, providers[1].addr];
    let url = format!("static://{refusing},{swallowing},{slamming},{one},{two}");
    let client = Client::connect(url).await.unwrap();
    until_reached(&client, 2).await;
    let load = load(&client, 5);
    sleep(Duration::from_secs(5)).await;
    scene.none_failed(load).await;
    let stats = client.stats();
    // Pauses of at least 25, 50, 100 .. ms: the ninth dial comes after more than five seconds.
    let slammed = slammed.load(Ordering::Relaxed);
    assert!((2..=9).contains(&slammed), "{slammed} dials");
    assert!(stats.dials <= 2 + 9, "{stats:?}");
    drop(kept);
}

/// Something else answers at an address of the list: no call is taken for sent to a provider.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n3_another_protocol_at_an_address_costs_no_call_from_the_first_one_on() {
    let scene = Scene::new().await;
    let provider = scene.provider(NONE).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ssh = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").await;
            // What it was sent is not lost by a reset before it could answer.
            sleep(Duration::from_millis(20)).await;
        }
    });
    for number in 0..50 {
        let client = Client::connect(format!("static://{ssh},{}", provider.addr)).await.unwrap();
        let ledger: LedgerClient = client.get();
        let key = format!("first-{number}");
        assert_eq!(ledger.book(key.clone(), 0).await.unwrap(), key);
    }
    let executions = scene.journal.read().unwrap();
    assert!(executions.values().all(|runs| runs.len() == 1));
    assert_eq!(executions.len(), 50);
    let alone = Client::connect(format!("static://{ssh}")).await.unwrap();
    let ledger: LedgerClient = alone.get();
    let error = timeout(2 * SOON, ledger.book("alone".into(), 0)).await.unwrap().unwrap_err();
    assert!(error.message().contains("does not speak this protocol"), "{error}");
}
