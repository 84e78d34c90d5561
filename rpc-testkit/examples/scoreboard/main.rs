//! The scoreboard: what faults cost the callers of real provider processes, found through a real
//! ZooKeeper, under a steady load. `./scoreboard.sh` builds and runs it.
//!
//! Exit status 0: every bound holds. 1: one was broken, and it is told which. 130: ended by a
//! signal.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is run for what it prints")]

mod bounds;
mod chaos;
mod fault;
mod figures;
mod lie;
mod provider;
mod report;
mod scenario;
mod stage;
mod traffic;

use clap::Parser;
use fault::{Fault, Times};
use report::Entry;
use rpc_testkit::process;
use scenario::{Scenario, Setting};
use stage::Stage;
use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Duration};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Counts what faults cost: calls failed, calls executed twice, gaps, and time to recover.
#[derive(Debug, Parser)]
#[command(name = "scoreboard.sh")]
struct Options {
    /// Shorter: 10 s of an outage in place of 60, and less load before and after
    #[arg(long)]
    quick: bool,
    /// Also the rows of other faults and combinations
    #[arg(long)]
    more: bool,
    /// Only rows whose name contains one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// In place of the table one row of these faults, one beginning after the other
    #[arg(long, value_delimiter = ',', value_enum)]
    combine: Vec<Fault>,
    /// Time between the beginnings of combined faults, in ms
    #[arg(long, default_value_t = 300)]
    between: u64,
    /// In place of the table random faults, decided by this number
    #[arg(long, value_name = "SEED")]
    chaos: Option<u64>,
    /// How long random faults go on, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Providers, where a row does not say
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    providers: u8,
    /// Calls a second
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: Option<u32>,
    /// How long a provider is paused, in seconds
    #[arg(long, default_value_t = 5)]
    pause: u64,
    /// How long ZooKeeper is down, in seconds
    #[arg(long)]
    outage: Option<u64>,
    /// Where the table goes as well
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Where a JSON line for each kind of call of each row goes
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Names the rows and does nothing
    #[arg(long)]
    list: bool,
}

impl Options {
    fn scenarios(&self) -> Vec<Scenario> {
        let s = Duration::from_secs;
        let load = if self.quick { [s(2), s(5), s(6)] } else { [s(3), s(10), s(10)] };
        let [before, after, spell] = load;
        let outage = s(self.outage.unwrap_or(if self.quick { 10 } else { 60 }));
        let times = Times { before, after, pause: s(self.pause), outage, spell };
        let setting = Setting {
            providers: self.providers.into(),
            rate: self.rate,
            times,
            between: Duration::from_millis(self.between),
        };
        if let Some(seed) = self.chaos {
            return vec![scenario::random(seed, s(self.seconds), &setting)];
        }
        if !self.combine.is_empty() {
            return vec![scenario::combined(&self.combine, &setting)];
        }
        let mut scenarios = scenario::table(&setting, self.more || !self.only.is_empty());
        if !self.only.is_empty() {
            scenarios.retain(|one| self.only.iter().any(|only| one.name.contains(only)));
        }
        scenarios
    }
}

fn main() -> ExitCode {
    // A provider is this program too.
    let role = process::role();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        match role {
            Some(words) => serve(&words).await,
            None => score(Options::parse()).await,
        }
    });
    // A script that runs on is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(2));
    code
}

async fn serve(words: &[String]) -> ExitCode {
    match provider::serve(words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the provider ends: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn score(options: Options) -> ExitCode {
    if let Some(filter) = std::env::var_os("RUST_LOG") {
        let filter = tracing_subscriber::EnvFilter::new(filter.to_string_lossy());
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        eprintln!("signals cannot be listened for");
        return ExitCode::FAILURE;
    };
    tokio::select! {
        done = board(&options) => match done {
            Ok(code) => code,
            Err(error) => {
                eprintln!("the scoreboard could not be filled: {error}");
                ExitCode::from(2)
            }
        },
        // What has been started ends as it is dropped.
        _ = interrupt.recv() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(130),
    }
}

async fn board(options: &Options) -> Result<ExitCode> {
    let scenarios = options.scenarios();
    if scenarios.is_empty() {
        return Err("no row is called so; --list names them".into());
    }
    if options.list {
        for scenario in &scenarios {
            println!("{}", scenario.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut entries = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        eprintln!("{} of {}: {}", number + 1, scenarios.len(), scenario.name);
        let mut stage = Stage::set(scenario).await?;
        let run = traffic::play(scenario, &mut stage).await?;
        let entry = Entry::new(scenario, &stage.marks, &run);
        drop(stage);
        for broken in entry.broken() {
            eprintln!("  BROKEN: {broken}");
        }
        entries.push(entry);
        // Each row as soon as it is there, so that a run that is cut short is not for nothing.
        write(options, &entries)?;
    }
    println!("{}", report::table(&entries));
    let broken: Vec<_> = entries.iter().flat_map(Entry::broken).collect();
    if broken.is_empty() {
        println!("Every bound holds.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} broken:", broken.len());
    for broken in broken {
        println!("- {broken}");
    }
    Ok(ExitCode::FAILURE)
}

fn write(options: &Options, entries: &[Entry]) -> Result<()> {
    if let Some(path) = &options.markdown {
        fs::write(path, report::table(entries))?;
    }
    if let Some(path) = &options.json {
        fs::write(path, entries.iter().map(Entry::json).collect::<String>())?;
    }
    Ok(())
}
