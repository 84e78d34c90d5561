//! How a call can fail: what, where, after how long, and whether it may have run.

mod code;
mod place;
mod trail;

pub use code::{Outcome, RpcCode};
pub use place::{Place, decoding_at};
pub use trail::{Attempt, Trail};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

/// `Result` whose error is [`RpcError`] unless another is named.
pub type Result<T, E = RpcError> = std::result::Result<T, E>;

/// An error of the framework, or of a handler that wants no error type of its own.
///
/// One pointer wide and cheap to clone. Two errors are equal when code and message are.
///
/// Serialized as a map (see `docs/protocol.md`, section 8). An error that was deserialized is
/// *remote*: its [`outcome`](Self::outcome) is [`Outcome::Ran`], because the handler that sent it
/// has finished; what it had been deeper in the system is [`remote_outcome`](Self::remote_outcome).
/// So a provider's own failed call is never mistaken for a failure of the call to that provider.
#[derive(Clone)]
pub struct RpcError(Arc<Inner>);

const _: () = assert!(size_of::<RpcError>() == size_of::<usize>());

#[derive(Clone)]
struct Inner {
    code: RpcCode,
    message: String,
    service: String,
    method: String,
    endpoint: Option<SocketAddr>,
    attempts: u32,
    elapsed: Duration,
    outcome: Outcome,
    /// `Some` when the error came over the wire: what its outcome was where it arose.
    remote: Option<Outcome>,
    /// The call of the handler that failed, when the handler passed its error on.
    deeper: String,
    trail: Trail,
}

impl RpcError {
    /// An error with a code and a text, as a handler makes it. Its outcome is [`Outcome::Ran`].
    pub fn new(code: RpcCode, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            code,
            message: message.into(),
            service: String::new(),
            method: String::new(),
            endpoint: None,
            attempts: 0,
            elapsed: Duration::ZERO,
            outcome: Outcome::Ran,
            remote: None,
            deeper: String::new(),
            trail: Trail::default(),
        }))
    }

    /// What kind of failure it is: one of the 17 gRPC status codes.
    pub fn code(&self) -> RpcCode {
        self.0.code
    }

    /// What happened and what to do about it, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The service that was called, `name` or `name@version`; empty when no call was involved.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// The wire name of the method that was called; empty when no call was involved.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// The endpoint of the last attempt, if there was one.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        self.0.endpoint
    }

    /// How many attempts were made. 0 when the call never reached an endpoint.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Time from the start of the call to its failure.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// Whether the caller's own call may have run.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether a handler sent this error, rather than this process having made it.
    pub fn is_remote(&self) -> bool {
        self.0.remote.is_some()
    }

    /// For a remote error: the outcome it had where it arose. `None` for a local one.
    pub fn remote_outcome(&self) -> Option<Outcome> {
        self.0.remote
    }

    /// The attempts of the call in the order in which they ended, the last eight of them at most;
    /// [`attempts`](Self::attempts) counts all. It stays in the process that made the call: an error
    /// that was deserialized has none.
    pub fn trail(&self) -> &[Attempt] {
        &self.0.trail.attempts
    }

    /// The same error with the attempts that led to it. For the client.
    #[doc(hidden)]
    #[must_use]
    pub fn with_trail(mut self, trail: Trail) -> Self {
        Arc::make_mut(&mut self.0).trail = trail;
        self
    }

    /// The same error with the place and the fate of the call that met it. For the client.
    #[doc(hidden)]
    #[must_use]
    pub fn placed(mut self, place: Place<'_>) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        let deeper = (inner.service.as_str(), inner.method.as_str());
        if inner.remote.is_some()
            && !inner.service.is_empty()
            && deeper != (place.service, place.method)
        {
            // The handler's own call failed. Its place gives way to the caller's, but stays in the
            // text that people read.
            let at = inner.endpoint.map_or_else(String::new, |at| format!(" on {at}"));
            inner.deeper = format!("{}.{}{at}", inner.service, inner.method);
        }
        place.service.clone_into(&mut inner.service);
        place.method.clone_into(&mut inner.method);
        inner.endpoint = place.endpoint;
        inner.attempts = place.attempts;
        inner.elapsed = place.elapsed;
        if let Some(outcome) = place.outcome {
            inner.outcome = outcome;
        }
        self
    }

    /// The same error with another outcome. For client and server.
    #[doc(hidden)]
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        Arc::make_mut(&mut self.0).outcome = outcome;
        self
    }
}

impl PartialEq for RpcError {
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code && self.0.message == other.0.message
    }
}

impl Eq for RpcError {}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        if !e.service.is_empty() {
            write!(f, "{}.{}", e.service, e.method)?;
            if let Some(endpoint) = e.endpoint {
                write!(f, " on {endpoint}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}: {}", e.code, e.message)?;
        if !e.deeper.is_empty() {
            write!(f, ", said {}", e.deeper)?;
        }
        if !e.service.is_empty() {
            let plural = if e.attempts == 1 { "" } else { "s" };
            write!(f, " ({} attempt{plural}, {:.1?}, {})", e.attempts, e.elapsed, e.outcome)?;
        }
        e.trail.fmt(f)
    }
}

impl fmt::Debug for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcError({self})")
    }
}

impl std::error::Error for RpcError {}

/// Longest name of a service or method that is read, in bytes; those of contracts are shorter.
const MAX_NAME: usize = 256;

fn bounded(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_NAME));
    name
}

/// The serialized form: a map in every codec, so that fields can be added.
///
/// Unknown keys are ignored and all but `code` and `message` may be missing.
#[derive(Deserialize)]
struct Form {
    code: u8,
    message: String,
    #[serde(default)]
    service: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    attempts: u32,
    #[serde(default)]
    elapsed_us: u64,
    #[serde(default)]
    outcome: u8,
}

impl Serialize for RpcError {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let e = &*self.0;
        let placed = !e.service.is_empty();
        let mut map = serializer.serialize_map(Some(if placed { 8 } else { 3 }))?;
        map.serialize_entry("code", &e.code.to_wire())?;
        map.serialize_entry("message", &e.message)?;
        if placed {
            map.serialize_entry("service", &e.service)?;
            map.serialize_entry("method", &e.method)?;
            map.serialize_entry("endpoint", &e.endpoint.map(|a| a.to_string()))?;
            map.serialize_entry("attempts", &e.attempts)?;
            let elapsed = u64::try_from(e.elapsed.as_micros()).unwrap_or(u64::MAX);
            map.serialize_entry("elapsed_us", &elapsed)?;
        }
        map.serialize_entry("outcome", &e.remote.unwrap_or(e.outcome).to_wire())?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for RpcError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        let mut inner = Inner {
            code: RpcCode::from_wire(form.code),
            message: form.message,
            service: bounded(form.service),
            method: bounded(form.method),
            endpoint: form.endpoint.and_then(|a| a.parse().ok()),
            attempts: form.attempts,
            elapsed: Duration::from_micros(form.elapsed_us),
            outcome: Outcome::Ran,
            remote: Some(Outcome::from_wire(form.outcome)),
            deeper: String::new(),
            trail: Trail::default(),
        };
        if inner.service.is_empty() {
            place::fill(|place| {
                place.service.clone_into(&mut inner.service);
                place.method.clone_into(&mut inner.method);
                inner.endpoint = place.endpoint;
                inner.attempts = place.attempts;
                inner.elapsed = place.elapsed;
            });
        }
        Ok(Self(Arc::new(inner)))
    }
}

#[cfg(test)]
mod tests;
