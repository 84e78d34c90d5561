//! The figures of one row. Pure.

use rpc_core::{Outcome, RpcCode};
use rpc_testkit::{journal::Executions, load::Call};
use std::time::Duration;
use tokio::time::Instant;

/// What was counted and measured of some calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) made: usize,
    pub(crate) failed: usize,
    /// Failed calls by what is known of them.
    pub(crate) not_sent: usize,
    pub(crate) refused: usize,
    pub(crate) ran: usize,
    pub(crate) unknown: usize,
    /// Those of the failed that ran out of time.
    pub(crate) deadline: usize,
    /// Calls that must not run twice and did.
    pub(crate) twice: usize,
    /// Executions of idempotent calls beyond the first of each.
    pub(crate) second: usize,
    /// From when a call was due until it ended well.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// The longest time without a call that ended well.
    pub(crate) gap: Duration,
    /// From the fault to when the last call was due that it failed or slowed down.
    pub(crate) recovered: Duration,
}

/// From when recovery counts, and what is slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference {
    pub(crate) fault: Instant,
    pub(crate) slow: Duration,
}

/// A call is not slow, whatever was usual before, if it takes no longer than this.
const QUICK: Duration = Duration::from_millis(50);

impl Reference {
    /// Slow is what takes twice the p99 of the calls that ended before the fault, and 50 ms more.
    pub(crate) fn new(calls: &[Call], first: Instant, fault: Instant) -> Self {
        let ended = calls.iter().filter(|call| call.ended < first && call.result.is_ok());
        let mut usual: Vec<_> = ended.map(latency).collect();
        Self { fault, slow: quantile(&mut usual, 99) * 2 + QUICK }
    }
}

pub(crate) fn latency(call: &Call) -> Duration {
    call.ended.saturating_duration_since(call.due)
}

/// The value below which so many per cent lie; zero without any.
pub(crate) fn quantile(values: &mut [Duration], per_cent: usize) -> Duration {
    values.sort_unstable();
    let rank = (values.len() * per_cent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}

impl Figures {
    /// Of calls in the order in which they were due.
    pub(crate) fn new(calls: &[&Call], executions: &Executions, reference: Reference) -> Self {
        let mut figures = Self { made: calls.len(), ..Self::default() };
        for call in calls {
            let runs = executions.get(&call.key).map_or(0, Vec::len);
            if call.idempotent {
                figures.second += runs.saturating_sub(1);
            } else {
                figures.twice += usize::from(runs > 1);
            }
            let Err(error) = &call.result else { continue };
            figures.failed += 1;
            figures.deadline += usize::from(error.code() == RpcCode::DeadlineExceeded);
            match error.outcome() {
                Outcome::NotSent => figures.not_sent += 1,
                Outcome::Refused => figures.refused += 1,
                Outcome::Ran => figures.ran += 1,
                _ => figures.unknown += 1,
            }
        }
        let well: Vec<_> = calls.iter().copied().filter(|call| call.result.is_ok()).collect();
        let mut latencies: Vec<_> = well.iter().copied().map(latency).collect();
        figures.p50 = quantile(&mut latencies, 50);
        figures.p99 = quantile(&mut latencies, 99);
        figures.gap = gap(calls, &well);
        figures.recovered = recovered(calls, reference);
        figures
    }
}

/// The longest time without an end of one of `well`, from the first call to the last.
fn gap(calls: &[&Call], well: &[&Call]) -> Duration {
    let (Some(first), Some(last)) = (calls.first(), calls.last()) else { return Duration::ZERO };
    let mut ends: Vec<_> = well.iter().map(|call| call.ended).collect();
    ends.extend([first.due, last.due]);
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0]));
    gaps.max().unwrap_or_default()
}

/// Failed calls count, and slow ones if one in twenty of those within half a second is slow: a
/// single one may be the machine's.
fn recovered(calls: &[&Call], reference: Reference) -> Duration {
    const AROUND: Duration = Duration::from_millis(500);
    let after = &calls[calls.partition_point(|call| call.due < reference.fault)..];
    let slow = |call: &Call| latency(call) > reference.slow;
    let hurt = |call: &Call| {
        if call.result.is_err() || !slow(call) {
            return call.result.is_err();
        }
        let from = after.partition_point(|other| other.due + AROUND < call.due);
        let to = after.partition_point(|other| other.due <= call.due + AROUND);
        let near = &after[from..to];
        let count = near.iter().filter(|other| slow(other)).count();
        count > 1 && count * 20 >= near.len()
    };
    let last = after.iter().rev().find(|call| hurt(call));
    last.map_or(Duration::ZERO, |call| call.due.saturating_duration_since(reference.fault))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rpc_core::RpcError;
    use rpc_testkit::{journal::Execution, load::scatter};

    /// A call that was due and made `due` ms after `start` and took `took` ms.
    pub(crate) fn call(start: Instant, number: u64, due: u64, took: u64) -> Call {
        let due = start + Duration::from_millis(due);
        Call {
            key: number.to_string(),
            idempotent: scatter(number).is_multiple_of(2),
            number,
            due,
            began: due,
            ended: due + Duration::from_millis(took),
            began_at: Duration::ZERO,
            result: Ok(number.to_string()),
        }
    }

    pub(crate) fn failed(
        start: Instant,
        number: u64,
        due: u64,
        took: u64,
        error: RpcError,
    ) -> Call {
        Call { result: Err(error), ..call(start, number, due, took) }
    }

    fn ran(times: usize) -> Vec<Execution> {
        vec![Execution { process: 1, at: Duration::ZERO }; times]
    }

    #[test]
    fn calls_are_counted_by_what_became_of_them() {
        let start = Instant::now();
        let error = |outcome| RpcError::unavailable("gone").with_outcome(outcome);
        // By their numbers 2, 4 and 6 are idempotent; 0, 1 and 3 are not.
        let late = RpcError::deadline_exceeded("late").with_outcome(Outcome::Unknown);
        let calls = [
            call(start, 2, 0, 10),
            call(start, 1, 10, 10),
            failed(start, 4, 20, 5, error(Outcome::NotSent)),
            failed(start, 3, 30, 5, error(Outcome::Unknown)),
            failed(start, 0, 40, 5, late),
            call(start, 6, 120, 30),
        ];
        let executions = [("2", 3), ("1", 2), ("3", 1), ("6", 1)];
        let executions = executions.map(|(key, times)| (key.to_owned(), ran(times))).into();
        let calls: Vec<_> = calls.iter().collect();
        let reference = Reference { fault: start, slow: QUICK };
        let figures = Figures::new(&calls, &executions, reference);
        let Figures { made, failed, not_sent, unknown, deadline, twice, second, .. } = figures;
        assert_eq!((made, failed, not_sent, unknown, deadline), (6, 3, 1, 2, 1));
        assert_eq!((twice, second), (1, 2));
        // From the end of the second call to when the last one was due, where the load ends.
        assert_eq!(figures.gap, Duration::from_millis(100));
        assert_eq!(figures.p50, Duration::from_millis(10));
        assert_eq!(figures.p99, Duration::from_millis(30));
        assert_eq!(figures.recovered, Duration::from_millis(40));
    }

    #[test]
    fn recovery_ends_with_the_last_slow_calls_and_not_with_a_single_one() {
        let start = Instant::now();
        let mut calls: Vec<_> = (0..1_000).map(|n| call(start, n, n * 10, 5)).collect();
        let slower = |call: &mut Call| call.ended += Duration::from_millis(500);
        calls[100..120].iter_mut().for_each(slower);
        calls[700..701].iter_mut().for_each(slower);
        let reference = Reference::new(&calls, calls[90].due, calls[90].due);
        assert_eq!(reference.slow, Duration::from_millis(60));
        let calls: Vec<_> = calls.iter().collect();
        assert_eq!(recovered(&calls, reference), Duration::from_millis(290));
    }

    #[test]
    fn no_values_have_no_quantile() {
        assert_eq!(quantile(&mut [], 99), Duration::ZERO);
    }
}
