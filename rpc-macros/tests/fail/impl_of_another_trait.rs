//! The trait is no contract.
use rpc_core::rpc_service;

trait Other {}
struct Impl;

#[rpc_service]
impl Other for Impl {} //~ ERROR `__rpc_service` in trait `Other`

fn main() {}
