//! The demo's provider: serves the contracts of `demo-api` until Ctrl-C or SIGTERM.
//!
//! Its three services get their instances in the three ways there are: [`room`] is handed to the
//! server, [`directory`] has a `Default`, and [`desk`] is made by its `init` function from what was
//! provided. [`node`] is what they have in common.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::print_stderr, reason = "a program for the terminal")]

mod settings;

mod desk;
mod directory;
mod room;

mod node;

use clap::Parser;
use demo_api::UsersClient;
use node::Node;
use room::Room;
use rpc_client::Client;
use rpc_core::SetupError;
use rpc_server::Server;
use settings::Settings;
use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    start_logging();
    match serve(settings).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo-provider: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: Settings) -> Result<ExitCode, SetupError> {
    // Listened for from here on, so that a signal during the start is not lost.
    let mut signals = Signals::listen().map_err(|e| SetupError::new(e.to_string()))?;
    let node = Node::install(&settings)?;
    let config = settings.server()?;
    let registry = config.registry.clone().unwrap_or_default();
    // `Orders` calls `Users`, on this provider or any other.
    let users = Client::builder().config(rpc_client::Config::load()?).registry(&registry);
    let users: UsersClient = users.build().await?.get();
    let server = Server::builder().config(config).service(Room::default()).provide(users);
    let server = server.start().await?;
    node.serves_at(server.advertised_addr());

    println!("demo-provider {}, process {}", node.name(), std::process::id());
    println!("  registry {registry}");
    for service in server.services() {
        println!("  serves   {service}");
    }
    if !server.registered() {
        println!("  not registered yet: the registry does not answer; goes on trying");
    }
    println!("ready {}", server.advertised_addr());

    let signal = signals.next().await;
    println!("{signal}: leaving, once the running calls have ended; a second one ends them");
    tokio::select! {
        () = server.shutdown() => {
            println!("left in order");
            Ok(ExitCode::SUCCESS)
        }
        _ = signals.next() => Ok(ExitCode::from(130)),
    }
}

/// To standard error, as `RPC_LOG` says, else `RUST_LOG`, else from warnings on.
fn start_logging() {
    use tracing_subscriber::EnvFilter;
    let filter = ["RPC_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| EnvFilter::try_from_env(name).ok())
        .unwrap_or_else(|| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
