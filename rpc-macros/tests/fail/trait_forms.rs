//! Traits that can't be contracts.
use rpc_core::rpc_client;

#[rpc_client]
trait Generic<T> {} //~ ERROR a contract can't be generic
#[rpc_client]
trait Lifetime<'a> {} //~ ERROR a contract can't be generic
#[rpc_client]
unsafe trait Dangerous {} //~ ERROR a contract can't be `unsafe`
#[rpc_client]
trait Clause where Self: Sized {} //~ ERROR a contract can't have a `where` clause

macro_rules! nothing {
    () => {};
}

#[rpc_client]
trait Items {
    const N: u32; //~ ERROR a contract has no constants
    type T; //~ ERROR a contract has no associated types
    nothing!(); //~ ERROR a contract can't be made by a macro inside of it
}

fn main() {}
