//! One measurement: a peer, what its client does, what its handlers do.

use crate::{
    cores::Cores,
    load::Load,
    message::LARGE,
    peers::Peer,
    process::Process,
    roles::{Outcome, Times, Workers},
    usage::Usage,
    work::Work,
};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt;

/// What is measured, but for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    #[serde(flatten)]
    pub load: Load,
    pub work: Work,
    pub cores: Cores,
}

/// What came out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub client_cpu_seconds_per_million: f64,
    pub server_cpu_seconds_per_million: f64,
    pub client_peak_mib: f64,
    pub server_peak_mib: f64,
    pub connections: f64,
    /// Of the large calls beside, each way.
    pub large_mb_per_second: f64,
}

impl Cell {
    pub fn measure(&self, peer: Peer, times: Times, workers: Workers) -> Result<Figures> {
        let mut server =
            Process::start(self.cores.server(), &self.server_arguments(peer, workers))?;
        let address = server.line().context("server")?;
        let arguments = self.client_arguments(peer, &address, times, workers);
        let mut client = Process::start(self.cores.client(), &arguments)?;
        client.line().context("client")?;
        let before = usage(&mut server)?;
        client.tell("go")?;
        let outcome = serde_json::from_str(&client.line().context("client")?)?;
        let after = usage(&mut server)?;
        Ok(Figures::new(outcome, before, after))
    }

    fn server_arguments(&self, peer: Peer, workers: Workers) -> Vec<String> {
        let options = format!("--work {} --workers {}", self.work, workers.workers);
        words(&format!("server {peer} {options}"))
    }

    fn client_arguments(
        &self,
        peer: Peer,
        server: &str,
        times: Times,
        workers: Workers,
    ) -> Vec<String> {
        let Load { payload, outstanding, conns, large, busy } = self.load;
        let load = format!("--payload {payload} --outstanding {outstanding} --conns {conns}");
        let beside = format!("--large {large} --busy {busy} --workers {}", workers.workers);
        let times = format!("--warm-up {} --time {}", times.warm_up, times.time);
        words(&format!("client {peer} {server} {load} {beside} {times}"))
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn usage(server: &mut Process) -> Result<Usage> {
    server.tell("usage")?;
    Ok(serde_json::from_str(&server.line().context("server")?)?)
}

impl Figures {
    fn new(outcome: Outcome, before: Usage, after: Usage) -> Self {
        let millions = outcome.calls as f64 / 1e6;
        Self {
            requests_per_second: outcome.calls as f64 / outcome.seconds,
            p50_us: outcome.p50_us,
            p99_us: outcome.p99_us,
            p999_us: outcome.p999_us,
            client_cpu_seconds_per_million: outcome.cpu_seconds / millions,
            server_cpu_seconds_per_million: (after.cpu_seconds - before.cpu_seconds) / millions,
            client_peak_mib: outcome.peak_mib,
            server_peak_mib: after.peak_mib,
            connections: outcome.connections as f64,
            large_mb_per_second: (outcome.large_calls * LARGE as u64) as f64
                / outcome.seconds
                / 1e6,
        }
    }

    /// Of each figure by itself.
    pub fn median(all: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| {
            let mut values: Vec<_> = all.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
            f64::midpoint(values[low], values[high])
        };
        Self {
            requests_per_second: median(|f| f.requests_per_second),
            p50_us: median(|f| f.p50_us),
            p99_us: median(|f| f.p99_us),
            p999_us: median(|f| f.p999_us),
            client_cpu_seconds_per_million: median(|f| f.client_cpu_seconds_per_million),
            server_cpu_seconds_per_million: median(|f| f.server_cpu_seconds_per_million),
            client_peak_mib: median(|f| f.client_peak_mib),
            server_peak_mib: median(|f| f.server_peak_mib),
            connections: median(|f| f.connections),
            large_mb_per_second: median(|f| f.large_mb_per_second),
        }
    }

    /// Of client and server together.
    pub fn cpu_seconds_per_million(&self) -> f64 {
        self.client_cpu_seconds_per_million + self.server_cpu_seconds_per_million
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load { payload, outstanding, conns, large, busy } = self.load;
        match payload {
            0..1024 => write!(f, "{payload} B")?,
            _ => write!(f, "{} KiB", payload / 1024)?,
        }
        write!(f, ", {outstanding} outstanding")?;
        if conns > 1 {
            write!(f, ", {conns} connections")?;
        }
        if large > 0 {
            write!(f, ", beside {large} of 4 MiB")?;
        }
        if busy > 0 {
            write!(f, ", beside {busy} tasks that compute 100 µs")?;
        }
        match self.work {
            Work::None => {}
            Work::Spin(micros) => write!(f, ", handlers compute {micros} µs")?,
            Work::Sleep(micros) => write!(f, ", handlers wait {micros} µs")?,
        }
        match self.cores {
            Cores::Free => Ok(()),
            Cores::One => write!(f, ", both processes pinned to one core"),
            Cores::Apart => write!(f, ", each process pinned to a core of its own"),
        }
    }
}
