//! The attribute on something else.
use rpc_core::{rpc_client, rpc_service};

#[rpc_client] //~ ERROR `#[rpc_client]` goes on a trait; for an impl write `#[rpc_service]`
struct NotATrait;

#[rpc_service] //~ ERROR `#[rpc_service]` goes on `impl Trait for Type`; for a trait write `#[rpc_client]`
trait NotAnImpl {}

fn main() {}
