//! What further attempts cost the providers, counted by their handlers.

use rpc_client::Client;
use rpc_core::{CallContext, CallOptions, RpcCode, RpcError, rpc_client, rpc_service};
use rpc_testkit::{
    lab::{Lab, Tally},
    load::Load,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

#[rpc_client(name = "lab.Moody")]
pub(crate) trait Moody {
    /// Notes `key` and gives it back, or fails with `Unavailable` while it is told to.
    #[rpc(idempotent)]
    async fn look(&self, key: String) -> rpc_core::Result<String>;
    /// The same at so many further hops, the last of which fails.
    #[rpc(idempotent)]
    async fn pass(&self, hops: u32) -> rpc_core::Result<()>;
    /// Passes on with options of its own, which ask for five retries.
    #[rpc(idempotent)]
    async fn insist(&self, hops: u32) -> rpc_core::Result<()>;
}

/// Serves it, and may call others like it.
#[derive(Clone)]
struct Moods {
    tally: Tally,
    down: Arc<AtomicBool>,
    next: Option<MoodyClient>,
    /// Of each request: the hops that it asks for, and whether it says that it is a retry.
    seen: Arc<Mutex<Vec<(u32, bool)>>>,
}

impl Moods {
    fn new(lab: &Lab, next: Option<&Client>) -> Self {
        Self {
            tally: lab.tally(),
            down: Arc::default(),
            next: next.map(Client::get),
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
    let calls = load_of_failures.finish().await;
    let (calls, attempts) = (calls.0.len(), runs(&lab) - before);
    assert!(calls >= 5_000, "only {calls} calls");
    assert!(attempts * 4 <= calls * 5, "{attempts} attempts for {calls} calls");
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
