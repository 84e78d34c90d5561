//! Measures a list of cells: for each, the peers one after the other, and that several times.

use crate::{
    cell::{Cell, Figures},
    machine::{self, Machine},
    peers::Peer,
    report::{Entry, Report},
    roles::{Times, Workers},
};
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

/// How every kind of run is made.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Only these peers.
    #[arg(long, value_delimiter = ',')]
    pub peers: Option<Vec<Peer>>,
    /// Measurements of each cell and peer; figures are medians.
    #[arg(long, default_value_t = 3)]
    pub repeats: usize,
    /// A fifth of the time for each measurement.
    #[arg(long)]
    pub quick: bool,
    #[command(flatten)]
    pub times: Times,
    #[command(flatten)]
    pub workers: Workers,
    /// Where the tables go, besides the terminal.
    #[arg(long)]
    pub markdown: Option<PathBuf>,
    /// Where every measurement and the medians go, as JSON lines.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

impl Options {
    fn times(&self) -> Times {
        let share = if self.quick { 5 } else { 1 };
        Times { warm_up: self.times.warm_up / share, time: self.times.time / share }
    }
}

/// A line of the JSON file.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line<'a> {
    Machine { machine: &'a Machine, times: Times, workers: Workers, repeats: usize },
    Measurement { peer: Peer, cell: &'a Cell, repeat: usize, figures: &'a Figures },
    Median { peer: Peer, cell: &'a Cell, figures: &'a Figures },
}

/// Measures the cells with those of `peers` that are wanted, and reports.
pub fn run(title: &str, options: &Options, cells: &[Cell], peers: &[Peer]) -> Result<()> {
    let wanted = |peer: &&Peer| options.peers.as_ref().is_none_or(|some| some.contains(peer));
    let peers: Vec<Peer> = peers.iter().filter(wanted).copied().collect();
    let machine = Machine::describe();
    let mut json = options.json.as_ref().map(File::create).transpose()?;
    let (times, workers, repeats) = (options.times(), options.workers, options.repeats);
    write_line(&mut json, &Line::Machine { machine: &machine, times, workers, repeats })?;

    let mut report = Report::default();
    for cell in cells {
        let mut entries: Vec<Entry> = peers.iter().map(|peer| Entry::new(*peer, *cell)).collect();
        for repeat in 1..=repeats {
            let mut index = 0;
            while let Some(entry) = entries.get_mut(index) {
                measure(entry, repeat, options, &mut json)?;
                if repeat == 1 {
                    add_wider_yardstick(&mut entries, index);
                }
                index += 1;
            }
        }
        for Entry { peer, cell, figures, .. } in &entries {
            if !figures.is_empty() {
                let figures = &Figures::median(figures);
                write_line(&mut json, &Line::Median { peer: *peer, cell, figures })?;
            }
        }
        report.add(cell, &entries);
    }

    let head = format!(
        "# {title}\n\n{machine}- load average after: {}\n- medians of {repeats} interleaved repeats \
         of {} ms after {} ms, runtimes with {} workers\n\n",
        machine::load_average(),
        times.time,
        times.warm_up,
        workers.workers,
    );
    let text = head + &report.to_string();
    if let Some(path) = &options.markdown {
        std::fs::write(path, &text)?;
    }
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// A peer that fails is left out of the tables, not the run ended.
fn measure(
    entry: &mut Entry,
    repeat: usize,
    options: &Options,
    json: &mut Option<File>,
) -> Result<()> {
    let Entry { peer, cell, .. } = *entry;
    let mut progress = io::stderr();
    match cell.measure(peer, options.times(), options.workers) {
        Ok(figures) => {
            let per_second = figures.requests_per_second;
            writeln!(progress, "{cell}; {repeat}: {peer:16} {per_second:10.0}/s")?;
            write_line(json, &Line::Measurement { peer, cell: &cell, repeat, figures: &figures })?;
            entry.figures.push(figures);
        }
        Err(error) => {
            writeln!(progress, "{cell}; {repeat}: {peer:16} failed: {error:#}")?;
            entry.failures += 1;
        }
    }
    Ok(())
}

/// This framework may have opened more connections than it was told to; then raw-mux is measured
/// with as many too.
fn add_wider_yardstick(entries: &mut Vec<Entry>, index: usize) {
    let Entry { peer: Peer::Rpc, mut cell, figures, .. } = entries[index].clone() else { return };
    let conns = figures.last().map_or(0, |figures| figures.connections as usize);
    if conns > cell.load.conns && entries.iter().any(|entry| entry.peer == Peer::RawMux) {
        cell.load.conns = conns;
        entries.push(Entry::new(Peer::RawMux, cell));
    }
}

fn write_line(json: &mut Option<File>, line: &Line<'_>) -> Result<()> {
    if let Some(file) = json {
        writeln!(file, "{}", serde_json::to_string(line)?)?;
    }
    Ok(())
}
