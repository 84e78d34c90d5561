//! What clients leave in ZooKeeper for operators when a service is full, on a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod nodes;

use nodes::admin;
use rpc_client::Client;
use rpc_core::{
    discovery::{Notice, Subscription, Watch, zookeeper::ZookeeperRegistry},
    rpc_client, rpc_service,
};
use rpc_server::Server;
use rpc_testkit::zookeeper;
use std::time::Duration;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use zookeeper_client as zk;

/// Limit for what is expected within a second or two.
const SOON: Duration = Duration::from_secs(20);
const CHAT: &str = "/rpc/_events/demo.Chat";

/// A registry that is connected for as long as the subscription lasts.
async fn connected(url: &str) -> (ZookeeperRegistry, Subscription) {
    let registry = ZookeeperRegistry::new(url).unwrap();
    let mut subscription = registry.watch("demo.Chat");
    timeout(SOON, subscription.changed()).await.unwrap();
    (registry, subscription)
}

fn notice(client: &str, over: bool) -> Notice {
    Notice {
        service: "demo.Chat".into(),
        client: client.into(),
        over,
        window: Duration::from_mins(1),
        json: format!("{{\"client\":{client:?},\"over\":{over}}}"),
    }
}

/// What the node holds, and how often it was written since it was made.
async fn held(operator: &zk::Client, path: &str) -> Option<(String, i32)> {
    let (data, stat) = operator.get_data(path).await.ok()?;
    Some((String::from_utf8(data).unwrap(), stat.version))
}

#[tokio::test]
async fn however_many_clients_there_are_a_node_is_written_once_per_window() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_events::window").await else { return };
    let url = zookeeper.url("/rpc");
    let ((one, _one), (other, _other)) = (connected(&url).await, connected(&url).await);
    let operator = admin(&zookeeper).await;
    // Nothing was said: there is nothing to take back.
    one.tell(notice("one", true)).await.unwrap();
    assert_eq!(held(&operator, CHAT).await, None);
    one.tell(notice("one", false)).await.unwrap();
    let first = r#"{"client":"one","over":false}"#.to_owned();
    assert_eq!(held(&operator, CHAT).await, Some((first.clone(), 0)));
    // It is not an ephemeral node: it stays when the client ends.
    assert_eq!(operator.check_stat(CHAT).await.unwrap().unwrap().ephemeral_owner, 0);
    let mut herd = JoinSet::new();
    for client in 0..50 {
        herd.spawn(other.tell(notice(&format!("other {client}"), client % 2 == 0)));
    }
    while let Some(told) = herd.join_next().await {
        told.unwrap().unwrap();
    }
    assert_eq!(held(&operator, CHAT).await, Some((first, 0)));
    one.tell(notice("one", true)).await.unwrap();
    let over = r#"{"client":"one","over":true}"#.to_owned();
    assert_eq!(held(&operator, CHAT).await, Some((over, 1)));
    // Of many that say something new at once, one is heard.
    for client in 0..50 {
        herd.spawn(other.tell(notice(&format!("other {client}"), false)));
    }
    while let Some(told) = herd.join_next().await {
        told.unwrap().unwrap();
    }
    let (data, version) = held(&operator, CHAT).await.unwrap();
    assert!(data.contains("other") && version == 2, "{version}: {data}");

    // What somebody else has written is replaced, and what was deleted is made again.
    operator.set_data(CHAT, b"\xff[", None).await.unwrap();
    one.tell(notice("one", false)).await.unwrap();
    assert_eq!(held(&operator, CHAT).await.unwrap().1, 4);
    operator.delete(CHAT, None).await.unwrap();
    operator.delete("/rpc/_events", None).await.unwrap();
    one.tell(notice("one", false)).await.unwrap();
    assert_eq!(held(&operator, CHAT).await.unwrap().1, 0);

    let mut wrong = notice("one", false);
    wrong.service = "../x".into();
    assert!(one.tell(wrong).await.is_err());
    let mut large = notice("one", false);
    large.json = "x".repeat(1_000_000);
    assert!(one.tell(large).await.unwrap_err().contains("bytes"));
    zookeeper.kill().await;
    assert!(timeout(SOON, one.tell(notice("one", true))).await.unwrap().is_err());
}

#[rpc_client(name = "test.Slow")]
trait Slow {
    async fn wait(&self) -> rpc_core::Result<()>;
}

/// Answers once it may.
struct Gate(watch::Receiver<bool>);

#[rpc_service]
impl Slow for Gate {
    async fn wait(&self) -> rpc_core::Result<()> {
        let _ = self.0.clone().wait_for(|open| *open).await;
        Ok(())
    }
}

/// The event of a service once it says that it is over, or that it is not.
async fn event(operator: &zk::Client, path: &str, over: bool) -> serde_json::Value {
    let end = Instant::now() + SOON;
    loop {
        let data = held(operator, path).await.map(|(data, _)| data).unwrap_or_default();
        let event: serde_json::Value = serde_json::from_str(&data).unwrap_or_default();
        if event["over"] == over {
            return event;
        }
        assert!(Instant::now() < end, "{data}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn operators_see_how_full_a_service_is_and_when_it_is_no_longer() {
    let Some(zookeeper) = zookeeper::begin("zookeeper_events::full").await else { return };
    let (open, opened) = watch::channel(false);
    let mut servers = Vec::new();
    for _ in 0..2 {
        let server = Server::builder()
            .registry(zookeeper.url("/rpc"))
            .service(Gate(opened.clone()))
            .only(["test.Slow"])
            .max_in_flight_per_connection(64);
        servers.push(server.start().await.unwrap());
    }
    let client = Client::builder()
        .registry(zookeeper.url("/rpc"))
        .connections(1..=1)
        .pressure_window(Duration::from_secs(1));
    let client = client.build().await.unwrap();
    let slow: SlowClient = client.get();
    let end = Instant::now() + SOON;
    let load = || client.explain("test.Slow").known.unwrap().load;
    while load().endpoints < 2 {
        assert!(Instant::now() < end, "{:?}", load());
        sleep(Duration::from_millis(5)).await;
    }
    let mut calls = JoinSet::new();
    for _ in 0..2 * 64 + 60 {
        let slow = slow.clone();
        calls.spawn(async move { slow.wait().await });
    }
    let operator = admin(&zookeeper).await;
    let path = "/rpc/_events/test.Slow";
    let full = event(&operator, path, false).await;
    let says = |key: &str, value: u64| assert_eq!(full[key], value, "{key}: {full}");
    says("endpoints", 2);
    says("capacity", 128);
    says("in_flight", 128);
    says("waiting", 60);
    says("more_providers", 1);
    assert_eq!(full["service"], "test.Slow");
    open.send_replace(true);
    while let Some(answered) = calls.join_next().await {
        answered.unwrap().unwrap();
    }
    let over = event(&operator, path, true).await;
    assert_eq!((&over["client"], &over["waiting"]), (&full["client"], &0.into()), "{over}");
    assert!(over["lasting"].as_f64().unwrap() >= 1.0, "{over}");
    // The directory of events is no service, and that of the service has its providers alone.
    let services = operator.list_children("/rpc").await.unwrap();
    assert!(services.contains(&"_events".to_owned()), "{services:?}");
    assert_eq!(operator.list_children("/rpc/test.Slow").await.unwrap().len(), 2);
}
