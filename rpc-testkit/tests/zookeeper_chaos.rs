//! Random trouble for the ZooKeeper registry; afterwards every view must become right and stay so.
//!
//! Takes minutes, so it runs only when asked for:
//! `RPC_CHAOS_ROUNDS=50 cargo test -p rpc-testkit --test zookeeper_chaos -- --ignored --nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and this one is run for what it prints"
)]

mod nodes;

use nodes::PERSISTENT;
use rpc_core::discovery::{
    Announcement, Instance, InstanceId, Register, Registered, Source, Subscription, Watch,
    zookeeper::ZookeeperRegistry,
};
use rpc_testkit::{
    proxy::ChaosProxy,
    zookeeper::{self, ZooKeeper},
};
use std::{
    collections::BTreeMap, env, fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    time::{Instant, sleep},
};

const SESSION: Duration = Duration::from_secs(2);
const SERVICE: &str = "chaos.Service";
const PROVIDERS: u8 = 4;

type Wanted = BTreeMap<SocketAddr, InstanceId>;

/// A way to ZooKeeper that can be cut.
struct Way(Vec<ChaosProxy>);

impl Way {
    async fn new(zookeeper: &ZooKeeper) -> Self {
        let mut proxies = Vec::new();
        for host in zookeeper.hosts().split(',') {
            proxies.push(ChaosProxy::start(host.parse().unwrap()).await.unwrap());
        }
        Self(proxies)
    }

    fn registry(&self) -> ZookeeperRegistry {
        let hosts: Vec<_> = self.0.iter().map(|proxy| proxy.addr().to_string()).collect();
        let url = format!("zookeeper://{}/rpc", hosts.join(","));
        ZookeeperRegistry::new(&url).unwrap().session_timeout(SESSION)
    }

    fn blackhole(&self, blackhole: bool) {
        for proxy in &self.0 {
            proxy.set_blackhole(blackhole);
        }
    }

    fn reset(&self) {
        self.0.iter().for_each(ChaosProxy::reset_all);
    }
}

/// A provider with a runtime of its own, which dies as a process would.
struct Provider {
    addr: SocketAddr,
    way: Way,
    running: Option<(Runtime, Box<dyn Registered>, InstanceId)>,
}

impl Provider {
    async fn start(&mut self) {
        let runtime = Runtime::new().unwrap();
        let id = InstanceId::random();
        let instance = Arc::new(Instance { id: Some(id), ..Instance::at(self.addr) });
        let registry = self.way.registry();
        let services = vec![SERVICE.to_owned()];
        let announce = async move { registry.register(Announcement { services, instance }) };
        let registered = runtime.spawn(announce).await.unwrap();
        self.running = Some((runtime, registered, id));
    }

    fn kill(&mut self) {
        if let Some((runtime, registered, _)) = self.running.take() {
            runtime.shutdown_background();
            drop(registered);
        }
    }

    async fn close(&mut self) {
        if let Some((runtime, registered, _)) = self.running.take() {
            registered.close().await;
            runtime.shutdown_background();
        }
    }
}

/// One random piece of trouble; says what it was.
async fn trouble(zookeeper: &ZooKeeper, consumer: &Way, providers: &mut [Provider]) -> String {
    let servers = zookeeper.hosts().split(',').count();
    let server = fastrand::usize(1..=servers);
    let number = fastrand::usize(0..providers.len());
    let provider = &mut providers[number];
    match fastrand::u32(0..10) {
        0 => {
            zookeeper.run("kill", Some(server)).await;
            format!("server {server} killed")
        }
        1 => {
            zookeeper.run("pause", Some(server)).await;
            format!("server {server} hangs")
        }
        2 => {
            zookeeper.kill().await;
            if fastrand::bool() {
                zookeeper.wipe().await;
                return "all servers killed and wiped".into();
            }
            "all servers killed".into()
        }
        3 | 4 => {
            provider.kill();
            sleep(Duration::from_millis(fastrand::u64(0..300))).await;
            provider.start().await;
            format!("provider {number} killed and started")
        }
        5 => {
            provider.way.blackhole(true);
            format!("provider {number} cut off")
        }
        6 => {
            provider.kill();
            format!("provider {number} killed")
        }
        7 => {
            provider.close().await;
            format!("provider {number} closed")
        }
        8 => {
            consumer.reset();
            "consumer reset".into()
        }
        _ => {
            consumer.blackhole(true);
            "consumer cut off".into()
        }
    }
}

async fn heal(zookeeper: &ZooKeeper, consumer: &Way, providers: &[Provider]) {
    zookeeper.resume().await;
    zookeeper.up().await;
    consumer.blackhole(false);
    for provider in providers {
        provider.way.blackhole(false);
    }
}

fn wanted(providers: &[Provider]) -> Wanted {
    let running = |provider: &Provider| Some((provider.addr, provider.running.as_ref()?.2));
    providers.iter().filter_map(running).collect()
}

fn is_right(subscription: &Subscription, wanted: &Wanted) -> bool {
    let view = subscription.current();
    let listed = view.instances.values().map(|instance| (instance.addr, instance.id));
    matches!(view.source, Source::Live { .. })
        && listed.eq(wanted.iter().map(|(addr, id)| (*addr, Some(*id))))
}

async fn soak(zookeeper: &ZooKeeper) {
    let rounds = env::var("RPC_CHAOS_ROUNDS").ok().and_then(|text| text.parse().ok());
    let consumer = Way::new(zookeeper).await;
    let subscription = consumer.registry().watch(SERVICE);
    let mut providers = Vec::new();
    for number in 1..=PROVIDERS {
        let addr = SocketAddr::from(([10, 0, 0, number], 9000));
        providers.push(Provider { addr, way: Way::new(zookeeper).await, running: None });
    }
    let mut took = Vec::new();
    for round in 1..=rounds.unwrap_or(8_u32) {
        for provider in &mut providers {
            if provider.running.is_none() {
                provider.start().await;
            }
        }
        sleep(Duration::from_millis(fastrand::u64(0..1_500))).await;
        let mut done = String::new();
        for _ in 0..fastrand::u32(1..5) {
            let what = trouble(zookeeper, &consumer, &mut providers).await;
            let _ = write!(done, "{what}; ");
            sleep(Duration::from_millis(fastrand::u64(0..1_500))).await;
        }
        heal(zookeeper, &consumer, &providers).await;
        let healed = Instant::now();
        let wanted = wanted(&providers);
        while !is_right(&subscription, &wanted) {
            let limit = Duration::from_mins(1);
            let view = subscription.current();
            assert!(healed.elapsed() < limit, "round {round}: {done}\n{wanted:#?}\n{view:#?}");
            sleep(Duration::from_millis(5)).await;
        }
        took.push(healed.elapsed());
        sleep(SESSION + Duration::from_millis(700)).await;
        let view = subscription.current();
        assert!(is_right(&subscription, &wanted), "round {round}: {done}\nnot for long: {view:#?}");
        println!("round {round}: {done}right after {:?}", took[took.len() - 1]);
    }
    took.sort_unstable();
    println!("median {:?}, worst {:?}", took[took.len() / 2], took[took.len() - 1]);
    for provider in &mut providers {
        provider.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn an_ensemble_in_trouble() {
    let begun = zookeeper::begin_ensemble("zookeeper_chaos::ensemble").await;
    let Some(zookeeper) = begun else { return };
    soak(&zookeeper).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn one_server_in_trouble() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_chaos::one_server").await else { return };
    soak(&zookeeper).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a while"]
async fn r11_ten_thousand_instances_and_a_thousand_services_outlive_a_restart() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_chaos::many").await else { return };
    let admin = nodes::admin(&zookeeper).await;
    admin.mkdir(&format!("/rpc/{SERVICE}"), &PERSISTENT).await.unwrap();
    let name = |number: u32| {
        let [_, _, high, low] = number.to_be_bytes();
        format!("/rpc/{SERVICE}/10.1.{high}.{low}:9000")
    };
    let data = [b' '; 200];
    for number in 0..10_000 {
        admin.create(&name(number), &data, &PERSISTENT).await.unwrap();
    }
    // So long that the session has no time to be replaced.
    let session = Duration::from_secs(15);
    let registry = ZookeeperRegistry::new(&zookeeper.url("/rpc")).unwrap().session_timeout(session);
    let before = resident();
    let begun = Instant::now();
    let mut all = registry.watch(SERVICE);
    while all.current().instances.len() < 10_000 {
        all.changed().await;
    }
    println!("first list after {:?}", begun.elapsed());
    let others: Vec<_> = (0..1_000).map(|number| registry.watch(&format!("s.S{number}"))).collect();
    for other in &others {
        while !matches!(other.current().source, Source::Live { .. }) {
            assert!(begun.elapsed() < Duration::from_mins(1));
            sleep(Duration::from_millis(5)).await;
        }
    }
    println!("1,000 more services after {:?}", begun.elapsed());
    drop(admin);
    let sessions = until_alone(&zookeeper).await;
    // Not one for each instance: a session cannot come back with so many.
    let watches = watches(&zookeeper).await;
    assert!((1_001..=2_100).contains(&watches), "{watches} watches");
    zookeeper.kill().await;
    zookeeper.up().await;
    let begun = Instant::now();
    let admin = nodes::admin(&zookeeper).await;
    admin.create(&name(10_000), &data, &PERSISTENT).await.unwrap();
    while all.current().instances.len() < 10_001 {
        let limit = Duration::from_mins(1);
        assert!(begun.elapsed() < limit, "{:?}", all.current().source);
        let _ = tokio::time::timeout(limit, all.changed()).await;
    }
    println!("current after a restart after {:?}", begun.elapsed());
    let changed = Instant::now();
    admin.delete(&name(7), None).await.unwrap();
    while all.current().instances.len() > 10_000 {
        all.changed().await;
    }
    println!("one change after {:?}", changed.elapsed());
    assert!(others.iter().all(|other| matches!(other.current().source, Source::Live { .. })));
    drop(admin);
    assert_eq!(until_alone(&zookeeper).await, sessions, "the session did not survive");
    let grown = resident().saturating_sub(before);
    assert!(grown <= 40, "11,000 nodes take {grown} MiB");
}

/// What a server answers to a word of four letters.
async fn ask(zookeeper: &ZooKeeper, word: &str) -> String {
    let mut stream = TcpStream::connect(zookeeper.hosts()).await.unwrap();
    stream.write_all(word.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The id of the session that is connected, once it is the only one.
async fn until_alone(zookeeper: &ZooKeeper) -> String {
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = ask(zookeeper, "cons").await;
        let mut ids = answer.split("sid=").skip(1).filter_map(|rest| rest.split(',').next());
        if let (Some(id), None) = (ids.next(), ids.next()) {
            return id.to_owned();
        }
        assert!(Instant::now() < limit, "{answer}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Watches of all sessions.
async fn watches(zookeeper: &ZooKeeper) -> u32 {
    let answer = ask(zookeeper, "wchs").await;
    answer.rsplit("Total watches:").next().unwrap().trim().parse().unwrap()
}

/// Resident memory of this process, in MiB.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}
