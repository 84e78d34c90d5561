//! What a caller can say about a call.

use crate::{balance::Balance, trace::TraceId};
use std::time::Duration;

/// Options of the calls made through one proxy, see `with_options` of a generated client.
///
/// Options merge: what is set later wins, metadata is added up by key.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct CallOptions {
    settings: CallSettings,
}

/// The values behind [`CallOptions`], for the client.
#[doc(hidden)]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallSettings {
    pub timeout: Option<Duration>,
    pub retries: Option<u32>,
    pub hash_key: Option<String>,
    pub balance: Option<Balance>,
    pub trace: Option<TraceId>,
    pub metadata: Vec<MetadataEntry>,
}

/// One key and value that travels with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataEntry {
    /// At most 255 bytes.
    pub key: String,
    /// As long as all metadata of the call is within 16,384 bytes.
    pub value: String,
    /// Whether calls that the handler makes carry it too.
    pub propagates: bool,
}

impl CallOptions {
    /// Nothing set: every value comes from the method, the contract, the client or the default.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the call may take, all attempts together.
    ///
    /// It is always capped by what is left of the caller's own deadline. A timeout of zero makes
    /// the call fail with `DeadlineExceeded` and `NotSent`; one of more than 49 days is cut to that.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// Further attempts after the first, each at another endpoint; where there is no other and only
    /// its connection was in trouble, at the same one over another connection. Default 2.
    ///
    /// Only attempts that may cost the system something count: a call that was not sent, or that a
    /// leaving provider refused, moves to another endpoint at no charge.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = Some(retries);
        self
    }

    /// Calls with the same key go to the same provider under [`Balance::ConsistentHash`]; other
    /// strategies ignore it. It takes the place of the argument that the method names with
    /// `#[rpc(hash_key = ..)]`.
    ///
    /// The key travels nowhere, and is the same to every client: a provider is chosen by the
    /// 64-bit FNV-1a of its bytes.
    pub fn hash_key(mut self, key: impl Into<String>) -> Self {
        self.settings.hash_key = Some(key.into());
        self
    }

    /// How a provider is chosen for the call. Default: what the client says for the service, then
    /// for all services, then [`Balance::PeakEwma`].
    pub fn balance(mut self, balance: Balance) -> Self {
        self.settings.balance = Some(balance);
        self
    }

    /// Metadata for the called handler alone. A later value of the same key replaces the earlier.
    ///
    /// A key has at most 255 bytes, and all metadata of a call at most 16,384, with four bytes for
    /// each entry and what the calling handler passes on; a call with more fails with
    /// `InvalidArgument` and `NotSent`.
    pub fn metadata(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.entry(MetadataEntry { key: key.into(), value: value.into(), propagates: false })
    }

    /// Metadata for the called handler and for every call that it makes in turn, within the limits
    /// of [`metadata`](Self::metadata).
    pub fn propagate(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.entry(MetadataEntry { key: key.into(), value: value.into(), propagates: true })
    }

    /// The trace that the call belongs to. Default: the one of the handler that makes the call.
    pub fn trace_id(mut self, trace: TraceId) -> Self {
        self.settings.trace = Some(trace);
        self
    }

    /// These options with `later` over them.
    pub fn merged_with(mut self, later: Self) -> Self {
        let s = &mut self.settings;
        s.timeout = later.settings.timeout.or(s.timeout);
        s.retries = later.settings.retries.or(s.retries);
        s.hash_key = later.settings.hash_key.or_else(|| s.hash_key.take());
        s.balance = later.settings.balance.or(s.balance);
        s.trace = later.settings.trace.or(s.trace);
        later.settings.metadata.into_iter().fold(self, Self::entry)
    }

    #[doc(hidden)]
    #[must_use]
    pub fn settings(&self) -> &CallSettings {
        &self.settings
    }

    fn entry(mut self, entry: MetadataEntry) -> Self {
        self.settings.metadata.retain(|old| old.key != entry.key);
        self.settings.metadata.push(entry);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_options_win_and_metadata_adds_up() {
        let base = CallOptions::new()
            .timeout(Duration::from_secs(1))
            .retries(1)
            .hash_key("a")
            .balance(Balance::ConsistentHash)
            .metadata("tenant", "a")
            .propagate("run", "1");
        let merged = base.merged_with(
            CallOptions::new()
                .timeout(Duration::from_millis(50))
                .hash_key("b")
                .metadata("tenant", "b"),
        );
        let s = merged.settings();
        assert_eq!((s.timeout, s.retries), (Some(Duration::from_millis(50)), Some(1)));
        assert_eq!((s.hash_key.as_deref(), s.balance), (Some("b"), Some(Balance::ConsistentHash)));
        let pairs: Vec<_> =
            s.metadata.iter().map(|m| (m.key.as_str(), m.value.as_str(), m.propagates)).collect();
        assert_eq!(pairs, [("run", "1", true), ("tenant", "b", false)]);
    }
}
