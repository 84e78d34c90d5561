//! What further attempts cost the providers, counted by their handlers.

use rpc_client::{Balance, Client, ClientBuilder};
use rpc_core::{CallContext, CallOptions, RpcCode, RpcError, rpc_client, rpc_service};
use rpc_testkit::{
    lab::{Event, Lab, Tally},
    load::Load,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

#[rpc_client(name = "lab.Moody")]
pub(crate) trait Moody {
    /// Notes `key` and gives it back, or fails with `Unavailable` while it is told to.
    #[rpc(idempotent)]
    async fn look(&self, key: String) -> rpc_core::Result<String>;
    /// Notes `key`, takes as long as the provider takes just then, and gives the key back.
    #[rpc(idempotent)]
    async fn hold(&self, key: String) -> rpc_core::Result<String>;
    /// The same, and it must not run twice.
    async fn book(&self, key: String) -> rpc_core::Result<String>;
    /// The same at so many further hops, the last of which fails.
    #[rpc(idempotent)]
    async fn pass(&self, hops: u32) -> rpc_core::Result<()>;
    /// Passes on with options of its own, which ask for five retries.
    #[rpc(idempotent)]
    async fn insist(&self, hops: u32) -> rpc_core::Result<()>;
}

/// How long handlers take, and what became of them.
#[derive(Debug, Default)]
struct Pace {
    ms: AtomicU64,
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Pace {
    async fn hold(&self) {
        let ms = self.ms.load(Ordering::Relaxed).max(1);
        self.begun.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(ms)).await;
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Handlers that were stopped before their end.
    fn stopped(&self) -> u64 {
        self.begun.load(Ordering::Relaxed) - self.ended.load(Ordering::Relaxed)
    }
}

/// Serves it, and may call others like it.
#[derive(Clone)]
struct Moods {
    tally: Tally,
    down: Arc<AtomicBool>,
    next: Option<MoodyClient>,
    pace: Arc<Pace>,
    /// Of each request: the hops that it asks for, and whether it says that it is a retry.
    seen: Arc<Mutex<Vec<(u32, bool)>>>,
}

impl Moods {
    fn new(lab: &Lab, next: Option<&Client>) -> Self {
        Self {
            tally: lab.tally(),
            down: Arc::default(),
            next: next.map(Client::get),
            pace: Arc::default(),
            seen: Arc::default(),
        }
    }

    fn note(&self, hops: u32) -> rpc_core::Result<&MoodyClient> {
        self.seen.lock().unwrap().push((hops, CallContext::current().is_retry()));
        match &self.next {
            Some(next) if hops > 0 => Ok(next),
            _ => Err(RpcError::unavailable("the end of the line")),
        }
    }

    /// Requests that ask for so many hops, and how many of them say that they are retries.
    fn count(&self, hops: u32) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        let of = seen.iter().filter(|(asked, _)| *asked == hops);
        (of.clone().count(), of.filter(|(_, retry)| *retry).count())
    }
}

#[rpc_service]
impl Moody for Moods {
    async fn look(&self, key: String) -> rpc_core::Result<String> {
        self.tally.ran(&key);
        if self.down.load(Ordering::Relaxed) {
            return Err(RpcError::unavailable("told to fail"));
        }
        Ok(key)
    }

    async fn hold(&self, key: String) -> rpc_core::Result<String> {
        self.tally.ran(&key);
        self.pace.hold().await;
        Ok(key)
    }

    async fn book(&self, key: String) -> rpc_core::Result<String> {
        self.hold(key).await
    }

    async fn pass(&self, hops: u32) -> rpc_core::Result<()> {
        self.note(hops)?.pass(hops - 1).await
    }

    async fn insist(&self, hops: u32) -> rpc_core::Result<()> {
        let next = self.note(hops)?.with_options(CallOptions::new().retries(5));
        next.insist(hops - 1).await
    }
}

async fn moods(lab: &mut Lab, providers: usize, moods: &Moods) -> MoodyClient {
    let served = moods.clone();
    lab.providers(providers, move |server| server.collected(false).service(served.clone())).await;
    let client: MoodyClient = lab.client(|client| client).await.get();
    client.look("first".into()).await.unwrap();
    // Time for the others to be found.
    sleep(Duration::from_millis(500)).await;
    client
}

fn load(lab: &mut Lab, client: &MoodyClient, rate: u32) -> Load {
    let client = client.clone();
    lab.load(rate, move |turn| {
        let client = client.clone();
        async move { client.look(turn.key).await }
    })
}

/// All of three providers fail for ten seconds.
async fn o2(mut lab: Lab) {
    let served = Moods::new(&lab, None);
    let client = moods(&mut lab, 3, &served).await;
    let warm = load(&mut lab, &client, 1_000);
    sleep(Duration::from_secs(5)).await;
    warm.finish().await.none_failed();

    let runs = |lab: &Lab| lab.tally().executions().values().map(Vec::len).sum::<usize>();
    let before = runs(&lab);
    served.down.store(true, Ordering::Relaxed);
    let load_of_failures = load(&mut lab, &client, 1_000);
    sleep(Duration::from_secs(10)).await;
    let began = Instant::now();
    let calls = load_of_failures.finish().await;
    let (calls, attempts) = (calls.0.len(), runs(&lab) - before);
    assert!(calls >= 5_000, "only {calls} calls");
    // A quarter more. Where fewer calls were made than should be, what had been saved up weighs
    // more: 100 retries for any time, and those that the last second had earned.
    let seconds = 11 + usize::try_from(began.elapsed().as_secs()).unwrap();
    let most = calls / 4;
    let saved_up = if calls < 9_000 { calls / 5 + 10 * seconds + 310 } else { 0 };
    assert!(attempts - calls <= most.max(saved_up), "{attempts} attempts for {calls} calls");
    assert!(attempts > calls, "nothing was tried again");

    served.down.store(false, Ordering::Relaxed);
    let healed = Instant::now();
    let after = load(&mut lab, &client, 1_000);
    sleep(Duration::from_secs(4)).await;
    let calls = after.finish().await;
    let late =
        calls.failed().iter().filter(|(c, _)| c.began > healed + Duration::from_secs(2)).count();
    assert_eq!(late, 0, "{}", calls.failures());
}

#[test]
fn o2_all_providers_fail_for_ten_seconds_simulated() {
    Lab::simulated(1).run(o2);
}

#[test]
fn o2_all_providers_fail_for_ten_seconds_real() {
    Lab::real("lab::o2").run(o2);
}

#[test]
fn a_retry_is_not_retried_at_the_hops_behind_it() {
    Lab::simulated(1).run(async |mut lab: Lab| {
        let inner = lab.client(|client| client).await;
        let served = Moods::new(&lab, Some(&inner));
        let client = moods(&mut lab, 3, &served).await;
        let error = client.pass(3).await.unwrap_err();
        assert_eq!((error.code(), error.attempts()), (RpcCode::Unavailable, 3));
        // Each hop is retried twice, and each retry goes straight through: with retries of retries
        // it would be 81 at the last. A provider that was ejected meanwhile is spared some.
        let once_at_most = |hop, most: usize| {
            let (calls, retries) = served.count(hop);
            assert!(calls == retries + 1 && calls <= most, "{calls} and {retries} at hop {hop}");
        };
        assert_eq!(served.count(3), (3, 2));
        once_at_most(2, 5);
        once_at_most(1, 7);
        once_at_most(0, 9);

        // Also if a handler insists.
        served.seen.lock().unwrap().clear();
        client.insist(2).await.unwrap_err();
        // It asks for five, and there are three providers.
        once_at_most(2, 3);
        once_at_most(1, 5);
        once_at_most(0, 7);
    });
}

#[test]
fn without_a_budget_nothing_is_retried_and_that_is_counted() {
    Lab::simulated(1).run(async |mut lab: Lab| {
        let served = Moods::new(&lab, None);
        moods(&mut lab, 3, &served).await;
        let client = lab.client(|client| client.retry_budget(0.0, 0)).await;
        served.down.store(true, Ordering::Relaxed);
        let error = client.get::<MoodyClient>().look("poor".into()).await.unwrap_err();
        assert_eq!((error.code(), error.attempts()), (RpcCode::Unavailable, 1));
        let stats = client.stats();
        assert_eq!((stats.retries, stats.retries_refused), (0, 1));
        assert!(error.to_string().contains("budget"), "{error}");
    });
}

#[test]
fn a_call_waits_before_it_is_retried_but_not_beyond_its_deadline() {
    Lab::simulated(1).run(async |mut lab: Lab| {
        let served = Moods::new(&lab, None);
        let client = moods(&mut lab, 3, &served).await;
        served.down.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let error = client.look("patient".into()).await.unwrap_err();
        // 5 to 10 ms and 10 to 20 ms; the network takes its time too.
        let took = began.elapsed();
        assert_eq!(error.attempts(), 3);
        // Each attempt is in the error, each at another provider, with its own time.
        let trail = error.trail();
        let mut places: Vec<_> = trail.iter().map(|attempt| attempt.endpoint).collect();
        assert_eq!(places.last().copied(), error.endpoint());
        places.sort_unstable();
        places.dedup();
        assert_eq!((trail.len(), places.len()), (3, 3), "{error}");
        for pair in trail.windows(2) {
            let pause = pair[1].began.saturating_sub(pair[0].began + pair[0].took);
            assert!(pause >= Duration::from_millis(5), "{error}");
        }
        assert!(took >= Duration::from_millis(15), "{took:?}");

        let hasty = client.with_options(CallOptions::new().timeout(Duration::from_millis(5)));
        let error = hasty.look("hasty".into()).await.unwrap_err();
        // No retry fits: the error that is known is worth more than a deadline that passes.
        assert_eq!((error.code(), error.attempts()), (RpcCode::Unavailable, 1), "{error}");
    });
}

/// Three providers, each with a pace of its own, and a client with the least surprising strategy.
async fn paced(
    lab: &mut Lab,
    build: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Client, Vec<Arc<Pace>>) {
    let mut paces = Vec::new();
    for _ in 0..3 {
        let served = Moods::new(lab, None);
        paces.push(Arc::clone(&served.pace));
        lab.provider(move |server| server.collected(false).service(served.clone())).await;
    }
    let client = lab.client(|client| build(client.balance(Balance::RoundRobin))).await;
    client.get::<MoodyClient>().look("first".into()).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    (client, paces)
}

/// Calls one after the other, so many that the pace of the method is known.
async fn warmed(client: &Client) -> MoodyClient {
    let moody: MoodyClient = client.get();
    for n in 0..600 {
        moody.hold(format!("warm-{n}")).await.unwrap();
    }
    assert_eq!(client.stats().hedges, 0, "nothing was late");
    moody
}

#[test]
fn a_late_call_is_hedged_the_first_answer_wins_and_the_loser_is_stopped() {
    Lab::simulated(1).run(async |mut lab: Lab| {
        let (client, paces) = paced(&mut lab, |client| client).await;
        let moody = warmed(&client).await;
        paces[0].ms.store(300, Ordering::Relaxed);
        for n in 0..3 {
            let began = Instant::now();
            moody.hold(format!("late-{n}")).await.unwrap();
            assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        }
        let stats = client.stats();
        assert_eq!((stats.hedges, stats.hedges_won, stats.retries), (1, 1, 0), "{stats:?}");
        sleep(Duration::from_secs(1)).await;
        let stopped: Vec<_> = paces.iter().map(|pace| pace.stopped()).collect();
        assert_eq!(stopped, [1, 0, 0]);
        assert_eq!(lab.tally().repeated(), 1);
    });
}

#[test]
fn what_must_not_run_twice_or_was_asked_not_to_is_not_hedged() {
    Lab::simulated(1).run(async |mut lab: Lab| {
        let (client, paces) = paced(&mut lab, |client| client).await;
        let moody = warmed(&client).await;
        for n in 0..600 {
            moody.book(format!("warm-book-{n}")).await.unwrap();
        }
        paces[0].ms.store(300, Ordering::Relaxed);
        let once = moody.with_options(CallOptions::new().retries(0));
        for n in 0..3 {
            moody.book(format!("book-{n}")).await.unwrap();
            once.hold(format!("once-{n}")).await.unwrap();
        }
        assert_eq!((client.stats().hedges, lab.tally().repeated()), (0, 0));

        let plain = lab.client(|c| c.balance(Balance::RoundRobin).hedging(0.0)).await;
        paces[0].ms.store(0, Ordering::Relaxed);
        plain.get::<MoodyClient>().look("second".into()).await.unwrap();
        sleep(Duration::from_millis(500)).await;
        let moody: MoodyClient = plain.get();
        for n in 0..600 {
            moody.hold(format!("plain-{n}")).await.unwrap();
        }
        paces[0].ms.store(300, Ordering::Relaxed);
        for n in 0..3 {
            moody.hold(format!("off-{n}")).await.unwrap();
        }
        assert_eq!((plain.stats().hedges, lab.tally().repeated()), (0, 0));
    });
}

/// One of two providers answers pings and no call any more, from one moment to the next.
#[test]
fn a_provider_that_lives_and_answers_no_call_costs_no_idempotent_call() {
    for seed in 0..2 {
        Lab::simulated(seed).run(async |mut lab: Lab| {
            let mut paces = Vec::new();
            for _ in 0..2 {
                let served = Moods::new(&lab, None);
                served.pace.ms.store(20, Ordering::Relaxed);
                paces.push(Arc::clone(&served.pace));
                lab.provider(move |server| server.collected(false).service(served.clone())).await;
            }
            let client = lab.client(|client| client).await;
            let moody: MoodyClient = client.get();
            let load = lab.load(1_000, move |turn| {
                let moody = moody.clone();
                async move { moody.hold(turn.key).await }
            });
            sleep(Duration::from_secs(3)).await;
            paces[0].ms.store(3_600_000, Ordering::Relaxed);
            sleep(Duration::from_secs(12)).await;
            let calls = load.finish().await;
            calls.none_failed();
            let repeated = lab.tally().repeated();
            assert!(repeated <= calls.0.len() / 4, "{repeated} ran twice");
        });
    }
}

/// One of three is slow by 300 ms for half a second in every five.
#[test]
fn hedges_stay_within_their_share_while_one_of_three_is_slow_at_times() {
    Lab::simulated(1).run(async |mut lab: Lab| {
        let (client, paces) = paced(&mut lab, |client| client).await;
        let moody: MoodyClient = client.get();
        let load = lab.load(400, move |turn| {
            let moody = moody.clone();
            async move { moody.hold(turn.key).await }
        });
        for _ in 0..6 {
            sleep(Duration::from_millis(4_500)).await;
            paces[0].ms.store(300, Ordering::Relaxed);
            sleep(Duration::from_millis(500)).await;
            paces[0].ms.store(0, Ordering::Relaxed);
        }
        let calls = load.finish().await;
        calls.none_failed();
        let (stats, made) = (client.stats(), calls.0.len() as u64);
        // What a quiet service saves up and what a second of calls earns may come on top.
        assert!(stats.hedges <= made / 20 + 30, "{stats:?} of {made}");
        assert!(stats.hedges_won >= 50 && stats.hedges_won <= stats.hedges, "{stats:?}");
        assert_eq!(stats.retries, 0, "{stats:?}");
        // Each hedge is a second run, but for those that came to a handler too late to begin.
        let repeated = lab.tally().repeated() as u64;
        assert!(repeated <= stats.hedges, "{repeated}, {stats:?}");
        sleep(Duration::from_secs(1)).await;
        let stopped: u64 = paces.iter().map(|pace| pace.stopped()).sum();
        assert!(stopped >= stats.hedges_won, "{stopped}, {stats:?}");
    });
}

#[test]
fn a_silent_provider_is_waited_for_beside_the_others_and_may_answer_first() {
    Lab::simulated(1).run(async |mut lab: Lab| {
        let (client, paces) = paced(&mut lab, |client| client.hedging(0.0)).await;
        let moody: MoodyClient = client.get();
        // Two are silent, the third needs five seconds: those who were asked first answer first.
        for pace in &paces {
            pace.ms.store(5_000, Ordering::Relaxed);
        }
        let calls: Vec<_> = (0..3)
            .map(|n| {
                let moody = moody.clone();
                tokio::spawn(async move { moody.hold(format!("call-{n}")).await })
            })
            .collect();
        sleep(Duration::from_millis(200)).await;
        lab.apply(Event::RepliesLost(0)).await;
        lab.apply(Event::RepliesLost(1)).await;
        let began = Instant::now();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        // Two more attempts at the third, made when the others had been silent for two seconds.
        let took = began.elapsed();
        assert!((Duration::from_secs(6)..Duration::from_secs(8)).contains(&took), "{took:?}");
        assert_eq!(client.stats().retries, 2);
    });
}
