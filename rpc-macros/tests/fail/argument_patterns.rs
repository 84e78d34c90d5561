//! Arguments travel by their names.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn tuple(&self, (a, b): (u8, u8)) -> rpc_core::Result<()>; //~ ERROR an argument travels by its name; write `name: Type`
    //~^ MAYBE patterns aren't allowed in functions without bodies
    async fn nothing(&self, _: u8) -> rpc_core::Result<()>; //~ ERROR an argument travels by its name; write `name: Type`
    async fn by_ref(&self, ref a: u8) -> rpc_core::Result<()> { //~ ERROR an argument travels by its name; remove `ref`
        Ok(())
    }
    async fn sub(&self, a @ _: u8) -> rpc_core::Result<()> { //~ ERROR an argument travels by its name
        Ok(())
    }
    async fn größe(&self, länge: u8) -> rpc_core::Result<()>; //~ ERROR give it one with `#[rpc(name = "..")]`
    //~^ ERROR the name of an argument travels and must consist of
}

fn main() {}
