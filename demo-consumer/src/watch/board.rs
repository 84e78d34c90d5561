//! What is known about who answered, and how it reads. Pure: time is an argument.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};
use tokio::time::Instant;

/// A provider that has answered nothing for so long is shown as gone.
const GONE: Duration = Duration::from_secs(2);
/// How long the table counts back.
const WINDOW: Duration = Duration::from_secs(1);
const BAR: u64 = 30;
const FAILURES_SHOWN: usize = 3;
const WIDTH: usize = 100;

/// Who answered how many calls.
#[derive(Debug)]
pub(super) struct Board {
    providers: BTreeMap<String, Row>,
    /// Since the last line.
    failed: u64,
    all_failures: u64,
    last_failures: Vec<String>,
    start: Instant,
}

#[derive(Debug)]
struct Row {
    total: u64,
    /// Since the last line.
    recent: u64,
    /// The window that is being counted, and how many the one before it had.
    window: (Instant, u64),
    before: u64,
    last: Instant,
}

impl Board {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            providers: BTreeMap::new(),
            failed: 0,
            all_failures: 0,
            last_failures: Vec::new(),
            start,
        }
    }

    pub(super) fn answered(&mut self, provider: &str, now: Instant) {
        let new = || Row { total: 0, recent: 0, window: (now, 0), before: 0, last: now };
        let row = self.providers.entry(provider.to_owned()).or_insert_with(new);
        row.roll(now);
        row.total += 1;
        row.recent += 1;
        row.window.1 += 1;
        row.last = now;
    }

    pub(super) fn failed(&mut self, text: String) {
        self.failed += 1;
        self.all_failures += 1;
        self.last_failures.insert(0, text);
        self.last_failures.truncate(FAILURES_SHOWN);
    }

    pub(super) fn failures(&self) -> u64 {
        self.all_failures
    }

    /// What happened since the last line, in one.
    pub(super) fn line(&mut self) -> String {
        let calls: u64 = self.providers.values().map(|row| row.recent).sum();
        let mut line = format!("{calls:>5} answered, {:>2} failed |", self.failed);
        for (provider, row) in &mut self.providers {
            if row.recent > 0 {
                let _ = write!(line, " {provider}: {}", row.recent);
            }
            row.recent = 0;
        }
        self.failed = 0;
        line
    }

    /// A table of all providers, those that are gone included.
    pub(super) fn table(&mut self, now: Instant) -> Vec<String> {
        let elapsed = now.saturating_duration_since(self.start).as_secs();
        let mut lines = vec![format!(
            "{:<28} {:>9} {:>6}  after {elapsed} s, {} failed; Ctrl-C ends",
            "provider", "answered", "per s", self.all_failures
        )];
        self.providers.values_mut().for_each(|row| row.roll(now));
        let most = self.providers.values().map(|row| row.before).max().unwrap_or(0).max(1);
        for (provider, row) in &self.providers {
            let silent = now.saturating_duration_since(row.last);
            let state = if silent >= GONE {
                format!("nothing for {} s", silent.as_secs())
            } else {
                "█".repeat(usize::try_from(row.before * BAR / most).unwrap_or_default())
            };
            lines.push(format!("{provider:<28} {:>9} {:>6}  {state}", row.total, row.before));
        }
        for failure in &self.last_failures {
            // A line that wraps would be written over at the wrong place.
            lines.push(failure.chars().take(WIDTH).collect());
        }
        lines
    }

    /// All of it, at the end.
    pub(super) fn summary(&self) -> String {
        let total: u64 = self.providers.values().map(|row| row.total).sum();
        let providers = self.providers.len();
        format!("{total} calls answered by {providers} providers, {} failed", self.all_failures)
    }
}

impl Row {
    /// Begins a new window when the last one is over.
    fn roll(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.window.0);
        if age >= WINDOW {
            self.before = if age < WINDOW * 2 { self.window.1 } else { 0 };
            self.window = (now, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_of_what_came_since_the_last_one() {
        let now = Instant::now();
        let mut board = Board::new(now);
        board.answered("a", now);
        board.answered("b", now);
        board.answered("a", now);
        board.failed("broken".into());
        assert_eq!(board.line(), "    3 answered,  1 failed | a: 2 b: 1");
        board.answered("b", now);
        assert_eq!(board.line(), "    1 answered,  0 failed | b: 1");
        assert_eq!(board.summary(), "4 calls answered by 2 providers, 1 failed");
    }

    #[test]
    fn the_table_shows_who_is_gone() {
        let start = Instant::now();
        let mut board = Board::new(start);
        board.answered("a", start);
        board.answered("b", start);
        let later = start + Duration::from_millis(2100);
        board.answered("b", later);
        let table = board.table(later);
        assert!(table[1].starts_with("a ") && table[1].ends_with("nothing for 2 s"), "{table:?}");
        assert!(!table[2].contains("nothing"), "{table:?}");
    }
}
