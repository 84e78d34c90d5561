//! The ZooKeeper registry against a real server: what it writes, what it sees, how it comes back.
//!
//! Limits of waits are ten times what is expected; no figure is asserted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nodes;

use nodes::{PERSISTENT, admin, owner, until_owned};
use rpc_core::discovery::{
    Announcement, Instance, InstanceId, Register, Registered, RegistrationState, Source,
    Subscription, View, Watch, zookeeper::ZookeeperRegistry,
};
use rpc_testkit::{
    proxy::ChaosProxy,
    zookeeper::{self, ZooKeeper},
};
use std::{
    collections::BTreeMap,
    env,
    io::{self, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use zookeeper_client as zk;

const SESSION: Duration = Duration::from_secs(2);
const CHAT: &str = "/rpc/demo.Chat";
const USERS: &str = "/rpc/demo.Users@2";

/// Limit for what is expected within a second.
const SOON: Duration = Duration::from_secs(10);

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 9000))
}

fn registry(url: &str) -> ZookeeperRegistry {
    ZookeeperRegistry::new(url).unwrap().session_timeout(SESSION)
}

fn instance(addr: SocketAddr) -> Arc<Instance> {
    Arc::new(Instance { id: Some(InstanceId::random()), ..Instance::at(addr) })
}

fn announce(registry: &ZookeeperRegistry, instance: &Arc<Instance>) -> Box<dyn Registered> {
    let services = vec!["demo.Chat".to_owned(), "demo.Users@2".to_owned()];
    registry.register(Announcement { services, instance: Arc::clone(instance) })
}

/// Waits until the announcement is in a state that satisfies `wanted`.
async fn until_state(
    registered: &dyn Registered,
    limit: Duration,
    wanted: impl Fn(&RegistrationState) -> bool,
) {
    let mut state = registered.state();
    let reached = timeout(limit, state.wait_for(|state| wanted(state))).await.is_ok();
    assert!(reached, "after {limit:?} still {:?}", *registered.state().borrow());
}

async fn until_registered(registered: &dyn Registered) {
    until_state(registered, SOON, |state| *state == RegistrationState::Registered).await;
}

/// Waits for a view that satisfies `wanted`.
async fn until(
    subscription: &mut Subscription,
    limit: Duration,
    mut wanted: impl FnMut(&View) -> bool,
) -> View {
    let mut view = subscription.current();
    let found = timeout(limit, async {
        while !wanted(&view) {
            view = subscription.changed().await.unwrap();
        }
    })
    .await;
    assert!(found.is_ok(), "after {limit:?} there is still only {view:#?}");
    view
}

async fn until_listed(subscription: &mut Subscription, addrs: &[SocketAddr]) -> View {
    let listed = |view: &View| {
        matches!(view.source, Source::Live { .. }) && view.instances.keys().eq(addrs.iter())
    };
    until(subscription, 3 * SOON, listed).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_is_written_as_documented_and_listed() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::announced").await else { return };
    let registry = registry(&zookeeper.url("/rpc"));
    let mut chat = registry.watch("demo.Chat");
    let mut users = registry.watch("demo.Users@2");
    let view = until_listed(&mut chat, &[]).await;
    assert_eq!(&*view.place, format!("{CHAT} in ZooKeeper at {}", zookeeper.hosts()));
    assert!(!view.removals_are_final);

    let described = Arc::new(Instance {
        id: InstanceId::from_u64(0x8f3c_2a9e_11d0_4b7c),
        started_at: 1_795_215_660,
        labels: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        ..Instance::at(addr(1))
    });
    let first = announce(&registry, &described);
    let second = announce(&registry, &instance("[2001:db8::1]:9000".parse().unwrap()));
    until_registered(&*first).await;
    until_registered(&*second).await;
    let both = [addr(1), "[2001:db8::1]:9000".parse().unwrap()];
    let view = until_listed(&mut chat, &both).await;
    assert_eq!(view.instances[&addr(1)], described);
    until_listed(&mut users, &both).await;

    let admin = admin(&zookeeper).await;
    let (data, stat) = admin.get_data("/rpc/demo.Chat/10.0.0.1:9000").await.unwrap();
    assert_eq!(
        String::from_utf8(data).unwrap(),
        r#"{"instance":"8f3c2a9e11d04b7c","protocol":1,"weight":100,"started_at":1795215660,"labels":{"region":"eu"}}"#
    );
    assert_ne!(stat.ephemeral_owner, 0);
    let mut names = admin.list_children(USERS).await.unwrap();
    names.sort_unstable();
    assert_eq!(names, ["10.0.0.1:9000", "[2001:db8::1]:9000"]);

    first.close().await;
    assert_eq!(owner(&admin, "/rpc/demo.Chat/10.0.0.1:9000").await, None);
    until_listed(&mut chat, &both[1..]).await;
    drop(second);
    until_listed(&mut users, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_share_a_session_and_end_one_by_one() {
    let begun = zookeeper::begin("zookeeper_registry::subscriptions").await;
    let Some(zookeeper) = begun else { return };
    let announcing = registry(&zookeeper.url("/rpc"));
    let watching = registry(&zookeeper.url("/rpc"));
    let mut first = watching.watch("demo.Chat");
    let mut second = watching.watch("demo.Chat");
    let mut users = watching.watch("demo.Users@2");
    until_listed(&mut first, &[]).await;
    until_listed(&mut second, &[]).await;
    until_listed(&mut users, &[]).await;
    // The one who asks is counted as well.
    until_connected(&zookeeper, 2).await;
    drop(first);
    let registered = announce(&announcing, &instance(addr(1)));
    until_listed(&mut second, &[addr(1)]).await;
    drop((second, users));
    registered.close().await;
    until_connected(&zookeeper, 1).await;
    let mut again = watching.watch("demo.Chat");
    until_listed(&mut again, &[]).await;
    until_connected(&zookeeper, 2).await;
    let unusable = watching.watch("demo/Chat").current();
    assert!(matches!(unusable.source, Source::Connecting { reason, .. } if reason.contains("'/'")));
}

/// Waits until the server has so many connections.
async fn until_connected(zookeeper: &ZooKeeper, connections: usize) {
    let end = Instant::now() + SOON;
    let wanted = format!("connections={connections}");
    loop {
        let status = zookeeper.run("status", None).await;
        if status.trim().ends_with(&wanted) {
            return;
        }
        assert!(Instant::now() < end, "{status}, not {wanted}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_nodes_come_back_after_zookeeper_lost_everything() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::r4").await else { return };
    let registry = registry(&zookeeper.url("/rpc"));
    let mut chat = registry.watch("demo.Chat");
    let first = announce(&registry, &instance(addr(1)));
    let second = announce(&registry, &instance(addr(2)));
    until_listed(&mut chat, &[addr(1), addr(2)]).await;
    zookeeper.kill().await;
    let stale = |view: &View| matches!(view.source, Source::Stale { .. });
    let view = until(&mut chat, SOON, stale).await;
    assert_eq!(view.instances.len(), 2, "the list is kept");
    until_state(&*first, SOON, |state| *state != RegistrationState::Registered).await;
    zookeeper.wipe().await;
    zookeeper.up().await;
    until_registered(&*first).await;
    until_registered(&*second).await;
    until_listed(&mut chat, &[addr(1), addr(2)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_sessions_survive_changes_nothing() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::outage").await else { return };
    let registry = registry(&zookeeper.url("/rpc"));
    let mut chat = registry.watch("demo.Chat");
    let first = announce(&registry, &instance(addr(1)));
    until_listed(&mut chat, &[addr(1)]).await;
    zookeeper.kill().await;
    zookeeper.up().await;
    until_registered(&*first).await;
    let second = announce(&registry, &instance(addr(2)));
    until_listed(&mut chat, &[addr(1), addr(2)]).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_restart_within_the_old_session_is_never_invisible() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::r7").await else { return };
    // The old sessions outlast the wait for the new one, so only taking over can help.
    restarts(&zookeeper, addr(1), 20, "30s").await;
    // The old sessions end, and take nothing with them.
    let (process, owned) = restarts(&zookeeper, addr(2), 5, "2s").await;
    sleep(2 * SESSION).await;
    let admin = admin(&zookeeper).await;
    let path = format!("{CHAT}/{}", addr(2));
    assert_eq!(owner(&admin, &path).await, Some(owned));
    drop(process);
    until_owned(&admin, &path, |owner| owner.is_none()).await;
}

/// A provider in a process of its own; SIGKILL ends it when this is dropped.
struct Process(Child);

impl Process {
    fn start(url: &str, addr: SocketAddr) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["the_provider_that_r7_kills", "--exact", "--ignored", "--nocapture"]);
        command.env("R7_URL", url).env("R7_ADDR", addr.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "not a test: r7 runs it in another process"]
async fn the_provider_that_r7_kills() {
    let (Ok(url), Ok(addr)) = (env::var("R7_URL"), env::var("R7_ADDR")) else { return };
    let registry = ZookeeperRegistry::new(&url).unwrap();
    let _registered = announce(&registry, &instance(addr.parse().unwrap()));
    // Ends with the process that started it.
    let ended = tokio::task::spawn_blocking(|| io::stdin().read(&mut [0]));
    let _ = ended.await;
}

/// Kills and starts a provider again and again; returns the last with its session.
async fn restarts(
    zookeeper: &ZooKeeper,
    addr: SocketAddr,
    count: u32,
    session: &str,
) -> (Process, i64) {
    let admin = admin(zookeeper).await;
    let path = format!("{CHAT}/{addr}");
    let url = zookeeper.url(&format!("/rpc?session={session}"));
    let mut process = Process::start(&url, addr);
    let mut last = until_owned(&admin, &path, |owner| owner.is_some()).await;
    for _ in 0..count {
        drop(process);
        sleep(Duration::from_millis(50)).await;
        process = Process::start(&url, addr);
        let new = |owner: Option<i64>| {
            assert!(owner.is_some(), "{path} is not listed");
            owner != Some(last)
        };
        last = until_owned(&admin, &path, new).await;
    }
    (process, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_closing_during_an_outage_leaves_no_ghost() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::r8").await else { return };
    let admin = admin(&zookeeper).await;
    let target = zookeeper.hosts().parse().unwrap();
    // Ten providers of many services each lose ZooKeeper at different points of registering, and
    // are closed before it comes back: some requests were sent, some wait, some were given up.
    let services: Vec<_> = (0..200).map(|number| format!("many.Service{number}")).collect();
    let mut closing = Vec::new();
    for number in 0..10 {
        let services = services.clone();
        closing.push(tokio::spawn(async move {
            let proxy = ChaosProxy::start(target).await.unwrap();
            let registry = registry(&format!("zookeeper://{}/rpc", proxy.addr()));
            let instance = instance(addr(number));
            let registered = registry.register(Announcement { services, instance });
            sleep(Duration::from_millis(3 * u64::from(number).pow(2))).await;
            proxy.set_blackhole(true);
            sleep(Duration::from_millis(500)).await;
            assert!(timeout(2 * SOON, registered.close()).await.is_ok());
            proxy.set_blackhole(false);
            proxy
        }));
    }
    let mut proxies = Vec::new();
    for closing in closing {
        proxies.push(closing.await.unwrap());
    }
    // What was held up arrives meanwhile, and nothing keeps a session that is left over from
    // being kept alive.
    sleep(SESSION + Duration::from_secs(1)).await;
    for service in services {
        let listed = admin.list_children(&format!("/rpc/{service}")).await.unwrap_or_default();
        assert_eq!(listed, [""; 0], "{service}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_a_node_deleted_by_hand_is_made_again() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::r9").await else { return };
    let admin = admin(&zookeeper).await;
    let registry = registry(&zookeeper.url("/rpc"));
    let mut chat = registry.watch("demo.Chat");
    let registered = announce(&registry, &instance(addr(1)));
    until_registered(&*registered).await;
    let path = format!("{CHAT}/{}", addr(1));
    for _ in 0..5 {
        let before = owner(&admin, &path).await;
        admin.delete(&path, None).await.unwrap();
        until_owned(&admin, &path, |owner| owner == before).await;
    }
    // And with its directory.
    for dir in [CHAT, USERS] {
        delete_all(&admin, dir).await;
    }
    until_owned(&admin, &path, |owner| owner.is_some()).await;
    until_owned(&admin, &format!("{USERS}/{}", addr(1)), |owner| owner.is_some()).await;
    until_listed(&mut chat, &[addr(1)]).await;
}

/// Deletes a directory whose nodes are being made again.
async fn delete_all(admin: &zk::Client, dir: &str) {
    let end = Instant::now() + SOON;
    loop {
        let mut writer = admin.new_multi_writer();
        for name in admin.list_children(dir).await.unwrap_or_default() {
            writer.add_delete(&format!("{dir}/{name}"), None).unwrap();
        }
        writer.add_delete(dir, None).unwrap();
        if writer.commit().await.is_ok() {
            return;
        }
        assert!(Instant::now() < end, "{dir} cannot be deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_twenty_reconnects_hide_no_addition() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::r10").await else { return };
    let target = zookeeper.hosts().parse().unwrap();
    let proxy = ChaosProxy::start(target).await.unwrap();
    let watching = registry(&format!("zookeeper://{}/rpc", proxy.addr()));
    let announcing = registry(&zookeeper.url("/rpc"));
    let mut chat = watching.watch("demo.Chat");
    until_listed(&mut chat, &[]).await;
    let mut registered = Vec::new();
    let mut listed = Vec::new();
    for number in 1..=20 {
        proxy.reset_all();
        // Sometimes while it is away, sometimes while it comes back, sometimes after.
        sleep(Duration::from_millis(u64::from(number % 5) * 60)).await;
        registered.push(announce(&announcing, &instance(addr(number))));
        listed.push(addr(number));
        until_listed(&mut chat, &listed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_rubbish_harms_nobody() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::r12").await else { return };
    let admin = admin(&zookeeper).await;
    let registry = registry(&zookeeper.url("/rpc"));
    let good = announce(&registry, &instance(addr(1)));
    until_registered(&*good).await;
    let mut before = registry.watch("demo.Chat");
    until_listed(&mut before, &[addr(1)]).await;
    let large = "x".repeat(900_000);
    for (name, data) in [
        ("..%2f", "{}"),
        ("a:b", "{}"),
        (":0", "{}"),
        ("10.0.0.9:0", "{}"),
        ("0.0.0.0:9000", "{}"),
        ("[::]:9000", "{}"),
        ("caf\u{e9}", "{}"),
        ("directory", ""),
        ("directory/10.0.0.8:9000", "{}"),
        ("10.0.0.7:9000", &*large),
        ("10.0.0.2:9000", "not json"),
        ("10.0.0.3:9000", ""),
        ("10.0.0.4:9000", r#"{"instance":7}"#),
        ("10.0.0.5:9000", r#"{"weight":7,"color":"red"}"#),
    ] {
        admin.create(&format!("{CHAT}/{name}"), data.as_bytes(), &PERSISTENT).await.unwrap();
    }
    admin.mkdir("/rpc/_config/demo.Chat", &PERSISTENT).await.unwrap();
    admin.set_data("/rpc/_config/demo.Chat", b"{broken", None).await.unwrap();
    admin.create("/rpc/_config/..x y", b"", &PERSISTENT).await.unwrap();

    let usable = [addr(1), addr(2), addr(3), addr(4), addr(5)];
    let view = until_listed(&mut before, &usable).await;
    assert_eq!(*view.instances[&addr(2)], Instance::at(addr(2)));
    assert_eq!(view.instances[&addr(5)].weight, 7);
    assert!(view.disabled.is_empty());
    // One that begins with all of it in place sees the same.
    let mut after = self::registry(&zookeeper.url("/rpc")).watch("demo.Chat");
    assert_eq!(until_listed(&mut after, &usable).await.instances, view.instances);
    // What was broken is taken when it is mended.
    let mended = br#"{"weight":9}"#;
    admin.set_data(&format!("{CHAT}/10.0.0.2:9000"), mended, None).await.unwrap();
    let nine = |view: &View| view.instances.get(&addr(2)).is_some_and(|found| found.weight == 9);
    until(&mut before, SOON, nine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r13_two_processes_with_one_address_do_not_fight() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::r13").await else { return };
    let admin = admin(&zookeeper).await;
    let url = zookeeper.url("/rpc");
    let (one, other) = (registry(&url), registry(&url));
    let first = announce(&one, &instance(addr(1)));
    until_registered(&*first).await;
    let second = announce(&other, &instance(addr(1)));
    // They settle: one waits and says why.
    let waiting = |registered: &dyn Registered| {
        let state = registered.state().borrow().clone();
        matches!(state, RegistrationState::Pending(why) if why.contains("two processes advertise"))
    };
    let end = Instant::now() + 3 * SOON;
    while !waiting(&*first) && !waiting(&*second) {
        assert!(Instant::now() < end, "neither gives way");
        sleep(Duration::from_millis(10)).await;
    }
    // And go on so: the address changes hands about once in ten seconds, and is always listed.
    let path = format!("{CHAT}/{}", addr(1));
    let mut last = owner(&admin, &path).await;
    let mut changes = 0;
    let end = Instant::now() + Duration::from_secs(25);
    while Instant::now() < end {
        let now = owner(&admin, &path).await;
        assert!(now.is_some());
        changes += usize::from(now != last);
        last = now;
        sleep(Duration::from_millis(20)).await;
    }
    assert!(changes <= 5, "{changes} changes of hands in 25 s");
    // Each makes two changes of the directory: this also counts the ones that were too fast to see.
    let stat = admin.check_stat(CHAT).await.unwrap().unwrap();
    assert!(stat.cversion <= 13, "{} changes", stat.cversion);
    // When one gives up, the other has it for good.
    first.close().await;
    let registered = |state: &RegistrationState| *state == RegistrationState::Registered;
    until_state(&*second, 3 * SOON, registered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_take_addresses_out_by_hand() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::disabled").await else { return };
    let admin = admin(&zookeeper).await;
    let path = "/rpc/_config/demo.Chat";
    admin.mkdir(path, &PERSISTENT).await.unwrap();
    let text = br#"{"disabled":["10.0.0.1:9000"],"note":"disk is full"}"#;
    admin.set_data(path, text, None).await.unwrap();
    let registry = registry(&zookeeper.url("/rpc"));
    let registered = announce(&registry, &instance(addr(1)));
    until_registered(&*registered).await;
    let mut chat = registry.watch("demo.Chat");
    let mut users = registry.watch("demo.Users@2");
    // It is known with the first list, not some time after it.
    let live = |view: &View| matches!(view.source, Source::Live { .. });
    let view = until(&mut chat, SOON, live).await;
    assert!(view.disabled.contains(&addr(1)) && view.instances.contains_key(&addr(1)));
    assert!(until(&mut users, SOON, live).await.disabled.is_empty());
    for (text, count) in [(r#"{"disabled":[]}"#, 0), (r#"{"disabled":["10.0.0.7:1"]}"#, 1), ("", 0)]
    {
        admin.set_data(path, text.as_bytes(), None).await.unwrap();
        until(&mut chat, SOON, |view| view.disabled.len() == count).await;
    }
    admin.set_data(path, br#"{"disabled":["10.0.0.1:9000"]}"#, None).await.unwrap();
    until(&mut chat, SOON, |view| view.disabled.len() == 1).await;
    admin.delete(path, None).await.unwrap();
    until(&mut chat, SOON, |view| view.disabled.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_without_zookeeper_everything_waits_and_says_why() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::r2").await else { return };
    zookeeper.kill().await;
    let registry = registry(&zookeeper.url("/rpc"));
    let mut chat = registry.watch("demo.Chat");
    let registered = announce(&registry, &instance(addr(1)));
    let place = format!("ZooKeeper at {} cannot be reached", zookeeper.hosts());
    let told = |view: &View| matches!(&view.source, Source::Connecting { reason, .. } if reason.contains(&place));
    until(&mut chat, SOON, told).await;
    until_state(
        &*registered,
        SOON,
        |state| matches!(state, RegistrationState::Pending(why) if why.contains(&place)),
    )
    .await;
    // Leaving does not wait for it either.
    let leaving = announce(&registry, &instance(addr(2)));
    assert!(timeout(SOON, leaving.close()).await.is_ok());
    zookeeper.up().await;
    until_registered(&*registered).await;
    until_listed(&mut chat, &[addr(1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_closed_to_us_is_told() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::no_auth").await else { return };
    let admin = admin(&zookeeper).await;
    let readable = zk::CreateMode::Persistent.with_acls(zk::Acls::anyone_read());
    admin.create("/rpc", b"", &PERSISTENT).await.unwrap();
    admin.create(CHAT, b"", &readable).await.unwrap();
    let registry = registry(&zookeeper.url("/rpc"));
    let registered = announce(&registry, &instance(addr(1)));
    let refused = |state: &RegistrationState| {
        matches!(state, RegistrationState::Pending(why)
            if why.contains("/rpc/demo.Chat/10.0.0.1:9000") && why.contains("not authorized"))
    };
    until_state(&*registered, SOON, refused).await;
    // The other service is announced all the same, and this one can be followed.
    let mut users = registry.watch("demo.Users@2");
    until_listed(&mut users, &[addr(1)]).await;
    until_listed(&mut registry.watch("demo.Chat"), &[]).await;
    registered.close().await;
    until_listed(&mut users, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_directory_keeps_no_other_service_from_coming_back() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_registry::closed").await else { return };
    let admin = admin(&zookeeper).await;
    let readable = zk::CreateMode::Persistent.with_acls(zk::Acls::anyone_read());
    admin.create("/rpc", b"", &PERSISTENT).await.unwrap();
    admin.create(CHAT, b"", &readable).await.unwrap();
    let registry = registry(&zookeeper.url("/rpc"));
    let _registered = announce(&registry, &instance(addr(1)));
    let path = format!("{USERS}/{}", addr(1));
    let owned = until_owned(&admin, &path, |owner| owner.is_some()).await;
    // The node is looked at before and after the refusal; only what comes later needs the watch.
    sleep(Duration::from_millis(500)).await;
    admin.delete(&path, None).await.unwrap();
    until_owned(&admin, &path, |owner| owner == Some(owned)).await;
    drop(admin);
    // Each time another session may take the place of the first, which must not stay beside it.
    for _ in 0..3 {
        zookeeper.pause().await;
        sleep(Duration::from_millis(1_800)).await;
        zookeeper.resume().await;
        sleep(SESSION).await;
    }
    // The one who asks is counted as well.
    until_connected(&zookeeper, 2).await;
}
