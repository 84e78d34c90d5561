//! Methods that return nothing, or something else than a result.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn nothing(&self); //~ ERROR write `-> rpc_core::Result<()>`
}

fn main() {}
