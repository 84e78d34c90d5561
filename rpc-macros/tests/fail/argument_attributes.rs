//! An argument is there or not; nothing else makes a difference.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn f(&self, #[cfg(all())] a: u8) -> rpc_core::Result<()>; //~ ERROR an argument of an rpc method has no attributes
    async fn g(&self, #[allow(unused)] a: u8) -> rpc_core::Result<()>;
}

fn main() {}
