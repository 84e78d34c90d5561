//! A key is an argument of the method, of a type whose equal values are encoded alike.
use rpc_core::rpc_client;
use std::collections::{HashMap, HashSet};

#[rpc_client]
trait Contract {
    #[rpc(hash_key = usr)] //~ ERROR no argument is called `usr`; there are: `user`, `age`
    async fn a(&self, user: &str, age: u8) -> rpc_core::Result<()>;
    #[rpc(hash_key = user)] //~ ERROR no argument is called `user`; the method has no arguments
    async fn b(&self) -> rpc_core::Result<()>;
    #[rpc(hash_key = "user")] //~ ERROR `hash_key` is the name of an argument: `hash_key = user`
    async fn c(&self, user: &str) -> rpc_core::Result<()>;
    #[rpc(hash_key)] //~ ERROR `hash_key` needs an argument's name
    async fn d(&self, user: &str) -> rpc_core::Result<()>;
    #[rpc(hash_key = user.name)] //~ ERROR `hash_key` is the name of an argument
    async fn e(&self, user: &str) -> rpc_core::Result<()>;
    #[rpc(hash_key = price)] //~ ERROR `price` can't be a key: equal numbers can have different forms
    async fn f(&self, price: f64) -> rpc_core::Result<()>;
    #[rpc(hash_key = tags)] //~ ERROR `tags` can't be a key: the order of its entries differs
    async fn g(&self, tags: &HashMap<&str, u8>) -> rpc_core::Result<()>;
    #[rpc(hash_key = tags)] //~ ERROR `tags` can't be a key: the order of its entries differs
    async fn h(&self, tags: Vec<HashSet<u8>>) -> rpc_core::Result<()>;
    #[rpc(hash_key = nothing)] //~ ERROR `nothing` can't be a key: `()` has one value alone
    async fn i(&self, nothing: ()) -> rpc_core::Result<()>;
    #[rpc(hash_key = user, hash_key = user)] //~ ERROR option `hash_key` is given twice
    async fn j(&self, user: &str) -> rpc_core::Result<()>;
}

fn main() {}
