//! Callers whose runtime has other things to do.

use crate::script::{BOUND, Provider, Raw, RawClient};
use rpc_client::Client;
use rpc_core::wire::Kind;
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};
use tokio::{
    runtime::Builder,
    task::JoinSet,
    time::{Instant, sleep},
};

/// Takes turns that block the thread, and counts them. There is always a next one.
async fn work(turns: Arc<AtomicU32>) {
    poll_fn(|cx| {
        turns.fetch_add(1, Ordering::Relaxed);
        block();
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}

#[expect(clippy::disallowed_methods, reason = "it stands for work")]
fn block() {
    thread::sleep(Duration::from_micros(300));
}

/// Beside a task that is always runnable, the runtime looks at its sockets once in 61 polls: sixteen
/// callers that wait for that are answered once in each three turns of that task.
#[test]
fn callers_beside_a_task_that_computes_do_not_wait_for_the_runtime_to_look_at_its_sockets() {
    let elsewhere = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let provider = elsewhere.block_on(Provider::bind());
    let url = format!("static://{}", provider.addr);
    let serving = elsewhere.spawn(async move {
        let mut peer = provider.greet().await;
        loop {
            let request = peer.expect(Kind::Request).await;
            peer.reply(request.id(), &request.text()).await;
        }
    });
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let proxy: RawClient = Client::connect(url).await.unwrap().get();
        let counts: [Arc<AtomicU32>; 2] = Default::default();
        let now = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let [answered, turns] = &counts;
        let mut tasks = JoinSet::new();
        tasks.spawn(work(Arc::clone(turns)));
        for _ in 0..16 {
            let (proxy, answered) = (proxy.clone(), Arc::clone(answered));
            tasks.spawn(async move {
                loop {
                    assert_eq!(proxy.put("text".into()).await.as_deref(), Ok("text"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (end, mut before) = (Instant::now() + BOUND, now());
        // The provider may have to wait for a core, but not all the time.
        loop {
            sleep(Duration::from_millis(100)).await;
            let [answered, turns] = now();
            if answered - before[0] > 2 * (turns - before[1]) {
                break;
            }
            before = [answered, turns];
            assert!(Instant::now() < end, "{answered} calls in {turns} turns");
        }
        // Before the client closes the connection.
        serving.abort();
    });
}
