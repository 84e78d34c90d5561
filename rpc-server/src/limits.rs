//! How much a server takes on: calls in flight and bytes held, per connection and per process.

use rpc_core::{
    SetupError, defaults,
    wire::{BASE_LIMITS, Limits},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The limits of a server, as the builder sets them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerLimits {
    /// Largest request, in bytes.
    pub(crate) max_message: u32,
    /// Calls in flight.
    pub(crate) in_flight_per_connection: u32,
    pub(crate) in_flight_per_process: u32,
    /// Bytes of bodies held.
    pub(crate) held_per_connection: usize,
    pub(crate) held_per_process: usize,
    /// Credit that clients are given for large bodies, in bytes.
    pub(crate) credit_per_body: u32,
    pub(crate) credit_per_connection: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_message: defaults::MAX_MESSAGE,
            in_flight_per_connection: defaults::MAX_IN_FLIGHT_PER_CONNECTION,
            in_flight_per_process: defaults::MAX_IN_FLIGHT_PER_PROCESS,
            held_per_connection: defaults::MAX_HELD_PER_CONNECTION,
            held_per_process: defaults::MAX_HELD_PER_PROCESS,
            credit_per_body: defaults::CREDIT_PER_BODY,
            credit_per_connection: defaults::CREDIT_PER_CONNECTION,
        }
    }
}

impl ServerLimits {
    /// What is announced to clients. Smaller limits than the protocol's base are kept all the
    /// same, but cannot be announced: a client may use the base before it has read any preface.
    pub(crate) fn announced(&self) -> Limits {
        Limits {
            max_message: self.max_message.max(BASE_LIMITS.max_message),
            credit_per_body: self.credit_per_body.max(BASE_LIMITS.credit_per_body),
            credit_per_connection: self
                .credit_per_connection
                .max(BASE_LIMITS.credit_per_connection),
            max_in_flight: self.in_flight_per_connection.max(BASE_LIMITS.max_in_flight),
        }
    }
}

/// The largest request, in bytes: what was asked for, or the usual as far as it can be held.
///
/// # Errors
///
/// More was asked for than may be held, so that requests as large would never be taken.
pub(crate) fn max_message(
    asked: Option<u32>,
    held_per_connection: usize,
    held_per_process: usize,
) -> Result<u32, SetupError> {
    let (held, name) = if held_per_process < held_per_connection {
        (held_per_process, "max_held")
    } else {
        (held_per_connection, "max_held_per_connection")
    };
    let most = u32::try_from(held).unwrap_or(u32::MAX);
    match asked {
        Some(bytes) if bytes > most => Err(SetupError::new(format!(
            "max_message is {bytes} bytes and {name} {held}: requests as large would always be \
             refused; lower max_message, or raise {name}"
        ))),
        asked => Ok(asked.unwrap_or(defaults::MAX_MESSAGE.min(most))),
    }
}

/// What is taken on at the moment. Relaxed throughout: the numbers bound memory and order nothing.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

impl Usage {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What one connection may take on.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: ServerLimits,
    process: Arc<Usage>,
    own: Usage,
}

impl Admission {
    pub(crate) fn new(limits: ServerLimits, process: Arc<Usage>) -> Self {
        Self { limits, process, own: Usage::default() }
    }

    /// Calls of this connection that hold a permit.
    pub(crate) fn calls(&self) -> usize {
        self.own.calls()
    }

    /// Whether one more call with a body of `bytes` is within the limits; if not, which limit is in
    /// the way, for people. Costs loads only, so that a call that ends at once need not be counted
    /// at all; other connections may overshoot the process limits by one call each meanwhile.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), String> {
        let Self { limits, own, process } = self;
        let calls = limits.in_flight_per_connection as usize;
        if own.calls() >= calls {
            let setting = "max_in_flight_per_connection";
            return beyond("calls on one connection", own.calls(), calls, setting);
        }
        let calls = limits.in_flight_per_process as usize;
        if process.calls() >= calls {
            return beyond("calls in the process", process.calls(), calls, "max_in_flight");
        }
        let held = limits.held_per_connection;
        if own.bytes() + bytes > held {
            let setting = "max_held_per_connection";
            return beyond("bytes held for one connection", own.bytes(), held, setting);
        }
        let held = limits.held_per_process;
        if process.bytes() + bytes > held {
            return beyond("bytes held in the process", process.bytes(), held, "max_held");
        }
        Ok(())
    }

    /// Counts a call that was [checked](Self::check) until the permit is dropped.
    pub(crate) fn permit(self: &Arc<Self>, bytes: usize) -> Permit {
        for usage in [&self.own, &*self.process] {
            usage.calls.fetch_add(1, Ordering::Relaxed);
            usage.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Permit { admission: Arc::clone(self), bytes }
    }

    /// The fullest of the limits of connection and process, in 255ths.
    pub(crate) fn load(&self) -> u8 {
        let limits = &self.limits;
        let own = share(self.own.calls(), limits.in_flight_per_connection as usize)
            .max(share(self.own.bytes(), limits.held_per_connection));
        share(self.process.calls(), limits.in_flight_per_process as usize)
            .max(share(self.process.bytes(), limits.held_per_process))
            .max(own)
    }
}

/// The text for a limit that is in the way.
fn beyond(what: &str, now: usize, limit: usize, setting: &str) -> Result<(), String> {
    Err(format!(
        "this server has reached its limit of {limit} {what}, {now} at the moment: call another \
         instance, call less at a time, or raise .{setting}(..)"
    ))
}

/// A part of a limit in 255ths, at most all of it. Without a division when there is none, as for
/// calls that end where they were read.
fn share(used: usize, limit: usize) -> u8 {
    if used == 0 {
        return 0;
    }
    u8::try_from(used.saturating_mul(255) / limit.max(1)).unwrap_or(u8::MAX)
}

/// One call that is taken on, and the bytes held for it.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    bytes: usize,
}

impl Permit {
    /// Holds `bytes` in place of what was held: the request is done with, its answer waits.
    /// Whether that is within the limits; if not, nothing is held.
    pub(crate) fn exchange(&mut self, bytes: usize) -> bool {
        let Admission { limits, process, own } = &*self.admission;
        for usage in [own, process] {
            usage.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bytes = 0;
        if own.bytes() + bytes > limits.held_per_connection
            || process.bytes() + bytes > limits.held_per_process
        {
            return false;
        }
        for usage in [own, process] {
            usage.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for usage in [&self.admission.own, &*self.admission.process] {
            usage.calls.fetch_sub(1, Ordering::Relaxed);
            usage.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_request_can_be_held() {
        const MIB: usize = 1024 * 1024;
        assert_eq!(max_message(None, 256 * MIB, 1024 * MIB).unwrap(), defaults::MAX_MESSAGE);
        assert_eq!(max_message(None, 3 * MIB, 1024 * MIB).unwrap(), 3 * 1024 * 1024);
        assert_eq!(max_message(Some(8 << 20), 8 * MIB, usize::MAX).unwrap(), 8 << 20);
        for (own, all, name) in [
            (2 * MIB, 4 * MIB, "max_held_per_connection 2097152"),
            (4 * MIB, 2 * MIB, "max_held 2097152"),
        ] {
            let text = max_message(Some(3 << 20), own, all).unwrap_err().to_string();
            assert!(text.contains("max_message is 3145728 bytes") && text.contains(name), "{text}");
        }
    }

    fn small() -> Arc<Admission> {
        let limits = ServerLimits {
            in_flight_per_connection: 2,
            held_per_connection: 100,
            ..ServerLimits::default()
        };
        Arc::new(Admission::new(limits, Arc::default()))
    }

    #[test]
    fn calls_and_bytes_come_back_when_permits_are_dropped() {
        let admission = small();
        let (a, b) = (admission.permit(40), admission.permit(40));
        assert!(admission.check(0).unwrap_err().contains("2 calls on one connection"));
        drop(a);
        assert!(admission.check(61).unwrap_err().contains("100 bytes held"));
        assert_eq!(admission.check(60), Ok(()));
        drop(b);
        assert_eq!(
            (admission.calls(), admission.own.bytes(), admission.process.bytes()),
            (0, 0, 0)
        );
    }

    #[test]
    fn an_answer_takes_the_place_of_its_request() {
        let admission = small();
        let mut permit = admission.permit(40);
        assert!(permit.exchange(100));
        assert!(!permit.exchange(101), "more than may be held");
        assert_eq!(admission.own.bytes(), 0);
        drop(permit);
        assert_eq!(admission.process.bytes(), 0);
    }

    #[test]
    fn load_is_the_share_of_the_fullest_limit() {
        let few = ServerLimits { in_flight_per_process: 4, ..ServerLimits::default() };
        let one = ServerLimits { in_flight_per_connection: 4, ..ServerLimits::default() };
        for limits in [few, one] {
            let admission = Arc::new(Admission::new(limits, Arc::default()));
            assert_eq!(admission.load(), 0);
            let _two = (admission.permit(0), admission.permit(0));
            assert_eq!(admission.load(), 127);
        }
        let admission = small();
        let _held = admission.permit(75);
        assert_eq!(admission.load(), 191, "three quarters of the bytes");
    }
}
