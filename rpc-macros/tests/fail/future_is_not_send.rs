//! A body that can't move between threads is reported in the user's impl.
use rpc_core::{rpc_client, rpc_service};

#[rpc_client]
trait Contract {
    async fn f(&self) -> rpc_core::Result<()>;
}

#[derive(Default)]
struct Impl;

#[rpc_service]
impl Contract for Impl {
    async fn f(&self) -> rpc_core::Result<()> { //~ ERROR future cannot be sent between threads safely
        let local = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(local);
        Ok(())
    }
}

fn main() {}
