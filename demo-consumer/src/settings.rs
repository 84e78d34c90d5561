//! What the consumer is told by flags; file and variables are the framework's.

use clap::{Args, Parser, Subcommand};
use rpc_client::{Balance, Config};
use rpc_core::SetupError;
use std::{path::PathBuf, time::Duration};

/// What the flags are not told.
const REST: &str = "What is not said here is read from RPC_REGISTRY, RPC_BALANCE and the other RPC_* variables, \
                    and from the file that RPC_CONFIG names: see docs/configuration.md. Without them the registry \
                    is zookeeper://127.0.0.1:2181/rpc.";

/// Calls what the demo's providers serve.
#[derive(Debug, Parser)]
#[command(after_help = REST)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) connect: Connect,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How providers are found.
#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// Where providers are found: zookeeper://host:port,../root, or static://host:port,..
    #[arg(long)]
    registry: Option<String>,

    /// How calls are spread: peak-ewma, least-active, round-robin, weighted-round-robin, random,
    /// weighted-random, consistent-hash
    #[arg(long)]
    balance: Option<Balance>,
}

impl Connect {
    /// What is said here, over what file and variables say.
    ///
    /// # Errors
    ///
    /// What is wrong with the file or the variables.
    pub(crate) fn config(&self) -> Result<Config, SetupError> {
        let mut config = Config::load()?;
        config.registry = (self.registry.clone())
            .or(config.registry)
            .or_else(|| Some("zookeeper://127.0.0.1:2181/rpc".to_owned()));
        config.balance = self.balance.or(config.balance);
        Ok(config)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make each kind of call once, and say in plain words what happened
    Tour,
    /// Keep calling, and show how the calls spread as providers come and go
    Watch(Watch),
    /// Make many calls, half of them not idempotent, and note what becomes of each
    Run(Run),
    /// Compare what `run` has noted with what the providers say they ran
    Check(Check),
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// How many calls to make in a second
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calls_per_second: u32,

    /// End after this time instead of with Ctrl-C
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,

    /// Write line by line even to a terminal
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// How many calls to make in a second, all together; 0 for as many as possible
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) calls_per_second: u32,

    /// How many calls to have in flight at most
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,

    /// End after this time instead of with Ctrl-C or SIGTERM
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,

    /// Note what became of each call in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// How many calls that are not idempotent may fail with outcome `Unknown`: as many as can be
    /// in flight to the providers that will be killed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) allow_unknown: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// What `run --record` wrote; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) record: Vec<PathBuf>,

    /// What `demo-provider --executions` wrote; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) executions: Vec<PathBuf>,

    /// When a provider was killed, in milliseconds since 1970; may be repeated. Calls with outcome
    /// `Unknown` must have been in flight then
    #[arg(long, value_name = "MS")]
    pub(crate) killed_at: Vec<u64>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| "write a number of seconds, for example 30 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_make_sense() {
        use clap::CommandFactory;
        Settings::command().debug_assert();
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err());
        assert!(seconds("soon").is_err());
    }
}
