//! A contract in a crate of edition 2021, whose impls name their futures by hand.
#![deny(warnings)]
#![allow(async_fn_in_trait)]

use rpc_core::{rpc_client, rpc_service};
use std::future::Future;

#[rpc_client]
pub trait Echo {
    async fn echo(&self, text: &str, bytes: &[u8]) -> rpc_core::Result<String>;
}

#[derive(Default)]
pub struct Parrot;

#[rpc_service]
impl Echo for Parrot {
    async fn echo(&self, text: &str, bytes: &[u8]) -> rpc_core::Result<String> {
        tokio::task::yield_now().await;
        Ok(format!("{text}{bytes:?}"))
    }
}

fn spawned<E: Echo>(echo: E) -> impl Future<Output = rpc_core::Result<String>> + Send {
    async move { echo.echo("a", &[1]).await }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(spawned(Parrot).await.unwrap(), "a[1]");
}
