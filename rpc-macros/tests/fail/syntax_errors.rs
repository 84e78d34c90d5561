//! A trait that does not parse is reported once, and is still there for what uses it.
use rpc_core::rpc_client;

#[rpc_client(name = )] //~ ERROR expected an expression
trait Contract {
    async fn f(&self) -> rpc_core::Result<()>;
}

struct Impl;

impl Contract for Impl {
    async fn f(&self) -> rpc_core::Result<()> {
        Ok(())
    }
}

#[rpc_client(12)] //~ ERROR expected ident
trait Number {}

#[rpc_client]
#[derive(Clone)] //~ MAYBE `derive` may only be applied to
trait Derived {}

fn main() {
    drop(Impl.f());
}
