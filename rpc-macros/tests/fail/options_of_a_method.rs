//! The same on methods.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    #[rpc(idempotnet)] //~ ERROR unknown option `idempotnet`; there are: `idempotent`, `timeout`, `name`, `hash_key`
    async fn f(&self) -> rpc_core::Result<()>;
    #[rpc(idempotent, timeout = "1s", idempotent)] //~ ERROR option `idempotent` is given twice
    async fn g(&self) -> rpc_core::Result<()>;
    #[rpc(timeout = 5)] //~ ERROR `timeout` is a string
    async fn h(&self) -> rpc_core::Result<()>;
    #[rpc(idempotent = true)] //~ ERROR `idempotent` takes no value
    async fn i(&self) -> rpc_core::Result<()>;
    #[rpc] //~ ERROR write the options in parentheses
    async fn j(&self) -> rpc_core::Result<()>;
    #[cfg_attr(all(), rpc(idempotent))] //~ ERROR `rpc` can't be conditional
    async fn k(&self) -> rpc_core::Result<()>;
    #[rpc(idempotent)]
    #[rpc(timeout = "1s", idempotent)] //~ ERROR option `idempotent` is given twice
    async fn l(&self) -> rpc_core::Result<()>;
}

fn main() {}
