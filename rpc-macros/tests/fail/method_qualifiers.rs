//! Qualifiers that no rpc method has.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async unsafe fn dangerous(&self) -> rpc_core::Result<()>; //~ ERROR can't be `unsafe`
    async extern "C" fn foreign(&self) -> rpc_core::Result<()>; //~ ERROR can't be `extern`
    const fn constant(&self) -> rpc_core::Result<()>; //~ ERROR can't be `const`
    //~^ ERROR write `async fn`
    //~^^ MAYBE functions in traits cannot be const
    unsafe extern "C" fn many(&self, n: u8, ...) -> rpc_core::Result<()>; //~ ERROR can't be variadic
    //~^ ERROR write `async fn`
    //~^^ ERROR can't be `unsafe`
    //~^^^ ERROR can't be `extern`
    //~^^^^ MAYBE C-variadic
}

fn main() {}
