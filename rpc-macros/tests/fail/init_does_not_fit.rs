//! Functions that can't make an instance.
use rpc_core::{rpc_client, rpc_service};

#[rpc_client]
trait Contract {}

struct A;
struct B;
struct C;

#[rpc_service(init = returns_another)] //~ ERROR `init` must be a function of up to 8 `Shared<T>` parameters that returns `A`
impl Contract for A {}

fn returns_another() -> u8 {
    0
}

#[rpc_service(init = takes_another)] //~ ERROR `init` must be a function of up to 8 `Shared<T>` parameters that returns `B`
impl Contract for B {}

fn takes_another(_: u8) -> B {
    B
}

#[rpc_service(init = C::open)] //~ ERROR no function or associated item named `open`
impl Contract for C {}

fn main() {}
