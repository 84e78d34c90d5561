//! The benchmark: this framework, what the machine allows, and other frameworks, side by side.

mod cell;
mod codec;
mod cores;
mod frame;
mod histogram;
mod listen;
mod load;
mod machine;
mod message;
mod peers;
mod process;
mod read_buf;
mod record;
mod report;
mod roles;
mod run;
mod scenarios;
mod usage;
mod work;

use anyhow::Result;
use cell::Cell;
use clap::Parser;
use load::Load;
use peers::Peer;
use roles::{Times, Workers};
use run::Options;
use scenarios::Grid;
use std::net::SocketAddr;
use work::Work;

#[derive(Parser, Debug)]
#[command(about, version)]
enum Command {
    /// Payloads by calls outstanding.
    Run {
        #[command(flatten)]
        grid: Grid,
        #[command(flatten)]
        options: Options,
    },
    /// 16 small calls beside two of 4 MiB without pause.
    Mixed(Options),
    /// Handlers that compute 200 µs, 64 outstanding, one connection.
    Compute(Options),
    /// Callers beside 64 tasks that compute 100 µs each.
    Busy(Options),
    /// One server, as a run starts it: tells its address, and for each line its usage.
    Server {
        peer: Peer,
        #[arg(long, default_value_t)]
        work: Work,
        #[command(flatten)]
        workers: Workers,
    },
    /// One client, as a run starts it: says that it is warm, waits for a line, measures.
    Client {
        peer: Peer,
        server: SocketAddr,
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        workers: Workers,
    },
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Run { grid, options } => run::run("Echo", &options, &grid.cells(), &Peer::MAIN),
        Command::Mixed(options) => scenario("Small beside large", &options, scenarios::mixed()),
        Command::Compute(options) => {
            scenario("Handlers that compute", &options, scenarios::compute())
        }
        Command::Busy(options) => scenario("Callers that are busy", &options, scenarios::busy()),
        Command::Server { peer, work, workers } => roles::serve(peer, work, workers),
        Command::Client { peer, server, load, times, workers } => {
            roles::call(peer, server, load, times, workers)
        }
    }
}

fn scenario(title: &str, options: &Options, (cells, peers): (Vec<Cell>, Vec<Peer>)) -> Result<()> {
    run::run(title, options, &cells, &peers)
}
