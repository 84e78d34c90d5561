//! Results and errors: what the caller gets for what the handler returns.

use crate::loopback::{answered_with, client, endpoint};
use rpc_core::{Outcome, RpcCode, RpcError, rpc_client, rpc_service};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An error of the user's own that can hold one of the framework.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ShopError {
    Empty,
    Rpc(RpcError),
}

impl From<RpcError> for ShopError {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

#[rpc_client(name = "test.Results")]
trait Results {
    async fn text(&self, ok: bool) -> Result<String, ShopError>;
    async fn nested(&self) -> Result<(), ShopError>;
    async fn own(&self) -> rpc_core::Result<u32>;
    async fn bytes(&self, size: usize) -> Result<Vec<u8>, ShopError>;
    async fn maybe(&self, some: bool) -> rpc_core::Result<Option<Vec<u8>>>;
    async fn number(&self) -> Result<u32, ShopError>;
}

#[derive(Default)]
struct Shop;

#[rpc_service]
impl Results for Shop {
    async fn text(&self, ok: bool) -> Result<String, ShopError> {
        if ok { Ok("text".into()) } else { Err(ShopError::Empty) }
    }

    async fn nested(&self) -> Result<(), ShopError> {
        Err(RpcError::unavailable("the warehouse is closed").with_outcome(Outcome::NotSent).into())
    }

    async fn own(&self) -> rpc_core::Result<u32> {
        Err(RpcError::not_found("no such order"))
    }

    async fn bytes(&self, size: usize) -> Result<Vec<u8>, ShopError> {
        Ok(vec![7; size])
    }

    async fn maybe(&self, some: bool) -> rpc_core::Result<Option<Vec<u8>>> {
        Ok(some.then(Vec::new))
    }

    async fn number(&self) -> Result<u32, ShopError> {
        Ok(1)
    }
}

async fn shop() -> ResultsClient {
    client::<Shop, _>().await
}

#[tokio::test]
async fn values_and_application_errors_travel_as_themselves() {
    assert_eq!(shop().await.text(true).await, Ok("text".into()));
    assert_eq!(shop().await.text(false).await, Err(ShopError::Empty));
}

#[tokio::test]
async fn a_framework_error_inside_the_users_knows_the_call_that_met_it() {
    let Err(ShopError::Rpc(error)) = shop().await.nested().await else { panic!("it fails") };
    assert_eq!((error.service(), error.method()), ("test.Results", "nested"));
    assert_eq!((error.endpoint(), error.attempts()), (Some(endpoint()), 1));
    assert!(error.elapsed() >= Duration::from_millis(1));
    assert!(error.is_remote());
    assert_eq!((error.outcome(), error.remote_outcome()), (Outcome::Ran, Some(Outcome::NotSent)));
}

#[tokio::test]
async fn a_handlers_own_framework_error_is_one_for_the_dispatcher() {
    let error = shop().await.own().await.unwrap_err();
    assert_eq!((error.code(), error.message()), (RpcCode::NotFound, "no such order"));
}

#[tokio::test]
async fn bytes_come_back_in_one_piece() {
    for size in [0, 1, 255, 256, 65_536] {
        assert_eq!(shop().await.bytes(size).await, Ok(vec![7; size]));
    }
    assert_eq!(shop().await.maybe(true).await, Ok(Some(vec![])));
    assert_eq!(shop().await.maybe(false).await, Ok(None));
}

#[tokio::test]
async fn a_reply_that_does_not_decode_is_internal_and_ran() {
    for body in [&b"\xa4text"[..], b"\xa4te", b"", b"\x01\x01"] {
        let client: ResultsClient = answered_with(body);
        let Err(ShopError::Rpc(error)) = client.number().await else { panic!("{body:?}") };
        assert_eq!((error.code(), error.outcome()), (RpcCode::Internal, Outcome::Ran));
        assert_eq!((error.service(), error.method()), ("test.Results", "number"));
        assert_eq!((error.endpoint(), error.attempts()), (Some(endpoint()), 2));
        assert!(!error.is_remote());
        assert!(error.message().starts_with("the reply does not decode: "), "{error}");
    }
}

#[tokio::test]
async fn bytes_are_taken_from_an_array_of_numbers_too() {
    let client: ResultsClient = answered_with(&[0x92, 1, 2]);
    assert_eq!(client.bytes(0).await, Ok(vec![1, 2]));
    let client: ResultsClient = answered_with(&[0xc4, 9, 2]);
    assert!(client.bytes(0).await.is_err(), "a broken length is refused first");
}
