//! Which call an error belongs to, also for errors inside a user's own error type.
//!
//! A user's `E` may hold an [`RpcError`](super::RpcError) that is made deep inside serde while a
//! reply is decoded. A thread-local that is set for the time of that decoding tells it its place.

use super::Outcome;
use std::{cell::Cell, net::SocketAddr, time::Duration};

/// The call that an error belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// `name` or `name@version`.
    pub service: &'a str,
    /// Wire name of the method.
    pub method: &'a str,
    /// Endpoint of the last attempt.
    pub endpoint: Option<SocketAddr>,
    /// Attempts made.
    pub attempts: u32,
    /// Since the start of the call.
    pub elapsed: Duration,
    /// The outcome to give the error; `None` keeps the one that it has.
    pub outcome: Option<Outcome>,
}

thread_local! {
    static CURRENT: Cell<Option<Place<'static>>> = const { Cell::new(None) };
}

/// Runs `f`; errors that are deserialized meanwhile and know no place get this one.
pub fn decoding_at<R>(place: Place<'static>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Place<'static>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(Some(place)));
    f()
}

/// Hands the current place to `f`, if there is one.
pub(super) fn fill(f: impl FnOnce(&Place<'static>)) {
    if let Some(place) = CURRENT.get() {
        f(&place);
    }
}
