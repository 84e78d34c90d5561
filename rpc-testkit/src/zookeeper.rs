//! Throw-away ZooKeeper servers for tests, through `scripts/zookeeper.sh`.
//!
//! A test begins with [`begin`], which starts a server or says loudly that the test is skipped.
//! `RPC_TEST_ZOOKEEPER` decides: `off` skips, `required` fails where a server cannot be had, and
//! without it the test is skipped there. Each test adds a line `ran <name>` or `skipped <name>` to
//! the file named by `RPC_TEST_REPORT`, if there is one.

use std::{
    env,
    fs::{self, OpenOptions},
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Ports are sought from here on, below the ones that the kernel gives to outgoing connections.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 9_000;
/// An ensemble member also listens this far above its port, and twice as far.
const PEER_OFFSET: u16 = 1_000;

/// One server, or the servers of one ensemble. They are killed and their files deleted when this
/// is dropped, and when the test process ends in any other way.
#[derive(Debug)]
pub struct ZooKeeper {
    folder: PathBuf,
    ports: Vec<u16>,
}

/// Starts a server for the test called `test`; `None`: the test is to return, as skipped.
///
/// # Panics
///
/// If no server can be had and `RPC_TEST_ZOOKEEPER=required`.
pub async fn begin(test: &str) -> Option<ZooKeeper> {
    begin_with(test, 1).await
}

/// Like [`begin`], with an ensemble of three.
///
/// # Panics
///
/// If no servers can be had and `RPC_TEST_ZOOKEEPER=required`.
pub async fn begin_ensemble(test: &str) -> Option<ZooKeeper> {
    begin_with(test, 3).await
}

async fn begin_with(test: &str, servers: usize) -> Option<ZooKeeper> {
    let rule = env::var("RPC_TEST_ZOOKEEPER").unwrap_or_default();
    let started = match &*rule {
        "off" => Err("RPC_TEST_ZOOKEEPER=off".to_owned()),
        _ => ZooKeeper::start_servers(servers).await,
    };
    match started {
        Ok(zookeeper) => {
            report("ran", test);
            Some(zookeeper)
        }
        Err(why) => {
            assert!(rule != "required", "{test} needs ZooKeeper: {why}");
            // Not through `println!`, which the test harness keeps to itself.
            let _ = writeln!(io::stderr(), "SKIPPED (needs ZooKeeper): {test}: {}", why.trim());
            report("skipped", test);
            None
        }
    }
}

fn report(what: &str, test: &str) {
    let Some(path) = env::var_os("RPC_TEST_REPORT").filter(|path| !path.is_empty()) else { return };
    let line = format!("{what} {test}\n");
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        // In one write, since test processes may share the file.
        .and_then(|mut file| file.write_all(line.as_bytes()));
    assert!(written.is_ok(), "the report {} cannot be written: {written:?}", path.display());
}

impl ZooKeeper {
    /// Starts one server.
    ///
    /// # Errors
    ///
    /// Why there is none, in the words of the script.
    pub async fn start() -> Result<Self, String> {
        Self::start_servers(1).await
    }

    /// Starts an ensemble of three.
    ///
    /// # Errors
    ///
    /// Why there is none, in the words of the script.
    pub async fn ensemble() -> Result<Self, String> {
        Self::start_servers(3).await
    }

    async fn start_servers(servers: usize) -> Result<Self, String> {
        let mut failure = String::new();
        // Between finding a port free and using it somebody else may take it.
        for _ in 0..3 {
            let folder = new_folder();
            let ports = free_ports(servers)?;
            let zookeeper = Self { folder, ports };
            let ports = zookeeper.ports.iter().map(ToString::to_string);
            let mut args = vec![if servers == 1 { "start" } else { "ensemble" }.to_owned()];
            args.push(zookeeper.folder.display().to_string());
            args.extend(ports);
            match script(args).await {
                Ok(_) => return Ok(zookeeper),
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    /// `host:port,host:port`.
    pub fn hosts(&self) -> String {
        let hosts: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        hosts.join(",")
    }

    /// The URL of the registry under `root`, which begins with a slash, or is empty.
    pub fn url(&self, root: &str) -> String {
        format!("zookeeper://{}{root}", self.hosts())
    }

    /// Ends all servers in order.
    pub async fn stop(&self) {
        self.run("stop", None).await;
    }

    /// Crashes all servers.
    pub async fn kill(&self) {
        self.run("kill", None).await;
    }

    /// Stops all servers from running, as if they hung.
    pub async fn pause(&self) {
        self.run("pause", None).await;
    }

    /// Ends [`pause`](Self::pause).
    pub async fn resume(&self) {
        self.run("resume", None).await;
    }

    /// Starts the servers that are down with the data they had, and waits until all serve.
    pub async fn up(&self) {
        self.run("up", None).await;
    }

    /// Deletes the data of all servers, which must be down.
    pub async fn wipe(&self) {
        self.run("wipe", None).await;
    }

    /// The number of the leading server of an ensemble, from 1.
    pub async fn leader(&self) -> usize {
        let leader = self.run("leader", None).await;
        leader.trim().parse().unwrap_or_else(|_| panic!("{leader:?} is no number of a server"))
    }

    /// Does `command` (`stop`, `kill`, `pause`, `resume`, `up`, `wipe`) to one server, from 1, or
    /// to all; returns what it printed.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn run(&self, command: &str, server: Option<usize>) -> String {
        let mut args = vec![command.to_owned(), self.folder.display().to_string()];
        args.extend(server.map(|number| number.to_string()));
        let done = script(args).await;
        done.unwrap_or_else(|why| panic!("zookeeper.sh {command}: {why}"))
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        let folder = self.folder.display().to_string();
        let _ = command(&["clean".to_owned(), folder]).output();
    }
}

fn command(args: &[String]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/zookeeper.sh");
    let mut command = Command::new(script);
    command.args(args).stdin(Stdio::null());
    command.env("RPC_ZOOKEEPER_OWNER", std::process::id().to_string());
    command
}

/// Runs the script in a blocking thread, so that the runtime of the test goes on.
async fn script(args: Vec<String>) -> Result<String, String> {
    let output = tokio::task::spawn_blocking(move || command(&args).output()).await;
    let Output { status, stdout, stderr } =
        output.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    if status.success() {
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&stderr).into_owned())
    }
}

fn new_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("rpc-zookeeper-{}-{number}", std::process::id()));
    // Left by a process that had our number.
    let _ = fs::remove_dir_all(&folder);
    folder
}

/// A port that is free, and not one that the kernel gives to outgoing connections.
pub(crate) fn free_port() -> Result<u16, String> {
    free_ports(1).map(|ports| ports[0])
}

fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let mut ports = Vec::new();
    for _ in 0..1_000 {
        let random = RandomState::new().build_hasher().finish() % u64::from(PORTS);
        let port = FIRST_PORT + u16::try_from(random).unwrap_or_default();
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let all = [port, port + PEER_OFFSET, port + 2 * PEER_OFFSET];
        let apart = |other: &u16| {
            let distance = port.abs_diff(*other);
            !(distance == 0 || distance == PEER_OFFSET || distance == 2 * PEER_OFFSET)
        };
        if all.into_iter().all(free) && ports.iter().all(apart) {
            ports.push(port);
            if ports.len() == count {
                return Ok(ports);
            }
        }
    }
    Err("there are no free ports".to_owned())
}
