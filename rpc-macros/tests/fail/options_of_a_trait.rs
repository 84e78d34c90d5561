//! Options that do not exist, are given twice, or have a wrong value.
use rpc_core::rpc_client;

#[rpc_client(nmae = "a.B")] //~ ERROR unknown option `nmae`; there are: `name`, `version`, `timeout`, `codec`
trait A {}

#[rpc_client(name = "a.B", name = "a.C")] //~ ERROR option `name` is given twice
trait B {}

#[rpc_client(name = 5, version, codec = "json", timeout = "soon")]
//~^ ERROR `name` is a string: `name = ".."`
//~^^ ERROR `version` needs a value: `version = ".."`
//~^^^ ERROR unknown codec; there are: "named", "compact"
//~^^^^ ERROR write it as "200ms", "2s" or "1m"
trait C {}

#[rpc_client(name = "_config")] //~ ERROR must not begin with `_`
trait D {}

#[rpc_client(name = "..", version = ".")]
//~^ ERROR a service's name must not be dots alone
//~^^ ERROR a service's version must not be dots alone
trait D2 {}

#[rpc_client(name = "shop/Orders", version = "1 beta")]
//~^ ERROR a service's name must consist of
//~^^ ERROR a service's version must consist of
trait E {}

#[rpc_client(version = "123456789012345678901234567890123")] //~ ERROR must have 1 to 32 characters
trait F {}

#[rpc_client(timeout = "0ms")] //~ ERROR a timeout of zero fails every call
trait G {}

#[rpc_client(name = "a" "b")] //~ ERROR expected `,`
trait H {}

#[rpc_client]
trait Größe {} //~ ERROR the trait's name is part of the service's

#[rpc_client(name = "test.Groesse")]
trait Größer {}

fn main() {}
