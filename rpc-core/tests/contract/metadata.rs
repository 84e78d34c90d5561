//! What a contract says of itself.

use rpc_core::{RpcProxy, codec::Codec, rpc_client, wire};
use std::time::Duration;

/// Sells things.
///
/// Slowly.
#[rpc_client(name = "shop.Orders", version = "2", timeout = "1m", codec = "compact")]
trait Orders {
    /// Looks one up.
    #[rpc(idempotent, timeout = "200ms", hash_key = hint)]
    async fn find(&self, id: u64, hint: Option<&str>) -> rpc_core::Result<Vec<String>>;

    #[rpc(name = "buy.now")]
    async fn buy(&self, r#type: &[u8]) -> Result<(), rpc_core::RpcError>;
}

#[rpc_client]
trait Plain {
    async fn f(&self) -> rpc_core::Result<()>;
}

#[test]
fn a_contract_describes_itself() {
    let meta = OrdersClient::SERVICE;
    assert_eq!(
        (meta.registered, meta.name, meta.version),
        ("shop.Orders@2", "shop.Orders", Some("2"))
    );
    assert_eq!(meta.id, wire::fnv1a_64(b"shop.Orders@2"));
    assert_eq!((meta.doc, meta.codec), ("Sells things.\n\nSlowly.", Codec::Compact));
    let [find, buy] = meta.methods else { panic!("{meta:?}") };
    assert_eq!((find.name, find.id, find.doc), ("find", wire::fnv1a_32(b"find"), "Looks one up."));
    assert_eq!((find.idempotent, find.timeout), (true, Some(Duration::from_millis(200))));
    assert_eq!(find.output, "rpc_core::Result<Vec<String>>");
    let args: Vec<_> = find.args.iter().map(|a| (a.name, a.ty)).collect();
    assert_eq!(args, [("id", "u64"), ("hint", "Option<&str>")]);
    assert_eq!((find.hash_key, buy.hash_key), (Some(1), None));
    assert_eq!((buy.name, buy.idempotent), ("buy.now", false));
    assert_eq!(buy.timeout, Some(Duration::from_mins(1)));
    let args: Vec<_> = buy.args.iter().map(|a| (a.name, a.ty)).collect();
    assert_eq!(args, [("type", "&[u8]")]);
}

#[test]
fn defaults() {
    let meta = PlainClient::SERVICE;
    assert_eq!(
        (meta.registered, meta.name, meta.version),
        ("rpc-core.Plain", "rpc-core.Plain", None)
    );
    assert_eq!((meta.codec, meta.doc), (Codec::Named, ""));
    assert_eq!(meta.methods[0].timeout, None);
}

/// A contract may be used generically alone.
async fn both(orders: &impl Orders, plain: &impl Plain) -> rpc_core::Result<()> {
    orders.find(1, None).await?;
    orders.buy(&[]).await?;
    plain.f().await
}

#[test]
fn calls_can_be_made_and_dropped() {
    struct Never;

    impl rpc_core::Invoke for Never {
        fn invoke<'a>(
            &'a self,
            _: rpc_core::Call<'a>,
        ) -> rpc_core::BoxFuture<'a, rpc_core::Result<rpc_core::RawReply>> {
            unreachable!("the future is not polled")
        }
    }

    let proxy = rpc_core::Proxy::new(std::sync::Arc::new(Never));
    drop(both(&OrdersClient::from(proxy.clone()), &PlainClient::from(proxy)));
}

#[test]
fn there_is_one_description_of_a_contract() {
    assert!(std::ptr::eq(PlainClient::SERVICE, PlainClient::SERVICE));
}
