//! ZooKeeper that is away, comes back, forgets, or holds rubbish: no call sees any of it.

use crate::{
    ledger::{Clerk, Ledger as _, LedgerClient},
    nodes::{PERSISTENT, admin, owner, until_owned},
    scene::{
        DEADLINE, NONE, SESSION, SOON, Scene, list, load, short, until, until_reached, with_session,
    },
    witness::{DIRECTORY, Witness, until_listed},
};
use rpc_client::Client;
use rpc_core::{CallOptions, Outcome, RpcCode};
use rpc_server::Server;
use rpc_testkit::{proxy::ChaosProxy, zookeeper::ZooKeeper};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_starting_without_zookeeper_is_told_and_heals() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r2").await else { return };
    zookeeper.kill().await;
    let url = short(&zookeeper);
    let client = Client::connect(&url).await.unwrap();
    let ledger: LedgerClient = client.get();
    let provider = scene.provider(&url).await;
    assert!(!provider.registered);

    // A call says by its deadline what is wrong, and that it did not run.
    let hasty = ledger.with_options(CallOptions::new().timeout(Duration::from_secs(1)));
    let error = timeout(SOON, hasty.who()).await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::Unavailable, Outcome::NotSent));
    let place = format!("{DIRECTORY} in ZooKeeper at {} could not be read", zookeeper.hosts());
    assert!(error.message().contains(&place), "{error}");
    assert_eq!((error.service(), error.method()), ("faults.Ledger", "who"));

    // The provider serves those who know it.
    let direct = Client::connect(list([&provider])).await.unwrap();
    let direct: LedgerClient = direct.get();
    assert_eq!(direct.who().await.unwrap(), provider.process.pid());

    // Both find their way by themselves; a call that waits meanwhile succeeds.
    let patient = ledger.with_options(CallOptions::new().timeout(6 * SOON));
    let waiting = tokio::spawn(async move { patient.who().await });
    zookeeper.up().await;
    until_listed(&url, 1).await;
    assert_eq!(waiting.await.unwrap().unwrap(), provider.process.pid());
    assert_eq!(ledger.who().await.unwrap(), provider.process.pid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_zookeeper_crashing_for_longer_than_a_session_costs_no_call() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r3").await else { return };
    outage(&scene, &zookeeper, &[1], 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_an_ensemble_that_loses_its_quorum_costs_no_call() {
    let Some((scene, zookeeper)) = Scene::with_ensemble("r3_quorum").await else { return };
    let leader = zookeeper.leader().await;
    outage(&scene, &zookeeper, &[leader, leader % 3 + 1], 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: ./test.sh --all"]
async fn r3_zookeeper_crashing_for_a_minute_costs_no_call() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r3_minute").await else { return };
    outage(&scene, &zookeeper, &[1], 60).await;
}

/// These servers crash under load for longer than a session lasts, and come back. The sessions
/// are long enough for everybody to find back within one, also on a busy machine.
async fn outage(scene: &Scene, zookeeper: &ZooKeeper, servers: &[usize], seconds: u64) {
    const SESSION: Duration = Duration::from_secs(5);
    let url = format!("{}?session=5s", zookeeper.url("/rpc"));
    let steady = scene.steady(&url).await;
    let witness = Witness::of(&url, 3).await;
    steady.load.more(200).await;
    for server in servers {
        zookeeper.run("kill", Some(*server)).await;
    }
    // The client library gives a session up after 1.4 times its length.
    assert!(Duration::from_secs(seconds) > SESSION * 3 / 2);
    sleep(Duration::from_secs(seconds)).await;
    zookeeper.up().await;
    until_listed(&url, 3).await;
    // What the old sessions owned is gone by then.
    sleep(SESSION + Duration::from_secs(1)).await;
    until_listed(&url, 3).await;
    assert_eq!(witness.least(), 3, "a list was published that lacks somebody");
    steady.undisturbed(scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_zookeeper_that_comes_back_empty_costs_no_call() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r4").await else { return };
    let url = short(&zookeeper);
    let steady = scene.steady(&url).await;
    // The registry itself lists nobody for a moment. What calls are given never lacks anybody.
    let client = steady.client.clone();
    let least = Arc::new(AtomicUsize::new(3));
    let seen = Arc::clone(&least);
    let mut watching = JoinSet::new();
    watching.spawn(async move {
        loop {
            let known = client.explain("faults.Ledger").known.unwrap();
            let usable = known.endpoints.iter().filter(|endpoint| endpoint.eligible).count();
            seen.fetch_min(usable, Ordering::Relaxed);
            sleep(Duration::from_millis(2)).await;
        }
    });
    steady.load.more(200).await;
    for _ in 0..2 {
        zookeeper.kill().await;
        zookeeper.wipe().await;
        zookeeper.up().await;
        until_listed(&url, 3).await;
        steady.load.more(200).await;
    }
    until_reached(&steady.client, 3).await;
    assert_eq!(least.load(Ordering::Relaxed), 3, "{}", steady.client.explain("faults.Ledger"));
    steady.undisturbed(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_provider_killed_and_restarted_twenty_times_is_never_invisible() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r7").await else { return };
    let url = short(&zookeeper);
    let admin = admin(&zookeeper).await;
    let mut provider = scene.provider(&url).await;
    let addr = provider.addr.to_string();
    let path = format!("{DIRECTORY}/{addr}");
    let client = Client::connect(&url).await.unwrap();
    let ledger: LedgerClient = client.get();
    let mut last = until_owned(&admin, &path, |owner| owner.is_some()).await;
    for _ in 0..20 {
        provider.kill().await;
        sleep(Duration::from_millis(50)).await;
        provider = scene.provider_at(&addr, "", &url).await;
        // Registered means: by this process, not by the one before.
        assert!(provider.registered, "{}", provider.process.log());
        last = until_owned(&admin, &path, |owner| owner.is_some_and(|o| o != last)).await;
        assert_eq!(ledger.who().await.unwrap(), provider.process.pid());
    }
    // All the old sessions end, and take nothing with them.
    let end = Instant::now() + 2 * SESSION;
    while Instant::now() < end {
        assert_eq!(owner(&admin, &path).await, Some(last));
        assert_eq!(ledger.who().await.unwrap(), provider.process.pid());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_stopping_while_zookeeper_is_away_costs_no_call_and_leaves_no_ghost() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r8").await else { return };
    let url = short(&zookeeper);
    let proxy = ChaosProxy::start(zookeeper.hosts().parse().unwrap()).await.unwrap();
    let cut_off = with_session(&format!("zookeeper://{}/rpc", proxy.addr()));
    let admin = admin(&zookeeper).await;
    let providers = scene.three(&url).await;
    let leaver = scene.provider(&cut_off).await;
    let path = format!("{DIRECTORY}/{}", leaver.addr);
    let client = Client::connect(&url).await.unwrap();
    until_reached(&client, 4).await;
    let load = load(&client, 5);
    load.more(200).await;

    // It is about to make its node again when it is cut off, and then told to stop.
    proxy.set_blackhole(true);
    admin.delete(&path, None).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    leaver.stop().await;
    load.more(200).await;
    proxy.set_blackhole(false);
    sleep(SESSION + Duration::from_secs(1)).await;
    assert_eq!(owner(&admin, &path).await, None, "a ghost");
    until_listed(&url, 3).await;
    scene.none_failed(load).await;
    drop(providers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_a_rolling_restart_while_zookeeper_is_down_costs_no_call() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r8_restart").await else { return };
    let url = short(&zookeeper);
    let mut providers = Vec::from(scene.three(&url).await);
    let client = Client::connect(&url).await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 5);
    zookeeper.kill().await;
    for _ in 0..3 {
        let old = providers.remove(0);
        let addr = old.addr.to_string();
        old.stop().await;
        // The client knows the address and finds the new process there.
        providers.push(scene.provider_at(&addr, "", &url).await);
        until_reached(&client, 3).await;
    }
    zookeeper.up().await;
    until_listed(&url, 3).await;
    sleep(SESSION + Duration::from_secs(1)).await;
    until_listed(&url, 3).await;
    until_reached(&client, 3).await;
    scene.none_failed(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_nodes_deleted_by_hand_are_made_again_and_cost_no_call() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r9").await else { return };
    let url = short(&zookeeper);
    let admin = admin(&zookeeper).await;
    let steady = scene.steady(&url).await;
    for round in 0..9 {
        let path = format!("{DIRECTORY}/{}", steady.providers[round % 3].addr);
        let before = owner(&admin, &path).await;
        admin.delete(&path, None).await.unwrap();
        until_owned(&admin, &path, |owner| owner == before).await;
    }
    // All of them with their directory, in one stroke.
    let mut writer = admin.new_multi_writer();
    for provider in &steady.providers {
        writer.add_delete(&format!("{DIRECTORY}/{}", provider.addr), None).unwrap();
    }
    writer.add_delete(DIRECTORY, None).unwrap();
    writer.commit().await.unwrap();
    until_listed(&url, 3).await;
    steady.load.more(200).await;
    steady.undisturbed(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_provider_added_after_each_of_twenty_reconnects_is_called() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r10").await else { return };
    let proxy = ChaosProxy::start(zookeeper.hosts().parse().unwrap()).await.unwrap();
    let client = with_session(&format!("zookeeper://{}/rpc", proxy.addr()));
    let client = Client::connect(client).await.unwrap();
    let first = scene.provider(&short(&zookeeper)).await;
    until_reached(&client, 1).await;
    let load = load(&client, 0);
    let mut servers = Vec::new();
    for number in 0..20_u64 {
        proxy.reset_all();
        // Sometimes while it is away, sometimes while it comes back, sometimes after.
        sleep(Duration::from_millis(number % 5 * 60)).await;
        let clerk = Clerk::new(scene.journal.folder());
        let server = Server::builder().registry(short(&zookeeper)).service(clerk).collected(false);
        let server = server.start().await.unwrap();
        until("the new provider is called", || server.stats().served > 0).await;
        servers.push(server);
    }
    scene.none_failed(load).await;
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_rubbish_in_the_registry_costs_no_call() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r12").await else { return };
    let url = short(&zookeeper);
    let admin = admin(&zookeeper).await;
    let providers = scene.three(&url).await;
    let client = Client::connect(&url).await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 5);
    load.more(100).await;
    // Somebody who answers, but not as a provider does; and nobody at all.
    let ssh = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ssh_name = ssh.local_addr().unwrap().to_string();
    let mut talking = JoinSet::new();
    talking.spawn(async move {
        loop {
            let (mut socket, _) = ssh.accept().await.unwrap();
            let hello = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, hello).await;
        }
    });
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = mute.local_addr().unwrap().to_string();
    let large = "x".repeat(900_000);
    for (name, data) in [
        ("..%2f", "{}"),
        ("a:b", "{}"),
        (":0", "{}"),
        ("127.0.0.1:0", "{}"),
        ("0.0.0.0:9000", "{}"),
        ("caf\u{e9}", "{}"),
        ("directory", ""),
        ("directory/127.0.0.1:9000", "{}"),
        ("127.0.0.1:2", &*large),
        ("127.0.0.1:3", "not json"),
        ("127.0.0.1:4", r#"{"instance":7}"#),
        (&*ssh_name, "{}"),
        (&*mute, "{}"),
    ] {
        admin.create(&format!("{DIRECTORY}/{name}"), data.as_bytes(), &PERSISTENT).await.unwrap();
    }
    admin.mkdir("/rpc/_config/faults.Ledger", &PERSISTENT).await.unwrap();
    admin.set_data("/rpc/_config/faults.Ledger", b"{broken", None).await.unwrap();
    load.more(1000).await;
    // One that begins with all of it in place fares as well.
    let other = Client::connect(&url).await.unwrap();
    until_reached(&other, 3).await;
    let retries = other.stats().retries;
    let other_load = self::load(&other, 5);
    other_load.more(1000).await;
    for (client, load, retries) in [(client, load, 0), (other, other_load, retries)] {
        let calls = load.finish().await;
        calls.none_failed();
        assert_eq!(client.stats().retries, retries, "{:?}", client.stats());
        scene.check(&calls, DEADLINE);
    }
    drop(providers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r13_two_live_processes_with_one_address_cost_no_call_and_do_not_fight() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r13").await else { return };
    let url = short(&zookeeper);
    let admin = admin(&zookeeper).await;
    let one = scene.provider(&url).await;
    let addr = one.addr.to_string();
    let path = format!("{DIRECTORY}/{addr}");
    let client = Client::connect(&url).await.unwrap();
    until_reached(&client, 1).await;
    let load = load(&client, 5);
    let other = scene.provider_at("127.0.0.1:0", &addr, &url).await;
    let mut last = owner(&admin, &path).await;
    let mut changes = 0;
    let end = Instant::now() + Duration::from_secs(15);
    while Instant::now() < end {
        let now = owner(&admin, &path).await;
        assert!(now.is_some(), "the address is not listed");
        changes += usize::from(now != last);
        last = now;
        sleep(Duration::from_millis(20)).await;
    }
    assert!(changes <= 5, "{changes} changes of hands in 15 s");
    let told = "two processes advertise";
    let logs = [one.process.log(), other.process.log()];
    assert!(logs.iter().any(|log| log.contains(told)), "{logs:?}");
    scene.none_failed(load).await;
    assert_eq!(client.stats().dials, 1, "the connection was kept");
}

/// Nobody is listed: the caller is told at once and in words what to look at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_registry_is_told_before_the_deadline() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("empty").await else { return };
    let client = Client::connect(short(&zookeeper)).await.unwrap();
    let ledger: LedgerClient = client.get();
    let ledger = ledger.with_options(CallOptions::new().timeout(6 * SOON));
    let error = timeout(2 * SOON, ledger.who()).await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::Unavailable, Outcome::NotSent));
    assert!(error.message().contains(DIRECTORY), "{error}");
    assert!(error.message().contains("lists no instance"), "{error}");
    drop((scene, NONE));
}
