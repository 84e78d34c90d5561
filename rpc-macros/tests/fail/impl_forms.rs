//! Impls that can't be served.
use rpc_core::{rpc_client, rpc_service};

#[rpc_client]
trait Contract {}

struct Plain;
struct Generic<T>(T);
struct Borrowing<'a>(&'a u8);

#[rpc_service]
impl Plain {} //~ ERROR only a contract can be served; write `impl Trait for Type`

#[rpc_service]
impl<T: Send + Sync + 'static> Contract for Generic<T> {} //~ ERROR a generic impl can't be served

#[rpc_service]
impl Contract for Borrowing<'_> {} //~ ERROR an instance lives as long as its server; write `'static`
//~^ MAYBE lifetime

fn main() {}
