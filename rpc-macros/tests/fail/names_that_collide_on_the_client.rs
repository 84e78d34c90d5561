//! Methods that every client has already.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn clone(&self) -> rpc_core::Result<()>; //~ ERROR `clone` collides with a method that every client has; rename it
    async fn into(&self) -> rpc_core::Result<()>; //~ ERROR `into` collides
    async fn try_into(&self) -> rpc_core::Result<()>; //~ ERROR `try_into` collides
    async fn as_ref(&self) -> rpc_core::Result<()>; //~ ERROR `as_ref` collides
    async fn borrow(&self) -> rpc_core::Result<()>; //~ ERROR `borrow` collides
    async fn to_owned(&self) -> rpc_core::Result<()>; //~ ERROR `to_owned` collides
    async fn with_options(&self) -> rpc_core::Result<()>; //~ ERROR `with_options` collides
    async fn __rpc_service(&self) -> rpc_core::Result<()>; //~ ERROR `__rpc_service` collides
    //~^ MAYBE defined multiple times
    #[rpc(name = "fmt")]
    async fn copy(&self) -> rpc_core::Result<()>;
}

fn main() {}
