//! Every mistake of a trait at once, and none that follows from them.
use rpc_core::{rpc_client, rpc_service};

#[rpc_client(verison = "2")] //~ ERROR unknown option `verison`
trait Contract {
    #[rpc(idempotnet)] //~ ERROR unknown option `idempotnet`
    fn f(&mut self, (a, b): (u8, u8)); //~ ERROR write `async fn`
    //~^ ERROR write `&self`
    //~^^ ERROR an argument travels by its name
    //~^^^ ERROR write `-> rpc_core::Result<()>`
    //~^^^^ MAYBE patterns aren't allowed
    type T; //~ ERROR a contract has no associated types
    async fn fine(&self) -> rpc_core::Result<()>;
}

#[derive(Default)]
struct Impl;

#[rpc_service]
impl Contract for Impl {
    fn f(&mut self, _: (u8, u8)) {}
    type T = ();
    async fn fine(&self) -> rpc_core::Result<()> {
        Ok(())
    }
}

fn main() {}
