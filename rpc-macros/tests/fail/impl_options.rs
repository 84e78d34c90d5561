//! Options of `#[rpc_service]`.
use rpc_core::{rpc_client, rpc_service};

#[rpc_client]
trait Contract {}

struct A;
struct B;
struct C;
struct D;

#[rpc_service(int = A::open)] //~ ERROR unknown option `int`; there are: `init`
impl Contract for A {}

#[rpc_service(init)] //~ ERROR `init` needs a function: `init = MyType::open`
impl Contract for B {}

#[rpc_service(init = "C::open")] //~ ERROR `init` is a function's path: `init = MyType::open`
impl Contract for C {}

#[rpc_service(init = open, init = open)] //~ ERROR option `init` is given twice
impl Contract for D {}

fn open() -> D {
    D
}

fn main() {}
