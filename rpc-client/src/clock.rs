//! Time as the client counts it: nanoseconds in one integer, which cost an instruction to compare;
//! and what its tasks and texts share to wait for a time and to tell one.
//!
//! A call takes four differences of times; as [`Instant`]s they would cost it as much as finding
//! its place in a table does.

use serde::Serializer;
use std::{sync::LazyLock, time::Duration};
use tokio::time::Instant;

/// A moment of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(u64);

/// A day before the first look at the clock, so that also the clock of a runtime whose time is
/// paused, and which began a moment earlier, never reads less.
static EPOCH: LazyLock<Instant> = LazyLock::new(|| {
    #[expect(clippy::disallowed_types, reason = "the same for every runtime of the process")]
    let now = std::time::Instant::now();
    Instant::from_std(now.checked_sub(Duration::from_hours(24)).unwrap_or(now))
});

/// A time of a call that is not worth halving: 10 ms.
const LITTLE: u64 = 10_000_000;

impl Time {
    /// Later than any other.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn now() -> Self {
        Self::of(Instant::now())
    }

    pub(crate) fn of(instant: Instant) -> Self {
        Self(nanos(instant.saturating_duration_since(*EPOCH)))
    }

    pub(crate) fn instant(self) -> Instant {
        *EPOCH + Duration::from_nanos(self.0)
    }

    /// The time that has passed since `earlier`; zero if that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Half of the time from here to `later`; `None` when that is too little to be of use.
    pub(crate) fn half_way_to(self, later: Self) -> Option<Self> {
        let left = later.0.saturating_sub(self.0);
        (left >= LITTLE).then_some(Self(self.0 + left / 2))
    }

    /// Nanoseconds since a fixed moment of this process.
    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Self;

    /// Ends with [`Time::NEVER`].
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

/// Milliseconds from a fixed moment of this process to `at`.
pub(crate) fn now_ms(at: Instant) -> u64 {
    Time::of(at).nanos() / 1_000_000
}

/// What an integer holds of it: five centuries.
fn nanos(duration: Duration) -> u64 {
    // Not by way of 128 bits, which costs more.
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

/// The earlier one of two times to look again, of which either may be missing.
pub(crate) fn sooner(next: &mut Option<Instant>, at: Option<Instant>) {
    *next = match (*next, at) {
        (Some(next), Some(at)) => Some(next.min(at)),
        (next, at) => next.or(at),
    };
}

/// Waits until then; for ever without a time. Within a runtime.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A time as tools and people read it: in seconds, to the millisecond.
pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    serializer.serialize_f64(f64::from(millis) / 1000.0)
}
