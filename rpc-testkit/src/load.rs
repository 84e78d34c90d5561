//! A steady load: so many calls a second, half of them idempotent, each with a key of its own and
//! each accounted for.

use crate::journal::{self, Execution, Executions};
use rpc_core::{Outcome, RpcError};
use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};

/// Calls in flight at most in a load that names no other bound.
pub const MOST_IN_FLIGHT: usize = 16_384;

/// A number without a pattern for each number of a call, always the same. What every second call
/// is, and what balancing in turn gives to every second provider, would otherwise be one thing.
pub const fn scatter(number: u64) -> u64 {
    // The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One call that is to be made.
#[derive(Debug, Clone)]
pub struct Turn {
    /// For its arguments; unique among the calls of the load.
    pub key: String,
    /// Whether to call the method that may run twice.
    pub idempotent: bool,
    /// Its number in the load, from 0.
    pub number: u64,
}

/// A call that has ended.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its key.
    pub key: String,
    /// Whether its method is idempotent.
    pub idempotent: bool,
    /// Its number in the load, from 0.
    pub number: u64,
    /// When it was to be made. A load that falls behind makes its calls late, so a latency that
    /// leaves nothing out is measured from here.
    pub due: Instant,
    /// When it was made.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// When it was made, on the clock of the journal.
    pub began_at: Duration,
    /// The key that came back, or the error as the caller got it.
    pub result: Result<String, RpcError>,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicU64>,
    task: JoinHandle<Vec<Call>>,
}

impl Load {
    /// Begins to make `per_second` calls a second, however long they take, with at most
    /// [`MOST_IN_FLIGHT`] at a time. `call` gives the key back that the reply brought.
    pub fn start<F, R>(per_second: u32, call: F) -> Self
    where
        F: Fn(Turn) -> R + Send + 'static,
        R: Future<Output = Result<String, RpcError>> + Send + 'static,
    {
        Self::bounded(per_second, MOST_IN_FLIGHT, call)
    }

    /// The same, with at most `in_flight` calls at a time: further ones are made late, when one has
    /// ended, and say when they were due.
    pub fn bounded<F, R>(per_second: u32, in_flight: usize, call: F) -> Self
    where
        F: Fn(Turn) -> R + Send + 'static,
        R: Future<Output = Result<String, RpcError>> + Send + 'static,
    {
        static LOADS: AtomicU64 = AtomicU64::new(1);
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        Self::run(load.to_string(), per_second, in_flight, call)
    }

    /// Like [`start`](Self::start), with keys that begin with `name`, which no other load of the
    /// test has.
    pub fn named<F, R>(name: &str, per_second: u32, call: F) -> Self
    where
        F: Fn(Turn) -> R + Send + 'static,
        R: Future<Output = Result<String, RpcError>> + Send + 'static,
    {
        Self::run(name.to_owned(), per_second, MOST_IN_FLIGHT, call)
    }

    fn run<F, R>(load: String, per_second: u32, in_flight: usize, call: F) -> Self
    where
        F: Fn(Turn) -> R + Send + 'static,
        R: Future<Output = Result<String, RpcError>> + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicU64::new(0));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&ended));
        let task = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) / per_second);
            // Late is made good, so that the rate holds.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut running = JoinSet::new();
            let mut calls = Vec::new();
            for number in 0_u64.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let due = ticks.tick().await;
                while running.len() >= in_flight {
                    calls.extend(running.join_next().await.into_iter().flatten());
                }
                let (key, idempotent) =
                    (format!("{load}-{number}"), scatter(number).is_multiple_of(2));
                let turn = Turn { key: key.clone(), idempotent, number };
                let (began, began_at) = (Instant::now(), journal::now());
                let future = call(turn);
                let counter = Arc::clone(&counter);
                running.spawn(async move {
                    let result = future.await;
                    counter.fetch_add(1, Ordering::Relaxed);
                    let ended = Instant::now();
                    Call { key, idempotent, number, due, began, ended, began_at, result }
                });
                while let Some(done) = running.try_join_next() {
                    calls.extend(done);
                }
            }
            while let Some(done) = running.join_next().await {
                calls.extend(done);
            }
            calls
        });
        Self { stop, ended, task }
    }

    /// Waits until `count` more calls have ended, well or not.
    pub async fn more(&self, count: u64) {
        let until = self.ended.load(Ordering::Relaxed) + count;
        while self.ended.load(Ordering::Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Makes no more calls, waits for those that run, and returns all.
    ///
    /// # Panics
    ///
    /// If a call panicked.
    pub async fn finish(self) -> Calls {
        self.stop.store(true, Ordering::Relaxed);
        match self.task.await {
            Ok(calls) => Calls(calls),
            Err(error) => panic!("the load ended: {error}"),
        }
    }
}

/// The calls of a load.
#[derive(Debug)]
pub struct Calls(pub Vec<Call>);

impl Calls {
    /// The calls that failed, with their errors.
    pub fn failed(&self) -> Vec<(&Call, &RpcError)> {
        self.0.iter().filter_map(|call| Some((call, call.result.as_ref().err()?))).collect()
    }

    /// The failed ones in words, for an assertion's text.
    pub fn failures(&self) -> String {
        let mut text = String::new();
        let failed = self.failed();
        for (call, error) in failed.iter().take(10) {
            let kind = if call.idempotent { "idempotent" } else { "not idempotent" };
            let _ = writeln!(
                text,
                "{} ({kind}): {error} [{:?}, {} attempts, {:?}]",
                call.key,
                error.outcome(),
                error.attempts(),
                error.elapsed(),
            );
        }
        format!("{} of {} failed:\n{text}", failed.len(), self.0.len())
    }

    /// Checks that no call failed.
    ///
    /// # Panics
    ///
    /// If one did, with the first errors.
    #[track_caller]
    pub fn none_failed(&self) {
        assert!(!self.0.is_empty(), "no call was made");
        assert!(self.failed().is_empty(), "{}", self.failures());
    }

    /// Checks what holds in every scenario, against what the handlers wrote down:
    ///
    /// - each caller got its own reply;
    /// - what succeeded has run;
    /// - what is not idempotent has run once at most;
    /// - what says that it has not run (`NotSent`, `Refused`) has not;
    /// - nothing was begun when its time had passed, `deadline` after the call.
    ///
    /// # Panics
    ///
    /// With all that does not hold.
    #[track_caller]
    pub fn agree_with(&self, executions: &Executions, deadline: Duration) {
        let mut wrong = self.disagreements(executions, deadline);
        wrong.truncate(20);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// What [`agree_with`](Self::agree_with) checks, each in words; empty when all of it holds.
    pub fn disagreements(&self, executions: &Executions, deadline: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        for call in &self.0 {
            let runs = executions.get(&call.key).map_or(&[][..], Vec::as_slice);
            wrong.extend(call.disagreements(runs, deadline));
        }
        wrong
    }
}

impl Call {
    /// What does not hold of this call, given its executions.
    pub fn disagreements(&self, runs: &[Execution], deadline: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        match &self.result {
            Ok(key) if *key != self.key => wrong.push(format!("{} got {key}", self.key)),
            Ok(_) if runs.is_empty() => wrong.push(format!("{} never ran", self.key)),
            Err(e)
                if matches!(e.outcome(), Outcome::NotSent | Outcome::Refused)
                    && !runs.is_empty() =>
            {
                wrong.push(format!("{} ran in spite of {:?}: {e}", self.key, e.outcome()));
            }
            _ => {}
        }
        if !self.idempotent && runs.len() > 1 {
            wrong.push(format!("{} ran {} times: {runs:?}", self.key, runs.len()));
        }
        for run in runs {
            let after = run.at.saturating_sub(self.began_at);
            if after > deadline {
                wrong.push(format!("{} was begun {after:?} after the call", self.key));
            }
        }
        wrong
    }
}
