//! Starting: which address is registered, and what is told when it does not work.

use crate::support::*;
use rpc_core::{
    SetupError,
    discovery::{Announcement, MemoryRegistry, Register, Registered, Subscription, Watch},
};
use rpc_server::ServerBuilder;
use std::{net::SocketAddr, sync::Arc};

/// A registry in memory that says that its servers are elsewhere.
struct Elsewhere(MemoryRegistry, &'static str);

impl Register for Elsewhere {
    fn register(&self, announcement: Announcement) -> Box<dyn Registered> {
        self.0.register(announcement)
    }

    fn hosts(&self) -> Vec<String> {
        vec![self.1.to_owned()]
    }
}

impl Watch for Elsewhere {
    fn watch(&self, service: &str) -> Subscription {
        self.0.watch(service)
    }
}

fn builder() -> ServerBuilder {
    lab(&Arc::default())
}

async fn refusal(builder: ServerBuilder) -> String {
    let error: SetupError = builder.start().await.expect_err("it started");
    error.to_string()
}

fn listed(registry: &MemoryRegistry) -> Vec<SocketAddr> {
    registry.watch("test.Lab").current().instances.keys().copied().collect()
}

#[tokio::test]
async fn what_is_registered_is_what_was_bound() {
    let registry = MemoryRegistry::new();
    let server =
        builder().registry(registry.clone()).label("region", "eu").weight(7).start().await.unwrap();
    assert!(server.registered());
    assert_eq!(server.services(), ["test.Lab"]);
    assert_eq!(listed(&registry), [server.local_addr()]);
    let view = registry.watch("test.Lab").current();
    let instance = &view.instances[&server.local_addr()];
    assert_eq!((instance.weight, instance.labels["region"].as_str()), (7, "eu"));
    assert!(instance.started_at > 1_600_000_000);
    let peer = RawPeer::connect(server.local_addr()).await;
    assert_eq!(peer.server.instance, instance.id, "the same in the registry and on the wire");
    drop(server);
    assert!(listed(&registry).is_empty(), "withdrawn with the handle");
}

#[tokio::test]
async fn an_unspecified_address_is_never_registered() {
    for (bind, expected) in [("0.0.0.0:0", "127.0.0.1"), ("localhost:0", "")] {
        let registry = MemoryRegistry::new();
        let server = builder().registry(registry.clone()).bind(bind).start().await.unwrap();
        let [addr] = listed(&registry)[..] else { panic!() };
        assert!(!addr.ip().is_unspecified() && addr.port() != 0);
        assert_eq!(addr, server.advertised_addr());
        assert!(addr.to_string().contains(expected));
        RawPeer::connect(addr).await.check_alive().await;
    }
    // The route to the registry decides when there is one.
    let registry = MemoryRegistry::new();
    let elsewhere = Elsewhere(registry.clone(), "127.0.0.1:2181");
    let _server = builder().registry(elsewhere).bind("0.0.0.0:0").start().await.unwrap();
    assert!(listed(&registry)[0].ip().is_loopback());
}

#[tokio::test]
async fn a_request_that_could_never_be_held_is_a_mistake() {
    let text = refusal(builder().max_message(768 << 20)).await;
    assert!(text.contains("max_message") && text.contains("max_held_per_connection"), "{text}");
    // Unless it is said, the largest request is as large as can be held.
    let server = builder().max_held(1 << 20).start().await.unwrap();
    let peer = RawPeer::connect(server.local_addr()).await;
    assert_eq!(peer.server.limits.max_message, 1 << 20);
}

#[tokio::test]
async fn loopback_with_a_registry_elsewhere_is_a_mistake() {
    let elsewhere = || Elsewhere(MemoryRegistry::new(), "192.0.2.1:2181");
    let text = refusal(builder().registry(elsewhere())).await;
    assert!(text.contains(".bind(\"0.0.0.0:0\")") && text.contains("192.0.2.1:2181"), "{text}");
}

#[tokio::test]
async fn an_advertised_address_that_leads_elsewhere_is_registered_with_a_warning() {
    let other = builder().start().await.unwrap();
    let registry = MemoryRegistry::new();
    let server =
        builder().registry(registry.clone()).advertise(other.local_addr()).start().await.unwrap();
    assert_ne!(server.local_addr(), other.local_addr());
    assert_eq!(listed(&registry), [other.local_addr()]);
}

#[tokio::test]
async fn mistakes_are_told_with_what_to_write() {
    let no_registry = rpc_server::Server::builder().service(LabService::default()).collected(false);
    let text = refusal(no_registry).await;
    for url in ["zookeeper://", "memory://", "static://"] {
        assert!(text.contains(url), "{text}");
    }
    let cases = [
        (builder().registry("consul://x"), "unknown scheme"),
        (builder().bind("127.0.0.1"), "write `host:port`"),
        (builder().bind("192.0.2.1:0"), "no interface of this machine"),
        (builder().advertise("0.0.0.0:9"), "write the `host:port`"),
        (builder().advertise("10.0.0.1:0"), "port 0"),
        (builder().weight(10_001), "0 to 10000"),
        (builder().max_message(1000), "64KiB to 1GiB"),
        (builder().credit(1, 1), "64KiB to 1GiB"),
    ];
    for (builder, words) in cases {
        let text = refusal(builder).await;
        assert!(text.contains(words), "{text}");
    }
    let taken = builder().start().await.unwrap();
    let text = refusal(builder().bind(taken.local_addr())).await;
    assert!(text.contains("in use") && text.contains("write another port"), "{text}");
}

#[tokio::test]
async fn what_can_never_be_registered_is_told_whether_or_not_the_registry_is_there() {
    let unreachable = builder().registry("zookeeper://127.0.0.1:1");
    let text = refusal(unreachable.label("note", "x".repeat(20_000))).await;
    assert!(text.contains("can never be registered") && text.contains("shorter"), "{text}");
}

#[tokio::test]
async fn a_registry_that_is_away_is_waited_for_in_the_background() {
    let registry = MemoryRegistry::new();
    registry.set_unreachable("nobody is there");
    let strict = builder().registry(registry.clone()).require_registration();
    let text = refusal(strict).await;
    assert!(text.contains("nobody is there") && text.contains("require_registration"), "{text}");
    let server = builder().registry(registry.clone()).start().await.unwrap();
    assert!(!server.registered());
    RawPeer::connect(server.local_addr()).await.check_alive().await;
    registry.set_reachable();
    until("it is registered", || server.registered()).await;
}

#[tokio::test]
async fn run_until_leaves_when_its_future_ends() {
    let registry = MemoryRegistry::new();
    let seen = registry.clone();
    let until = async move { assert_eq!(listed(&seen).len(), 1) };
    builder().registry(registry.clone()).run_until(until).await.unwrap();
    assert!(listed(&registry).is_empty());
}
