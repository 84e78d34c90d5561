//! Who answered a call, and what the answering side knew about it.

use rpc_core::CallContext;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Who answered a call, and what it had been told beside the arguments.
///
/// Part of every result of the demo, so that a consumer can show how its calls spread and what
/// travels with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The provider's address, and its name if it has one.
    pub provider: String,
    /// What was left of the call's time when the handler began.
    pub remaining: Option<Duration>,
    /// The trace that the call belongs to.
    pub trace: Option<String>,
    /// The metadata `tenant`, which the consumer of the demo sends along.
    pub tenant: Option<String>,
    /// The metadata `note`, which the consumer of the demo sends to the first provider alone.
    pub note: Option<String>,
}

impl Stamp {
    /// The stamp of `provider` on the call that the current handler serves.
    #[must_use]
    pub fn of_current_call(provider: impl Into<String>) -> Self {
        let context = CallContext::current();
        let metadata = |key| context.metadata(key).map(str::to_owned);
        Self {
            provider: provider.into(),
            remaining: context.remaining(),
            trace: context.trace_id().map(|trace| trace.to_string()),
            tenant: metadata("tenant"),
            note: metadata("note"),
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider)
    }
}
