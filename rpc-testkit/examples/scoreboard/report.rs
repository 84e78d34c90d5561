//! The scoreboard as a table and as JSON lines.

use crate::{
    bounds::{self, Verdict},
    fault::Act,
    figures::{Figures, Reference},
    scenario::Scenario,
    stage::Mark,
    traffic::{Kind, Run},
};
use rpc_testkit::load::Call;
use serde_json::json;
use std::{fmt::Write as _, time::Duration};
use tokio::time::Instant;

/// One line of the table: the calls of one kind, or of all.
#[derive(Debug)]
struct Row {
    kind: Option<Kind>,
    figures: Figures,
    verdict: Verdict,
}

/// One scenario's part of the board.
#[derive(Debug)]
pub(crate) struct Entry {
    name: String,
    kinds: Vec<Row>,
    /// What the table shows.
    whole: Option<Row>,
    /// Calls a second during an overload, and at least so many.
    goodput: Option<(f64, f64)>,
}

impl Entry {
    pub(crate) fn new(scenario: &Scenario, marks: &[Mark], run: &Run) -> Self {
        let first = marks.first().map_or_else(Instant::now, |mark| mark.began);
        // Under overload nothing can be as usual, so recovery counts from its end.
        let surge = marks.iter().find(|mark| mark.act == Act::Surge(false));
        let fault = surge.map_or(first, |mark| mark.ended);
        let reference = Reference::new(&run.calls, first, fault);
        let row = |kind: Kind| {
            let of_kind = |call: &&Call| Kind::of(call) == kind;
            let calls: Vec<_> = run.calls.iter().filter(of_kind).collect();
            let figures = Figures::new(&calls, &run.executions, reference);
            let verdict = bounds::judge(scenario, marks, kind, &calls, &run.executions, &figures);
            Row { kind: Some(kind), figures, verdict }
        };
        let kinds: Vec<_> = Kind::ALL.into_iter().map(row).collect();
        let whole = (!scenario.apart).then(|| {
            let calls: Vec<_> = run.calls.iter().collect();
            let figures = Figures::new(&calls, &run.executions, reference);
            let sum =
                |figure: fn(&Verdict) -> usize| kinds.iter().map(|row| figure(&row.verdict)).sum();
            let broken = kinds.iter().flat_map(|row| row.verdict.broken.clone()).collect();
            let (failed, second) = (sum(|verdict| verdict.failed), sum(|verdict| verdict.second));
            Row { kind: None, figures, verdict: Verdict { failed, second, broken } }
        });
        let goodput = bounds::goodput(scenario, marks, &run.calls);
        Self { name: scenario.name.clone(), kinds, whole, goodput }
    }

    /// What was broken, each with the row that it is of.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for row in &self.kinds {
            let name = row.name();
            broken.extend(row.verdict.broken.iter().map(|b| format!("{}, {name}: {b}", self.name)));
        }
        if let Some((reached, least)) = self.goodput.filter(|(reached, least)| reached < least) {
            broken.push(format!(
                "{}: {reached:.0} calls a second ended well, {least:.0} have to",
                self.name
            ));
        }
        broken
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        let kinds = if self.whole.is_some() { &[] } else { &*self.kinds };
        self.whole.iter().chain(kinds)
    }

    /// A JSON line for each kind of call.
    pub(crate) fn json(&self) -> String {
        let mut lines = String::new();
        for row in &self.kinds {
            let Figures { made, failed, not_sent, refused, ran, unknown, .. } = row.figures;
            let Figures { deadline, twice, second, p50, p99, gap, recovered, .. } = row.figures;
            let line = json!({
                "fault": self.name,
                "idempotent": row.kind.map(|kind| kind.idempotent),
                "retries": row.kind.map(|kind| kind.retries),
                "calls": made,
                "failed": failed,
                "failed_allowed": row.verdict.failed,
                "not_sent": not_sent,
                "refused": refused,
                "ran": ran,
                "unknown": unknown,
                "deadline": deadline,
                "executed_twice": twice,
                "second_executions": second,
                "second_executions_allowed": row.verdict.second,
                "p50_ms": ms(p50),
                "p99_ms": ms(p99),
                "longest_gap_ms": ms(gap),
                "recovered_after_ms": ms(recovered),
                "goodput": self.goodput.map(|(reached, _)| reached),
                "goodput_least": self.goodput.map(|(_, least)| least),
                "broken": row.verdict.broken,
            });
            let _ = writeln!(lines, "{line}");
        }
        lines
    }
}

impl Row {
    fn name(&self) -> &'static str {
        match self.kind {
            None => "all",
            Some(Kind { idempotent: true, retries: true }) => "idempotent",
            Some(Kind { idempotent: true, retries: false }) => "idempotent, no retries",
            Some(Kind { idempotent: false, retries: true }) => "not idempotent",
            Some(Kind { idempotent: false, retries: false }) => "not idempotent, no retries",
        }
    }
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

const HEAD: &str = "\
| fault | calls | made | failed (allowed) | not sent / refused / ran / unknown (deadline) \
| run twice, must not | second runs of idempotent (allowed) | p50 ms | p99 ms | longest gap ms \
| recovered after ms | goodput/s (least) | holds |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|
";

/// Where it was measured.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {model}, Linux {}", kernel.trim())
}

/// The table of all entries.
pub(crate) fn table(entries: &[Entry]) -> String {
    let mut text = format!("Measured on {}.\n\n{HEAD}", machine());
    for entry in entries {
        for (number, row) in entry.rows().enumerate() {
            let Row { figures, verdict, .. } = row;
            let Figures { made, failed, not_sent, refused, ran, unknown, deadline, .. } = figures;
            let fault = if number == 0 { &*entry.name } else { "" };
            let _ = write!(
                text,
                "| {fault} | {} | {made} | {failed} ({}) ",
                row.name(),
                verdict.failed
            );
            let _ = write!(text, "| {not_sent} / {refused} / {ran} / {unknown} ({deadline}) ");
            let must_not = row.kind.is_none_or(|kind| !kind.idempotent);
            let may = row.kind.is_none_or(|kind| kind.idempotent);
            let twice = if must_not { format!("{} ", figures.twice) } else { String::new() };
            let second = || format!("{} ({}) ", figures.second, verdict.second);
            let second = if may { second() } else { String::new() };
            let _ = write!(text, "| {twice}| {second}");
            let Figures { p50, p99, gap, recovered, .. } = *figures;
            let [gap, recovered] = [gap, recovered].map(|duration| duration.as_millis());
            let _ = write!(text, "| {:.1} | {:.1} | {gap} | {recovered} ", ms(p50), ms(p99));
            let goodput = entry.goodput.filter(|_| number == 0);
            let goodput = goodput.map(|(reached, least)| format!("{reached:.0} ({least:.0}) "));
            let _ = write!(text, "| {}", goodput.unwrap_or_default());
            let holds = if verdict.broken.is_empty() { "yes" } else { "**no**" };
            let _ = writeln!(text, "| {holds} |");
        }
    }
    text
}
