//! Lines that carry one direction only, that are slow, or that lose packets.

use crate::{
    ledger::{Clerk, Ledger as _, LedgerClient},
    scene::{DEADLINE, LONG, NONE, SOON, Scene, list, load, resident_of, until_reached},
};
use rpc_client::Client;
use rpc_core::{CallOptions, Outcome, RpcCode, defaults};
use rpc_server::Server;
use rpc_testkit::{
    load::{Calls, Load},
    proxy::ChaosProxy,
};
use std::{env, net::SocketAddr, process::Command, time::Duration};
use tokio::{task::JoinSet, time::sleep};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n2_a_provider_behind_a_dead_line_costs_no_call_that_may_be_repeated() {
    cut_off(ChaosProxy::set_blackhole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n2_a_provider_whose_replies_are_lost_costs_no_call_that_may_be_repeated() {
    cut_off(ChaosProxy::hold_replies).await;
}

/// The deadline of calls to a provider that is cut off.
const LIMIT: Duration = Duration::from_secs(4);

/// Under load no byte passes for longer than the deadline, by what `cut` does.
async fn cut_off(cut: impl Fn(&ChaosProxy, bool)) {
    let scene = Scene::new().await;
    let [one, two, three] = scene.three(NONE).await;
    let proxy = ChaosProxy::start(one.addr).await.unwrap();
    let url = format!("static://{},{},{}", proxy.addr(), two.addr, three.addr);
    let client = Client::builder().registry(url).timeout(LIMIT).build().await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 20);
    load.more(200).await;
    cut(&proxy, true);
    sleep(2 * LIMIT).await;
    // Every call that was put on the line has ended by now, and nobody puts one there any more.
    let late = tokio::time::Instant::now();
    load.more(400).await;
    cut(&proxy, false);
    load.more(400).await;
    until_reached(&client, 3).await;
    let calls = load.finish().await;
    check_cut_off(&calls, proxy.addr(), late);
    // What arrived after all was not begun after its time.
    scene.check(&calls, LIMIT + Duration::from_secs(1));
    drop(one);
}

/// Only what was on the line to `addr` failed, by its deadline; all of it had ended by `late`.
#[track_caller]
fn check_cut_off(calls: &Calls, addr: SocketAddr, late: tokio::time::Instant) {
    let failed = calls.failed();
    assert!(!failed.is_empty(), "calls were on the line");
    for (call, error) in failed {
        assert!(!call.idempotent, "{}", calls.failures());
        assert_eq!(error.code(), RpcCode::DeadlineExceeded, "{}", calls.failures());
        assert_eq!(error.outcome(), Outcome::Unknown, "{}", calls.failures());
        assert_eq!(error.endpoint(), Some(addr), "{}", calls.failures());
        assert!(call.ended < late, "{}", calls.failures());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n4_a_provider_that_is_slow_keeps_few_calls_until_it_is_quick_again() {
    let scene = Scene::new().await;
    let [one, two, three] = scene.three(NONE).await;
    let proxy = ChaosProxy::start(one.addr).await.unwrap();
    let url = format!("static://{},{},{}", proxy.addr(), two.addr, three.addr);
    let client = Client::connect(url).await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 5);
    let slow = one.process.pid();
    // In per cent, of the calls that end while so many do.
    let share = async |count: u64| {
        let before = scene.journal.read().unwrap();
        load.more(count).await;
        let after = scene.journal.read().unwrap();
        let new = after.iter().filter(|(key, _)| !before.contains_key(*key));
        let by: Vec<_> = new.flat_map(|(_, runs)| runs).map(|run| run.process).collect();
        by.iter().filter(|process| **process == slow).count() * 100 / by.len()
    };
    load.more(400).await;
    for latency in [100, 1_000] {
        proxy.set_latency(Duration::from_millis(latency / 2));
        load.more(1_200).await;
        let kept = share(800).await;
        assert!(kept <= 15, "{kept} % of the calls go to a provider {latency} ms away");
    }
    proxy.set_latency(Duration::ZERO);
    // Some seconds later it has its third again.
    load.more(4_000).await;
    let kept = share(800).await;
    assert!(kept >= 20, "{kept} % of the calls go to a provider that is quick again");
    scene.none_failed(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n6_a_slow_line_holds_up_only_its_own_calls_and_fills_no_memory() {
    let scene = Scene::new().await;
    let provider = scene.provider(NONE).await;
    let proxy = ChaosProxy::start(provider.addr).await.unwrap();
    proxy.set_bandwidth(Some(125_000));
    let slow = Client::connect(format!("static://{}", proxy.addr())).await.unwrap();
    let quick = Client::connect(format!("static://{}", provider.addr)).await.unwrap();
    until_reached(&slow, 1).await;
    until_reached(&quick, 1).await;
    let before = resident_of(provider.process.pid());
    // 32 s for the line.
    let ledger: LedgerClient = slow.get();
    let ledger = ledger.with_options(CallOptions::new().timeout(LONG));
    let mut large = JoinSet::new();
    for _ in 0..4 {
        let ledger = ledger.clone();
        large.spawn(async move { ledger.fill(1_000_000).await });
    }
    let load = load(&quick, 0);
    load.more(1_200).await;
    assert!(large.try_join_next().is_none(), "the line is not slow");
    scene.none_failed(load).await;
    let grown = resident_of(provider.process.pid()).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more than before");
    // It was only slow.
    proxy.set_bandwidth(None);
    while let Some(filled) = large.join_next().await {
        assert_eq!(filled.unwrap().unwrap().len(), 1_000_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_small_calls_do_not_wait_behind_a_large_reply_on_their_connection() {
    const LARGE: u32 = 16 * 1024 * 1024;
    let scene = Scene::new().await;
    let clerk = Clerk::new(scene.journal.folder());
    let server = Server::builder().registry(NONE).service(clerk).collected(false);
    let server = server.max_message(2 * LARGE).start().await.unwrap();
    let proxy = ChaosProxy::start(server.local_addr()).await.unwrap();
    let url = format!("static://{}", proxy.addr());
    let client = Client::builder().registry(url).max_message(2 * LARGE).build().await.unwrap();
    until_reached(&client, 1).await;
    // 16 s for the line, of which a small call waits for what is on its way at most.
    proxy.set_bandwidth(Some(1024 * 1024));
    let ledger: LedgerClient = client.get();
    let ledger = ledger.with_options(CallOptions::new().timeout(LONG));
    let bulk = ledger.clone();
    let large = tokio::spawn(async move { bulk.fill(LARGE).await });
    for number in 0..16 {
        let key = format!("beside-{number}");
        assert_eq!(ledger.book(key.clone(), 0).await.unwrap(), key);
    }
    assert!(!large.is_finished(), "small calls waited for the large one");
    proxy.set_bandwidth(None);
    assert_eq!(large.await.unwrap().unwrap().len(), LARGE as usize);
    assert_eq!(client.stats().dials, 1, "all of it on one connection");
}

/// Set where a test has a network of its own.
const OWN_NETWORK: &str = "RPC_TEST_OWN_NETWORK";
/// Without `netem` a short queue before a slow line loses packets too.
const LOSSY_LINE: &str = "ip link set lo up mtu 1500 && \
    { tc qdisc add dev lo root netem loss 5% 2>/dev/null || \
    tc qdisc add dev lo root tbf rate 100mbit burst 8k limit 8k; } && exec \"$0\" \"$@\"";

#[test]
#[ignore = "needs user namespaces and tc: ./test.sh --all"]
fn n5_lost_packets_cost_no_call() {
    in_a_network_of_its_own(LOSSY_LINE, "links::n5_where_packets_are_lost");
}

/// Runs a test of this program once more, behind what `line` makes of its network.
fn in_a_network_of_its_own(line: &str, name: &str) {
    let done = Command::new("unshare")
        .args(["-Urn", "sh", "-c", line])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(OWN_NETWORK, "yes")
        .output();
    let done = done.expect("unshare (util-linux), ip and tc (iproute2) are needed");
    let text = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}\n{text}", String::from_utf8_lossy(&done.stdout));
}

#[test]
#[ignore = "needs user namespaces and ip: ./test.sh --all"]
fn n2_a_provider_whose_packets_are_dropped_costs_no_call_that_may_be_repeated() {
    let line = "ip link set lo up && exec \"$0\" \"$@\"";
    in_a_network_of_its_own(line, "links::n2_where_packets_are_dropped");
}

/// Nothing is acknowledged, unlike behind a proxy that holds what it reads: the kernel, too, gives
/// the connection up at last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "n2 runs it in a network of its own"]
async fn n2_where_packets_are_dropped() {
    const FAR: &str = "127.0.0.2";
    if env::var_os(OWN_NETWORK).is_none() {
        return;
    }
    let route = |what: &str| {
        let words = ["route", what, "table", "local", "blackhole", FAR];
        assert!(Command::new("ip").args(words).status().unwrap().success());
    };
    let scene = Scene::new().await;
    let far = scene.provider_at(&format!("{FAR}:0"), "", NONE).await;
    let near = [scene.provider(NONE).await, scene.provider(NONE).await];
    let url = list([&far, &near[0], &near[1]]);
    let client = Client::builder().registry(url).timeout(LIMIT).build().await.unwrap();
    until_reached(&client, 3).await;
    let load = load(&client, 20);
    load.more(200).await;
    route("add");
    sleep(defaults::TCP_USER_TIMEOUT + Duration::from_secs(5)).await;
    let explained = client.explain("faults.Ledger").to_string();
    assert!(explained.contains("dialling failed"), "the kernel has not given up: {explained}");
    let late = tokio::time::Instant::now();
    load.more(400).await;
    route("del");
    load.more(400).await;
    until_reached(&client, 3).await;
    check_cut_off(&load.finish().await, far.addr, late);
}

fn dropped() -> u64 {
    let shown = Command::new("tc").args(["-s", "qdisc", "show", "dev", "lo"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let words = shown.split("dropped ").nth(1).unwrap();
    words.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "n5 runs it in a network of its own"]
async fn n5_where_packets_are_lost() {
    if env::var_os(OWN_NETWORK).is_none() {
        return;
    }
    let scene = Scene::new().await;
    let providers = scene.three(NONE).await;
    let client = Client::connect(list(&providers)).await.unwrap();
    until_reached(&client, 3).await;
    let ledger: LedgerClient = client.get();
    let load = Load::start(100, move |turn| {
        let ledger = ledger.clone();
        async move {
            let length = turn.key.len() + 50_000;
            let weight = ledger.weigh(vec![7; length]).await?;
            assert_eq!(weight, length as u64);
            ledger.book(turn.key, 0).await
        }
    });
    load.more(1_500).await;
    let calls = load.finish().await;
    calls.none_failed();
    scene.check(&calls, DEADLINE + SOON);
    assert!(dropped() > 0, "no packet was lost");
    assert_eq!(client.stats().dials, 3, "all connections were kept");
}
