//! A steady load: so many calls a second, every second one idempotent, each with a key of its own
//! and each accounted for.

use crate::journal::{self, Executions};
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

/// One call that is to be made.
#[derive(Debug, Clone)]
pub struct Turn {
    /// For its arguments; unique among the calls of the load.
    pub key: String,
    /// Whether to call the method that may run twice.
    pub idempotent: bool,
}

/// A call that has ended.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its key.
    pub key: String,
    /// Whether its method is idempotent.
    pub idempotent: bool,
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
    /// Begins to make `per_second` calls a second, however long they take. `call` gives the key
    /// back that the reply brought.
    pub fn start<F, R>(per_second: u32, call: F) -> Self
    where
        F: Fn(Turn) -> R + Send + 'static,
        R: Future<Output = Result<String, RpcError>> + Send + 'static,
    {
        static LOADS: AtomicU64 = AtomicU64::new(1);
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        Self::named(&load.to_string(), per_second, call)
    }

    /// The same, with keys that begin with `name`, which no other load of the test has.
    pub fn named<F, R>(name: &str, per_second: u32, call: F) -> Self
    where
        F: Fn(Turn) -> R + Send + 'static,
        R: Future<Output = Result<String, RpcError>> + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicU64::new(0));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&ended));
        let load = name.to_owned();
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
                ticks.tick().await;
                let turn = Turn { key: format!("{load}-{number}"), idempotent: number % 2 == 0 };
                let Turn { key, idempotent } = turn.clone();
                let (began, began_at) = (Instant::now(), journal::now());
                let future = call(turn);
                let counter = Arc::clone(&counter);
                running.spawn(async move {
                    let result = future.await;
                    counter.fetch_add(1, Ordering::Relaxed);
                    Call { key, idempotent, began, ended: Instant::now(), began_at, result }
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
        let mut wrong = Vec::new();
        for call in &self.0 {
            let runs = executions.get(&call.key).map_or(&[][..], Vec::as_slice);
            match &call.result {
                Ok(key) if *key != call.key => wrong.push(format!("{} got {key}", call.key)),
                Ok(_) if runs.is_empty() => wrong.push(format!("{} never ran", call.key)),
                Err(e)
                    if matches!(e.outcome(), Outcome::NotSent | Outcome::Refused)
                        && !runs.is_empty() =>
                {
                    wrong.push(format!("{} ran in spite of {:?}: {e}", call.key, e.outcome()));
                }
                _ => {}
            }
            if !call.idempotent && runs.len() > 1 {
                wrong.push(format!("{} ran {} times: {runs:?}", call.key, runs.len()));
            }
            for run in runs {
                let after = run.at.saturating_sub(call.began_at);
                if after > deadline {
                    wrong.push(format!("{} was begun {after:?} after the call", call.key));
                }
            }
        }
        wrong.truncate(20);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
