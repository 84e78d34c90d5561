//! MessagePack has one `nil`.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn nested(&self, x: Option<Option<u8>>) -> rpc_core::Result<()>; //~ ERROR `Some(None)` arrives as `None`
    async fn unit(&self, x: Vec<std::option::Option<()>>) -> rpc_core::Result<()>; //~ ERROR `Some(())` arrives as `None`
    async fn result(&self) -> rpc_core::Result<Option<Option<u8>>>; //~ ERROR `Some(None)` arrives as `None`
    async fn fine(&self, x: Option<Vec<Option<u8>>>) -> rpc_core::Result<Option<((),)>>;
}

fn main() {}
