//! A process that has run out of descriptors neither spins nor dies, and accepts again after.

use crate::support::*;
use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

/// Set in the child process: it serves until its input ends.
const ROLE: &str = "RPC_SERVER_TEST_FEW_DESCRIPTORS";

/// The child's part; does nothing in the test run itself.
#[test]
fn child_with_few_descriptors() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (server, _) = start_lab().await;
        println!("\nserving {}", server.local_addr());
        std::io::stdout().flush().unwrap();
        // Until the parent closes the pipe.
        let end = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        end.await.unwrap().unwrap();
    });
    // Time that the process has computed, for the parent: spinning would be all of it.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: Vec<u64> =
        stat.rsplit(')').next().unwrap().split(' ').filter_map(|n| n.parse().ok()).collect();
    println!("\nticks {}", ticks.get(10).unwrap_or(&0) + ticks.get(11).unwrap_or(&0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_without_descriptors_rests_and_comes_back() {
    use std::io::{BufRead, BufReader};
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact --nocapture --test-threads 1 \"$1\""])
        .arg(program)
        .arg("descriptors::child_with_few_descriptors")
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = |word: &str| {
        let found = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix(word).map(str::to_owned));
        found.unwrap_or_else(|| panic!("the child did not say {word}"))
    };
    let addr: SocketAddr = line("serving ").parse().unwrap();
    let mut first = RawPeer::connect(addr).await;
    // More than there are descriptors for; the kernel queues what is not accepted.
    let many: Vec<_> = (0..100).map(|_| TcpStream::connect(addr).unwrap()).collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Connections that it has are served on.
    first.call(1, "echo", &Text { text: "" }).await.value::<String>();
    drop(many);
    RawPeer::connect(addr).await.check_alive().await;
    drop(child.stdin.take());
    let ticks: u64 = line("ticks ").parse().unwrap();
    assert!(child.wait().unwrap().success());
    // A tick is 10 ms: two seconds of spinning would be 200.
    assert!(ticks < 100, "{ticks} ticks of computing");
}
