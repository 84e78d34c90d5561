//! Scripts that nobody thought of: random faults, one or several at a time, in simulated time.
//!
//! One provider at least can answer at any time, so nothing idempotent may fail unless each of its
//! attempts was struck, and nothing else unless what it was sent to was struck meanwhile. A failure
//! names its seed; `RPC_LAB_SEED=<seed>` runs that one alone,
//! `RPC_LAB_SEED=<seed>-<seed>` all from one to another.

use crate::ledger::{DEADLINE, Ledger as _, LedgerClient, Manner, clerks, client, load_with};
use fastrand::Rng;
use rpc_client::Client;
use rpc_core::{CallOptions, Outcome, RpcError, defaults};
use rpc_testkit::{
    lab::{Event, Lab, Lie, Script},
    load::{Calls, Load},
    sim::Path,
};
use serde_bytes::ByteBuf;
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Longest time that bytes are on their way, in µs.
const SLOWEST: u64 = 30_000;
/// How late what is on its way when the time for it passes may be noticed.
const SLACK: Duration = Duration::from_micros(SLOWEST + 20_000);
/// The time of calls that have little.
const HURRY: Duration = Duration::from_millis(600);
/// Faults begin within this time.
const BEGIN: u64 = 12_000;
/// The longest lasts so long, in ms.
const LONGEST: u64 = 5_000;
/// The service of the scenarios.
const SERVICE: &str = "lab.Ledger";
/// What is listed that is no provider.
const LIES: [Lie; 6] = [Lie::Dead, Lie::Foreign, Lie::Mute, Lie::Deaf, Lie::Stuck, Lie::HangsUp];
/// Calls that are not idempotent and are lost to one of those at most, before it is left out.
const LOST_TO_A_LIE: usize = 32;
/// What a provider needs to be found again after it was healed, in ms: longest pause between two
/// dials, and a little.
const RECOVERY: u64 = 6_500;

#[test]
fn whatever_happens_no_call_is_lost_that_could_be_saved() {
    try_seeds(0..20, Kind::Spread);
}

#[test]
fn whatever_happens_within_a_second_no_call_is_lost_that_could_be_saved() {
    try_seeds(0..10, Kind::Sudden);
}

#[test]
#[ignore = "takes minutes"]
fn whatever_happens_no_call_is_lost_that_could_be_saved_in_many_scripts() {
    try_seeds(1_000..1_200, Kind::Spread);
}

#[test]
#[ignore = "takes minutes"]
fn whatever_happens_within_a_second_no_call_is_lost_in_many_scripts() {
    try_seeds(1_000..1_200, Kind::Sudden);
}

/// How the faults of a story lie in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Over some seconds. A provider is struck once another has been found again.
    Spread,
    /// All begin within a second, one provider or another is well at any time.
    Sudden,
}

/// Runs all seeds, on all processors, and names those that fail.
fn try_seeds(seeds: std::ops::Range<u64>, kind: Kind) {
    let seeds = std::env::var("RPC_LAB_SEED").map_or(seeds, |wanted| {
        let (first, last) = wanted.split_once('-').unwrap_or((&wanted, &wanted));
        first.parse().unwrap()..last.parse::<u64>().unwrap() + 1
    });
    let next = AtomicU64::new(seeds.start);
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if !seeds.contains(&seed) {
                    return failed;
                }
                if catch_unwind(AssertUnwindSafe(|| try_seed(seed, kind))).is_err() {
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

fn try_seed(seed: u64, kind: Kind) {
    let mut random = Rng::with_seed(seed);
    let providers = random.usize(if kind == Kind::Spread { 1 } else { 2 }..=4);
    let story = Story::random(&mut random, providers, kind);
    // Small buffers only where bytes are not long on their way: the load must fit through.
    let (latency, jitter, buffer) =
        [(0, 0, 2_000), (200, 100, 40_000), (3_000, 1_000, 256_000), (SLOWEST, 10_000, 4_000_000)]
            [random.usize(..4)];
    let path = Path {
        latency: Duration::from_micros(latency),
        jitter: Duration::from_micros(jitter),
        buffer,
        ..Path::default()
    };
    let what = format!("seed {seed}, {kind:?}, {providers} providers, {path:?}, {story:#?}");
    let run = Lab::simulated(seed).path(path).run(async |lab| {
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
    let manners = clerks(&mut lab, providers).await;
    let client = client(&mut lab, |client| client).await;
    let other = self::client(&mut lab, |client| client).await;
    let hurried = hurried(&mut lab, &other, random);
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
    story.begin_manners(&manners, began);
    lab.play(story.script.clone()).await;
    let calls = load.finish().await;
    story.check(&lab, &calls, began);
    in_time(&lab, &hurried.finish().await, story.late());
    sleep(Duration::from_millis(RECOVERY)).await;
    everybody_is_back(&client, providers).await;
    for (number, client) in [client, other].iter().enumerate() {
        assert_eq!(client.stats().in_flight, 0, "calls left behind in client {number}");
    }
    for provider in 0..providers {
        let stats = lab.stats(provider).await.unwrap();
        assert_eq!((stats.in_flight, stats.held_bytes), (0, 0), "left behind at {provider}");
    }
}

/// Calls with little time, some of them given up by their callers before that.
fn hurried(lab: &mut Lab, client: &Client, random: &mut Rng) -> Load {
    let ledger: LedgerClient = client.get();
    let ledger = ledger.with_options(CallOptions::new().timeout(HURRY));
    let kinds = std::sync::Mutex::new(random.fork());
    lab.load(random.u32(5..40), move |turn| {
        let (hold, size, patience) = {
            let mut kinds = kinds.lock().unwrap();
            (kinds.u32(0..700), kinds.usize(0..60_000), kinds.u64(1..2_000))
        };
        let ledger = ledger.clone();
        async move {
            let call = async {
                if turn.idempotent {
                    ledger.look(turn.key, hold, ByteBuf::from(vec![0; size])).await
                } else {
                    ledger.book(turn.key, hold, ByteBuf::from(vec![0; size])).await
                }
            };
            match timeout(Duration::from_millis(patience), call).await {
                Ok(page) => page.map(|page| page.key),
                // As if it had failed in a way that says nothing.
                Err(_) => Err(RpcError::cancelled("given up")),
            }
        }
    })
}

/// What holds for calls that may fail for want of time.
fn in_time(lab: &Lab, calls: &Calls, late: Duration) {
    calls.agree_with(&lab.tally().executions(), HURRY + late);
    for call in &calls.0 {
        let took = call.ended - call.began;
        assert!(took <= HURRY + SLACK, "{} took {took:?}", call.key);
    }
}

/// All providers serve again, and nothing fails any more.
async fn everybody_is_back(client: &Client, providers: usize) {
    let ledger: LedgerClient = client.get();
    let mut seen = BTreeSet::new();
    for _ in 0..providers * 20 {
        let began = Instant::now();
        seen.insert(ledger.who().await.unwrap());
        assert!(began.elapsed() < Duration::from_millis(300), "a slow call after all was healed");
    }
    let explained = client.explain("lab.Ledger");
    assert_eq!(seen.len(), providers, "only {seen:?} serve again\n{explained}");
}

/// A script, and which provider is struck when.
#[derive(Debug)]
struct Story {
    kind: Kind,
    script: Script,
    struck: Vec<Strike>,
}

/// From when until when somebody may fail calls, in ms.
#[derive(Debug, Clone, Copy)]
struct Strike {
    at: At,
    from: u64,
    until: u64,
    bad: Option<Bad>,
}

/// Who does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Provider(usize),
    /// An address that is listed and is no provider.
    Lie,
}

/// What a provider does that is reached and greets and answers pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    Fails,
    Hangs,
}

impl Strike {
    /// Whether it may have struck a call in some of this time.
    fn meets(&self, from: u64, until: u64) -> bool {
        self.from <= until && from <= self.until + RECOVERY
    }
}

impl Story {
    fn random(random: &mut Rng, providers: usize, kind: Kind) -> Self {
        let mut story = Self { kind, script: Script::new(), struck: Vec::new() };
        let mut registry_until = 0;
        let mut lies = 0;
        let faults = if kind == Kind::Spread { 1..=7 } else { 2..=5 };
        for _ in 0..random.usize(faults) {
            let from = match kind {
                Kind::Spread => random.u64(500..BEGIN),
                Kind::Sudden => random.u64(3_000..4_000),
            };
            let until = from + random.u64(50..LONGEST);
            let provider = random.usize(..providers);
            let strike = Strike { at: At::Provider(provider), from, until, bad: None };
            match random.u32(..18) {
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
                    story.struck.push(Strike { until: from, ..strike });
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
                12 | 13 if from > registry_until => {
                    registry_until = until;
                    story.at(from, Event::RegistryDown);
                    if random.bool() {
                        story.at(random.u64(from..=until), Event::RegistryWiped);
                    }
                    story.at(until, Event::RegistryUp);
                }
                14 => story.bad(strike, Bad::Fails, providers),
                15 => story.bad(strike, Bad::Hangs, providers),
                _ if lies < 2 => {
                    lies += 1;
                    let lie = random.choice(LIES).unwrap();
                    story.at(from, Event::Listed(SERVICE.to_owned(), lie));
                    story.struck.push(Strike { at: At::Lie, until: BEGIN + LONGEST, ..strike });
                }
                _ => {}
            }
        }
        if lies > 0 {
            story.at(BEGIN + LONGEST, Event::Unlisted);
        }
        story.script = story.script.until(Duration::from_millis(BEGIN + LONGEST + RECOVERY));
        story
    }

    fn at(&mut self, at: u64, event: Event) {
        let script = std::mem::take(&mut self.script);
        self.script = script.at(Duration::from_millis(at), event);
    }

    /// Notes a fault with a beginning and an end, unless that leaves nobody to answer.
    fn strike(&mut self, strike: Strike, providers: usize) -> bool {
        let gap = if self.kind == Kind::Spread { RECOVERY } else { 0 };
        let meets = |o: &&Strike| o.from <= strike.until + gap && strike.from <= o.until + gap;
        let met = self.struck.iter().filter(meets).filter(|other| other.at != At::Lie);
        let mut down: Vec<_> = met.map(|other| other.at).collect();
        down.sort_unstable_by_key(|at| format!("{at:?}"));
        down.dedup();
        // One fault of a provider at a time: the end of one must not end another.
        let fits = !down.contains(&strike.at) && down.len() + 1 < providers;
        if fits {
            self.struck.push(strike);
        }
        fits
    }

    fn lasting(
        &mut self,
        strike: Strike,
        begin: impl Fn(usize) -> Event,
        end: impl Fn(usize) -> Event,
        providers: usize,
    ) {
        if let At::Provider(provider) = strike.at
            && self.strike(strike, providers)
        {
            self.at(strike.from, begin(provider));
            self.at(strike.until, end(provider));
        }
    }

    fn bad(&mut self, strike: Strike, bad: Bad, providers: usize) {
        self.strike(Strike { bad: Some(bad), ..strike }, providers);
    }

    /// Tells providers what to do to their calls, each at its time.
    fn begin_manners(&self, manners: &[Arc<Manner>], began: Instant) {
        for strike in &self.struck {
            let (At::Provider(provider), Some(bad)) = (strike.at, strike.bad) else { continue };
            let (manner, strike) = (Arc::clone(&manners[provider]), *strike);
            tokio::spawn(async move {
                for (at, is) in [(strike.from, true), (strike.until, false)] {
                    sleep_until(began + Duration::from_millis(at)).await;
                    match bad {
                        Bad::Fails => manner.fails.store(is, Ordering::Relaxed),
                        Bad::Hangs => manner.hangs.store(is, Ordering::Relaxed),
                    }
                }
            });
        }
    }

    /// How long after its time a call may be begun. The latency of a path is no loss of time for a
    /// connection that was made over it (docs/protocol.md, 5.2): one that is made while its
    /// provider is slow does not know that it is.
    fn late(&self) -> Duration {
        let slow = |(_, event): &(Duration, Event)| match event {
            Event::Slow(_, latency) => Some(*latency),
            _ => None,
        };
        SLACK + self.script.events().iter().filter_map(slow).max().unwrap_or_default()
    }

    /// What holds of the calls, and that each that failed was with somebody who was struck
    /// meanwhile.
    fn check(&self, lab: &Lab, calls: &Calls, began: Instant) {
        calls.agree_with(&lab.tally().executions(), DEADLINE + self.late());
        for call in &calls.0 {
            let took = call.ended - call.began;
            assert!(took <= DEADLINE + SLACK, "{} took {took:?}: {:?}", call.key, call.result);
        }
        let ms =
            |at: Instant| u64::try_from(at.saturating_duration_since(began).as_millis()).unwrap();
        let mut with_lies = 0;
        for (call, error) in calls.failed() {
            let (from, until) = (ms(call.began), ms(call.ended));
            let said = || format!("{} from {from} to {until} ms: {error}", call.key);
            let at = error.endpoint();
            let here = |strike: &&Strike| match strike.at {
                At::Provider(provider) => at == Some(lab.addr(provider)),
                At::Lie => at.is_some_and(|at| lab.lies().contains(&at)),
            };
            let mut causes =
                self.struck.iter().filter(|strike| strike.meets(from, until)).filter(here);
            assert!(causes.clone().next().is_some(), "{}", said());
            // What failed says so if that is known, and otherwise that it may have run.
            let failed = causes.any(|strike| strike.bad == Some(Bad::Fails));
            let ran = error.outcome() == Outcome::Ran && error.message() == "told to fail";
            let lie = at.is_some_and(|at| lab.lies().contains(&at));
            let truly = error.outcome() == Outcome::Unknown || failed && ran;
            assert!(truly, "{}", said());
            with_lies += usize::from(lie);
            // Each of its attempts was struck.
            let struck = |strike: &&Strike| strike.meets(from, until);
            let all = error.attempts() > defaults::RETRIES
                && self.struck.iter().filter(struck).count() > defaults::RETRIES as usize;
            assert!(!call.idempotent || all, "{}", said());
        }
        assert!(with_lies <= 2 * LOST_TO_A_LIE, "{with_lies} calls lost to lies");
        assert!(DEADLINE.as_millis() > u128::from(LONGEST));
    }
}
