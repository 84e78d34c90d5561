//! R1: clients that start while ZooKeeper is away and find their providers in a snapshot.

use crate::{
    ledger::{Ledger as _, LedgerClient},
    scene::{NONE, SOON, Scene, list, load, short, until, until_reached},
    witness::until_listed,
};
use rpc_client::Client;
use rpc_core::{CallOptions, Outcome, RpcCode, rpc_client, rpc_service};
use rpc_server::{Refused, Server};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// What somebody else's provider serves.
#[rpc_client(name = "faults.Other")]
trait Other {
    async fn nothing(&self) -> rpc_core::Result<()>;
}

struct Stranger;

#[rpc_service]
impl Other for Stranger {
    async fn nothing(&self) -> rpc_core::Result<()> {
        Ok(())
    }
}

fn directory(scene: &Scene) -> PathBuf {
    scene.journal.folder().join("snapshots")
}

async fn client(url: &str, directory: &Path) -> Client {
    Client::builder().registry(url).snapshots(directory).build().await.unwrap()
}

fn file(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "json"))
}

/// Makes a snapshot of as many providers as there are, as a client before has left it.
async fn snapshot(url: &str, directory: &Path, providers: usize) {
    let before = client(url, directory).await;
    until_reached(&before, providers).await;
    until("the snapshot is written", || {
        let text = file(directory).map(|file| fs::read_to_string(file).unwrap());
        text.is_some_and(|text| text.matches("\"addr\"").count() == providers)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_a_client_that_starts_without_zookeeper_uses_its_snapshot() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r1").await else { return };
    let (url, directory) = (short(&zookeeper), directory(&scene));
    let [one, two, dead] = scene.three(&url).await;
    snapshot(&url, &directory, 3).await;
    zookeeper.kill().await;
    dead.kill().await;

    let client = client(&url, &directory).await;
    let load = load(&client, 5);
    load.more(1000).await;
    // One of the three addresses is of no use, and no call has noticed.
    let stats = client.stats();
    assert_eq!((stats.dials, stats.moves, stats.retries), (2, 0, 0), "{stats:?}");

    // What ZooKeeper says then is what counts.
    zookeeper.up().await;
    until_listed(&url, 2).await;
    let three = scene.provider(&url).await;
    until_reached(&client, 3).await;
    scene.none_failed(load).await;
    let stats = client.stats();
    assert_eq!((stats.dials, stats.moves, stats.retries), (3, 0, 0), "{stats:?}");
    drop((one, two, three));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_an_address_of_the_snapshot_that_is_another_instances_now_gets_no_call() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r1_another").await else { return };
    let (url, directory) = (short(&zookeeper), directory(&scene));
    let (keeper, moved) = (scene.provider(&url).await, scene.provider(&url).await);
    let addr = moved.addr;
    snapshot(&url, &directory, 2).await;
    zookeeper.kill().await;
    moved.kill().await;
    let stranger = Server::builder().bind(addr).registry(NONE).service(Stranger).collected(false);
    let stranger = stranger.start().await.unwrap();

    let client = client(&url, &directory).await;
    let load = load(&client, 5);
    // Also after the time from which on it would be better than nobody.
    load.more(1000).await;
    let told = client.explain("faults.Ledger").known.unwrap();
    assert_eq!(told.registry, "snapshot");
    let report = told.endpoints.iter().find(|report| report.addr == addr).unwrap();
    assert!(!report.eligible, "{report}");
    assert!(report.why.contains("another instance answers here"), "{report}");
    assert!(report.why.contains("no calls while a known one answers"), "{report}");
    scene.none_failed(load).await;
    let (stats, served) = (client.stats(), stranger.stats());
    assert_eq!((stats.dials, stats.moves, stats.retries), (2, 0, 0), "{stats:?}");
    assert_eq!((served.served, served.refused), (0, Refused::default()), "{served:?}");
    drop(keeper);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_a_provider_that_was_started_anew_is_used_when_nobody_else_answers() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r1_anew").await else { return };
    let (url, directory) = (short(&zookeeper), directory(&scene));
    let old = scene.provider(&url).await;
    let addr = old.addr.to_string();
    snapshot(&url, &directory, 1).await;
    zookeeper.kill().await;
    old.kill().await;
    let new = scene.provider_at(&addr, "", &url).await;
    assert!(!new.registered);

    let client = client(&url, &directory).await;
    let load = load(&client, 5);
    load.more(200).await;
    let told = client.explain("faults.Ledger").known.unwrap();
    assert!(told.endpoints[0].eligible, "{}", told.endpoints[0]);
    assert!(told.endpoints[0].why.contains("as no known one answers"), "{}", told.endpoints[0]);
    zookeeper.up().await;
    until_listed(&url, 1).await;
    load.more(200).await;
    scene.none_failed(load).await;
    let ledger: LedgerClient = client.get();
    assert_eq!(ledger.who().await.unwrap(), new.process.pid());
    let stats = client.stats();
    assert_eq!((stats.dials, stats.moves, stats.retries), (1, 0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_a_snapshot_that_does_not_help_is_told_with_its_age() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("r1_told").await else { return };
    let (url, directory) = (short(&zookeeper), directory(&scene));
    let provider = scene.provider(&url).await;
    snapshot(&url, &directory, 1).await;
    zookeeper.kill().await;
    let addr = provider.addr;
    provider.kill().await;

    let hasty = CallOptions::new().timeout(Duration::from_secs(2));
    let ask = async |client: &Client| {
        let ledger: LedgerClient = client.get();
        let error = timeout(SOON, ledger.with_options(hasty.clone()).who()).await.unwrap();
        let error = error.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (RpcCode::Unavailable, Outcome::NotSent));
        error.to_string()
    };
    let helped = client(&url, &directory).await;
    let text = ask(&helped).await;
    assert!(text.contains("could not be read for"), "{text}");
    assert!(text.contains("a snapshot that was taken"), "{text}");
    assert!(text.contains("before lists 1 instance"), "{text}");
    assert!(text.contains(&format!("{addr}: dialling failed")), "{text}");

    // A broken one is as good as none, and the next list takes its place.
    let file = file(&directory).unwrap();
    fs::write(&file, "{\"format\":1,").unwrap();
    let alone = client(&url, &directory).await;
    let text = ask(&alone).await;
    assert!(text.contains("could not be read for"), "{text}");
    assert!(!text.contains("snapshot"), "{text}");
    let new = scene.provider(&url).await;
    zookeeper.up().await;
    for client in [&helped, &alone] {
        let ledger: LedgerClient = client.get();
        let found = timeout(2 * SOON, async {
            // The dead one is listed until its session ends.
            while ledger.who().await != Ok(new.process.pid()) {
                sleep(Duration::from_millis(20)).await;
            }
        });
        found.await.unwrap();
    }
    let entry = new.addr.to_string();
    until("the snapshot is right again", || fs::read_to_string(&file).unwrap().contains(&entry))
        .await;

    // Who has the address needs neither.
    until_reached(&Client::connect(list([&new])).await.unwrap(), 1).await;
}
