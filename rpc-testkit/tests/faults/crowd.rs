//! More than there is room for: calls beyond what providers can do, connections that crawl.

use crate::{
    ledger::{Clerk, Ledger as _, LedgerClient},
    scene::{
        DEADLINE, NONE, SOON, Scene, list, load, load_at, resident, resident_of, until_reached,
    },
};
use rpc_client::Client;
use rpc_core::Outcome;
use rpc_server::Server;
use rpc_testkit::load::Call;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_of_twice_the_load_the_half_is_done_and_the_rest_refused_and_not_run() {
    const LIMIT: u32 = 8;
    const HOLD: u32 = 50;
    /// Calls a second that two providers can do.
    const CAPACITY: u32 = 2 * LIMIT * 1000 / HOLD;
    let scene = Scene::new().await;
    let mut servers = Vec::new();
    for _ in 0..2 {
        let clerk = Clerk::new(scene.journal.folder());
        let server = Server::builder().registry(NONE).service(clerk).collected(false);
        servers.push(server.max_in_flight(LIMIT).start().await.unwrap());
    }
    let url = format!("static://{},{}", servers[0].local_addr(), servers[1].local_addr());
    let client = Client::connect(url).await.unwrap();
    let ledger: LedgerClient = client.get();
    while !servers.iter().all(|server| server.stats().served > 0) {
        ledger.who().await.unwrap();
    }
    let before = resident();
    let load = load_at(2 * CAPACITY, &client, HOLD);
    // Ten seconds.
    load.more(20 * u64::from(CAPACITY)).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more than before");
    let calls = load.finish().await;
    let failed = calls.failed();
    for (_, error) in &failed {
        assert_eq!(error.outcome(), Outcome::Refused, "{}", calls.failures());
    }
    // Half of it can be done; four fifths of that have to be, unless the machine is so slow that the
    // calls come in bursts.
    let made = calls.0.len();
    let late = |call: &&Call| call.began - call.due > Duration::from_millis(u64::from(HOLD) / 5);
    let is_slow = calls.0.iter().filter(late).count() * 20 > made;
    let most = if is_slow { made } else { made * 6 / 10 };
    assert!((1..=most).contains(&failed.len()), "{} of {made}", failed.len());
    // What was refused was not run.
    scene.check(&calls, DEADLINE);
    // Nothing is left of it.
    for number in 0..2 * LIMIT {
        ledger.book(format!("afterwards-{number}"), 1).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b3_connections_that_crawl_are_cut_off_and_cost_others_nothing() {
    crawl(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs 5,000 file descriptors: ./test.sh --all"]
async fn b3_two_thousand_connections_that_crawl_are_cut_off_and_cost_others_nothing() {
    crawl(2_000).await;
}

/// So many connections that send a byte a second, half of them after a greeting in order.
async fn crawl(connections: usize) {
    let scene = Scene::new().await;
    let provider = scene.provider(NONE).await;
    let client = Client::connect(list([&provider])).await.unwrap();
    until_reached(&client, 1).await;
    let before = resident_of(provider.process.pid());
    let mut greeting = Vec::new();
    rpc_core::wire::Preface::new(None, rpc_core::wire::Limits::default()).put(&mut greeting);
    let load = load(&client, 5);
    load.more(100).await;
    let mut crawling = JoinSet::new();
    for number in 0..connections {
        let mut stream = TcpStream::connect(provider.addr).await.unwrap();
        // The greeting itself, or behind it a frame of 255 bytes that never becomes whole.
        let mut bytes = greeting.clone();
        if number % 2 == 0 {
            stream.write_all(&bytes).await.unwrap();
            bytes = vec![255, 0, 0, 0, 2];
        }
        bytes.resize(255, 0);
        crawling.spawn(async move {
            let (mut from, mut to) = stream.split();
            let end = async { while matches!(from.read(&mut [0; 256]).await, Ok(1..)) {} };
            let crawl = async {
                for byte in &bytes {
                    // An error is the end that is waited for.
                    let _ = to.write_all(&[*byte]).await;
                    sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                () = end => {}
                () = crawl => panic!("never cut off"),
            }
        });
    }
    let all = timeout(6 * SOON, crawling.join_all()).await;
    assert_eq!(all.unwrap().len(), connections);
    scene.none_failed(load).await;
    assert_eq!(client.stats().dials, 1, "the connection was kept");
    let grown = resident_of(provider.process.pid()).saturating_sub(before);
    assert!(grown < 128, "{grown} MiB more than before");
}
