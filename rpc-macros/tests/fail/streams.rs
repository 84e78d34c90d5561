//! Streams do not exist yet, and are refused as that.
use rpc_core::rpc_client;

struct RpcStream<T>(T);

#[rpc_client]
trait Contract {
    async fn watch(&self) -> rpc_core::Result<RpcStream<u8>>; //~ ERROR streaming methods do not exist yet
    async fn upload(&self, parts: rpc_core::RpcStream<u8>) -> rpc_core::Result<()>; //~ ERROR streaming methods do not exist yet
    //~^ MAYBE cannot find type `RpcStream`
}

fn main() {}
