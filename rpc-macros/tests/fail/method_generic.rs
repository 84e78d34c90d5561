//! Generic methods, and `where` clauses.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn over_types<T>(&self, x: T) -> rpc_core::Result<()>; //~ ERROR an rpc method can't be generic
    async fn over_lifetimes<'a>(&self, x: &'a str) -> rpc_core::Result<()>; //~ ERROR an rpc method can't be generic
    //~^ ERROR an argument is borrowed for the call alone; remove the lifetime
    async fn over_numbers<const N: usize>(&self) -> rpc_core::Result<()>; //~ ERROR an rpc method can't be generic
    async fn with_clause(&self) -> rpc_core::Result<()> where Self: Sized; //~ ERROR can't have a `where` clause
}

fn main() {}
