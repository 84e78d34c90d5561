//! Wire names that are not names.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    #[rpc(name = "")]
    //~^ ERROR the wire name of a method must have 1 to 128 characters
    async fn f(&self) -> rpc_core::Result<()>;
    #[rpc(name = "a/b")]
    //~^ ERROR must consist of `A-Z a-z 0-9 . _ -`, not `/`
    async fn g(&self) -> rpc_core::Result<()>;
}

fn main() {}
