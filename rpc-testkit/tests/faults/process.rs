//! Providers that are killed, stopped, paused, or that panic; clients and runtimes that go.

use crate::{
    ledger::{Clerk, Ledger as _, LedgerClient},
    scene::{
        DEADLINE, LONG, NONE, SOON, Scene, broken_under_load, list, load, short, until,
        until_reached,
    },
};
use rpc_client::Client;
use rpc_core::{CallOptions, Outcome, RpcCode, RpcError};
use rpc_server::Server;
use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_killing_one_of_three_costs_only_what_was_in_flight_on_it() {
    let scene = Scene::new().await;
    let [one, two, three] = scene.three(NONE).await;
    let addr = two.addr;
    let client = Client::connect(list([&one, &two, &three])).await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 100);
    load.more(400).await;
    two.kill().await;
    load.more(800).await;
    let calls = load.finish().await;
    let failed = broken_under_load(&calls, addr);
    assert!(failed > 0, "calls of 100 ms were in flight at the kill");
    scene.check(&calls, DEADLINE);
    drop((one, three));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_a_provider_that_is_killed_and_comes_back_is_used_again() {
    let scene = Scene::new().await;
    let provider = scene.provider(NONE).await;
    let addr = provider.addr;
    let client = Client::connect(list([&provider])).await.unwrap();
    until_reached(&client, 1).await;
    let load = load(&client, 20);
    load.more(200).await;
    provider.kill().await;
    let _provider = scene.provider_at(&addr.to_string(), "", NONE).await;
    load.more(400).await;
    let calls = load.finish().await;
    broken_under_load(&calls, addr);
    scene.check(&calls, DEADLINE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_rolling_restart_on_the_same_ports_costs_no_call() {
    let scene = Scene::new().await;
    let mut providers = Vec::from(scene.three(NONE).await);
    let client = Client::connect(list(&providers)).await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 20);
    for _ in 0..6 {
        let old = providers.remove(0);
        let addr = old.addr.to_string();
        old.stop().await;
        providers.push(scene.provider_at(&addr, "", NONE).await);
        until_reached(&client, 3).await;
    }
    scene.none_failed(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_a_rolling_restart_found_through_zookeeper_costs_no_call() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("p2").await else { return };
    let url = short(&zookeeper);
    let mut providers = Vec::from(scene.three(&url).await);
    let client = Client::connect(&url).await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 20);
    for _ in 0..6 {
        providers.remove(0).stop().await;
        providers.push(scene.provider(&url).await);
    }
    // And all of them at once, while others take over.
    let others = scene.three(&url).await;
    let mut stopping = JoinSet::new();
    for provider in providers {
        stopping.spawn(provider.stop());
    }
    stopping.join_all().await;
    scene.none_failed(load).await;
    drop(others);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_a_provider_paused_for_five_seconds_costs_no_call() {
    let scene = Scene::new().await;
    let [one, two, three] = scene.three(NONE).await;
    let client = Client::connect(list([&one, &two, &three])).await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 20);
    load.more(200).await;
    two.process.signal("STOP");
    sleep(Duration::from_secs(5)).await;
    two.process.signal("CONT");
    load.more(400).await;
    until_reached(&client, 3).await;
    scene.none_failed(load).await;
    assert_eq!(client.stats().dials, 3, "the connection was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_what_a_paused_provider_finds_too_late_is_not_run() {
    const LIMIT: Duration = Duration::from_secs(4);
    let scene = Scene::new().await;
    let [one, two, three] = scene.three(NONE).await;
    let list = list([&one, &two, &three]);
    let client = Client::builder().registry(list).timeout(LIMIT).build().await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 20);
    load.more(200).await;
    two.process.signal("STOP");
    let stopped = tokio::time::Instant::now();
    sleep(Duration::from_secs(6)).await;
    two.process.signal("CONT");
    load.more(400).await;
    until_reached(&client, 3).await;
    let calls = load.finish().await;
    let failed = calls.failed();
    assert!(!failed.is_empty(), "calls were on the paused provider");
    for (call, error) in failed {
        assert!(!call.idempotent, "{}", calls.failures());
        assert_eq!(error.code(), RpcCode::DeadlineExceeded, "{}", calls.failures());
        assert_eq!(error.outcome(), Outcome::Unknown, "{}", calls.failures());
        assert_eq!(error.endpoint(), Some(two.addr), "{}", calls.failures());
    }
    // One that a thread has in its hands when it is stopped, it begins when it goes on.
    let executions = scene.journal.read().unwrap();
    let mut in_hand = 0;
    for call in &calls.0 {
        let runs = executions.get(&call.key).map_or(&[][..], Vec::as_slice);
        let wrong = call.disagreements(runs, LIMIT + Duration::from_secs(1));
        let late = wrong.iter().all(|what| what.contains(" was begun ")) && call.began <= stopped;
        assert!(wrong.is_empty() || late, "{}", wrong.join("\n"));
        in_hand += wrong.len();
    }
    assert!(in_hand <= 1, "{in_hand} were begun late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_ten_thousand_panics_fail_ten_thousand_calls_and_nothing_else() {
    let scene = Scene::new().await;
    let provider = scene.provider(NONE).await;
    let client = Client::connect(list([&provider])).await.unwrap();
    until_reached(&client, 1).await;
    let load = load(&client, 0);
    let ledger: LedgerClient = client.get();
    for _ in 0..100 {
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let ledger = ledger.clone();
            calls.spawn(async move { ledger.stumble().await });
        }
        for result in calls.join_all().await {
            let error = result.unwrap_err();
            assert_eq!((error.code(), error.outcome()), (RpcCode::Internal, Outcome::Ran));
        }
    }
    scene.none_failed(load).await;
    assert_eq!(client.stats().dials, 1, "still the first connection");
}

/// What is dropped in every order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Client,
    Server,
    ClientRuntime,
    ServerRuntime,
}

fn orders() -> Vec<Vec<Part>> {
    let parts = [Part::Client, Part::Server, Part::ClientRuntime, Part::ServerRuntime];
    let mut orders = vec![vec![]];
    for _ in parts {
        let longer = |order: Vec<Part>| {
            let rest = parts.into_iter().filter(|part| !order.contains(part)).collect::<Vec<_>>();
            rest.into_iter().map(move |part| [order.clone(), vec![part]].concat())
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    orders
}

#[test]
fn p7_calls_end_whatever_is_dropped_first() {
    let callers = Runtime::new().unwrap();
    let scene = callers.block_on(Scene::new());
    let panics = Arc::new(AtomicU32::new(0));
    let (counter, usual) = (Arc::clone(&panics), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        counter.fetch_add(1, Ordering::Relaxed);
        usual(info);
    }));
    let orders = orders();
    assert_eq!(orders.len(), 24);
    for order in orders {
        drop_in_order(&scene, &callers, &order);
    }
    let _ = panic::take_hook();
    assert_eq!(panics.load(Ordering::Relaxed), 0, "panics on the way");
}

fn drop_in_order(scene: &Scene, callers: &Runtime, order: &[Part]) {
    let (clients, servers) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let clerk = Clerk::new(scene.journal.folder());
    let server = Server::builder().registry(NONE).service(clerk).collected(false).start();
    let server = servers.block_on(server).unwrap();
    let url = format!("static://{}", server.local_addr());
    let client = clients.block_on(Client::connect(url)).unwrap();
    clients.block_on(until_reached(&client, 1));
    let ledger: LedgerClient = client.get();
    let mut calls: Vec<JoinHandle<Result<String, RpcError>>> = Vec::new();
    for number in 0..20 {
        let ledger = ledger.clone();
        let key = format!("{order:?}-{number}").replace(' ', "");
        calls.push(callers.spawn(async move {
            if number % 2 == 0 {
                ledger.look(key, 60_000).await
            } else {
                ledger.book(key, 60_000).await
            }
        }));
    }
    drop(ledger);
    callers.block_on(until("20 calls run", || server.stats().in_flight == 20));
    let (mut client, mut server) = (Some(client), Some(server));
    let (mut clients, mut servers) = (Some(clients), Some(servers));
    for part in order {
        match part {
            Part::Client => drop(client.take()),
            Part::Server => drop(server.take()),
            Part::ClientRuntime => drop(clients.take()),
            Part::ServerRuntime => drop(servers.take()),
        }
    }
    for call in calls {
        let ended = callers.block_on(async { timeout(2 * SOON, call).await });
        let result = ended.unwrap_or_else(|_| panic!("{order:?}: a call hangs"));
        let error = result.unwrap().unwrap_err();
        assert_eq!(error.code(), RpcCode::Unavailable, "{order:?}: {error}");
        assert_eq!(error.outcome(), Outcome::Unknown, "{order:?}: {error}");
    }
}

/// A caller that goes away stops its handler: what it would have written later is not written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_calls_that_are_dropped_leave_nothing_behind() {
    let scene = Scene::new().await;
    let clerk = Clerk::new(scene.journal.folder());
    let server =
        Server::builder().registry(NONE).service(clerk).collected(false).start().await.unwrap();
    let client = Client::connect(format!("static://{}", server.local_addr())).await.unwrap();
    let ledger: LedgerClient = client.get();
    let ledger = ledger.with_options(CallOptions::new().timeout(LONG));
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let ledger = ledger.clone();
        calls.spawn(async move { ledger.book(format!("dropped-{number}"), 600_000).await });
    }
    until("200 calls run", || server.stats().in_flight == 200).await;
    calls.shutdown().await;
    until("no call runs", || server.stats().in_flight == 0).await;
    assert_eq!(server.stats().cancelled, 200);
    assert_eq!((client.stats().in_flight, client.stats().late_replies), (0, 0));
}
