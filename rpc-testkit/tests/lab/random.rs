//! Scripts that nobody thought of: random faults, one or several at a time, in simulated time.
//!
//! One provider at least can answer at any time, so nothing idempotent may fail, and nothing else
//! may fail unless what it was sent to was struck meanwhile. A failure names its seed;
//! `RPC_LAB_SEED=<seed>` runs that one alone.

use crate::ledger::{DEADLINE, Ledger as _, LedgerClient, check, clerks, client, load_with};
use fastrand::Rng;
use rpc_testkit::{
    lab::{Event, Lab, Script},
    load::Calls,
};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Faults begin within this time.
const BEGIN: u64 = 12_000;
/// The longest lasts so long, in ms.
const LONGEST: u64 = 5_000;
/// What a provider needs to be found again after it was healed, in ms: longest pause between two
/// dials, and a little.
const RECOVERY: u64 = 6_500;

#[test]
fn whatever_happens_no_call_is_lost_that_could_be_saved() {
    try_seeds(0..60);
}

#[test]
#[ignore = "takes minutes"]
fn whatever_happens_no_call_is_lost_that_could_be_saved_in_thousands_of_scripts() {
    try_seeds(1_000..6_000);
}

/// Runs all seeds, on all processors, and names those that fail.
fn try_seeds(seeds: std::ops::Range<u64>) {
    let only = std::env::var("RPC_LAB_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = only.map_or(seeds, |seed: u64| seed..seed + 1);
    let next = AtomicU64::new(seeds.start);
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if !seeds.contains(&seed) {
                    return failed;
                }
                if catch_unwind(AssertUnwindSafe(|| try_seed(seed))).is_err() {
                    failed.push(seed);
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} seeds: {failed:?}", failed.len());
}

fn try_seed(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let providers = random.usize(1..=4);
    let story = Story::random(&mut random, providers);
    let what = format!("seed {seed}, {providers} providers, {:#?}", story.script.events());
    let run = Lab::simulated(seed).run(async |lab| {
        let run = AssertUnwindSafe(scenario(lab, providers, &story, &mut random));
        futures_catch(run).await
    });
    if let Some(Err(panic)) = run {
        let said = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
        panic!("{what}: {said}");
    }
}

/// The result of a future, or what it panicked with.
async fn futures_catch<F: Future>(
    future: AssertUnwindSafe<F>,
) -> Result<F::Output, Box<dyn std::any::Any + Send>> {
    let mut future = std::pin::pin!(future.0);
    std::future::poll_fn(move |cx| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    })
    .await
}

async fn scenario(mut lab: Lab, providers: usize, story: &Story, random: &mut Rng) {
    clerks(&mut lab, providers).await;
    let client = client(&mut lab, |client| client).await;
    let mut kinds = random.fork();
    let rate = random.u32(10..100);
    let load = load_with(&mut lab, &client, rate, {
        let kinds = std::sync::Mutex::new(kinds.fork());
        move |_| {
            let mut kinds = kinds.lock().unwrap();
            let hold = [0, 0, 1, 5, 20, 100, 1_000][kinds.usize(..7)];
            let size = if kinds.u32(..50) == 0 {
                kinds.usize(20_000..400_000)
            } else {
                [0, 0, 100, 2_000][kinds.usize(..4)]
            };
            (hold, size)
        }
    });
    let began = Instant::now();
    lab.play(story.script.clone()).await;
    let calls = load.finish().await;
    check(&lab, &calls);
    story.explains(&lab, &calls, began);
    sleep(Duration::from_millis(RECOVERY)).await;
    everybody_is_back(&client, providers).await;
}

/// All providers serve again, and nothing fails any more.
async fn everybody_is_back(client: &rpc_client::Client, providers: usize) {
    let ledger: LedgerClient = client.get();
    let mut seen = BTreeSet::new();
    for _ in 0..providers * 20 {
        let began = Instant::now();
        seen.insert(ledger.who().await.unwrap());
        assert!(began.elapsed() < Duration::from_millis(100), "a slow call after all was healed");
    }
    assert_eq!(seen.len(), providers, "only {seen:?} serve again");
}

/// A script, and which provider is struck when.
struct Story {
    script: Script,
    struck: Vec<Strike>,
}

/// From when until when a provider may fail calls, in ms.
#[derive(Debug, Clone, Copy)]
struct Strike {
    provider: usize,
    from: u64,
    until: u64,
}

impl Story {
    fn random(random: &mut Rng, providers: usize) -> Self {
        let mut story = Self { script: Script::new(), struck: Vec::new() };
        let mut registry_until = 0;
        for _ in 0..random.usize(1..=7) {
            let from = random.u64(500..BEGIN);
            let until = from + random.u64(50..LONGEST);
            let provider = random.usize(..providers);
            let strike = Strike { provider, from, until };
            match random.u32(..14) {
                0 => story.lasting(strike, Event::Partition, Event::Heal, providers),
                1 => story.lasting(strike, Event::RepliesLost, Event::Heal, providers),
                2 | 3 => story.lasting(strike, Event::Pause, Event::Resume, providers),
                4 | 5 => story.lasting(strike, Event::Kill, Event::Restart, providers),
                6 => story.lasting(strike, Event::Stop, Event::Restart, providers),
                7 => {
                    let latency = Duration::from_millis(random.u64(1..300));
                    let slow = move |provider| Event::Slow(provider, latency);
                    story.lasting(strike, slow, Event::Heal, providers);
                }
                8 => {
                    let rate = random.u64(2_000_000..20_000_000);
                    let narrow = move |provider| Event::Narrow(provider, rate);
                    story.lasting(strike, narrow, Event::Heal, providers);
                }
                9 => {
                    story.struck.push(Strike { provider, from, until: from });
                    story.at(from, Event::Reset(provider));
                }
                10 => story.at(from, Event::SessionExpired(provider)),
                11 => {
                    let gone: Vec<_> = (0..providers).filter(|_| random.bool()).collect();
                    for provider in &gone {
                        story.at(until, Event::RegistryBack(*provider));
                    }
                    story.at(from, Event::NodesGone(gone));
                }
                _ if from > registry_until => {
                    registry_until = until;
                    story.at(from, Event::RegistryDown);
                    if random.bool() {
                        story.at(random.u64(from..=until), Event::RegistryWiped);
                    }
                    story.at(until, Event::RegistryUp);
                }
                _ => {}
            }
        }
        story.script = story.script.until(Duration::from_millis(BEGIN + LONGEST + RECOVERY));
        story
    }

    fn at(&mut self, at: u64, event: Event) {
        let script = std::mem::take(&mut self.script);
        self.script = script.at(Duration::from_millis(at), event);
    }

    /// A fault with a beginning and an end, unless that leaves nobody to answer.
    fn lasting(
        &mut self,
        strike: Strike,
        begin: impl Fn(usize) -> Event,
        end: impl Fn(usize) -> Event,
        providers: usize,
    ) {
        let Strike { provider, from, until } = strike;
        let strike = Strike { until: until + RECOVERY, ..strike };
        let meets = |other: &Strike| other.from <= strike.until && strike.from <= other.until;
        let mut down: BTreeSet<_> =
            self.struck.iter().filter(|other| meets(other)).map(|other| other.provider).collect();
        // One fault of a provider at a time: the end of one must not end another.
        if down.insert(provider) && down.len() < providers {
            self.struck.push(strike);
            self.at(from, begin(provider));
            self.at(until, end(provider));
        }
    }

    /// Whether each failed call was with a provider that was struck meanwhile.
    fn explains(&self, lab: &Lab, calls: &Calls, began: Instant) {
        let ms =
            |at: Instant| u64::try_from(at.saturating_duration_since(began).as_millis()).unwrap();
        for (call, error) in calls.failed() {
            let (from, until) = (ms(call.began), ms(call.ended));
            let explained = self.struck.iter().any(|strike| {
                error.endpoint() == Some(lab.addr(strike.provider))
                    && strike.from <= until
                    && from <= strike.until
            });
            assert!(explained, "from {from} to {until} ms: {error}");
        }
        assert!(DEADLINE.as_millis() > u128::from(LONGEST));
    }
}
