//! Servers of an ensemble that fail one by one, providers that lose their sessions, and a thousand
//! sessions at once.

use crate::{
    nodes::{PERSISTENT, admin},
    scene::{SOON, Scene, short, with_session},
    witness::{DIRECTORY, Witness, until_listed},
};
use rpc_client::EndpointState;
use rpc_core::discovery::{Instance, Source, Watch as _, zookeeper::ZookeeperRegistry};
use rpc_testkit::proxy::ChaosProxy;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_leader_that_is_killed_and_a_server_that_hangs_cost_no_call() {
    let Some((scene, zookeeper)) = Scene::with_ensemble("r5").await else { return };
    // Long enough for everybody to find another server, also on a busy machine.
    let url = format!("{}?session=5s", zookeeper.url("/rpc"));
    let steady = scene.steady(&url).await;
    let witness = Witness::of(&url, 3).await;
    steady.load.more(200).await;
    let leader = zookeeper.leader().await;
    zookeeper.run("kill", Some(leader)).await;
    steady.load.more(800).await;
    zookeeper.run("up", Some(leader)).await;
    let hanging = leader % 3 + 1;
    zookeeper.run("pause", Some(hanging)).await;
    // Longer than a session.
    steady.load.more(2_400).await;
    zookeeper.run("resume", Some(hanging)).await;
    until_listed(&url, 3).await;
    assert_eq!(witness.least(), 3, "a list was published that lacks somebody");
    steady.undisturbed(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r6_providers_that_all_lost_their_sessions_but_answer_stay_in_use() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r6").await else { return };
    let way = ChaosProxy::start(zookeeper.hosts().parse().unwrap()).await.unwrap();
    let url = short(&zookeeper);
    let behind = with_session(&format!("zookeeper://{}/rpc", way.addr()));
    let steady = scene.steady_between(&behind, &url).await;
    steady.load.more(200).await;
    way.set_blackhole(true);
    let admin = admin(&zookeeper).await;
    let gone = timeout(3 * SOON, async {
        while !admin.list_children(DIRECTORY).await.unwrap().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    gone.await.unwrap();
    until_listed(&url, 0).await;
    // Nobody is listed.
    steady.load.more(800).await;
    let known = steady.client.explain("faults.Ledger").known.unwrap();
    let unconfirmed = known.endpoints.iter().filter(|e| e.state == EndpointState::Probation);
    assert_eq!(unconfirmed.count(), 3, "{}", steady.client.explain("faults.Ledger"));
    way.set_blackhole(false);
    until_listed(&url, 3).await;
    steady.load.more(200).await;
    steady.undisturbed(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a thousand sessions, a minute: ./test.sh --all"]
async fn r14_a_thousand_sessions_come_back_without_a_herd() {
    const SESSIONS: usize = 1_000;
    const AWAY: u32 = 5;
    let Some((_scene, zookeeper)) = Scene::with_zookeeper("r14").await else { return };
    let url = format!("{}?session=20s", zookeeper.url("/rpc"));
    let registries: Vec<_> = (0..SESSIONS).map(|_| ZookeeperRegistry::new(&url).unwrap()).collect();
    let mut views: Vec<_> = registries.iter().map(|one| one.watch("faults.Ledger")).collect();
    let limit = Instant::now() + 6 * SOON;
    let is_live = |source: &Source| matches!(source, Source::Live { .. });
    while !views.iter().all(|view| is_live(&view.current().source)) {
        assert!(Instant::now() < limit, "not all are there");
        sleep(Duration::from_millis(50)).await;
    }

    zookeeper.kill().await;
    // In its place somebody who counts who comes, and sends everybody away.
    let limit = Instant::now() + SOON;
    let listener = loop {
        // The port is free a moment after the process is gone.
        match TcpListener::bind(zookeeper.hosts()).await {
            Ok(listener) => break listener,
            Err(error) => assert!(Instant::now() < limit, "{error}"),
        }
        sleep(Duration::from_millis(1)).await;
    };
    let comers = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&comers);
    let counting = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    sleep(Duration::from_secs(1) * AWAY).await;
    counting.abort();
    let _ = counting.await;
    let came = comers.load(Ordering::Relaxed);
    assert!(came >= SESSIONS, "only {came} came");
    let most = 2 * SESSIONS * AWAY as usize + SESSIONS;
    assert!(came <= most, "{came} came in {AWAY} s, that is a herd");
    zookeeper.up().await;

    let admin = admin(&zookeeper).await;
    let addr: SocketAddr = "10.0.0.1:9000".parse().unwrap();
    let listed = format!("{DIRECTORY}/{addr}");
    admin.create(&listed, b"{}", &PERSISTENT).await.unwrap();
    let all = timeout(6 * SOON, async {
        for view in &mut views {
            while !view.current().instances.contains_key(&addr) {
                view.changed().await.unwrap();
            }
        }
    });
    all.await.unwrap();
    let weight = Instance::at(addr).weight;
    assert!(views.iter().all(|view| view.current().instances[&addr].weight == weight));
}
