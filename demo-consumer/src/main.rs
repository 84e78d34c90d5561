//! The demo's consumer: four ways to call what the demo's providers serve.
//!
//! `tour` makes each kind of call once and explains it, `watch` shows how calls spread while
//! providers come and go, `run` makes many and notes what became of each, and `check` compares
//! such notes with what the providers say they ran.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::print_stderr, reason = "a program for the terminal")]

mod settings;

mod check;
mod run;
mod tour;
mod watch;

mod mix;
mod record;
mod stop;

use clap::Parser;
use rpc_client::Client;
use rpc_core::SetupError;
use settings::{Command, Connect, Settings};
use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    start_logging();
    let done = match &settings.command {
        Command::Tour => tour(&settings.connect).await,
        Command::Watch(watch) => match connect(&settings.connect).await {
            Ok(client) => watch::watch(&client, watch).await,
            Err(error) => Err(error),
        },
        Command::Run(run) => match connect(&settings.connect).await {
            Ok(client) => run::run(&client, run).await,
            Err(error) => Err(error),
        },
        Command::Check(check) => check::check(check),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo-consumer: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn tour(settings: &Connect) -> Result<bool, SetupError> {
    let config = settings.config()?;
    let registry = config.registry.clone().unwrap_or_default();
    let client = Client::builder().config(config).build().await?;
    if let Err(error) = client.warm().await {
        return Err(SetupError::new(format!("{error}\n{}", how_to_start(&registry))));
    }
    println!("Connected by way of {registry}.\n");
    match tour::tour(&client).await {
        Ok(()) => Ok(true),
        Err(why) => {
            eprintln!("\nThe tour ends here, since what happened is not what should: {why}");
            Ok(false)
        }
    }
}

async fn connect(settings: &Connect) -> Result<Client, SetupError> {
    Client::builder().config(settings.config()?).build().await
}

fn how_to_start(registry: &str) -> String {
    if registry.starts_with("zookeeper://") {
        "start a provider in another terminal: cargo run -p demo-provider\n\
         start a ZooKeeper if there is none:   scripts/zookeeper.sh start /tmp/zookeeper 2181\n\
         or do without one:                    cargo run -p demo-provider -- --registry \
         static://127.0.0.1:9000 --bind 127.0.0.1:9000\n\
         \x20                                     cargo run -p demo-consumer -- --registry \
         static://127.0.0.1:9000 tour\n\
         or see everything at once:            ./demo.sh"
            .to_owned()
    } else {
        format!(
            "start a provider in another terminal: cargo run -p demo-provider -- --registry \
                 {registry} --bind HOST:PORT"
        )
    }
}

/// To standard error, as `RPC_LOG` says, else `RUST_LOG`, else errors alone: what a consumer is to
/// know about its calls it is told by their results.
fn start_logging() {
    use tracing_subscriber::EnvFilter;
    let filter = ["RPC_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| EnvFilter::try_from_env(name).ok())
        .unwrap_or_else(|| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}
