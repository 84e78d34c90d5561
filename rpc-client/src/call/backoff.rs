//! How long a call waits before it is retried. Pure.

use crate::verdict::Ended;
use rpc_core::{defaults, wire::Reason};
use std::time::Duration;

/// The pause before the retry that follows `earlier` other ones; `random` is in 0..1.
///
/// What a provider answered may well be true of the others too: the pause doubles from
/// [`BACKOFF_MIN`](defaults::BACKOFF_MIN) to [`BACKOFF_MAX`](defaults::BACKOFF_MAX), and half of
/// it is random, so that calls that failed together do not come back together. There is none
/// after the first loss of a provider, which says nothing of the others, and which is not asked
/// again; nor after a provider that does not know the service, the method or the client, since
/// another version of the program, or another configuration, is not overloaded.
pub(super) fn pause(ended: Ended, earlier: u32, random: f64) -> Duration {
    match ended {
        Ended::Unknown if earlier == 0 => return Duration::ZERO,
        Ended::Answered(
            Reason::UnknownService | Reason::UnknownMethod | Reason::NotPermitted,
            _,
        ) => return Duration::ZERO,
        _ => {}
    }
    let longest = defaults::BACKOFF_MIN
        .saturating_mul(2_u32.saturating_pow(earlier))
        .min(defaults::BACKOFF_MAX);
    longest.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_core::RpcCode;

    const OVERLOADED: Ended = Ended::Answered(Reason::Overloaded, RpcCode::ResourceExhausted);

    #[test]
    fn pauses_double_up_to_the_cap_and_are_jittered_downwards() {
        let pauses: Vec<_> = (0..7).map(|n| pause(OVERLOADED, n, 1.0).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 200, 200]);
        assert_eq!(pause(OVERLOADED, 0, 0.0), Duration::from_millis(5));
        assert_eq!(pause(OVERLOADED, u32::MAX, 1.0), Duration::from_millis(200));
    }

    #[test]
    fn only_the_first_loss_and_a_provider_of_another_version_are_left_at_once() {
        assert_eq!(pause(Ended::Unknown, 0, 1.0), Duration::ZERO);
        assert_eq!(pause(Ended::Unknown, 1, 1.0), Duration::from_millis(20));
        let unknown = Ended::Answered(Reason::UnknownMethod, RpcCode::Unimplemented);
        assert_eq!(pause(unknown, 1, 1.0), Duration::ZERO);
        let handler = Ended::Answered(Reason::Handler, RpcCode::Unavailable);
        assert_eq!(pause(handler, 0, 1.0), Duration::from_millis(10));
    }
}
