//! Which impls are served, and by which instances.

use crate::support::*;
use rpc_core::{Result, Shared, discovery::MemoryRegistry, rpc_client, rpc_service, wire::Kind};
use rpc_server::{Server, ServerBuilder};
use std::sync::Arc;

#[rpc_client(name = "pick.Greeter")]
trait Greeter {
    async fn greet(&self) -> Result<String>;
}

#[rpc_client(name = "pick.Counter", version = "2")]
trait Counter {
    async fn next(&self) -> Result<u64>;
}

/// By `Default`.
#[derive(Default)]
struct Polite;

#[rpc_service]
impl Greeter for Polite {
    async fn greet(&self) -> Result<String> {
        Ok("good day".into())
    }
}

/// Handed over, or not served.
struct Rude(&'static str);

#[rpc_service]
impl Greeter for Rude {
    async fn greet(&self) -> Result<String> {
        Ok(self.0.into())
    }
}

/// By `init`, from a provided value.
struct Steps(u64);

impl Steps {
    async fn open(start: Shared<u64>) -> std::result::Result<Self, String> {
        tokio::task::yield_now().await;
        if *start == 0 { Err("zero steps lead nowhere".into()) } else { Ok(Self(*start)) }
    }
}

#[rpc_service(init = Steps::open)]
impl Counter for Steps {
    async fn next(&self) -> Result<u64> {
        Ok(self.0)
    }
}

fn builder() -> ServerBuilder {
    Server::builder().registry(MemoryRegistry::new()).notice(std::time::Duration::ZERO)
}

async fn refusal(builder: ServerBuilder) -> String {
    builder.start().await.expect_err("it started").to_string()
}

/// What the greeter of a server says.
async fn greeting(server: &Server) -> String {
    let mut peer = RawPeer::connect(server.local_addr()).await;
    let mut greet = head("greet");
    greet.service = rpc_core::wire::fnv1a_64(b"pick.Greeter");
    peer.send(request_with(1, 0, greet, &args(&Nothing {}))).await;
    peer.expect(Kind::Reply, 1).await.value()
}

#[tokio::test]
async fn two_impls_of_one_service_are_a_mistake_until_one_is_handed_over() {
    let text = refusal(builder().only(["pick.Greeter"])).await;
    assert!(text.contains("Polite") && text.contains("Rude"), "{text}");
    assert!(text.matches("selection.rs:").count() == 2, "both places: {text}");
    let server = builder().only(["pick.Greeter"]).service(Rude("what?")).start().await.unwrap();
    assert_eq!(server.services(), ["pick.Greeter"]);
    assert_eq!(greeting(&server).await, "what?");
    let server = builder().only(["pick.Greeter"]).service(Polite).start().await.unwrap();
    assert_eq!(greeting(&server).await, "good day");
}

#[tokio::test]
async fn only_what_was_handed_over() {
    let server = builder().collected(false).service(Rude("hm")).start().await.unwrap();
    assert_eq!(server.services(), ["pick.Greeter"]);
    let text = refusal(builder().collected(false)).await;
    assert!(text.contains(".collected(false)") && text.contains("pick.Counter@2"), "{text}");
}

#[tokio::test]
async fn names_select_with_and_without_version() {
    for name in ["pick.Counter", "pick.Counter@2"] {
        let server = builder().only([name]).provide(7u64).start().await.unwrap();
        assert_eq!(server.services(), ["pick.Counter@2"]);
    }
    for name in ["pick.Counter@1", "pick.Countess"] {
        let text = refusal(builder().only([name])).await;
        assert!(text.contains(name) && text.contains("pick.Counter@2"), "{text}");
    }
}

#[tokio::test]
async fn an_init_gets_what_was_provided_and_may_fail() {
    let counter = || builder().only(["pick.Counter"]);
    let text = refusal(counter()).await;
    assert!(text.contains("u64") && text.contains(".provide(..)"), "{text}");
    let text = refusal(counter().provide(0u64)).await;
    assert!(text.contains("zero steps") && text.contains("selection.rs"), "{text}");
    // An instance that is handed over needs no init.
    counter().service(Steps(3)).start().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_served_is_told_apart() {
    let text = refusal(builder().service(Arc::new(Polite))).await;
    assert!(text.contains("Arc<") && text.contains("is not `it::selection::Polite`"), "{text}");
    let text = refusal(builder().service("a string")).await;
    assert!(text.contains("&str") && text.contains("#[rpc_service]"), "{text}");
    let text = refusal(builder().service(Polite).service(Polite)).await;
    assert!(text.contains("two instances"), "{text}");
}
