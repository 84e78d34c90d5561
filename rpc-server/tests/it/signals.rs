//! `run()` serves until it is told to end, and leaves in order then.

use crate::support::*;
use rpc_core::wire::Kind;
use std::{
    io::{BufRead, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
};

/// Set in the child process: it serves at this address until a signal comes.
const ROLE: &str = "RPC_SERVER_TEST_RUN";

/// The child's part; does nothing in the test run itself.
#[test]
fn child_that_runs() {
    let Ok(addr) = std::env::var(ROLE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let state = Arc::<State>::default();
        lab(&state).bind(addr).run().await.unwrap();
        println!("\nleft in order");
        std::io::stdout().flush().unwrap();
    });
}

fn signal_to(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name]).arg(child.id().to_string()).status();
    assert!(status.unwrap().success());
}

/// A child that runs, and a client of it.
async fn start() -> (Child, RawPeer) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "signals::child_that_runs"])
        .env(ROLE, addr.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("it serves", || std::net::TcpStream::connect(addr).is_ok()).await;
    (child, RawPeer::connect(addr).await)
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_begins_an_orderly_leave() {
    for name in ["TERM", "INT"] {
        let (mut child, mut peer) = start().await;
        peer.check_alive().await;
        signal_to(&child, name);
        peer.expect(Kind::Leaving, 0).await;
        peer.send(signal(Kind::Left, 0)).await;
        assert_eq!(peer.next().await, None);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.map(Result::unwrap).filter(|line| line == "left in order").count();
        assert_eq!(told, 1);
        assert!(child.wait().unwrap().success());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_does_not_wait_for_clients() {
    let (mut child, mut peer) = start().await;
    signal_to(&child, "TERM");
    peer.expect(Kind::Leaving, 0).await;
    // This client never leaves: the drain limit would be thirty seconds away.
    signal_to(&child, "TERM");
    assert!(child.wait().unwrap().success());
    drop(peer);
}
