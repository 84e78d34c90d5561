//! The tables of a run.

use crate::{
    cell::{Cell, Figures},
    peers::Peer,
};
use std::fmt;

/// A peer's measurements of one cell.
#[derive(Clone, Debug)]
pub struct Entry {
    pub peer: Peer,
    pub cell: Cell,
    pub figures: Vec<Figures>,
    pub failures: usize,
}

impl Entry {
    pub fn new(peer: Peer, cell: Cell) -> Self {
        Self { peer, cell, figures: Vec::new(), failures: 0 }
    }
}

/// A table for each cell.
#[derive(Debug, Default)]
pub struct Report {
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    cell: Cell,
    rows: Vec<Row>,
    failures: Vec<(Peer, usize)>,
    /// To be compared with, in this cell.
    yardstick: Option<Figures>,
    best_other: Option<f64>,
}

#[derive(Debug)]
struct Row {
    peer: Peer,
    conns: usize,
    figures: Figures,
    /// Highest less lowest throughput of the repeats, as a share of the median.
    spread: f64,
    /// p99 against that of the same cell without large calls.
    p99_against_alone: Option<f64>,
}

impl Report {
    pub fn add(&mut self, cell: &Cell, entries: Vec<Entry>) {
        let failures = entries.iter().filter(|entry| entry.failures > 0);
        let failures = failures.map(|entry| (entry.peer, entry.failures)).collect();
        let measured = entries.iter().filter(|entry| !entry.figures.is_empty());
        let rows: Vec<_> = measured.map(|entry| self.row(entry)).collect();
        let others = rows.iter().filter(|row| row.peer.is_other_framework());
        let best_other = others.map(|row| row.figures.requests_per_second).reduce(f64::max);
        let yardstick = rows.iter().find(|row| row.peer == Peer::RawMux).map(|row| row.figures);
        self.tables.push(Table { cell: *cell, rows, failures, yardstick, best_other });
    }

    fn row(&self, entry: &Entry) -> Row {
        let figures = Figures::median(&entry.figures);
        let throughputs = entry.figures.iter().map(|figures| figures.requests_per_second);
        let highest = throughputs.clone().fold(0.0, f64::max);
        let spread = (highest - throughputs.fold(f64::MAX, f64::min)) / figures.requests_per_second;
        let mut alone = entry.cell;
        alone.load.large = 0;
        let alone = self.tables.iter().filter(|table| entry.cell != alone && table.cell == alone);
        let alone = alone.flat_map(|table| &table.rows).find(|row| row.peer == entry.peer);
        let p99_against_alone = alone.map(|alone| figures.p99_us / alone.figures.p99_us);
        let conns = entry.cell.load.conns;
        Row { peer: entry.peer, conns, figures, spread, p99_against_alone }
    }

    fn peers(&self) -> Vec<Peer> {
        let mut peers = Vec::new();
        for row in self.tables.iter().flat_map(|table| &table.rows) {
            if !peers.contains(&row.peer) {
                peers.push(row.peer);
            }
        }
        peers
    }
}

const COLUMNS: &str = "\
| peer | calls/s | spread | × raw-mux | × best other | p50 µs | p50 × raw-mux | p99 µs | p99.9 µs \
| CPU s per million, client + server | CPU × raw-mux | peak MiB, client + server | connections |";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for peer in self.peers() {
            writeln!(f, "- {peer}: {}", peer.settings())?;
        }
        self.tables.iter().try_for_each(|table| table.fmt(f))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beside = self.cell.load.large > 0;
        let more = if beside { " large MB/s | p99 × alone |" } else { "" };
        let columns = COLUMNS.matches('|').count() - 1 + more.matches('|').count();
        writeln!(f, "\n## {}\n\n{COLUMNS}{more}", self.cell)?;
        writeln!(f, "|---|{}", "---:|".repeat(columns - 1))?;
        for row in &self.rows {
            self.write_row(f, row)?;
            if beside {
                let large = row.figures.large_mb_per_second;
                write!(f, " {large:.0} | {} |", ratio(row.p99_against_alone))?;
            }
            writeln!(f)?;
        }
        for (peer, times) in &self.failures {
            writeln!(f, "\n{peer} failed in {times} repeats.")?;
        }
        Ok(())
    }
}

impl Table {
    fn write_row(&self, f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
        let Row { peer, conns, figures, spread, .. } = row;
        let per_second = figures.requests_per_second;
        let against = |figure: fn(&Figures) -> f64| {
            ratio(self.yardstick.as_ref().map(|yardstick| figure(figures) / figure(yardstick)))
        };
        let name = if *conns == self.cell.load.conns {
            peer.to_string()
        } else {
            format!("{peer}, {conns} connections")
        };
        write!(f, "| {name} | {} | {:.0} % ", thousands(per_second), spread * 100.0)?;
        write!(f, "| {} ", against(|figures| figures.requests_per_second))?;
        write!(f, "| {} ", ratio(self.best_other.map(|best| per_second / best)))?;
        write!(f, "| {:.1} | {} ", figures.p50_us, against(|figures| figures.p50_us))?;
        write!(f, "| {:.1} | {:.1} ", figures.p99_us, figures.p999_us)?;
        let (client, server) =
            (figures.client_cpu_seconds_per_million, figures.server_cpu_seconds_per_million);
        write!(f, "| {client:.2} + {server:.2} ")?;
        write!(f, "| {} ", against(Figures::cpu_seconds_per_million))?;
        write!(f, "| {:.0} + {:.0} ", figures.client_peak_mib, figures.server_peak_mib)?;
        write!(f, "| {:.0} |", figures.connections)
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
}

/// As `12,345`.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
