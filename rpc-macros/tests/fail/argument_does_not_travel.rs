//! Arguments that serde does not know.
use rpc_core::rpc_client;

struct NoSerde;
#[derive(serde::Serialize)]
struct NoDeserialize;

#[rpc_client]
trait Contract {
    async fn owned(&self, x: NoSerde) -> rpc_core::Result<()>; //~ ERROR needs `serde::Serialize`
    //~^ ERROR needs `serde::Deserialize`
    async fn lent(&self, x: &NoDeserialize) -> rpc_core::Result<()>; //~ ERROR `&NoDeserialize` can't be the argument of an rpc method
    async fn inner(&self, x: Vec<&NoDeserialize>) -> rpc_core::Result<()>; //~ ERROR can't be the argument of an rpc method
}

fn main() {}
