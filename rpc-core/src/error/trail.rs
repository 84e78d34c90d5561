//! The attempts of a call that failed.

use super::{Outcome, RpcCode};
use std::{fmt, net::SocketAddr, time::Duration};

/// Attempts that an error remembers at most: the last ones.
const LONGEST: usize = 8;

/// One attempt of a call that failed, see [`RpcError::trail`](super::RpcError::trail).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Where it was made.
    pub endpoint: SocketAddr,
    /// What came of it.
    pub code: RpcCode,
    /// The same in words.
    pub message: String,
    /// Whether this attempt, taken by itself, may have run.
    pub outcome: Outcome,
    /// When it began, from the start of the call.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
}

/// What a call has been through. For the client.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct Trail {
    pub(super) attempts: Vec<Attempt>,
    pub(super) ended_because: Option<&'static str>,
}

impl Trail {
    /// Adds an attempt that has ended.
    pub fn push(&mut self, attempt: Attempt) {
        if self.attempts.len() == LONGEST {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
    }

    /// Says why no further attempt was made, where one might have been expected.
    pub fn ended_because(&mut self, why: &'static str) {
        self.ended_because = Some(why);
    }

    /// A further attempt is made after all: takes back what [`ended_because`](Self::ended_because)
    /// said.
    pub fn goes_on(&mut self) {
        self.ended_because = None;
    }

    /// All but the last attempt, whose story the error itself tells, and why there was no other.
    pub(super) fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = self.ended_because {
            write!(f, "; not tried again: {why}")?;
        }
        let earlier = self.attempts.split_last().map_or(&[][..], |(_, earlier)| earlier);
        for (index, attempt) in earlier.iter().enumerate() {
            f.write_str(if index == 0 { "; before that " } else { ", " })?;
            let Attempt { endpoint, code, message, outcome, took, .. } = attempt;
            write!(f, "{endpoint}: {code}: {message} ({took:.1?}, {outcome})")?;
        }
        Ok(())
    }
}

impl Attempt {
    /// For the client.
    #[doc(hidden)]
    #[must_use]
    pub fn new(
        endpoint: SocketAddr,
        error: &super::RpcError,
        began: Duration,
        took: Duration,
    ) -> Self {
        let message = error.message().to_owned();
        Self { endpoint, code: error.code(), message, outcome: error.outcome(), began, took }
    }
}
