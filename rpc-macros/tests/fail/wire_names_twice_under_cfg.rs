//! Methods under `cfg` may exclude each other; here they do not.
use rpc_core::rpc_client;

#[rpc_client] //~ ERROR the same wire name
trait Contract {
    #[cfg(all())]
    async fn f(&self) -> rpc_core::Result<()>;
    #[cfg(not(any()))]
    #[rpc(name = "f")]
    async fn g(&self) -> rpc_core::Result<()>;
    #[cfg(any())]
    #[rpc(name = "f")]
    async fn not_there(&self) -> rpc_core::Result<()>;
}

fn main() {}
