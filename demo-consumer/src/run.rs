//! Makes many calls and notes what becomes of each.
//!
//! No retry and no filter of its own: each error is printed, and each that is not of the kind that
//! was allowed makes the run fail.

use crate::{
    mix::{Kind, Mix},
    record::{Ended, Note, now_ms},
    settings::Run,
    stop::{Stop, stop},
};
use rpc_client::Client;
use rpc_core::SetupError;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// One run.
struct Load {
    /// The prefix of its keys.
    id: String,
    mix: Mix,
    next: AtomicU64,
    allow_unknown: u64,
    tally: Mutex<Tally>,
}

/// What has become of the calls so far.
#[derive(Default)]
struct Tally {
    calls: u64,
    idempotent: u64,
    allowed: u64,
    unexpected: u64,
    providers: BTreeMap<String, u64>,
    notes: Option<BufWriter<File>>,
    lost_notes: Option<io::Error>,
}

/// Makes calls until it is time to end; whether all went as it should.
///
/// # Errors
///
/// The file of notes cannot be written.
pub(crate) async fn run(client: &Client, settings: &Run) -> Result<bool, SetupError> {
    let id = format!("run-{}-{}", std::process::id(), now_ms());
    let notes = settings.record.as_deref().map(|path| create(path, &id)).transpose()?;
    if let Err(error) = client.warm().await {
        println!("the first calls may have to wait: {error}");
    }
    let load = Arc::new(Load {
        id,
        mix: Mix::new(client),
        next: AtomicU64::new(0),
        allow_unknown: settings.allow_unknown,
        tally: Mutex::new(Tally { notes, ..Tally::default() }),
    });
    let stop = stop(settings.seconds)?;
    println!("{} has begun", load.id);
    let mut workers = JoinSet::new();
    for number in 0..settings.concurrency {
        let pace = Pace::new(settings, number);
        workers.spawn(Arc::clone(&load).work(pace, stop.clone()));
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            return Err(SetupError::new(format!("a worker of the load ended: {error}")));
        }
    }
    load.tally.lock().unwrap_or_else(PoisonError::into_inner).close()
}

fn create(path: &Path, id: &str) -> Result<BufWriter<File>, SetupError> {
    let create = || {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "run {id}")?;
        Ok(file)
    };
    create().map_err(|e: io::Error| SetupError::new(format!("{}: {e}", path.display())))
}

impl Load {
    async fn work(self: Arc<Self>, mut pace: Pace, mut stop: Stop) {
        loop {
            tokio::select! {
                biased;
                // An error means that nobody will say so any more, which is as good.
                _ = stop.wait_for(|stop| *stop) => return,
                () = pace.next() => {}
            }
            // Never cut short: a call that has begun is waited for.
            self.call().await;
        }
    }

    async fn call(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let kind = Kind::of(number);
        let key = format!("{}-{number}", self.id);
        let from_ms = now_ms();
        let result = self.mix.call(kind, &key).await;
        let (ended, answer) = match result {
            Ok(stamp) => (Ended::Ok, Ok(stamp.provider)),
            Err(failure) => (failure.ended, Err(failure.text)),
        };
        let note = Note {
            key,
            method: kind.name().to_owned(),
            idempotent: kind.idempotent(),
            ended,
            from_ms,
            to_ms: now_ms(),
        };
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.take(&note, answer, self.allow_unknown);
    }
}

impl Tally {
    fn take(&mut self, note: &Note, answer: Result<String, String>, allow_unknown: u64) {
        self.calls += 1;
        self.idempotent += u64::from(note.idempotent);
        match answer {
            Ok(provider) => *self.providers.entry(provider).or_default() += 1,
            Err(text) => {
                let again = if note.idempotent { "idempotent" } else { "not idempotent" };
                let unknown = !note.idempotent && note.ended == Ended::Unknown;
                let verdict = if unknown && self.allowed < allow_unknown {
                    self.allowed += 1;
                    "allowed"
                } else {
                    self.unexpected += 1;
                    "NOT EXPECTED"
                };
                println!("error ({verdict}): {} {again}, {}: {text}", note.key, note.ended);
            }
        }
        if let Some(notes) = &mut self.notes
            && let Err(error) = writeln!(notes, "{note}")
        {
            self.lost_notes = Some(error);
        }
    }

    /// Writes what is left to write, and says how it went.
    fn close(&mut self) -> Result<bool, SetupError> {
        if let Some(Err(error)) = self.notes.as_mut().map(Write::flush) {
            self.lost_notes = Some(error);
        }
        if let Some(error) = &self.lost_notes {
            return Err(SetupError::new(format!("the notes cannot be written: {error}")));
        }
        println!(
            "{} calls, {} of them idempotent: {} failed as was allowed, {} as was not expected",
            self.calls, self.idempotent, self.allowed, self.unexpected
        );
        for (provider, calls) in &self.providers {
            println!("  {calls:>7} answered by {provider}");
        }
        // A run that made no call shows nothing.
        Ok(self.calls > 0 && self.unexpected == 0)
    }
}

/// When a worker makes its next call.
struct Pace(Option<tokio::time::Interval>);

impl Pace {
    /// The workers take turns.
    fn new(settings: &Run, worker: u32) -> Self {
        if settings.calls_per_second == 0 {
            return Self(None);
        }
        let turn = Duration::from_secs(1) / settings.calls_per_second;
        let turn = turn.max(Duration::from_nanos(1));
        let mut interval = interval_at(Instant::now() + turn * worker, turn * settings.concurrency);
        // After a pause of the providers the calls are not made up for.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Some(interval))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
            }
            None => tokio::task::yield_now().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(idempotent: bool, ended: Ended) -> Note {
        let (key, method) = ("k".to_owned(), "m".to_owned());
        Note { key, method, idempotent, ended, from_ms: 0, to_ms: 0 }
    }

    #[test]
    fn only_unknown_calls_that_are_not_idempotent_are_allowed_and_only_so_many() {
        let mut tally = Tally::default();
        let mut fails = |idempotent, ended| {
            let before = tally.unexpected;
            tally.take(&note(idempotent, ended), Err("x".into()), 2);
            tally.unexpected > before
        };
        assert!(!fails(false, Ended::Unknown));
        for ended in [Ended::NotSent, Ended::Refused, Ended::Ran] {
            assert!(fails(false, ended));
            assert!(fails(true, ended));
        }
        assert!(fails(true, Ended::Unknown));
        assert!(!fails(false, Ended::Unknown));
        assert!(fails(false, Ended::Unknown), "the third of two that are allowed");
        tally.take(&note(false, Ended::Ok), Ok("p".into()), 2);
        assert!(matches!(tally.close(), Ok(false)));
    }
}
