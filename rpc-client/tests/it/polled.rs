//! Callers that are polled late, elsewhere, or not at all.

use crate::script::{BOUND, Provider, Raw, RawClient};
use rpc_client::{Balance, Client};
use rpc_core::{
    CallOptions, Outcome, RpcCode,
    wire::{BASE_LIMITS, Kind, Limits},
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{sleep, timeout},
};

const SOON: Duration = Duration::from_millis(100);

/// Polls it once, for nobody.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_put_aside_in_the_line_holds_up_no_other() {
    let provider = Provider::bind().await;
    let client = Client::builder().registry(format!("static://{}", provider.addr));
    // No list is published while the share of a new instance grows.
    let client = client.connections(1..=1).warm_up(Duration::ZERO).build().await.unwrap();
    let proxy: RawClient = client.get();
    let mut peer = provider.accept().await;
    peer.greet(Limits { max_in_flight: BASE_LIMITS.max_in_flight, ..Limits::default() }).await;
    sleep(SOON).await;
    let (mut calls, mut ids) = (JoinSet::new(), Vec::new());
    for _ in 0..BASE_LIMITS.max_in_flight {
        let proxy = proxy.clone();
        calls.spawn(async move { proxy.put("fill".into()).await });
        ids.push(peer.expect(Kind::Request).await.id());
    }
    let mut aside: Vec<_> = (0..100).map(|_| Box::pin(proxy.put("aside".into()))).collect();
    for call in &mut aside {
        assert!(poll_once(call).is_pending());
    }
    let next = tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.put("next".into()).await }
    });
    sleep(SOON).await;
    for id in ids {
        peer.reply(id, &"").await;
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap().unwrap();
    }
    // There is room for 64, of which 100 do not make use.
    let request = peer.expect(Kind::Request).await;
    assert_eq!(request.text(), "next");
    peer.reply(request.id(), &"done").await;
    assert_eq!(timeout(BOUND, next).await.unwrap().unwrap().as_deref(), Ok("done"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_time_has_passed_while_it_waited_is_not_sent() {
    let addr = Provider::bind().await.addr;
    let client = Client::connect(format!("static://{addr}")).await.unwrap();
    let proxy = client.get::<RawClient>().with_options(CallOptions::new().timeout(SOON));
    // Until nobody was found there.
    sleep(SOON).await;
    let mut call = Box::pin(proxy.put("late".into()));
    // As that of a process that is stopped, or of a task that computes.
    assert!(poll_once(&mut call).is_pending());
    let provider = Provider::at(addr).await;
    let mut peer = provider.greet().await;
    sleep(SOON * 2).await;
    let error = call.await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    drop((proxy, client));
    let sent = timeout(BOUND, peer.frame_or_end()).await.unwrap();
    assert!(sent.is_none(), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_would_be_retried_ends_with_the_runtime_of_its_client() {
    let providers = [Provider::bind().await, Provider::bind().await];
    let url = format!("static://{},{}", providers[0].addr, providers[1].addr);
    let other = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = Client::builder().registry(url).balance(Balance::RoundRobin);
    let client = other.spawn(async move { client.build().await.unwrap() }).await.unwrap();
    let proxy: RawClient = client.get();
    let mut peers = [Some(providers[0].greet().await), Some(providers[1].greet().await)];
    sleep(SOON).await;
    let call = tokio::spawn(async move { proxy.get("a".into()).await });
    let [one, two] = &mut peers;
    let first = tokio::select! {
        _ = one.as_mut().unwrap().expect(Kind::Request) => 0,
        _ = two.as_mut().unwrap().expect(Kind::Request) => 1,
    };
    peers[first] = None;
    // Before the third attempt it would wait for a while.
    peers[1 - first].as_mut().unwrap().expect(Kind::Request).await;
    other.shutdown_background();
    let error = timeout(BOUND, call).await.unwrap().expect("no panic").unwrap_err();
    assert_eq!(
        (error.code(), error.outcome()),
        (RpcCode::Unavailable, Outcome::Unknown),
        "{error}"
    );
}

#[test]
fn a_call_waits_on_the_clock_of_its_client_where_the_callers_runtime_has_none() {
    let main = Runtime::new().unwrap();
    let client = main.block_on(Client::connect("static://127.0.0.1:1")).unwrap();
    let proxy: RawClient = client.get();
    let proxy = proxy.with_options(CallOptions::new().timeout(SOON));
    let bare = Builder::new_current_thread().build().unwrap();
    let error = bare.block_on(proxy.put("a".into())).unwrap_err();
    assert_eq!(
        (error.code(), error.outcome()),
        (RpcCode::Unavailable, Outcome::NotSent),
        "{error}"
    );
    let error = block_on(proxy.put("a".into())).unwrap_err();
    assert_eq!(
        (error.code(), error.outcome()),
        (RpcCode::Unavailable, Outcome::NotSent),
        "{error}"
    );
}

#[test]
fn the_first_call_waits_for_its_provider_also_outside_of_every_runtime() {
    let main = Runtime::new().unwrap();
    let provider = main.block_on(Provider::bind());
    let client = main.block_on(provider.client());
    main.spawn(async move {
        let mut peer = provider.greet().await;
        loop {
            let id = peer.expect(Kind::Request).await.id();
            peer.reply(id, &"b").await;
        }
    });
    let proxy: RawClient = client.get();
    assert_eq!(block_on(proxy.put("a".into())).as_deref(), Ok("b"));
}

/// What a program does that knows nothing of tokio.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
