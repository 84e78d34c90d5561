//! Arguments move between threads: `Send` is needed, and `Sync` only behind a reference.
use rpc_core::rpc_client;
use std::{cell::Cell, marker::PhantomData};

#[derive(serde::Serialize, serde::Deserialize)]
struct NotSend(PhantomData<*const ()>);

#[rpc_client]
trait Contract {
    async fn owned(&self, x: NotSend) -> rpc_core::Result<()>; //~ ERROR `*const ()` cannot be sent between threads safely
    async fn lent(&self, x: &Cell<u8>) -> rpc_core::Result<()>; //~ ERROR `Cell<u8>` cannot be shared between threads safely
    async fn fine(&self, x: Cell<u8>) -> rpc_core::Result<()>;
}

fn main() {}
