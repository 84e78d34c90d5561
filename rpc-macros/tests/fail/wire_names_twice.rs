//! Two methods with one wire name, or with names of one id.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn f(&self) -> rpc_core::Result<()>;
    #[rpc(name = "f")]
    async fn g(&self) -> rpc_core::Result<()>; //~ ERROR `f` has the wire name `f` too
    async fn costarring(&self) -> rpc_core::Result<()>;
    async fn liquid(&self) -> rpc_core::Result<()>; //~ ERROR the wire names `liquid` and `costarring` have the same id
}

fn main() {}
