//! What was run how often.

use crate::journal::{self, Execution, Executions};
use std::sync::{Arc, Mutex, PoisonError};

/// Where handlers note the keys of the calls that they run. Clones are the same tally, also across
/// the death of a provider.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Executions>>);

impl Tally {
    /// Notes that the handler of the call with this key runs: to be called before anything else.
    pub fn ran(&self, key: &str) {
        let execution = Execution { process: std::process::id(), at: journal::now() };
        let mut executions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        executions.entry(key.to_owned()).or_default().push(execution);
    }

    /// All executions so far, for [`Calls::agree_with`](crate::load::Calls::agree_with).
    pub fn executions(&self) -> Executions {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many executions there were beyond the first of each key.
    pub fn repeated(&self) -> usize {
        let executions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        executions.values().map(|runs| runs.len() - 1).sum()
    }
}
