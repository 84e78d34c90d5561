//! The table of one cell: a row for each peer.

use super::{Entry, ratio, thousands};
use crate::{
    cell::{Cell, Figures},
    peers::Peer,
};
use std::fmt;

#[derive(Debug)]
pub struct Table {
    pub cell: Cell,
    pub rows: Vec<Row>,
    /// Peers and how many of their measurements failed.
    failures: Vec<(Peer, usize)>,
}

#[derive(Debug)]
pub struct Row {
    pub peer: Peer,
    conns: usize,
    figures: Figures,
    /// Highest less lowest throughput of the repeats, as a share of the median.
    spread: f64,
    /// p99 against that of the same cell without large calls.
    p99_against_alone: Option<f64>,
}

impl Table {
    /// With the table of the same cell without large calls, if there is one.
    pub fn new(cell: Cell, entries: &[Entry], alone: Option<&Self>) -> Self {
        let failures = entries.iter().filter(|entry| entry.failures > 0);
        let measured = entries.iter().filter(|entry| !entry.figures.is_empty());
        Self {
            cell,
            rows: measured.map(|entry| Row::new(entry, alone)).collect(),
            failures: failures.map(|entry| (entry.peer, entry.failures)).collect(),
        }
    }

    pub fn figures(&self, peer: Peer) -> Option<&Figures> {
        self.rows.iter().find(|row| row.peer == peer).map(|row| &row.figures)
    }

    /// raw-mux, on as many connections as this framework has if it was measured so.
    pub fn yardstick(&self) -> Option<&Figures> {
        let row = self.rows.iter().rfind(|row| row.peer == Peer::RawMux);
        row.map(|row| &row.figures)
    }

    fn others(&self) -> impl Iterator<Item = &Figures> {
        self.rows.iter().filter(|row| row.peer.is_other_framework()).map(|row| &row.figures)
    }

    /// The highest of the other frameworks.
    pub fn best_throughput(&self) -> Option<f64> {
        self.others().map(|figures| figures.requests_per_second).reduce(f64::max)
    }

    /// The lowest of the other frameworks, in CPU seconds per million calls.
    pub fn least_cpu(&self) -> Option<f64> {
        self.others().map(Figures::cpu_seconds_per_million).reduce(f64::min)
    }

    fn write_row(&self, f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
        let Row { peer, conns, figures, spread, .. } = row;
        let per_second = figures.requests_per_second;
        let against = |figure: fn(&Figures) -> f64| {
            ratio(self.yardstick().map(|yardstick| figure(figures) / figure(yardstick)))
        };
        let name = if *conns == self.cell.load.conns {
            peer.to_string()
        } else {
            format!("{peer}, {conns} connections")
        };
        write!(f, "| {name} | {} | {:.0} % ", thousands(per_second), spread * 100.0)?;
        write!(f, "| {} ", against(|figures| figures.requests_per_second))?;
        write!(f, "| {} ", ratio(self.best_throughput().map(|best| per_second / best)))?;
        write!(f, "| {:.1} | {} ", figures.p50_us, against(|figures| figures.p50_us))?;
        write!(f, "| {:.1} | {:.1} ", figures.p99_us, figures.p999_us)?;
        let client = figures.client_cpu_seconds_per_million;
        let server = figures.server_cpu_seconds_per_million;
        write!(f, "| {client:.2} + {server:.2} ")?;
        write!(f, "| {} ", against(Figures::cpu_seconds_per_million))?;
        write!(f, "| {:.0} + {:.0} ", figures.client_peak_mib, figures.server_peak_mib)?;
        write!(f, "| {:.0} |", figures.connections)
    }
}

impl Row {
    fn new(entry: &Entry, alone: Option<&Table>) -> Self {
        let figures = Figures::median(&entry.figures);
        let throughputs = entry.figures.iter().map(|figures| figures.requests_per_second);
        let highest = throughputs.clone().fold(0.0, f64::max);
        let spread = (highest - throughputs.fold(f64::MAX, f64::min)) / figures.requests_per_second;
        let alone = alone.and_then(|table| table.figures(entry.peer));
        let p99_against_alone = alone.map(|alone| figures.p99_us / alone.p99_us);
        let conns = entry.cell.load.conns;
        Self { peer: entry.peer, conns, figures, spread, p99_against_alone }
    }
}

const COLUMNS: &str = "\
| peer | calls/s | spread | ÷ raw-mux | ÷ best other | p50 µs | p50 ÷ raw-mux | p99 µs | p99.9 µs \
| CPU s per million, client + server | CPU ÷ raw-mux | peak MiB, client + server | connections |";

const BESIDE_LARGE: &str = " large MB/s each way | p99 ÷ alone |";

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beside = self.cell.load.large > 0;
        let more = if beside { BESIDE_LARGE } else { "" };
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
            writeln!(f, "\n{peer} failed in {times} measurements.")?;
        }
        Ok(())
    }
}
