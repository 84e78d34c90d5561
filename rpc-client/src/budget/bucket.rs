//! A bucket of tokens that calls fill and further attempts empty. Pure.

use crate::clock::Time;

/// What fills a bucket, and what it keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Inflow {
    /// Tokens for each call.
    pub(crate) share: f64,
    /// Tokens for each second.
    pub(crate) per_second: f64,
    /// As many stay for as long as nobody takes them. What is above fades away, to a third within
    /// a second: so the calls of a quiet hour cannot pay for a storm.
    pub(crate) kept: f64,
}

/// The tokens of one service. A further attempt costs one.
#[derive(Debug)]
pub(super) struct Bucket {
    inflow: Inflow,
    tokens: f64,
    /// Calls that have been counted, and when that was.
    calls: u64,
    at: Time,
}

impl Bucket {
    pub(super) fn new(inflow: Inflow, tokens: f64, now: Time) -> Self {
        Self { inflow, tokens, calls: 0, at: now }
    }

    /// Takes a token, if the bucket has one or may owe one: there have been `calls` calls up to
    /// `now`, and at most `debt` tokens may be owed.
    pub(super) fn take(&mut self, calls: u64, now: Time, debt: u32) -> bool {
        self.settle(calls, now);
        let takes = self.tokens - 1.0 >= -f64::from(debt);
        if takes {
            self.tokens -= 1.0;
        }
        takes
    }

    /// Whether it has no token, after `calls` calls up to `now`.
    pub(super) fn is_spent(&mut self, calls: u64, now: Time) -> bool {
        self.settle(calls, now);
        self.tokens < 1.0
    }

    /// Puts in what has come since the last time, as if it had come evenly.
    pub(super) fn settle(&mut self, calls: u64, now: Time) {
        // A difference that fits: nobody makes 2^52 calls between two looks.
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let come = calls.saturating_sub(self.calls) as f64;
        let mut seconds = now.since(self.at).as_secs_f64();
        self.calls = self.calls.max(calls);
        self.at = self.at.max(now);
        let mut inflow = come * self.inflow.share + seconds * self.inflow.per_second;
        let lacking = (self.inflow.kept - self.tokens).max(0.0);
        if inflow <= lacking {
            self.tokens += inflow;
            return;
        }
        // What is lacking is filled up first and does not fade; the rest came in the time after.
        seconds *= 1.0 - lacking / inflow;
        inflow -= lacking;
        let above = (self.tokens - self.inflow.kept).max(0.0);
        let left = (-seconds).exp();
        // Of what comes evenly while it fades, this part is there in the end.
        let arrived = if seconds > 1e-9 { (1.0 - left) / seconds } else { 1.0 };
        self.tokens = self.inflow.kept + above * left + inflow * arrived;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RETRIES: Inflow = Inflow { share: 0.2, per_second: 10.0, kept: 100.0 };

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    fn bucket() -> Bucket {
        Bucket::new(RETRIES, RETRIES.kept, at(0))
    }

    /// Takes as many as there are.
    fn drain(bucket: &mut Bucket, calls: u64, now: Time) -> u32 {
        let mut taken = 0;
        while bucket.take(calls, now, 0) {
            taken += 1;
        }
        taken
    }

    #[test]
    fn without_calls_it_gives_what_it_kept_and_then_its_rate() {
        let mut bucket = bucket();
        assert_eq!(drain(&mut bucket, 0, at(0)), 100);
        assert_eq!(drain(&mut bucket, 0, at(99)), 0);
        assert_eq!(drain(&mut bucket, 0, at(1_000)), 10);
        assert_eq!(drain(&mut bucket, 0, at(3_600_000)), 110, "what it keeps, and a second's");
    }

    #[test]
    fn of_calls_that_all_fail_a_fifth_is_paid_for() {
        // 1,000 calls a second for a minute, then ten seconds in which each wants two more.
        let (mut bucket, mut calls, mut paid) = (bucket(), 0, 0);
        for ms in 1..=70_000 {
            calls += 1;
            bucket.settle(calls, at(ms));
            if ms > 60_000 {
                paid += u32::from(bucket.take(calls, at(ms), 0));
                paid += u32::from(bucket.take(calls, at(ms), 0));
            }
        }
        // 2,000 of the calls, 100 of the seconds, 100 that were kept and what came last.
        assert!((2_300..=2_415).contains(&paid), "{paid} of 10,000 calls");
    }

    #[test]
    fn how_often_it_is_looked_at_does_not_matter() {
        let (mut often, mut once) = (bucket(), bucket());
        for step in 1..=10_000 {
            often.settle(step, at(step));
        }
        once.settle(10_000, at(10_000));
        assert!((often.tokens - once.tokens).abs() < 0.5, "{} {}", often.tokens, once.tokens);
        // 100 kept, and of 210 a second what has not faded.
        assert!((309.0..=311.0).contains(&once.tokens), "{}", once.tokens);
    }

    #[test]
    fn what_is_owed_is_paid_back_before_anything_is_given() {
        let mut bucket = bucket();
        let taken = (0..1_000).filter(|_| bucket.take(0, at(0), 400)).count();
        assert_eq!(taken, 500, "100 that it had, and 400 owed");
        assert!(!bucket.take(0, at(39_000), 0));
        assert!(!bucket.take(0, at(40_050), 0));
        assert!(bucket.take(0, at(40_150), 0));
    }

    #[test]
    fn a_storm_after_a_quiet_hour_finds_no_more_than_what_is_kept() {
        let mut bucket = bucket();
        bucket.settle(3_600, at(3_600_000));
        assert!(drain(&mut bucket, 3_600, at(3_600_000)) <= 111);
        // A burst of calls in no time pays its fifth at once.
        assert_eq!(drain(&mut bucket, 4_600, at(3_600_000)), 200);
    }

    #[test]
    fn a_bucket_that_nothing_fills_stays_empty() {
        let none = Inflow { share: 0.0, per_second: 0.0, kept: 0.0 };
        let mut bucket = Bucket::new(none, 0.0, at(0));
        assert_eq!(drain(&mut bucket, 1_000_000, at(1_000_000)), 0);
        let late = at(0) + Duration::from_secs(1);
        bucket.settle(2_000_000, late);
        assert!(!bucket.take(2_000_000, late, 0), "time never goes back");
    }
}
