//! A package whose name can't be one.
use rpc_core::rpc_client;

#[rpc_client] //~ ERROR the service name, `<package>.<Trait>`, must have 1 to 128 characters
trait LongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLongLong {}

fn main() {}
