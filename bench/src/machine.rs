//! Where and with what a run was made.

use serde::Serialize;
use std::{fmt, fs, process::Command, thread};

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    rustc: &'static str,
    commit: String,
    /// Of the packages that decide.
    versions: Vec<(&'static str, String)>,
    load_average: String,
}

impl Machine {
    pub fn describe() -> Self {
        let packages = ["tokio", "rmp-serde", "tarpc", "tonic", "prost", "volo-thrift", "pilota"];
        Self {
            cores: thread::available_parallelism().map_or(0, usize::from),
            cpu: cpu(),
            kernel: read("/proc/sys/kernel/osrelease"),
            rustc: env!("BENCH_RUSTC"),
            commit: commit(),
            versions: packages.map(|package| (package, locked(package))).to_vec(),
            load_average: load_average(),
        }
    }
}

/// Of the last minute; a machine that does other things shows here.
pub fn load_average() -> String {
    read("/proc/loadavg").split_whitespace().next().unwrap_or_default().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn cpu() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown", |(_, name)| name).to_owned()
}

fn commit() -> String {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    git.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The version of a package in the lock file that this program was built with.
fn locked(package: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split_once(&format!("name = \"{package}\"\nversion = \""));
    let version = entry.and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("?", |(version, _)| version).to_owned()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "- {} cores, {}, Linux {}", self.cores, self.cpu, self.kernel)?;
        writeln!(f, "- {}, release, commit {}", self.rustc, self.commit)?;
        let versions: Vec<_> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        writeln!(f, "- {}", versions.join(", "))?;
        writeln!(f, "- load average before: {}", self.load_average)
    }
}
