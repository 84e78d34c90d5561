//! Types that serde does not know, or that hold no framework error.
use rpc_core::rpc_client;

#[derive(serde::Serialize, serde::Deserialize)]
struct NoFrom;
struct NoSerde;

#[rpc_client]
trait Contract {
    async fn value(&self) -> rpc_core::Result<NoSerde>; //~ ERROR `NoSerde` can't be the result of an rpc method
    async fn error(&self) -> Result<(), NoFrom>; //~ ERROR `NoFrom` can't be the error of an rpc method
    async fn thread(&self) -> rpc_core::Result<std::sync::MutexGuard<'static, u8>>; //~ ERROR can't be the result
}

fn main() {}
