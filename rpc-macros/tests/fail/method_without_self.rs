//! A method without a receiver.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn f() -> rpc_core::Result<()>; //~ ERROR take `&self` first
    async fn g(n: u32) -> rpc_core::Result<()>; //~ ERROR take `&self` first
}

fn main() {}
