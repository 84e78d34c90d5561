//! Which provider a call goes to: strategies by client, service and call, keys, weights that
//! change, providers that are slow or fail.
//!
//! Limits of waits are ten times what is expected; no figure of time is asserted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rpc_client::{Balance, Client};
use rpc_core::{
    CallOptions, RpcError,
    discovery::{Instance, MemoryRegistry},
    rpc_client, rpc_service,
};
use rpc_server::Server;
use rpc_testkit::zookeeper;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use zookeeper_client as zk;

/// Limit for what is expected within a second.
const SOON: Duration = Duration::from_secs(10);
const SERVICE: &str = "test.Where";

#[rpc_client(name = "test.Where")]
trait Where {
    /// Which provider serves.
    #[rpc(idempotent)]
    async fn who(&self) -> rpc_core::Result<u16>;
    /// The same, for one user.
    #[rpc(hash_key = user)]
    async fn serves(&self, user: &str) -> rpc_core::Result<u16>;
    /// The same by number.
    #[rpc(hash_key = id)]
    async fn serves_id(&self, id: u32) -> rpc_core::Result<u16>;
}

#[rpc_client(name = "test.Other", version = "2")]
trait Other {
    async fn which(&self) -> rpc_core::Result<u16>;
}

/// Says its port, after a while, or fails.
#[derive(Clone, Default)]
struct Port {
    number: Arc<AtomicU64>,
    takes_ms: Arc<AtomicU64>,
    fails: Arc<AtomicBool>,
}

impl Port {
    async fn answer(&self) -> rpc_core::Result<u16> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(RpcError::internal("the disk is full"));
        }
        sleep(Duration::from_millis(self.takes_ms.load(Ordering::Relaxed))).await;
        Ok(u16::try_from(self.number.load(Ordering::Relaxed)).unwrap())
    }
}

#[rpc_service]
impl Where for Port {
    async fn who(&self) -> rpc_core::Result<u16> {
        self.answer().await
    }
    async fn serves(&self, _user: &str) -> rpc_core::Result<u16> {
        self.answer().await
    }
    async fn serves_id(&self, _id: u32) -> rpc_core::Result<u16> {
        self.answer().await
    }
}

#[rpc_service]
impl Other for Port {
    async fn which(&self) -> rpc_core::Result<u16> {
        self.answer().await
    }
}

/// A provider, and how it behaves.
struct Provider {
    server: Server,
    port: Port,
}

impl Provider {
    async fn start(registry: &str, weight: u32) -> Self {
        let port = Port::default();
        let server = Server::builder()
            .bind("127.0.0.1:0")
            .registry(registry)
            .service(port.clone())
            .collected(false)
            .weight(weight)
            .start()
            .await
            .unwrap();
        port.number.store(server.local_addr().port().into(), Ordering::Relaxed);
        Self { server, port }
    }

    fn addr(&self) -> SocketAddr {
        self.server.local_addr()
    }
}

async fn three(registry: &str) -> [Provider; 3] {
    [
        Provider::start(registry, 100).await,
        Provider::start(registry, 100).await,
        Provider::start(registry, 100).await,
    ]
}

/// A client that reaches so many providers.
async fn client(builder: rpc_client::ClientBuilder, providers: usize) -> Client {
    let client = builder.build().await.unwrap();
    let turns = client.get::<WhereClient>().with_options(by(Balance::RoundRobin));
    let limit = Instant::now() + SOON;
    while shares(&turns, 2 * providers).await.len() < providers {
        assert!(Instant::now() < limit, "not all are reached");
        sleep(Duration::from_millis(5)).await;
    }
    client
}

fn by(balance: Balance) -> CallOptions {
    CallOptions::new().balance(balance)
}

/// Who served how many of so many calls, one after the other.
async fn shares(proxy: &WhereClient, calls: usize) -> BTreeMap<u16, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..calls {
        *shares.entry(proxy.who().await.unwrap()).or_insert(0) += 1;
    }
    shares
}

/// Waits until `calls` calls, one after the other, are shared as wanted.
async fn until_shared(
    proxy: &WhereClient,
    calls: usize,
    wanted: impl Fn(&BTreeMap<u16, usize>) -> bool,
) {
    let limit = Instant::now() + SOON;
    loop {
        let shares = shares(proxy, calls).await;
        if wanted(&shares) {
            return;
        }
        assert!(Instant::now() < limit, "still {shares:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_call_has_its_own_strategy_or_that_of_its_service_or_of_its_client() {
    let url = "memory://balance-levels";
    let _providers = three(url).await;
    let builder = Client::builder().registry(url).balance(Balance::ConsistentHash);
    let builder = builder.service_balance("test.Where", Balance::RoundRobin);
    let client = client(builder, 3).await;

    let of_the_service: WhereClient = client.get();
    assert!(shares(&of_the_service, 30).await.values().all(|calls| *calls == 10));
    let of_the_call = of_the_service.with_options(by(Balance::ConsistentHash).hash_key("a"));
    assert_eq!(shares(&of_the_call, 30).await.len(), 1);
    let of_the_client = client.get::<OtherClient>().with_options(CallOptions::new().hash_key("a"));
    let first = of_the_client.which().await.unwrap();
    for _ in 0..30 {
        assert_eq!(of_the_client.which().await.unwrap(), first);
    }
}

#[tokio::test]
async fn a_strategy_for_a_service_goes_by_name_or_name_and_version_and_is_checked() {
    for name in ["test.Other", "test.Other@2", "test.Where"] {
        let builder = Client::builder().registry("memory://balance-names");
        assert!(builder.service_balance(name, Balance::Random).build().await.is_ok(), "{name}");
    }
    let builder = Client::builder().registry("memory://balance-names");
    let e = builder.service_balance("test.Were", Balance::Random).build().await.unwrap_err();
    let e = e.to_string();
    assert!(e.contains("`test.Were`") && e.contains("test.Other@2, test.Where"), "{e}");
}

#[tokio::test]
async fn a_key_comes_from_an_argument_or_from_the_options_and_means_the_same() {
    let url = "memory://balance-keys";
    let _providers = three(url).await;
    let client = client(Client::builder().registry(url), 3).await;
    let another = self::client(Client::builder().registry(url), 3).await;
    let hashed = client.get::<WhereClient>().with_options(by(Balance::ConsistentHash));
    let mut counts = BTreeMap::new();
    for number in 0..40_u32 {
        let user = format!("user-{number}");
        let served = hashed.serves(&user).await.unwrap();
        *counts.entry(served).or_insert(0) += 1;
        let by_hand = by(Balance::ConsistentHash).hash_key(user.clone());
        let by_hand = another.get::<WhereClient>().with_options(by_hand);
        assert_eq!(by_hand.who().await.unwrap(), served, "{user}, also for another client");
        assert_eq!(by_hand.serves("somebody else").await.unwrap(), served, "the options win");
        let by_id = hashed.serves_id(number).await.unwrap();
        let digits = by(Balance::ConsistentHash).hash_key(number.to_string());
        assert_eq!(hashed.with_options(digits).who().await.unwrap(), by_id, "{number}");
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
}

#[tokio::test]
async fn weights_change_without_a_new_connection() {
    let registry = MemoryRegistry::named("balance-weights");
    let url = "memory://balance-weights";
    let providers = [Provider::start(url, 100).await, Provider::start(url, 300).await];
    let [light, heavy] = [&providers[0], &providers[1]].map(|p| p.addr().port());
    let client = client(Client::builder().registry(url), 2).await;
    let dials = client.stats().dials;
    let turns = client.get::<WhereClient>().with_options(by(Balance::WeightedRoundRobin));
    until_shared(&turns, 40, |s| s.get(&light) == Some(&10) && s.get(&heavy) == Some(&30)).await;

    // The provider announces another weight.
    let announce = |provider: &Provider, weight| {
        let addr = provider.addr();
        registry.add(SERVICE, Instance { weight, ..Instance::at(addr) });
    };
    announce(&providers[0], 900);
    until_shared(&turns, 40, |s| s.get(&light) == Some(&30) && s.get(&heavy) == Some(&10)).await;
    // An operator says otherwise.
    registry.weigh(SERVICE, [(providers[0].addr(), 0)]);
    for balance in [Balance::PeakEwma, Balance::RoundRobin, Balance::WeightedRandom] {
        let proxy = turns.with_options(by(balance));
        until_shared(&proxy, 40, |s| s.len() == 1 && s.get(&heavy) == Some(&40)).await;
    }
    registry.weigh(SERVICE, providers.iter().map(|p| (p.addr(), 0)));
    until_shared(&turns, 40, |s| s.get(&light) == Some(&20) && s.get(&heavy) == Some(&20)).await;
    registry.weigh(SERVICE, []);
    until_shared(&turns, 40, |s| s.get(&light) == Some(&30) && s.get(&heavy) == Some(&10)).await;
    assert_eq!(client.stats().dials, dials);
}

#[tokio::test]
async fn weights_in_zookeeper_take_effect_without_a_new_connection() {
    let test = "balance::weights_in_zookeeper_take_effect_without_a_new_connection";
    let Some(zookeeper) = zookeeper::begin(test).await else { return };
    let url = zookeeper.url("/rpc");
    let providers = [Provider::start(&url, 100).await, Provider::start(&url, 300).await];
    let [light, heavy] = [&providers[0], &providers[1]].map(|p| p.addr().port());
    let client = client(Client::builder().registry(url.as_str()), 2).await;
    let dials = client.stats().dials;
    let turns = client.get::<WhereClient>().with_options(by(Balance::WeightedRoundRobin));
    until_shared(&turns, 40, |s| s.get(&light) == Some(&10) && s.get(&heavy) == Some(&30)).await;

    let admin = zk::Client::connect(&zookeeper.hosts()).await.unwrap();
    let config = format!("/rpc/_config/{SERVICE}");
    let persistent = zk::CreateMode::Persistent.with_acls(zk::Acls::anyone_all());
    let weights = |weight: u32| format!(r#"{{"weights":{{"{}":{weight}}}}}"#, providers[0].addr());
    admin.create(&config, weights(900).as_bytes(), &persistent).await.unwrap();
    until_shared(&turns, 40, |s| s.get(&light) == Some(&30) && s.get(&heavy) == Some(&10)).await;
    admin.set_data(&config, weights(0).as_bytes(), None).await.unwrap();
    until_shared(&client.get(), 40, |s| s.len() == 1 && s.get(&heavy) == Some(&40)).await;
    admin.delete(&config, None).await.unwrap();
    until_shared(&turns, 40, |s| s.get(&light) == Some(&10) && s.get(&heavy) == Some(&30)).await;
    // The instance's own node.
    let node = format!("/rpc/{SERVICE}/{}", providers[0].addr());
    let (data, _) = admin.get_data(&node).await.unwrap();
    let json = String::from_utf8(data).unwrap().replace(r#""weight":100"#, r#""weight":900"#);
    admin.set_data(&node, json.as_bytes(), None).await.unwrap();
    until_shared(&turns, 40, |s| s.get(&light) == Some(&30) && s.get(&heavy) == Some(&10)).await;
    assert_eq!(client.stats().dials, dials);
}

#[tokio::test]
async fn by_default_a_slow_provider_gets_little_and_one_that_fails_fast_too() {
    for (name, takes_ms, fails) in [("slow", 300, false), ("failing", 2, true)] {
        let url = format!("memory://balance-{name}");
        let providers = three(&url).await;
        let client = client(Client::builder().registry(url.as_str()), 3).await;
        let proxy: WhereClient = client.get();
        for provider in &providers {
            provider.port.takes_ms.store(2, Ordering::Relaxed);
        }
        providers[0].port.takes_ms.store(takes_ms, Ordering::Relaxed);
        providers[0].port.fails.store(fails, Ordering::Relaxed);
        let bad = providers[0].addr().port();
        // A call is needed to find out, and one more every five seconds.
        let limit = Instant::now() + Duration::from_secs(2);
        let (mut calls, mut badly) = (0, 0);
        while Instant::now() < limit {
            calls += 1;
            badly += usize::from(proxy.who().await.map_or(true, |port| port == bad));
        }
        assert!(badly <= 5, "{name}: {badly} of {calls}");
        // Good as new when it has recovered.
        providers[0].port.takes_ms.store(2, Ordering::Relaxed);
        providers[0].port.fails.store(false, Ordering::Relaxed);
        until_shared(&proxy, 30, |s| s.contains_key(&bad)).await;
    }
}

#[tokio::test]
async fn a_new_instance_warms_up_unless_that_is_turned_off() {
    let ramp = Duration::from_secs(4);
    for (name, warm_up) in [("on", ramp), ("off", Duration::ZERO)] {
        let url = format!("memory://balance-warm-{name}");
        let old = Provider::start(&url, 100).await;
        let builder = Client::builder().registry(url.as_str()).warm_up(warm_up);
        let client = client(builder.balance(Balance::WeightedRandom), 1).await;
        sleep(warm_up).await;
        let new = Provider::start(&url, 100).await;
        let proxy: WhereClient = client.get();
        until_shared(&proxy, 20, |s| s.contains_key(&new.addr().port())).await;
        let began = Instant::now();
        let shares = shares(&proxy, 1000).await;
        let (old, new) = (shares[&old.addr().port()], shares[&new.addr().port()]);
        if warm_up.is_zero() {
            assert!(new >= 400, "{old} {new}");
        } else if began.elapsed() < Duration::from_secs(1) {
            // A third of its share at most by then, unless the machine is slow.
            assert!(new <= 350, "{old} {new}");
        }
    }
}
