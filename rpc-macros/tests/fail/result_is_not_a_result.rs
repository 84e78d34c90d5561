//! The type is seen by the compiler alone.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn number(&self) -> u32; //~ ERROR an rpc method must return `Result<T, E>`, not `u32`
}

fn main() {}
