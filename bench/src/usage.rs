//! What this process has used: CPU, memory, connections.

use anyhow::{Context, Result};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use serde::{Deserialize, Serialize};
use std::{fs, net::SocketAddr};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// Since the process began, of all its threads, in user and kernel.
    pub cpu_seconds: f64,
    /// The most that was resident.
    pub peak_mib: f64,
}

impl Usage {
    pub fn now() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let status = fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|rest| rest.trim().strip_suffix("kB")).context("no VmHWM")?;
        Ok(Self {
            cpu_seconds: micros as f64 / 1e6,
            peak_mib: peak.trim().parse::<f64>()? / 1024.0,
        })
    }
}

/// How many connections lead to `server` from this machine. IPv4 alone.
pub fn connections_to(server: SocketAddr) -> Result<usize> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let remote = format!(":{:04X}", server.port());
    let established = table.lines().skip(1).filter(|line| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|address| address.ends_with(&remote))
            && fields.next() == Some("01")
    });
    Ok(established.count())
}
