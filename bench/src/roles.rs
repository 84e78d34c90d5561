//! What the processes that a run starts do: serve, or call. They are told over stdin and answer on
//! stdout, on a thread of their own, so that a busy or stuck runtime does not matter.

use crate::{
    load::Load,
    peers::Peer,
    record::Counted,
    usage::{self, Usage},
    work::Work,
};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write},
    net::SocketAddr,
    process, thread,
    time::Duration,
};
use tokio::{runtime, time::Instant};

/// How both sides' runtimes are made.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Workers {
    /// Threads of the multi-thread runtime on each side; 0 takes the current-thread runtime.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
}

impl Workers {
    fn runtime(self) -> io::Result<runtime::Runtime> {
        let mut builder = match self.workers {
            0 => runtime::Builder::new_current_thread(),
            count => {
                let mut builder = runtime::Builder::new_multi_thread();
                builder.worker_threads(count);
                builder
            }
        };
        builder.enable_all().build()
    }
}

/// What a client has measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub seconds: f64,
    pub calls: u64,
    pub large_calls: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub cpu_seconds: f64,
    pub peak_mib: f64,
    pub connections: usize,
}

/// Announces its address, answers each line with its [`Usage`], and ends with its input.
pub fn serve(peer: Peer, work: Work, workers: Workers) -> Result<()> {
    thread::spawn(|| {
        let mut line = String::new();
        while io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Err(error) = Usage::now().and_then(|usage| tell(&usage)) {
                fail(&error);
            }
            line.clear();
        }
        process::exit(0);
    });
    workers.runtime()?.block_on(peer.serve(work))
}

/// Calls; after the warm-up it says so, waits for a line, measures, and tells the [`Outcome`].
pub fn call(
    peer: Peer,
    server: SocketAddr,
    load: Load,
    times: Times,
    workers: Workers,
) -> Result<()> {
    thread::spawn(move || match measure(server, times).and_then(|outcome| tell(&outcome)) {
        Ok(()) => process::exit(0),
        Err(error) => fail(&error),
    });
    workers.runtime()?.block_on(peer.load(server, load))?;
    bail!("the load has ended by itself")
}

/// How long a client warms up and measures.
#[derive(Args, Clone, Copy, Debug, Serialize)]
pub struct Times {
    /// Before measuring, in milliseconds.
    #[arg(long, default_value_t = 500)]
    pub warm_up: u64,
    /// Of each measurement, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    pub time: u64,
}

fn measure(server: SocketAddr, times: Times) -> Result<Outcome> {
    pause(times.warm_up);
    tell(&"warm")?;
    io::stdin().read_line(&mut String::new())?;
    let (before, used, began) = (Counted::now(), Usage::now()?, Instant::now());
    pause(times.time);
    let (after, usage, seconds) = (Counted::now(), Usage::now()?, began.elapsed().as_secs_f64());
    let counted = after.since(&before);
    let calls = counted.latencies.count();
    (calls > 0).then_some(()).context("no call was answered")?;
    Ok(Outcome {
        seconds,
        calls,
        large_calls: counted.large,
        p50_us: counted.latencies.quantile_us(0.5),
        p99_us: counted.latencies.quantile_us(0.99),
        p999_us: counted.latencies.quantile_us(0.999),
        cpu_seconds: usage.cpu_seconds - used.cpu_seconds,
        peak_mib: usage.peak_mib,
        connections: usage::connections_to(server)?,
    })
}

#[expect(clippy::disallowed_methods, reason = "this thread is no runtime's")]
fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

fn tell(what: &impl Serialize) -> Result<()> {
    Ok(writeln!(io::stdout(), "{}", serde_json::to_string(what)?)?)
}

fn fail(error: &anyhow::Error) -> ! {
    let _ = writeln!(io::stderr(), "{error:#}");
    process::exit(1)
}
