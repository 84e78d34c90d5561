//! How often a small call allocates: exactly, so that nobody adds an allocation without noticing.
//! `ARCHITECTURE.md` says what each of them is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use allocation_counter::measure;
use rpc_client::Client;
use rpc_core::{rpc_client, rpc_service};
use rpc_server::Server;
use std::{net::SocketAddr, sync::mpsc, thread};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinSet,
};

#[rpc_client]
trait Adder {
    async fn add(&self, left: u64, right: u64) -> rpc_core::Result<u64>;

    async fn count(&self, bytes: &[u8]) -> rpc_core::Result<u64>;
}

#[derive(Default)]
struct Adding;

#[rpc_service]
impl Adder for Adding {
    async fn add(&self, left: u64, right: u64) -> rpc_core::Result<u64> {
        Ok(left + right)
    }

    async fn count(&self, bytes: &[u8]) -> rpc_core::Result<u64> {
        Ok(bytes.len() as u64)
    }
}

const CALLS: u64 = 640;
/// Fewer than the clock's task takes a turn between.
const FEW: u64 = 20;

async fn serve() -> Server {
    let server = Server::builder().collected(false).registry("static://127.0.0.1:1");
    server.service(Adding).start().await.unwrap()
}

async fn connect(addr: SocketAddr) -> AdderClient {
    Client::connect(format!("static://{addr}")).await.unwrap().get()
}

async fn calls(proxy: &AdderClient, calls: u64) {
    for n in 0..calls {
        assert_eq!(proxy.add(n, 1).await.unwrap(), n + 1);
    }
}

fn runtime(still: bool) -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(still).build().unwrap()
}

/// Client and server on one thread whose clock stands still: nothing depends on speed.
fn both(outstanding: u64) -> u64 {
    let runtime = runtime(true);
    let (_server, proxy) = runtime.block_on(async {
        let server = serve().await;
        let proxy = connect(server.local_addr()).await;
        calls(&proxy, 100).await;
        (server, proxy)
    });
    let round = |each| {
        measure(|| {
            runtime.block_on(async {
                let mut tasks = JoinSet::new();
                for _ in 0..outstanding {
                    let proxy = proxy.clone();
                    tasks.spawn(async move { calls(&proxy, each).await });
                }
                while let Some(ended) = tasks.join_next().await {
                    ended.unwrap();
                }
            });
        })
        .count_total
    };
    // What is made once, and what starting the tasks takes, is in both.
    round(CALLS / outstanding);
    let once = round(CALLS / outstanding);
    round(2 * CALLS / outstanding) - once
}

#[test]
fn a_call_allocates_twice_one_at_a_time() {
    assert_eq!(both(1), 2 * CALLS);
}

#[test]
fn a_call_allocates_twice_among_many() {
    assert_eq!(both(64), 2 * CALLS);
}

#[test]
fn a_handler_borrows_long_bytes_from_where_they_were_read_to() {
    const LENGTH: usize = 100_000;
    let runtime = runtime(true);
    let bytes = vec![7; LENGTH];
    let calls = |proxy: &AdderClient| {
        let calls = async {
            for _ in 0..FEW {
                assert_eq!(proxy.count(&bytes).await.unwrap(), LENGTH as u64);
            }
        };
        measure(|| runtime.block_on(calls)).bytes_total
    };
    let (_server, proxy) = runtime.block_on(async {
        let server = serve().await;
        let proxy = connect(server.local_addr()).await;
        (server, proxy)
    });
    calls(&proxy);
    let each = calls(&proxy) / FEW;
    assert!(each < LENGTH as u64 * 3 / 2, "{each} bytes for each call");
}

#[test]
fn a_call_allocates_once_in_the_client() {
    let (tell, addr) = mpsc::channel();
    let (end, ended) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        runtime(false).block_on(async {
            let server = serve().await;
            tell.send(server.local_addr()).unwrap();
            let _ = ended.await;
        });
    });
    let runtime = runtime(false);
    let proxy = runtime.block_on(connect(addr.recv().unwrap()));
    let round = || measure(|| runtime.block_on(calls(&proxy, FEW))).count_total;
    // The clock runs here, and what it brings about now and then is not of a call.
    let least = (0..200).map(|_| round()).min().unwrap();
    assert_eq!(least, FEW);
    drop(proxy);
    drop(end);
    server.join().unwrap();
}
