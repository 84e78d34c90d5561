//! Compares what a run has noted about its calls with what the providers say they ran.

use crate::{
    record::{Ended, Note},
    settings::Check,
};
use rpc_core::SetupError;
use std::{
    collections::{HashMap, HashSet},
    fs,
    path::PathBuf,
};

/// A call may have begun so long after a provider was killed and still have been sent to it: the
/// clocks of a script and of a run are read at different times.
const SLACK_MS: u64 = 1000;
/// How many things of one kind are written out.
const SHOWN: usize = 10;

/// What is known after a run.
#[derive(Debug, Default)]
struct Evidence {
    /// The runs that notes were read of.
    ids: Vec<String>,
    notes: Vec<Note>,
    /// How often each key was run, summed over all providers.
    executions: HashMap<String, u64>,
    killed_at: Vec<u64>,
}

/// What follows from it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    /// What must not be.
    violations: Vec<String>,
    /// Keys of calls that failed with outcome `Unknown` though they are not idempotent, and
    /// whether they ran.
    unknown: Vec<(String, bool)>,
    /// How many idempotent calls ran more than once.
    ran_again: usize,
}

/// Reads the files, and prints what follows from them; whether all is as it should be.
///
/// # Errors
///
/// A file cannot be read, or is not what it should be.
pub(crate) fn check(settings: &Check) -> Result<bool, SetupError> {
    let evidence = Evidence::read(settings)?;
    let findings = evidence.judge();
    print(&evidence, &findings);
    Ok(findings.violations.is_empty())
}

impl Evidence {
    fn read(settings: &Check) -> Result<Self, SetupError> {
        let mut evidence = Self { killed_at: settings.killed_at.clone(), ..Self::default() };
        for path in &settings.record {
            evidence
                .add_notes(&text(path)?)
                .map_err(|why| SetupError::new(format!("{}: {why}", path.display())))?;
        }
        for path in &settings.executions {
            evidence.add_executions(&text(path)?);
        }
        Ok(evidence)
    }

    fn add_notes(&mut self, text: &str) -> Result<(), String> {
        let mut lines = text.lines();
        let id = lines.next().and_then(|line| line.strip_prefix("run "));
        self.ids.push(id.ok_or("these are no notes of a run")?.to_owned());
        for line in lines {
            self.notes.push(line.parse()?);
        }
        Ok(())
    }

    fn add_executions(&mut self, text: &str) {
        for key in text.lines() {
            *self.executions.entry(key.to_owned()).or_default() += 1;
        }
    }

    fn ran(&self, key: &str) -> u64 {
        self.executions.get(key).copied().unwrap_or(0)
    }

    fn judge(&self) -> Findings {
        let mut findings = Findings::default();
        if self.notes.is_empty() {
            findings.violations.push("no call was made".to_owned());
        }
        let mut seen = HashSet::new();
        for note in &self.notes {
            if !seen.insert(note.key.as_str()) {
                findings.violations.push(format!("{} is noted twice", note.key));
            }
            self.judge_call(note, &mut findings);
        }
        for key in self.executions.keys() {
            // What a handler called in turn has the key of its own call, and a slash.
            let outer = key.split('/').next().unwrap_or_default();
            let of_these_runs = self.ids.iter().any(|id| {
                outer.strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with('-'))
            });
            if of_these_runs && !seen.contains(outer) {
                findings.violations.push(format!("{key} ran, and nobody noted such a call"));
            }
        }
        findings.violations.sort();
        findings
    }

    fn judge_call(&self, note: &Note, findings: &mut Findings) {
        let ran = self.ran(&note.key);
        let mut violation = |text: &str| {
            findings.violations.push(format!("{} ({}) {text}", note.key, note.method));
        };
        if note.idempotent && note.ended != Ended::Ok {
            violation(&format!("is idempotent, and failed: {}", note.ended));
        }
        if !note.idempotent && !matches!(note.ended, Ended::Ok | Ended::Unknown) {
            violation(&format!("failed: {}", note.ended));
        }
        if !note.idempotent && ran > 1 {
            violation(&format!("is not idempotent, and ran {ran} times"));
        }
        if note.ended == Ended::Ok && ran == 0 {
            violation("was answered, and never ran");
        }
        if !note.ended.may_have_run() && ran > 0 {
            violation(&format!("ran, though its caller was told that it did not: {}", note.ended));
        }
        if note.idempotent && ran > 1 {
            findings.ran_again += 1;
        }
        if !note.idempotent && note.ended == Ended::Unknown {
            let in_flight = |killed: &u64| {
                note.from_ms <= killed.saturating_add(SLACK_MS) && *killed <= note.to_ms
            };
            if !self.killed_at.iter().any(in_flight) {
                violation("failed as unknown, and was not in flight when a provider was killed");
            }
            findings.unknown.push((note.key.clone(), ran > 0));
        }
    }
}

fn text(path: &PathBuf) -> Result<String, SetupError> {
    fs::read_to_string(path).map_err(|e| SetupError::new(format!("{}: {e}", path.display())))
}

fn print(evidence: &Evidence, findings: &Findings) {
    for violation in findings.violations.iter().take(SHOWN) {
        println!("VIOLATION: {violation}");
    }
    if findings.violations.len() > SHOWN {
        println!("VIOLATION: and {} more", findings.violations.len() - SHOWN);
    }
    let idempotent = evidence.notes.iter().filter(|note| note.idempotent);
    let failed = idempotent.clone().filter(|note| note.ended != Ended::Ok).count();
    let (calls, idempotent) = (evidence.notes.len(), idempotent.count());
    let once = calls - idempotent;
    let twice = evidence.notes.iter().filter(|n| !n.idempotent && evidence.ran(&n.key) > 1).count();
    println!("{calls} calls were made, {idempotent} of them idempotent and {once} not.");
    println!("Idempotent calls that failed: {}.", none(failed));
    println!(
        "Calls that are not idempotent and ran twice: {}, counted over {} executions of all \
         providers.",
        none(twice),
        evidence.executions.values().sum::<u64>(),
    );
    println!(
        "Idempotent calls that ran again after an unknown outcome, as they may: {}.",
        none(findings.ran_again)
    );
    let unknown = &findings.unknown;
    if unknown.is_empty() {
        println!("In flight at a kill, not idempotent, with outcome Unknown: none.");
    } else {
        println!("In flight at a kill, not idempotent, with outcome Unknown: {}.", unknown.len());
        for (key, ran) in unknown {
            println!("  {key} ({})", if *ran { "it did run" } else { "it did not run" });
        }
    }
}

fn none(count: usize) -> String {
    if count == 0 { "none".to_owned() } else { count.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run `r` with a kill at 1000; each call is key, idempotent, how it ended, how often it ran.
    fn judge(calls: &[(&str, bool, Ended, u64)]) -> Findings {
        let mut evidence =
            Evidence { ids: vec!["r".into()], killed_at: vec![1000], ..Evidence::default() };
        for &(key, idempotent, ended, ran) in calls {
            let (key, method) = (key.to_owned(), "M".to_owned());
            evidence.executions.insert(key.clone(), ran);
            let note = Note { key, method, idempotent, ended, from_ms: 990, to_ms: 1010 };
            evidence.notes.push(note);
        }
        evidence.judge()
    }

    #[test]
    fn what_may_be_is_no_violation() {
        let findings = judge(&[
            ("r-0", true, Ended::Ok, 1),
            ("r-1", false, Ended::Ok, 1),
            ("r-2", true, Ended::Ok, 2),
            ("r-3", false, Ended::Unknown, 1),
            ("r-4", false, Ended::Unknown, 0),
        ]);
        assert_eq!(findings.violations, [""; 0]);
        assert_eq!(findings.ran_again, 1);
        assert_eq!(findings.unknown, [("r-3".to_owned(), true), ("r-4".to_owned(), false)]);
    }

    #[test]
    fn each_thing_that_must_not_be_is_a_violation() {
        for (what, call) in [
            ("ran twice", ("r-0", false, Ended::Ok, 2)),
            ("unknown and ran twice", ("r-0", false, Ended::Unknown, 2)),
            ("answered, never ran", ("r-0", false, Ended::Ok, 0)),
            ("idempotent, answered, never ran", ("r-0", true, Ended::Ok, 0)),
            ("idempotent and failed", ("r-0", true, Ended::Unknown, 1)),
            ("not sent", ("r-0", false, Ended::NotSent, 0)),
            ("refused", ("r-0", false, Ended::Refused, 0)),
            ("ran and failed", ("r-0", false, Ended::Ran, 1)),
        ] {
            assert_eq!(judge(&[call]).violations.len(), 1, "{what}");
        }
        for ended in [Ended::NotSent, Ended::Refused] {
            let findings = judge(&[("r-0", false, ended, 1)]);
            assert_eq!(findings.violations.len(), 2, "failed, and ran after all: {findings:?}");
        }
        assert_eq!(judge(&[]).violations, ["no call was made"]);
        let twice = judge(&[("r-0", true, Ended::Ok, 1), ("r-0", true, Ended::Ok, 1)]);
        assert_eq!(twice.violations, ["r-0 is noted twice"]);
    }

    #[test]
    fn an_unknown_call_has_to_have_been_in_flight_at_a_kill() {
        let mut evidence = Evidence { killed_at: vec![1000, 9000], ..Evidence::default() };
        let mut at = |from_ms, to_ms| {
            evidence.notes = vec![Note {
                key: "r-0".into(),
                method: "M".into(),
                idempotent: false,
                ended: Ended::Unknown,
                from_ms,
                to_ms,
            }];
            evidence.judge().violations.len()
        };
        assert_eq!(at(900, 1100), 0);
        assert_eq!(at(8999, 9001), 0);
        assert_eq!(at(1001, 1002), 0, "within the slack");
        assert_eq!(at(100, 999), 1, "over before the kill");
        assert_eq!(at(4000, 4100), 1, "begun long after it");
    }

    #[test]
    fn executions_without_a_call_are_found_and_those_of_others_are_not() {
        let mut evidence = Evidence::default();
        evidence.add_notes("run r\nr-0\tM\tonce\tok\t1\t2\n").unwrap();
        evidence.add_executions("r-0\nr-0/user\ntour-1\nr2-5\n");
        assert_eq!(evidence.judge().violations, [""; 0]);
        evidence.add_executions("r-1/user\n");
        assert_eq!(evidence.judge().violations, ["r-1/user ran, and nobody noted such a call"]);
    }

    #[test]
    fn executions_are_summed_over_providers() {
        let mut evidence = Evidence::default();
        evidence.add_notes("run r\nr-0\tM\tonce\tok\t1\t2\n").unwrap();
        evidence.add_executions("r-0\n");
        evidence.add_executions("r-0\n");
        assert_eq!(evidence.judge().violations, ["r-0 (M) is not idempotent, and ran 2 times"]);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(Evidence::default().add_notes("").is_err());
        assert!(Evidence::default().add_notes("r-0\n").is_err());
        assert!(Evidence::default().add_notes("run r\nr-0\n").is_err());
    }
}
