//! A program against the public interface alone: contracts, providers and consumers in one file,
//! written from the description of the interface as a user would.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rpc_client::{Balance, Client};
use rpc_core::{
    CallContext, CallOptions, Outcome, RpcCode, RpcError, Shared, rpc_client, rpc_service,
};
use rpc_server::Server;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc, time::Duration};
use tokio::time::sleep;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

// ---- contracts ----------------------------------------------------------------------------------

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Greeting {
    text: String,
    by: String,
}

/// An application's own errors, with a place for the framework's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum GreetError {
    Rude { word: String },
    Rpc(RpcError),
}

impl From<RpcError> for GreetError {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl fmt::Display for GreetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for GreetError {}

#[rpc_client]
trait Greeter {
    /// Greets.
    #[rpc(idempotent)]
    async fn greet(&self, name: String) -> Result<Greeting, GreetError>;
    /// Who serves.
    async fn name(&self) -> rpc_core::Result<String>;
    /// A default body.
    async fn shout(&self, name: String) -> Result<String, GreetError> {
        Ok(self.greet(name).await?.text.to_uppercase())
    }
}

type Pairs<'a> = Vec<(&'a str, u32)>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: Option<i32>,
}

#[rpc_client(name = "api.Borrower")]
trait Borrower {
    async fn text(&self, text: &str, more: Option<&str>) -> rpc_core::Result<String>;
    async fn bytes(&self, data: &[u8], salt: Option<&[u8]>) -> rpc_core::Result<usize>;
    async fn slice(&self, points: &[Point], one: &Point) -> rpc_core::Result<Vec<Point>>;
    async fn many(&self, names: Vec<&str>, map: &HashMap<&str, u32>) -> rpc_core::Result<u32>;
    async fn cow(&self, text: Cow<'_, str>, pair: (u8, String)) -> rpc_core::Result<String>;
    async fn alias(&self, pairs: Pairs<'_>, r#type: u8) -> rpc_core::Result<u32>;
}

#[rpc_client(name = "api.Outer")]
trait Outer {
    /// What the handler sees itself, and what its nested call saw.
    async fn seen(&self) -> rpc_core::Result<[Seen; 2]>;
    /// The same through a spawned task.
    async fn seen_by_task(&self) -> rpc_core::Result<Seen>;
    /// The nested call's error as a framework error.
    async fn fail(&self) -> rpc_core::Result<()>;
}

#[rpc_client(name = "api.Inner")]
trait Inner {
    async fn seen(&self) -> rpc_core::Result<Seen>;
    async fn fail(&self) -> rpc_core::Result<()>;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seen {
    tenant: Option<String>,
    run: Option<String>,
    trace: Option<String>,
    remaining: Option<Duration>,
    peer: bool,
}

fn seen() -> Seen {
    let context = CallContext::current();
    Seen {
        tenant: context.metadata("tenant").map(str::to_owned),
        run: context.metadata("run").map(str::to_owned),
        trace: context.trace_id().map(|trace| trace.to_string()),
        remaining: context.remaining(),
        peer: context.peer().is_some(),
    }
}

#[rpc_client(name = "api.Shop", version = "2", timeout = "400ms", codec = "compact")]
trait Shop {
    async fn buy(&self, point: Point, note: Option<String>) -> rpc_core::Result<Point>;
    /// The time that was given.
    async fn given(&self) -> rpc_core::Result<Duration>;
    #[rpc(timeout = "200ms", name = "givenLess")]
    async fn given_less(&self) -> rpc_core::Result<Duration>;
    #[rpc(timeout = "60s")]
    async fn slow(&self) -> rpc_core::Result<()>;
}

#[rpc_client(name = "api.Counter")]
trait Counter {
    async fn start(&self) -> rpc_core::Result<u32>;
}

#[rpc_client(name = "api.AsyncCounter")]
trait AsyncCounter {
    async fn start(&self) -> rpc_core::Result<u32>;
}

// ---- providers ----------------------------------------------------------------------------------

#[derive(Default)]
struct Polite;

#[rpc_service]
impl Greeter for Polite {
    async fn greet(&self, name: String) -> Result<Greeting, GreetError> {
        match &*name {
            "boor" => Err(GreetError::Rude { word: name }),
            "teapot" => Err(RpcError::failed_precondition("a teapot").into()),
            _ => Ok(Greeting { text: format!("hello {name}"), by: "polite".into() }),
        }
    }

    async fn name(&self) -> rpc_core::Result<String> {
        Ok("polite".into())
    }
}

struct Named(&'static str);

#[rpc_service]
impl Greeter for Named {
    async fn greet(&self, name: String) -> Result<Greeting, GreetError> {
        Ok(Greeting { text: format!("{name}?"), by: self.0.into() })
    }

    async fn name(&self) -> rpc_core::Result<String> {
        Ok(self.0.into())
    }
}

#[derive(Default)]
struct Lender;

#[rpc_service]
impl Borrower for Lender {
    async fn text(&self, text: &str, more: Option<&str>) -> rpc_core::Result<String> {
        Ok(format!("{text}{}", more.unwrap_or("-")))
    }

    async fn bytes(&self, data: &[u8], salt: Option<&[u8]>) -> rpc_core::Result<usize> {
        Ok(data.len() + salt.map_or(1000, <[u8]>::len))
    }

    async fn slice(&self, points: &[Point], one: &Point) -> rpc_core::Result<Vec<Point>> {
        Ok(points.iter().chain([one]).cloned().collect())
    }

    async fn many(&self, names: Vec<&str>, map: &HashMap<&str, u32>) -> rpc_core::Result<u32> {
        Ok(names.iter().filter_map(|name| map.get(name)).sum())
    }

    async fn cow(&self, text: Cow<'_, str>, pair: (u8, String)) -> rpc_core::Result<String> {
        Ok(format!("{text}{}{}", pair.0, pair.1))
    }

    async fn alias(&self, pairs: Pairs<'_>, r#type: u8) -> rpc_core::Result<u32> {
        Ok(pairs.iter().map(|(_, n)| n).sum::<u32>() + u32::from(r#type))
    }
}

struct Outside {
    inner: InnerClient,
}

#[rpc_service]
impl Outer for Outside {
    async fn seen(&self) -> rpc_core::Result<[Seen; 2]> {
        Ok([seen(), self.inner.seen().await?])
    }

    async fn seen_by_task(&self) -> rpc_core::Result<Seen> {
        let inner = self.inner.clone();
        rpc_core::spawn(async move { inner.seen().await }).await.unwrap()
    }

    async fn fail(&self) -> rpc_core::Result<()> {
        self.inner.fail().await
    }
}

#[derive(Default)]
struct Inside;

#[rpc_service]
impl Inner for Inside {
    async fn seen(&self) -> rpc_core::Result<Seen> {
        Ok(seen())
    }

    async fn fail(&self) -> rpc_core::Result<()> {
        Err(RpcError::unavailable("the disk is away"))
    }
}

#[derive(Default)]
struct Kiosk;

#[rpc_service]
impl Shop for Kiosk {
    async fn buy(&self, point: Point, note: Option<String>) -> rpc_core::Result<Point> {
        Ok(Point { y: point.y.or(note.and_then(|note| note.parse().ok())), ..point })
    }

    async fn given(&self) -> rpc_core::Result<Duration> {
        Ok(CallContext::current().remaining().unwrap())
    }

    async fn given_less(&self) -> rpc_core::Result<Duration> {
        Ok(CallContext::current().remaining().unwrap())
    }

    async fn slow(&self) -> rpc_core::Result<()> {
        sleep(Duration::from_secs(30)).await;
        Ok(())
    }
}

struct Start(u32);

struct Counting(u32);

impl Counting {
    #[expect(clippy::needless_pass_by_value, reason = "what `init` takes is handed over")]
    fn open(start: Shared<Start>, text: Shared<String>) -> Result<Self, String> {
        if text.is_empty() { Err("no text".into()) } else { Ok(Self(start.0)) }
    }

    async fn open_later(start: Shared<Start>) -> Self {
        sleep(ms(5)).await;
        Self(start.0 + 1)
    }
}

#[rpc_service(init = Counting::open)]
impl Counter for Counting {
    async fn start(&self) -> rpc_core::Result<u32> {
        Ok(self.0)
    }
}

struct LateCounting(Counting);

impl LateCounting {
    async fn open(start: Shared<Start>) -> Self {
        Self(Counting::open_later(start).await)
    }
}

#[rpc_service(init = LateCounting::open)]
impl AsyncCounter for LateCounting {
    async fn start(&self) -> rpc_core::Result<u32> {
        Ok(self.0.0)
    }
}

// ---- consumers ----------------------------------------------------------------------------------

/// A server of `service` alone at `memory://name`, and a client of it.
async fn pair<T: Send + Sync + 'static>(name: &str, service: T) -> (Server, Client) {
    let url = format!("memory://api-{name}");
    let server = Server::builder().registry(&url).service(service).collected(false);
    (server.start().await.unwrap(), Client::connect(&url).await.unwrap())
}

#[tokio::test]
async fn values_errors_and_default_bodies_travel_over_memory_and_static() {
    let (server, by_memory) = pair("values", Polite).await;
    let by_list = Client::connect(format!("static://{}", server.local_addr())).await.unwrap();
    for client in [by_memory, by_list] {
        let greeter: GreeterClient = client.get();
        let expected = Greeting { text: "hello Ada".into(), by: "polite".into() };
        assert_eq!(greeter.greet("Ada".into()).await.unwrap(), expected);
        let rude = GreetError::Rude { word: "boor".into() };
        assert_eq!(greeter.greet("boor".into()).await.unwrap_err(), rude);
        assert_eq!(greeter.shout("Ada".into()).await.unwrap(), "HELLO ADA");
        let shown = format!("{greeter:?}");
        assert!(shown.contains("Greeter"), "{shown}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn an_application_error_that_holds_a_framework_error_is_the_handlers_own() {
    let (_server, client) = pair("holds", Polite).await;
    let greeter: GreeterClient = client.get();
    let Err(GreetError::Rpc(error)) = greeter.greet("teapot".into()).await else { panic!() };
    assert_eq!((error.code(), error.message()), (RpcCode::FailedPrecondition, "a teapot"));
    assert!(error.is_remote());
    assert_eq!(error.outcome(), Outcome::Ran);
}

#[tokio::test]
async fn a_framework_error_inside_the_users_knows_service_method_and_endpoint() {
    let (server, client) = pair("knows", Polite).await;
    let addr = server.local_addr();
    let list = Client::connect(format!("static://{addr}")).await.unwrap();
    // Another service at the same address.
    let inner: InnerClient = list.get();
    let error = inner.seen().await.unwrap_err();
    assert_eq!(error.code(), RpcCode::Unimplemented, "{error}");
    assert_eq!((error.service(), error.method()), ("api.Inner", "seen"));
    assert_eq!((error.endpoint(), error.attempts()), (Some(addr), 1));
    assert_eq!(error.outcome(), Outcome::Refused);
    assert!(error.elapsed() > Duration::ZERO);
    drop(server);

    let greeter: GreeterClient = client.get();
    let greeter = greeter.with_options(CallOptions::new().timeout(ms(300)));
    let Err(GreetError::Rpc(error)) = greeter.greet("Ada".into()).await else { panic!() };
    assert_eq!((error.service(), error.method()), ("rpc-testkit.Greeter", "greet"));
    assert_eq!((error.code(), error.outcome()), (RpcCode::Unavailable, Outcome::NotSent));
    assert_eq!(error.remote_outcome(), None);
    let text = error.to_string();
    assert!(text.contains("rpc-testkit.Greeter.greet"), "{text}");
}

#[tokio::test]
async fn every_form_of_argument_arrives() {
    let (_server, client) = pair("borrowed", Lender).await;
    let lender: BorrowerClient = client.get();
    assert_eq!(lender.text("a", None).await.unwrap(), "a-");
    assert_eq!(lender.text("", Some("b")).await.unwrap(), "b");
    assert_eq!(lender.bytes(&[1, 2], None).await.unwrap(), 1002);
    assert_eq!(lender.bytes(&[], Some(&[1])).await.unwrap(), 1);
    assert_eq!(lender.bytes(&vec![7; 300_000], Some(&[])).await.unwrap(), 300_000);
    let point = |x, y| Point { x, y };
    let points = [point(1, None), point(2, Some(3))];
    let all = lender.slice(&points, &point(4, None)).await.unwrap();
    assert_eq!(all, [point(1, None), point(2, Some(3)), point(4, None)]);
    let map = HashMap::from([("a", 1), ("b", 10), ("c", 100)]);
    assert_eq!(lender.many(vec!["a", "c"], &map).await.unwrap(), 101);
    assert_eq!(lender.cow("x".into(), (7, "y".into())).await.unwrap(), "x7y");
    assert_eq!(lender.alias(vec![("a", 1), ("b", 2)], 3).await.unwrap(), 6);
}

/// Code that is generic over local and remote.
async fn name_of(greeter: &impl Greeter) -> String {
    greeter.name().await.unwrap()
}

#[tokio::test]
async fn proxies_arcs_and_mocks_are_the_contract() {
    let (_server, client) = pair("generic", Polite).await;
    let greeter: GreeterClient = client.get();
    assert_eq!(name_of(&greeter).await, "polite");
    assert_eq!(name_of(&Arc::new(greeter.clone())).await, "polite");
    assert_eq!(name_of(&Named("a mock")).await, "a mock");
    assert_eq!(name_of(&Arc::new(Named("a shared mock"))).await, "a shared mock");
    // The futures are Send, also through the trait.
    let spawned = tokio::spawn(async move { name_of(&greeter).await });
    assert_eq!(spawned.await.unwrap(), "polite");
}

#[tokio::test]
async fn what_is_handed_over_replaces_what_was_collected() {
    let names = ["rpc-testkit.Greeter", "api.Borrower"];
    let url = "memory://api-replaces";
    let server = Server::builder().registry(url).only(names).service(Named("explicit"));
    let server = server.start().await.unwrap();
    let client = Client::connect(url).await.unwrap();
    assert_eq!(client.get::<GreeterClient>().name().await.unwrap(), "explicit");
    // Collected, made by Default.
    assert_eq!(client.get::<BorrowerClient>().text("a", None).await.unwrap(), "a-");
    server.shutdown().await;

    // Two impls of one service and none handed over; nothing that is selected; nothing at all.
    let two = Server::builder().registry(url).only(["rpc-testkit.Greeter"]).start().await;
    let two = two.unwrap_err().to_string();
    assert!(two.contains("Polite") && two.contains("Named"), "{two}");
    let unknown = Server::builder().registry(url).only(["api.Nothing"]).start().await;
    assert!(unknown.unwrap_err().to_string().contains("api.Nothing"));
    let nothing = Server::builder().registry(url).collected(false).start().await;
    let nothing = nothing.unwrap_err().to_string();
    assert!(nothing.contains(".service("), "{nothing}");
    let wrapped = Server::builder().registry(url).service(Arc::new(Polite)).start().await;
    let wrapped = wrapped.unwrap_err().to_string();
    assert!(wrapped.contains("Arc") && wrapped.contains("Polite"), "{wrapped}");
}

#[tokio::test]
async fn init_gets_what_was_provided_at_once_or_later() {
    let names = ["api.Counter", "api.AsyncCounter"];
    let url = "memory://api-init";
    let builder = || Server::builder().registry(url).only(names);
    let server = builder().provide(Start(41)).provide("text".to_owned()).start().await.unwrap();
    let client = Client::connect(url).await.unwrap();
    assert_eq!(client.get::<CounterClient>().start().await.unwrap(), 41);
    assert_eq!(client.get::<AsyncCounterClient>().start().await.unwrap(), 42);
    drop(server);
    let missing = builder().provide(Start(41)).start().await.unwrap_err().to_string();
    assert!(missing.contains("String") && missing.contains(".provide("), "{missing}");
    let failed = builder().provide(Start(41)).provide(String::new()).start().await;
    assert!(failed.unwrap_err().to_string().contains("no text"));
    // For tests of an init: a shared value without a server.
    assert!(Counting::open(Shared::new(Start(1)), Shared::new(String::new())).is_err());
}

#[tokio::test]
async fn options_merge_and_metadata_reaches_as_far_as_it_should() {
    let (_inner, to_inner) = pair("inner", Inside).await;
    let outside = Outside { inner: to_inner.get() };
    let (_outer, client) = pair("outer", outside).await;
    let outer: OuterClient = client.get();
    let trace = "trace of the test";
    let outer = outer.with_options(
        CallOptions::new().timeout(ms(3_000)).metadata("tenant", "a").propagate("run", trace),
    );
    // What comes later wins, key by key.
    let outer = outer.with_options(CallOptions::new().metadata("tenant", "b"));
    let [first, second] = outer.seen().await.unwrap();
    assert_eq!((first.tenant.as_deref(), first.run.as_deref()), (Some("b"), Some(trace)));
    assert_eq!((second.tenant, second.run.as_deref()), (None, Some(trace)), "one hop, and all");
    assert_eq!(first.trace, second.trace);
    assert!(first.peer && second.peer);
    let (first, second) = (first.remaining.unwrap(), second.remaining.unwrap());
    // What is left travels in whole milliseconds, rounded up.
    assert!(second <= first + ms(1) && first <= ms(3_000), "{first:?}, {second:?}");
    assert_eq!(outer.seen_by_task().await.unwrap().run.as_deref(), Some(trace));
    // Outside of a handler there is nothing.
    assert_eq!(seen(), Seen { tenant: None, run: None, trace: None, remaining: None, peer: false });
}

/// Makes the nested call in the handler and polls it where there is no context.
struct Detached {
    inner: InnerClient,
}

#[rpc_service]
impl Outer for Detached {
    async fn seen(&self) -> rpc_core::Result<[Seen; 2]> {
        let inner = self.inner.clone();
        // Made outside of the task: a proxy's future needs its proxy, so both go along.
        let made = Arc::new(inner);
        let called_here = {
            let made = Arc::clone(&made);
            tokio::spawn(async move { made.seen().await })
        };
        let kept = self.inner.seen();
        tokio::task::yield_now().await;
        Ok([called_here.await.unwrap()?, kept.await?])
    }

    async fn seen_by_task(&self) -> rpc_core::Result<Seen> {
        Err(RpcError::unimplemented("not here"))
    }

    async fn fail(&self) -> rpc_core::Result<()> {
        Err(RpcError::unimplemented("not here"))
    }
}

#[tokio::test]
async fn the_context_is_read_when_a_method_is_called() {
    let (_inner, to_inner) = pair("called-inner", Inside).await;
    let (_outer, client) = pair("called-outer", Detached { inner: to_inner.get() }).await;
    let outer: OuterClient = client.get();
    let outer = outer.with_options(CallOptions::new().propagate("run", "7"));
    let [in_a_task, in_the_handler] = outer.seen().await.unwrap();
    assert_eq!(in_a_task.run, None, "called in a task without context");
    assert_eq!(in_the_handler.run.as_deref(), Some("7"));
}

#[tokio::test]
async fn a_nested_failure_is_not_the_callers_own() {
    let (_inner, to_inner) = pair("nested-inner", Inside).await;
    let (_outer, client) = pair("nested-outer", Outside { inner: to_inner.get() }).await;
    let outer: OuterClient = client.get();
    let error = outer.fail().await.unwrap_err();
    assert_eq!((error.code(), error.message()), (RpcCode::Unavailable, "the disk is away"));
    assert_eq!((error.service(), error.method()), ("api.Outer", "fail"));
    assert!(error.is_remote());
    assert_eq!((error.outcome(), error.remote_outcome()), (Outcome::Ran, Some(Outcome::Ran)));

    // Deeper in the system a call was not even sent; the caller's own has run all the same.
    let nowhere = Client::connect("memory://api-nowhere").await.unwrap();
    let inner: InnerClient = nowhere.get();
    let inner = inner.with_options(CallOptions::new().timeout(ms(100)));
    let (_outer, client) = pair("nested-nowhere", Outside { inner }).await;
    let outer: OuterClient = client.get();
    let error = outer.fail().await.unwrap_err();
    assert!(error.is_remote(), "{error}");
    assert_eq!(error.outcome(), Outcome::Ran);
    assert_eq!(error.remote_outcome(), Some(Outcome::NotSent));
    assert_eq!(error.code(), RpcCode::Unavailable);
}

#[tokio::test]
async fn the_timeout_is_the_calls_or_the_methods_or_the_contracts_or_the_clients() {
    let (server, _) = pair("timeouts", Kiosk).await;
    let list = format!("static://{}", server.local_addr());
    let client = Client::builder().registry(list).timeout(ms(9_000)).build().await.unwrap();
    let shop: ShopClient = client.get();
    let near = |given: Duration, limit: u64| assert!(given <= ms(limit), "{given:?} of {limit}");
    near(shop.given().await.unwrap(), 400);
    near(shop.given_less().await.unwrap(), 200);
    let by_call = shop.with_options(CallOptions::new().timeout(ms(100)));
    near(by_call.given_less().await.unwrap(), 100);
    let longer = shop.with_options(CallOptions::new().timeout(ms(5_000)));
    assert!(longer.given().await.unwrap() > ms(1_000), "the call's goes over the contract's");
    // Neither method nor contract says: the client's.
    let (_inner, to_inner) = pair("timeouts-inner", Inside).await;
    drop(to_inner);
    let client = Client::builder().registry("memory://api-timeouts-inner").timeout(ms(7_000));
    let inner: InnerClient = client.build().await.unwrap().get();
    let remaining = inner.seen().await.unwrap().remaining.unwrap();
    assert!(remaining <= ms(7_000) && remaining > ms(400), "{remaining:?}");

    let short = shop.with_options(CallOptions::new().timeout(ms(50)));
    let error = short.slow().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::DeadlineExceeded, Outcome::Unknown));
    let none = shop.with_options(CallOptions::new().timeout(Duration::ZERO));
    let error = none.given().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (RpcCode::DeadlineExceeded, Outcome::NotSent));
}

#[tokio::test]
async fn versions_and_the_compact_codec_are_part_of_the_contract() {
    let (server, client) = pair("versions", Kiosk).await;
    let shop: ShopClient = client.get();
    let point = shop.buy(Point { x: -1, y: None }, Some("8".into())).await.unwrap();
    assert_eq!(point, Point { x: -1, y: Some(8) });
    assert_eq!(shop.buy(point.clone(), None).await.unwrap(), point);
    server.shutdown().await;
    let error = shop.with_options(CallOptions::new().timeout(ms(100))).given().await.unwrap_err();
    assert_eq!(error.service(), "api.Shop@2");

    let server = Server::builder().registry("memory://api-by-version");
    let server = server.only(["api.Shop@2"]).start().await.unwrap();
    let client = Client::connect("memory://api-by-version").await.unwrap();
    assert_eq!(client.get::<ShopClient>().buy(point.clone(), None).await.unwrap(), point);
    server.shutdown().await;
}

#[tokio::test]
async fn one_client_spreads_the_calls_of_every_contract() {
    let url = "memory://api-spread";
    let mut servers = Vec::new();
    for name in ["one", "two", "three"] {
        let server = Server::builder()
            .bind("127.0.0.1:0")
            .registry(url)
            .service(Named(name))
            .collected(false)
            .label("region", "eu")
            .label("zone", "eu-1")
            .weight(100);
        servers.push(server.start().await.unwrap());
    }
    assert!(servers.iter().all(Server::registered));
    let client = Client::builder().registry(url).balance(Balance::RoundRobin);
    let client = client.build().await.unwrap();
    let greeter: GreeterClient = client.get();
    let mut counts = HashMap::new();
    // All three take part from the time that they have greeted.
    while counts.len() < 3 {
        counts.insert(greeter.name().await.unwrap(), 0);
        sleep(ms(1)).await;
    }
    for _ in 0..300 {
        *counts.entry(greeter.name().await.unwrap()).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count == 100), "{counts:?}");
    assert!("fastest".parse::<Balance>().is_err());
    assert_eq!("peak-ewma".parse::<Balance>().unwrap(), Balance::PeakEwma);

    // Leaving one by one costs nobody a call.
    let calls = tokio::spawn(async move {
        for _ in 0..200 {
            greeter.name().await.unwrap();
            sleep(ms(10)).await;
        }
    });
    servers.remove(0).shutdown().await;
    servers.remove(0).shutdown().await;
    calls.await.unwrap();
}

#[tokio::test]
async fn connecting_fails_for_configuration_and_for_nothing_else() {
    for url in ["", "consul://a", "memory://", "static://"] {
        assert!(Client::connect(url).await.is_err(), "{url:?}");
        assert!(Server::builder().registry(url).service(Polite).start().await.is_err());
    }
    assert!(Client::connect("zookeeper://127.0.0.1:1/rpc").await.is_ok());
    assert!(Client::builder().build().await.is_err(), "no registry");
    let warm = Client::connect("memory://api-cold").await.unwrap();
    // Nobody serves anything there.
    assert!(warm.warm().await.is_err());
}
