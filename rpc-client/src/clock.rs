//! The clock of a client: milliseconds, small enough for an atomic.

use std::sync::LazyLock;
use tokio::time::Instant;

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds from a fixed instant of this process to `at`, rounded up.
pub(crate) fn now_ms(at: Instant) -> u64 {
    let nanos = at.saturating_duration_since(*EPOCH).as_nanos();
    u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX).saturating_add(1)
}
