//! What a run makes of its measurements: an overview, and a table for each cell.

mod overview;
mod table;

use crate::{
    cell::{Cell, Figures},
    peers::Peer,
};
use std::fmt;
use table::Table;

/// A peer's measurements of one cell.
#[derive(Clone, Debug)]
pub struct Entry {
    pub peer: Peer,
    /// Its own: raw-mux may be measured with more connections than the others.
    pub cell: Cell,
    pub figures: Vec<Figures>,
    pub failures: usize,
}

impl Entry {
    pub fn new(peer: Peer, cell: Cell) -> Self {
        Self { peer, cell, figures: Vec::new(), failures: 0 }
    }
}

#[derive(Debug, Default)]
pub struct Report {
    tables: Vec<Table>,
}

impl Report {
    pub fn add(&mut self, cell: &Cell, entries: &[Entry]) {
        let mut alone = *cell;
        alone.load.large = 0;
        let alone = self.tables.iter().find(|table| *cell != alone && table.cell == alone);
        let table = Table::new(*cell, entries, alone);
        self.tables.push(table);
    }

    /// As they come in the tables.
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers = self.peers();
        for peer in &peers {
            writeln!(f, "- {peer}: {}", peer.settings())?;
        }
        overview::write(f, &self.tables, &peers)?;
        self.tables.iter().try_for_each(|table| table.fmt(f))
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

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(super::thousands(999.4), "999");
        assert_eq!(super::thousands(1234.0), "1,234");
        assert_eq!(super::thousands(1_234_567.0), "1,234,567");
    }
}
