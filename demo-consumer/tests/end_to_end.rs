//! The demo's programs as a person runs them, over real sockets and without ZooKeeper.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::disallowed_methods, reason = "a test of other processes has no runtime to block")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

const CONSUMER: &str = env!("CARGO_BIN_EXE_demo-consumer");

/// The provider's program, which cargo builds for this package's tests only when asked to.
static PROVIDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(CONSUMER).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "-p", "demo-provider"]);
    cargo.arg("--target-dir").arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "the provider does not build");
    folder.join("demo-provider")
});

/// Two providers at addresses that the consumer is given, and a folder for their journals.
struct Stage {
    folder: PathBuf,
    registry: String,
    providers: Vec<Provider>,
}

struct Provider {
    child: Child,
    journal: PathBuf,
}

impl Stage {
    fn set() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("rpc-e2e-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let addresses = [free_address(), free_address()];
        let registry = format!("static://{}", addresses.join(","));
        let mut stage = Self { folder, registry, providers: Vec::new() };
        for address in addresses {
            stage.providers.push(stage.provider(&address));
        }
        stage
    }

    fn provider(&self, address: &str) -> Provider {
        let journal = self.folder.join(format!("{address}.executions"));
        let mut child = program(&PROVIDER)
            .args(["--registry", &self.registry, "--bind", address, "--delay", "5"])
            .arg("--executions")
            .arg(&journal)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("ready "));
        assert_eq!(ready, Some(format!("ready {address}")), "it ended before it was ready");
        // Read on, or it would be killed by the pipe when it says that it leaves.
        thread::spawn(move || lines.for_each(drop));
        Provider { child, journal }
    }

    fn consumer(&self, args: &[&str]) -> Command {
        let mut consumer = program(Path::new(CONSUMER));
        consumer.args(["--registry", &self.registry]).args(args);
        consumer
    }

    /// What `check` says about the notes in `record`.
    fn check(&self, record: &Path, killed_at: &[u64]) -> Output {
        let mut check = self.consumer(&["check", "--record"]);
        check.arg(record);
        for provider in &self.providers {
            check.arg("--executions").arg(&provider.journal);
        }
        for killed in killed_at {
            check.args(["--killed-at", &killed.to_string()]);
        }
        check.output().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for provider in &mut self.providers {
            let _ = provider.child.kill();
            let _ = provider.child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program that is told by its arguments alone.
fn program(path: &Path) -> Command {
    let mut program = Command::new(path);
    for name in ["RPC_REGISTRY", "RPC_BIND", "RPC_ADVERTISE", "RPC_WEIGHT", "RPC_BALANCE"] {
        program.env_remove(name);
    }
    program.stdin(Stdio::null());
    program
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[test]
fn the_tour_succeeds() {
    let stage = Stage::set();
    let tour = stage.consumer(&["tour"]).output().unwrap();
    assert!(tour.status.success(), "{}", text(&tour));
    assert!(text(&tour).contains("everything went as it should"), "{}", text(&tour));
}

#[test]
fn a_tour_without_providers_says_how_to_start_one() {
    let mut tour = program(Path::new(CONSUMER));
    let tour = tour.args(["--registry", "static://127.0.0.1:1", "tour"]).output().unwrap();
    assert_eq!(tour.status.code(), Some(1));
    assert!(text(&tour).contains("cargo run -p demo-provider"), "{}", text(&tour));
}

#[test]
fn a_registry_that_cannot_be_understood_is_an_error() {
    for (path, args) in [(Path::new(CONSUMER), &["tour"][..]), (&**PROVIDER, &[][..])] {
        let ended = program(path).args(["--registry", "carrier://pigeon"]).args(args).output();
        let ended = ended.unwrap();
        assert_eq!(ended.status.code(), Some(1));
        assert!(text(&ended).contains("carrier"), "{}", text(&ended));
    }
}

#[test]
fn watching_shows_who_answers() {
    let stage = Stage::set();
    let watch = stage.consumer(&["watch", "--seconds", "1.5"]).output().unwrap();
    assert!(watch.status.success(), "{}", text(&watch));
    assert!(text(&watch).contains("answered by 2 providers, 0 failed"), "{}", text(&watch));
}

/// One provider is killed under load, the other stopped at the end.
#[test]
fn a_provider_killed_under_load_costs_no_idempotent_call_and_none_runs_twice() {
    let mut stage = Stage::set();
    let record = stage.folder.join("record");
    let log = stage.folder.join("log");
    let mut load = stage
        .consumer(&["run", "--concurrency", "16", "--calls-per-second", "400"])
        .args(["--allow-unknown", "16", "--record"])
        .arg(&record)
        .stdout(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    // Time for calls to be made; whether any were, and at both providers, is asserted below.
    thread::sleep(Duration::from_millis(1500));
    let killed_at = now_ms();
    stage.providers[0].child.kill().unwrap();
    thread::sleep(Duration::from_millis(1500));
    signal(&load, "-TERM");
    let status = load.wait().unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{said}");
    for provider in &stage.providers {
        assert!(fs::metadata(&provider.journal).unwrap().len() > 0, "{said}");
    }
    let check = stage.check(&record, &[killed_at]);
    assert!(check.status.success(), "{said}\n{}", text(&check));

    let left = &mut stage.providers[1].child;
    signal(left, "-TERM");
    assert!(left.wait().unwrap().success(), "the other did not leave in order");
}

#[test]
fn a_run_with_nobody_there_fails_and_so_does_its_check() {
    let mut stage = Stage::set();
    for provider in &mut stage.providers {
        provider.child.kill().unwrap();
        provider.child.wait().unwrap();
    }
    let record = stage.folder.join("record");
    let run = stage
        .consumer(&["run", "--concurrency", "2", "--seconds", "0.5", "--record"])
        .arg(&record)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1), "{}", text(&run));
    assert!(text(&run).contains("NOT EXPECTED"), "{}", text(&run));
    let check = stage.check(&record, &[]);
    assert_eq!(check.status.code(), Some(1));
    assert!(text(&check).contains("VIOLATION"), "{}", text(&check));
}

#[test]
fn a_call_that_ran_twice_is_found() {
    let stage = Stage::set();
    let record = stage.folder.join("record");
    let run = stage.consumer(&["run", "--seconds", "0.5", "--record"]).arg(&record).output();
    assert!(run.unwrap().status.success());
    assert!(stage.check(&record, &[]).status.success());
    let notes = fs::read_to_string(&record).unwrap();
    let once = notes.lines().find(|line| line.contains("\tonce\t")).unwrap();
    let key = once.split('\t').next().unwrap();
    let journal = &stage.providers[0].journal;
    let ran = fs::read_to_string(journal).unwrap();
    fs::write(journal, format!("{ran}{key}\n")).unwrap();
    let check = stage.check(&record, &[]);
    assert_eq!(check.status.code(), Some(1));
    assert!(text(&check).contains(&format!("{key} (")), "{}", text(&check));
    assert!(text(&check).contains("ran 2 times"), "{}", text(&check));
}
