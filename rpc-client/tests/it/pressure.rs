//! Who is told when every connection to every provider is full, what they are told, and how often.

use crate::script::{BOUND, Peer, Provider, Raw, RawClient};
use rpc_client::{Client, ClientBuilder, Pressure};
use rpc_core::{
    Outcome, RpcError,
    discovery::{Instance, MemoryRegistry},
    wire::{BASE_LIMITS, Kind, Limits, Reason},
};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{
        mpsc::{Receiver, channel},
        oneshot, watch,
    },
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// The shortest that there is.
const WINDOW: Duration = Duration::from_secs(1);
/// The fewest calls at once that a provider may ask for.
const LIMIT: usize = BASE_LIMITS.max_in_flight as usize;

/// A provider that is full: it takes `LIMIT` calls, which it has, and `waiting` more wait.
struct Full {
    client: RawClient,
    /// Lets the provider answer.
    open: watch::Sender<bool>,
    calls: JoinSet<Result<String, RpcError>>,
}

impl Full {
    async fn new(builder: ClientBuilder, waiting: usize) -> Self {
        let registry = MemoryRegistry::new();
        Self::found_in(&registry, builder, waiting).await
    }

    async fn found_in(registry: &MemoryRegistry, builder: ClientBuilder, waiting: usize) -> Self {
        let provider = Provider::bind().await;
        registry.add("test.Raw", Instance::at(provider.addr));
        let builder = builder.registry(registry.clone()).connections(1..=1);
        let client: RawClient = builder.build().await.unwrap().get();
        let mut peer = provider.accept().await;
        let limits = Limits { max_in_flight: BASE_LIMITS.max_in_flight, ..Limits::default() };
        peer.greet(limits).await;
        let (open, opened) = watch::channel(false);
        let (full, is_full) = oneshot::channel();
        tokio::spawn(serve(peer, full, opened));
        let mut calls = JoinSet::new();
        for _ in 0..LIMIT + waiting {
            call(&mut calls, &client);
        }
        timeout(BOUND, is_full).await.expect("it is not full").unwrap();
        Self { client, open, calls }
    }

    /// Answers every call, also those that waited.
    async fn answer_all(&mut self) {
        self.open.send_replace(true);
        while let Some(answer) = timeout(BOUND, self.calls.join_next()).await.unwrap() {
            answer.unwrap().unwrap();
        }
    }
}

/// A provider that answers pings, and calls once it may.
async fn serve(mut peer: Peer, full: oneshot::Sender<()>, mut open: watch::Receiver<bool>) {
    let (mut full, mut ids) = (Some(full), Vec::new());
    loop {
        tokio::select! {
            frame = peer.frame_or_end() => match frame {
                Some(frame) if frame.header.kind == Kind::Request => ids.push(frame.id()),
                Some(_) => {}
                None => return,
            },
            _ = open.wait_for(|open| *open), if !*open.borrow() => {}
        }
        if ids.len() == LIMIT
            && let Some(full) = full.take()
        {
            full.send(()).unwrap();
        }
        if *open.borrow() {
            for id in ids.drain(..) {
                peer.reply(id, &"").await;
            }
        }
    }
}

fn call(calls: &mut JoinSet<Result<String, RpcError>>, client: &RawClient) {
    let client = client.clone();
    calls.spawn(async move { client.put("x".into()).await });
}

/// The event that `docs/overload.md` shows.
fn documented() -> serde_json::Value {
    let (_, rest) = include_str!("../../../docs/overload.md").split_once("```json\n").unwrap();
    serde_json::from_str(rest.split_once("```").unwrap().0).unwrap()
}

fn keys(event: &serde_json::Value) -> Vec<&String> {
    event.as_object().unwrap().keys().collect()
}

/// A hook, and what it was told and when.
fn hook(builder: ClientBuilder) -> (ClientBuilder, Receiver<(Instant, Pressure)>) {
    let (events, told) = channel(100);
    let hook = move |pressure: &Pressure| {
        events.blocking_send((Instant::now(), pressure.clone())).unwrap();
    };
    (builder.on_pressure(hook), told)
}

async fn next<T>(told: &mut Receiver<T>) -> T {
    timeout(BOUND, told.recv()).await.expect("nobody was told").unwrap()
}

#[tokio::test]
async fn a_hook_is_told_once_per_window_how_full_it_is_and_when_it_is_over() {
    let (builder, mut told) = hook(Client::builder().pressure_window(WINDOW).max_waiting(3));
    let mut full = Full::new(builder, 4).await;
    let (mut last, first) = next(&mut told).await;
    let figures = (first.service.as_str(), first.endpoints, first.connections, first.over);
    assert_eq!(figures, ("test.Raw", 1, 1, false));
    assert_eq!((first.in_flight, first.capacity), (LIMIT, LIMIT));
    assert_eq!((first.waiting, first.most_waiting, first.max_waiting), (3, 3, 3));
    assert_eq!((first.refused, first.more_providers), (1, 1));
    assert!(first.lasting >= Duration::from_secs(1), "{first:?}");
    // It goes on: nobody else was refused.
    for _ in 0..2 {
        let (at, again) = next(&mut told).await;
        // A window apart, but for how late the hook was called the last time.
        assert!(at - last >= WINDOW / 2, "{:?} after the last", at - last);
        assert_eq!((again.waiting, again.refused, again.over), (3, 0, false));
        assert!(again.lasting > first.lasting);
        last = at;
    }
    assert!(full.calls.join_next().await.unwrap().unwrap().is_err());
    full.answer_all().await;
    let over = loop {
        let (_, event) = next(&mut told).await;
        assert_eq!(event.waiting, 0);
        if event.over {
            break event;
        }
    };
    assert_eq!((over.in_flight, over.refused, over.more_providers), (0, 0, 0));
    assert!(over.lasting > Duration::from_secs(2), "{over:?}");
    // That was the last word of it.
    assert!(timeout(2 * WINDOW, told.recv()).await.is_err());
}

#[tokio::test]
async fn calls_that_an_overloaded_provider_refuses_are_told_when_that_goes_on() {
    let provider = Provider::bind().await;
    let (builder, mut told) = hook(Client::builder().pressure_window(WINDOW).retries(0));
    let builder = builder.registry(format!("static://{}", provider.addr));
    let client: RawClient = builder.build().await.unwrap().get();
    let mut peer = provider.greet().await;
    tokio::spawn(async move {
        while let Some(frame) = peer.frame_or_end().await {
            peer.refuse(frame.id(), Reason::Overloaded).await;
        }
    });
    let mut failed = 0;
    let (_, first) = loop {
        assert_eq!(client.put("x".into()).await.unwrap_err().outcome(), Outcome::Refused);
        failed += 1;
        match timeout(Duration::from_millis(20), told.recv()).await {
            Ok(event) => break event.unwrap(),
            Err(_) => assert!(failed < 1_000, "nobody was told"),
        }
    };
    assert!((2..=failed).contains(&first.turned_away), "{first:?}");
    let figures = (first.waiting, first.most_waiting, first.refused, first.more_providers);
    assert_eq!((figures, first.endpoints, first.over), ((0, 0, 0, 1), 1, false));
    assert!(first.lasting >= Duration::from_secs(2), "{first:?}");
    // Those that failed until the hook was called, if any, and then the end.
    let mut last = next(&mut told).await.1;
    while !last.over {
        assert!(last.turned_away > 0, "{last:?}");
        last = next(&mut told).await.1;
    }
    assert_eq!((last.turned_away, last.more_providers), (0, 0));
}

/// What is logged, as text.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    async fn until(&self, words: &str) {
        let end = Instant::now() + BOUND;
        while !self.text().contains(words) {
            assert!(Instant::now() < end, "{words}: {}", self.text());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// On one thread: the log is that of the thread.
#[tokio::test]
async fn the_log_is_told_with_fields_when_it_begins_and_when_it_is_over() {
    let log = Log::default();
    let writer = log.clone();
    let logged = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    let _logged = tracing::subscriber::set_default(logged.finish());
    let builder = Client::builder().pressure_window(WINDOW).max_waiting(3);
    let mut full = Full::new(builder, 4).await;
    log.until("every connection to every provider of test.Raw is full: ").await;
    for words in [" WARN ", "service=\"test.Raw\"", "waiting=3", "refused=1", "more_providers=1"] {
        assert!(log.text().contains(words), "{words}: {}", log.text());
    }
    assert!(full.calls.join_next().await.unwrap().unwrap().is_err());
    full.answer_all().await;
    log.until("test.Raw is no longer full; it was for ").await;
}

#[tokio::test]
async fn a_moment_in_which_calls_wait_is_nothing_to_tell() {
    // On a busy machine it may be more than a moment: then once more.
    for _ in 0..20 {
        let (builder, mut told) = hook(Client::builder().pressure_window(WINDOW));
        let began = Instant::now();
        let mut full = Full::new(builder, 10).await;
        full.answer_all().await;
        if began.elapsed() < WINDOW / 2 {
            assert!(timeout(2 * WINDOW, told.recv()).await.is_err());
            return;
        }
    }
    panic!("it is never answered in half of the window");
}

#[tokio::test]
async fn a_hook_that_panics_is_called_again_and_costs_nothing() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let builder = Client::builder().pressure_window(WINDOW).on_pressure(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    });
    let mut full = Full::new(builder, 1).await;
    let end = Instant::now() + BOUND;
    while calls.load(Ordering::SeqCst) < 2 {
        assert!(Instant::now() < end, "it is not called again");
        sleep(Duration::from_millis(10)).await;
    }
    full.answer_all().await;
}

// On one thread, and the runtime ends although the hook never returns.
#[tokio::test]
async fn a_hook_that_never_returns_holds_nothing_up() {
    let (called, wait_for_call) = mpsc::channel();
    let builder = Client::builder().pressure_window(WINDOW).on_pressure(move |_| {
        called.send(()).unwrap();
        loop {
            std::thread::park();
        }
    });
    let mut full = Full::new(builder, 1).await;
    let end = Instant::now() + BOUND;
    while wait_for_call.try_recv().is_err() {
        assert!(Instant::now() < end, "it is not called");
        sleep(Duration::from_millis(10)).await;
    }
    // In the next window as well.
    sleep(2 * WINDOW).await;
    full.answer_all().await;
    call(&mut full.calls, &full.client);
    full.answer_all().await;
}

#[tokio::test]
async fn a_webhook_and_a_command_and_the_registry_are_told_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = std::env::temp_dir().join(format!("rpc-pressure-{}", std::process::id()));
    let registry = MemoryRegistry::new();
    let builder = Client::builder()
        .pressure_webhook(format!("http://{}/events", listener.local_addr().unwrap()))
        .pressure_command(["tee", file.to_str().unwrap()]);
    let mut full = Full::found_in(&registry, builder, 70).await;
    let (mut stream, _) = timeout(BOUND, listener.accept()).await.unwrap().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert_ne!(timeout(BOUND, stream.read_buf(&mut request)).await.unwrap().unwrap(), 0);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("POST /events HTTP/1.1\r\n"), "{request}");
    let (_, json) = request.split_once("\r\n\r\n").unwrap();

    let event: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(keys(&event), keys(&documented()), "docs/overload.md has another event");
    let says = |key: &str, value: u64| assert_eq!(event[key], value, "{key}: {json}");
    assert_eq!((&event["service"], &event["over"]), (&"test.Raw".into(), &false.into()), "{json}");
    says("endpoints", 1);
    says("in_flight", 64);
    says("capacity", 64);
    says("waiting", 70);
    says("most_waiting", 70);
    says("max_waiting", 10_000);
    // 134 calls, 64 for each.
    says("more_providers", 2);
    says("window", 60);
    assert!(event["lasting"].as_f64().unwrap() >= 1.0, "{json}");
    assert!(event["at"].as_u64().unwrap() > 1_700_000_000, "{json}");
    let client = event["client"].as_str().unwrap();
    assert!(client.contains(&format!(":{}#", std::process::id())), "{client}");
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("64 of 64 calls in flight on 1 connections to 1 endpoints"), "{text}");
    assert!(text.ends_with("; at least 2 more providers are needed"), "{text}");

    let end = Instant::now() + BOUND;
    while std::fs::read_to_string(&file).ok().as_deref() != Some(json) {
        assert!(Instant::now() < end, "{} has not {json}", file.display());
        sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_file(file).unwrap();
    let notice = registry.notice("test.Raw").unwrap();
    assert_eq!((notice.json.as_str(), notice.client.as_str(), notice.over), (json, client, false));
    full.answer_all().await;
}

// The window is an hour: there is no second event.
#[tokio::test]
async fn a_client_that_is_dropped_kills_its_command() {
    let file = std::env::temp_dir().join(format!("rpc-pressure-pid-{}", std::process::id()));
    let script =
        format!("echo $$ > '{0}.new'; mv '{0}.new' '{0}'; exec sleep 1000", file.display());
    let builder = Client::builder()
        .pressure_window(Duration::from_hours(1))
        .pressure_command(["sh", "-c", &script]);
    let mut full = Full::new(builder, 1).await;
    let end = Instant::now() + BOUND;
    while !file.exists() {
        assert!(Instant::now() < end, "the command was not run");
        sleep(Duration::from_millis(10)).await;
    }
    let pid = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
    assert!(process.exists());
    full.answer_all().await;
    drop(full);
    while process.exists() {
        assert!(Instant::now() < end, "the command lives");
        sleep(Duration::from_millis(10)).await;
    }
}
