//! Receivers other than `&self`.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn mutable(&mut self) -> rpc_core::Result<()>; //~ ERROR write `&self`, and keep what changes in a `Mutex`
    async fn owned(self) -> rpc_core::Result<()>; //~ ERROR a service is shared by all calls; write `&self`
    async fn typed(self: Box<Self>) -> rpc_core::Result<()>; //~ ERROR a service is shared by all calls; write `&self`
    async fn named(&'static self) -> rpc_core::Result<()>; //~ ERROR an rpc method has no lifetimes of its own
}

fn main() {}
