//! What the compiler says of impls speaks of the user's code.
use rpc_core::{rpc_client, rpc_service};

#[rpc_client]
trait Contract {
    async fn f(&self, x: u32) -> rpc_core::Result<()>;
    async fn g(&self, x: &str) -> rpc_core::Result<()>;
    async fn h(&self) -> rpc_core::Result<u32>;
}

#[derive(Default)]
struct Impl;

#[rpc_service]
impl Contract for Impl { //~ ERROR not all trait items implemented, missing: `f`
    async fn g(&self, x: u32) -> rpc_core::Result<()> { //~ ERROR method `g` has an incompatible type for trait
        Ok(())
    }
    async fn h(&self) -> rpc_core::Result<String> { //~ ERROR expected `Result<u32, RpcError>`, found `Result<String, RpcError>`
        Ok(String::new())
    }
}

fn main() {}
