//! What is noted about each call of a run, and how it is written down.
//!
//! A file of notes begins with the line `run <id>`, the prefix of its keys. Each call has one line
//! of fields with a tab between them: key, method, `idempotent` or `once`, how it ended, and when
//! it began and ended, in milliseconds since 1970.

use rpc_core::{Outcome, RpcError};
use std::{fmt, str::FromStr, time::SystemTime};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) key: String,
    pub(crate) method: String,
    pub(crate) idempotent: bool,
    pub(crate) ended: Ended,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Ok,
    /// With an error that says what became of the call.
    NotSent,
    Refused,
    Ran,
    Unknown,
}

impl Ended {
    /// How a call ended that failed with an error of its own type; `rpc` if that holds an error
    /// of the framework. An application error is the answer of a handler that ran.
    pub(crate) fn failed(rpc: Option<&RpcError>) -> Self {
        match rpc.map_or(Outcome::Ran, RpcError::outcome) {
            Outcome::NotSent => Self::NotSent,
            Outcome::Refused => Self::Refused,
            Outcome::Ran => Self::Ran,
            // Whatever is added to the outcomes, nothing is known here about such a call.
            _ => Self::Unknown,
        }
    }

    /// Whether the call may have run as far as its caller knows.
    pub(crate) fn may_have_run(self) -> bool {
        matches!(self, Self::Ok | Self::Ran | Self::Unknown)
    }
}

const ENDINGS: [(Ended, &str); 5] = [
    (Ended::Ok, "ok"),
    (Ended::NotSent, "not-sent"),
    (Ended::Refused, "refused"),
    (Ended::Ran, "ran"),
    (Ended::Unknown, "unknown"),
];

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ENDINGS.iter().find(|(ended, _)| ended == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, method, idempotent, ended, from_ms, to_ms } = self;
        let again = if *idempotent { "idempotent" } else { "once" };
        write!(f, "{key}\t{method}\t{again}\t{ended}\t{from_ms}\t{to_ms}")
    }
}

impl FromStr for Note {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let bad = || format!("not a line of notes: {line:?}");
        let fields: Vec<_> = line.split('\t').collect();
        let [key, method, again, ended, from, to] = fields[..] else { return Err(bad()) };
        let idempotent = match again {
            "idempotent" => true,
            "once" => false,
            _ => return Err(bad()),
        };
        let ended = ENDINGS.iter().find(|(_, name)| *name == ended).ok_or_else(bad)?.0;
        Ok(Self {
            key: key.to_owned(),
            method: method.to_owned(),
            idempotent,
            ended,
            from_ms: from.parse().map_err(|_| bad())?,
            to_ms: to.parse().map_err(|_| bad())?,
        })
    }
}

/// The wall clock, which scripts read too.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_as_they_were_written() {
        for (ended, _) in ENDINGS {
            let note = Note {
                key: "r-7".into(),
                method: "Users.find".into(),
                idempotent: ended == Ended::Ok,
                ended,
                from_ms: 5,
                to_ms: 6,
            };
            assert_eq!(note.to_string().parse(), Ok(note));
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["", "r-7", "k\tm\tonce\tok\t1", "k\tm\tmaybe\tok\t1\t2", "k\tm\tonce\t\t1\t2"]
        {
            assert!(line.parse::<Note>().is_err(), "{line:?}");
        }
    }

    #[test]
    fn an_application_error_means_that_the_call_ran() {
        assert_eq!(Ended::failed(None), Ended::Ran);
        assert_eq!(Ended::failed(Some(&RpcError::internal("x"))), Ended::Ran);
    }
}
