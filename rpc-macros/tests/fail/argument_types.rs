//! Forms of types that can't travel.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn abstracted(&self, x: impl Copy) -> rpc_core::Result<()>; //~ ERROR write a concrete type for `impl Trait`
    async fn object(&self, x: &dyn Copy) -> rpc_core::Result<()>; //~ ERROR a trait object can't travel
    //~^ MAYBE is not dyn compatible
    async fn function(&self, x: fn(u8) -> u8) -> rpc_core::Result<()>; //~ ERROR a function can't travel
    async fn pointer(&self, x: *const u8) -> rpc_core::Result<()>; //~ ERROR a pointer can't travel
    async fn text(&self, x: str) -> rpc_core::Result<()>; //~ ERROR write `&str` or `String`
    async fn slice(&self, x: [u8]) -> rpc_core::Result<()>; //~ ERROR write `&[T]` or `Vec<T>`
    async fn mutable(&self, x: &mut u8) -> rpc_core::Result<()>; //~ ERROR an argument can't be `&mut`
    async fn living(&self, x: &'static str) -> rpc_core::Result<()>; //~ ERROR remove the lifetime
    async fn inferred(&self, x: Vec<_>) -> rpc_core::Result<()>; //~ ERROR a contract names its types
    //~^ MAYBE not allowed
    async fn own(&self, x: Vec<Self>) -> rpc_core::Result<Self> where Self: Sized; //~ ERROR client and provider are different `Self`s
    //~^ ERROR can't have a `where` clause
}

fn main() {}
