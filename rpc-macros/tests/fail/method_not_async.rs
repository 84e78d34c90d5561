//! A method that is not asynchronous.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    fn f(&self) -> rpc_core::Result<()>; //~ ERROR an rpc method is asynchronous; write `async fn`
}

fn main() {}
