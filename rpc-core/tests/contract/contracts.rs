//! What a contract allows: default bodies, `Arc`, mocks, `cfg`, deprecation, generic callers.

use crate::loopback::client;
use rpc_core::{rpc_client, rpc_service};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

#[rpc_client]
pub(crate) trait Shop {
    async fn price(&self, item: &str) -> rpc_core::Result<u32>;

    /// A default body calls other methods, and its arguments may be `mut`.
    async fn total(&self, items: Vec<String>, mut discount: u32) -> rpc_core::Result<u32> {
        let mut sum = 0;
        for item in &items {
            sum += self.price(item).await?;
        }
        while discount > sum {
            discount -= 1;
        }
        Ok(sum - discount)
    }

    async fn ping(&self) -> rpc_core::Result<()> {
        Ok(())
    }

    #[deprecated = "ask for the total"]
    async fn old(
        &self,
        #[allow(unused_variables, reason = "old")] n: u32,
    ) -> rpc_core::Result<u32> {
        Ok(1)
    }

    #[cfg(any())]
    async fn never(&self, x: NoSuchType) -> NoSuchType;

    #[cfg(not(any()))]
    async fn always(&self) -> rpc_core::Result<bool>;

    #[cfg_attr(all(), cfg(any()), doc = "gone")]
    async fn never_either(&self) -> NoSuchType;

    #[rpc(name = "last")]
    async fn r#final(&self, r#type: &str) -> rpc_core::Result<String> {
        Ok(r#type.to_owned())
    }
}

#[derive(Default)]
struct Corner;

#[rpc_service]
impl Shop for Corner {
    async fn price(&self, item: &str) -> rpc_core::Result<u32> {
        Ok(u32::try_from(item.len()).unwrap_or(u32::MAX))
    }

    async fn always(&self) -> rpc_core::Result<bool> {
        Ok(true)
    }

    async fn ping(&self) -> rpc_core::Result<()> {
        Err(rpc_core::RpcError::unavailable("closed"))
    }
}

#[tokio::test]
async fn default_bodies_are_served_and_can_be_overridden() {
    let shop: ShopClient = client::<Corner, _>().await;
    assert_eq!(shop.total(vec!["abc".into(), "de".into()], 1).await.unwrap(), 4);
    assert_eq!(shop.ping().await.unwrap_err().message(), "closed");
    assert_eq!(shop.r#final("x").await.unwrap(), "x");
    assert!(shop.always().await.unwrap());
}

#[tokio::test]
#[allow(deprecated, reason = "deprecated methods are served too")]
async fn deprecated_methods_are_served() {
    let shop: ShopClient = client::<Corner, _>().await;
    assert_eq!(shop.old(7).await.unwrap(), 1);
}

#[test]
fn methods_under_cfg_leave_no_gap() {
    let names: Vec<_> =
        <ShopClient as rpc_core::RpcProxy>::SERVICE.methods.iter().map(|m| m.name).collect();
    assert_eq!(names, ["price", "total", "ping", "old", "always", "last"]);
}

/// Generic over local and remote.
async fn cost(shop: &impl Shop) -> u32 {
    shop.price("four").await.unwrap()
}

/// The same on another task, which needs a future that is known to be `Send`.
async fn cost_elsewhere<S: Shop>(shop: Arc<S>) -> u32 {
    tokio::spawn(async move { shop.price("four").await.unwrap() }).await.unwrap()
}

#[derive(Default)]
struct Mock(AtomicU32);

impl Shop for Mock {
    async fn price(&self, _: &str) -> rpc_core::Result<u32> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed))
    }

    async fn always(&self) -> rpc_core::Result<bool> {
        Ok(false)
    }

    async fn total(&self, _: Vec<String>, _: u32) -> rpc_core::Result<u32> {
        Ok(99)
    }
}

#[tokio::test]
async fn callers_are_generic_over_remote_local_and_shared() {
    let remote: ShopClient = client::<Corner, _>().await;
    assert_eq!(cost(&remote).await, 4);
    assert_eq!(cost(&Corner).await, 4);
    let mock = Arc::new(Mock::default());
    assert_eq!((cost(&mock).await, cost(&*mock).await), (0, 1));
    assert_eq!(cost_elsewhere(Arc::new(remote)).await, 4);
    assert_eq!(cost_elsewhere(mock).await, 2);
}

#[tokio::test]
async fn an_arc_forwards_default_bodies_to_its_own_value() {
    assert_eq!(Shop::total(&Arc::new(Mock::default()), vec![], 0).await.unwrap(), 99);
}

/// Contracts may be local to a function.
#[tokio::test]
async fn a_contract_in_a_function() {
    #[rpc_client]
    trait Inner {
        async fn one(&self) -> rpc_core::Result<u8>;
    }

    #[derive(Default)]
    struct Local;

    #[rpc_service]
    impl Inner for Local {
        async fn one(&self) -> rpc_core::Result<u8> {
            Ok(1)
        }
    }

    let client: InnerClient = client::<Local, _>().await;
    assert_eq!(client.one().await.unwrap(), 1);
}

macro_rules! contract {
    ($name:ident, $service:literal, $method:ident, $argument:ident: $ty:ty => $result:ty) => {
        #[rpc_client(name = $service)]
        pub(crate) trait $name {
            async fn $method(&self, $argument: $ty) -> rpc_core::Result<$result>;
        }
    };
}

contract!(Made, "test.Made", twice, value: &str => String);

#[derive(Default)]
struct Twice;

#[rpc_service]
impl Made for Twice {
    async fn twice(&self, value: &str) -> rpc_core::Result<String> {
        Ok(value.repeat(2))
    }
}

#[tokio::test]
async fn a_macro_can_write_a_contract() {
    let client: MadeClient = client::<Twice, _>().await;
    assert_eq!(client.twice("ab").await.unwrap(), "abab");
}

/// Supertraits of the user's own need an impl for the client.
trait Named {
    fn name(&self) -> &'static str;
}

#[rpc_client]
trait Extended: Named + Send {
    async fn f(&self) -> rpc_core::Result<()>;
}

impl Named for ExtendedClient {
    fn name(&self) -> &'static str {
        "client"
    }
}

impl<T: Named> Named for Arc<T> {
    fn name(&self) -> &'static str {
        "arc"
    }
}

impl Named for Corner {
    fn name(&self) -> &'static str {
        "corner"
    }
}

#[rpc_service]
impl Extended for Corner {
    async fn f(&self) -> rpc_core::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_contract_may_have_supertraits() {
    let client: ExtendedClient = client::<Corner, _>().await;
    client.f().await.unwrap();
    let shared = Arc::new(Corner);
    shared.f().await.unwrap();
    assert_eq!((client.name(), shared.name(), Corner.name()), ("client", "arc", "corner"));
}
