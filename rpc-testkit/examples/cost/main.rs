//! What things cost: work that is done a given number of times, for a tool that counts
//! instructions, and what grows with the number of endpoints, services and calls.
//! `bench/instructions.sh` and `bench/scale.sh` build and run it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is run for what it prints")]

mod contract;
mod items;
mod registry;
mod scale;
mod services;
mod stage;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A line of the table of what grows.
fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

/// Does things a given number of times, or measures what grows.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The names of what can be counted
    List,
    /// Does it so often
    Count {
        /// One of the list
        item: String,
        /// How often
        times: usize,
    },
    /// Measures what grows; lines of a table
    Scale {
        /// What
        part: scale::Part,
    },
}

fn main() -> ExitCode {
    match run(&Options::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("cost: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => {
            for (name, _) in items::all() {
                println!("{name}");
            }
            Ok(())
        }
        Command::Count { item, times } => {
            let all = items::all();
            let found = all.iter().find(|(name, _)| name == item);
            let (_, item) = found.ok_or_else(|| format!("there is no {item}: see `list`"))?;
            item.run(*times)
        }
        Command::Scale { part } => scale::run(*part),
    }
}
