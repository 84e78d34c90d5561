//! Where instances come from: `init` in all its shapes, `Default`, or nowhere.

use rpc_core::{
    RpcError, Shared, rpc_client, rpc_service,
    service::{Provided, Registration, registrations},
};
use std::{any::TypeId, fmt, future::Future};

#[rpc_client(name = "test.Made")]
trait Tell {
    async fn tell(&self) -> rpc_core::Result<u32>;
}

macro_rules! served {
    ($($ty:ident $(= $init:path)?;)*) => { $(
        struct $ty(u32);

        #[rpc_service $((init = $init))?]
        impl Tell for $ty {
            async fn tell(&self) -> rpc_core::Result<u32> {
                Ok(self.0)
            }
        }
    )* };
}

served! {
    Plain = Self::new;
    Fallible = Fallible::open;
    Boxed = Boxed::open;
    Later = Later::open;
    LaterFallible = LaterFallible::open;
    LaterByHand = LaterByHand::open;
    Given = Given::open;
    Eight = eight;
    Broken = Broken::open;
    Nothing;
    ByDefault;
}

impl Plain {
    const fn new() -> Self {
        Self(1)
    }
}

impl Fallible {
    fn open() -> Result<Self, String> {
        "2".parse().map(Self).map_err(|_| "no number".to_owned())
    }
}

impl Boxed {
    fn open() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self("3".parse()?))
    }
}

impl Later {
    async fn open() -> Self {
        tokio::task::yield_now().await;
        Self(4)
    }
}

impl LaterFallible {
    async fn open() -> Result<Self, RpcError> {
        tokio::task::yield_now().await;
        Ok(Self(5))
    }
}

impl LaterByHand {
    fn open() -> impl Future<Output = Result<Self, std::io::Error>> + Send {
        std::future::ready(Ok(Self(6)))
    }
}

struct Pool(u32);

impl Given {
    async fn open(pool: Shared<Pool>, text: Shared<String>) -> Result<Self, std::io::Error> {
        tokio::task::yield_now().await;
        Ok(Self(pool.0 + u32::try_from(text.len()).unwrap_or(0)))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "that is the point")]
fn eight(
    a: Shared<u8>,
    b: Shared<u16>,
    c: Shared<u32>,
    d: Shared<u64>,
    e: Shared<i8>,
    f: Shared<i16>,
    g: Shared<i32>,
    h: Shared<i64>,
) -> Eight {
    let low = u32::from(*a) + u32::from(*b) + *c + u32::try_from(*d).unwrap_or(0);
    Eight(low + u32::try_from(i64::from(*e) + i64::from(*f) + i64::from(*g) + *h).unwrap_or(0))
}

#[derive(Debug)]
struct Cause;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection refused")
    }
}

impl std::error::Error for Cause {}

#[derive(Debug)]
struct Failure(Cause);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no database")
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl Broken {
    const fn open() -> Result<Self, Failure> {
        Err(Failure(Cause))
    }
}

impl Default for ByDefault {
    fn default() -> Self {
        Self(11)
    }
}

fn registration<S: 'static>() -> &'static Registration {
    registrations().into_iter().find(|r| r.instance_type() == TypeId::of::<S>()).unwrap()
}

async fn told<S: 'static>(provided: &Provided) -> Result<u32, String> {
    let registration = registration::<S>();
    let instance = registration.make(provided).await.map_err(|e| e.to_string())?;
    let service = registration.bind(instance).unwrap();
    match crate::loopback::serve(&service, "tell", &[0x80]).await {
        Ok(rpc_core::service::HandlerAnswer::Ok(body)) => {
            Ok(rpc_core::codec::Codec::Named.decode(&body).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn init_may_be_sync_or_async_and_plain_or_fallible() {
    let none = &Provided::default();
    assert_eq!(told::<Plain>(none).await.unwrap(), 1);
    assert_eq!(told::<Fallible>(none).await.unwrap(), 2);
    assert_eq!(told::<Boxed>(none).await.unwrap(), 3);
    assert_eq!(told::<Later>(none).await.unwrap(), 4);
    assert_eq!(told::<LaterFallible>(none).await.unwrap(), 5);
    assert_eq!(told::<LaterByHand>(none).await.unwrap(), 6);
}

#[tokio::test]
async fn init_takes_what_was_provided() {
    let mut provided = Provided::default();
    assert!(provided.insert(Pool(1)));
    assert!(!provided.insert(Pool(40)), "the second replaces the first");
    provided.insert("ab".to_owned());
    assert_eq!(told::<Given>(&provided).await.unwrap(), 42);
    provided.insert(1u8);
    provided.insert(2u16);
    provided.insert(3u32);
    provided.insert(4u64);
    provided.insert(5i8);
    provided.insert(6i16);
    provided.insert(7i32);
    provided.insert(8i64);
    assert_eq!(told::<Eight>(&provided).await.unwrap(), 36);
}

#[tokio::test]
async fn what_was_not_provided_is_named() {
    let mut provided = Provided::default();
    let error = told::<Given>(&provided).await.unwrap_err();
    assert!(error.contains("Given` (serves test.Made, "), "{error}");
    assert!(error.contains("instances.rs:"), "{error}");
    assert!(error.contains("no value of type `contract::instances::Pool` was provided"), "{error}");
    assert!(error.contains("nothing was provided at all"), "{error}");
    provided.insert(Pool(1));
    let error = told::<Given>(&provided).await.unwrap_err();
    assert!(error.contains("no value of type `alloc::string::String` was provided"), "{error}");
    assert!(error.contains("provided were: `contract::instances::Pool`"), "{error}");
}

#[tokio::test]
async fn an_init_that_fails_says_why_and_where() {
    let error = told::<Broken>(&Provided::default()).await.unwrap_err();
    assert!(error.ends_with("its `init` failed: no database: connection refused"), "{error}");
}

#[tokio::test]
async fn default_is_found_if_there_is_one() {
    assert_eq!(told::<ByDefault>(&Provided::default()).await.unwrap(), 11);
    let error = told::<Nothing>(&Provided::default()).await.unwrap_err();
    assert!(error.contains("derive `Default`"), "{error}");
    assert!(error.contains(".service(..)"), "{error}");
    assert!(error.contains("init = "), "{error}");
}

#[test]
fn registrations_know_their_init() {
    assert_eq!(registration::<Fallible>().init_path(), Some("Fallible::open"));
    assert_eq!(registration::<Plain>().init_path(), Some("Self::new"));
    assert!(registration::<Plain>().has_init());
    assert!(!registration::<ByDefault>().has_init());
}

#[test]
fn registrations_have_one_order() {
    let names: Vec<_> =
        registrations().iter().map(|r| (r.meta().registered, r.type_name())).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
}

#[test]
fn an_instance_of_another_type_is_not_bound() {
    assert!(registration::<ByDefault>().bind(std::sync::Arc::new(5u8)).is_none());
}
