//! What a client leaves with a registry for operators to see.

use std::time::Duration;

/// That a service is full for a client, or no longer is; see [`Watch::tell`](super::Watch::tell).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `name` or `name@version`.
    pub service: String,
    /// Which client says so, as [`json`](Self::json) has it.
    pub client: String,
    /// It is no longer full, as [`json`](Self::json) has it.
    pub over: bool,
    /// A client says it again after this time for as long as it lasts. So a notice that is twice as
    /// old was never taken back because its client has ended.
    pub window: Duration,
    /// All of it as one JSON object for people, of some hundred bytes, with the keys `client` and
    /// `over` among others.
    pub json: String,
}
