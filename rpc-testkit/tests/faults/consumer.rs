//! Clients that are stopped, in processes of their own.

use crate::{
    ledger::{Ledger as _, LedgerClient},
    scene::{SESSION, SOON, Scene, short, until, until_reached},
};
use rpc_client::Client;
use rpc_core::{CallOptions, RpcCode};
use rpc_testkit::process::{self, Process};
use std::time::Duration;
use tokio::{
    runtime::Runtime,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Calls that are in flight when the client is stopped. The handlers of half of them take so many
/// ms, those of the others, which may be repeated, end with their provider.
const CALLS: u32 = 50;
const HOLD: u32 = 500;
const FOR_EVER: u32 = 600_000;
/// Their deadline, which passes while the client is stopped.
const LIMIT: Duration = Duration::from_secs(1);

/// The body of a client process: calls, is stopped, and says what became of its calls and which
/// providers it reaches then.
pub(crate) fn consumer_process() {
    let Some(words) = process::role() else { return };
    let [registry] = &words[..] else { panic!("{words:?}") };
    Runtime::new().unwrap().block_on(async {
        // A hedge would be a second execution, too.
        let client = Client::builder().registry(registry.as_str()).hedging(0.0);
        let client = client.build().await.unwrap();
        until_reached(&client, 2).await;
        let ledger: LedgerClient = client.get();
        let hasty = ledger.with_options(CallOptions::new().timeout(LIMIT));
        let mut calls = JoinSet::new();
        for number in 0..CALLS {
            let ledger = hasty.clone();
            let key = format!("stopped-{number}");
            calls.spawn(async move {
                match number % 2 {
                    0 => ledger.book(key, HOLD).await,
                    _ => ledger.look(key, FOR_EVER).await,
                }
            });
        }
        process::say("calling");
        let (mut well, mut late) = (0, 0);
        for result in calls.join_all().await {
            match result {
                Ok(_) => well += 1,
                Err(error) => {
                    assert_eq!(error.code(), RpcCode::DeadlineExceeded, "{error}");
                    late += 1;
                }
            }
        }
        process::say(&format!("{well} {late}"));
        loop {
            process::say(&ledger.who().await.unwrap().to_string());
            sleep(Duration::from_millis(20)).await;
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_a_client_that_was_stopped_runs_nothing_twice_and_finds_what_has_changed() {
    let Some((scene, zookeeper)) = Scene::with_zookeeper("p4").await else { return };
    let url = short(&zookeeper);
    let [one, two] = [scene.provider(&url).await, scene.provider(&url).await];
    let log = scene.journal.folder().join("consumer.log");
    let mut client = Process::start("consumer_process", &[&url], log).unwrap();
    let said = timeout(2 * SOON, client.hear()).await.unwrap().unwrap();
    assert_eq!(said, "calling");
    let all_run = || scene.journal.read().unwrap().len() == CALLS as usize;
    until("all calls are with their providers", all_run).await;
    client.signal("STOP");
    // Its session expires, one provider leaves and one dies, and another one comes.
    sleep(2 * SESSION).await;
    one.kill().await;
    let new = scene.provider(&url).await;
    two.kill().await;
    client.signal("CONT");
    let said = timeout(2 * SOON, client.hear()).await.unwrap().unwrap();
    let (well, late) = said.split_once(' ').unwrap();
    let (well, late): (u32, u32) = (well.parse().unwrap(), late.parse().unwrap());
    assert!(well + late == CALLS && late >= CALLS / 2, "{said}");
    let said = timeout(2 * SOON, client.hear()).await.unwrap().unwrap();
    assert_eq!(said, new.process.pid().to_string());
    // Every call was with its provider before the stop. None was sent after it, though those that
    // may be repeated had lost their providers: their time was over.
    let executions = scene.journal.read().unwrap();
    assert_eq!(executions.len(), CALLS as usize);
    assert!(executions.values().all(|runs| runs.len() == 1), "{executions:?}");
}
