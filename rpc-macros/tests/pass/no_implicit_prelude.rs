//! Generated code needs no prelude, and no name of the user's leads it astray.
#![deny(warnings)]
#![allow(unused, non_snake_case, non_camel_case_types, reason = "names that only stand in the way")]
#![no_implicit_prelude]

extern crate rpc_core as the_framework;
extern crate std as standard;

mod rpc {}
mod core {}
mod std {}
mod rpc_core {}
mod __rpc {}
mod shadows {
    pub struct Option;
    pub struct Result;
    pub struct Send;
    pub struct Sync;
    pub struct Sized;
    pub struct Box;
    pub struct Vec;
    pub struct Future;
    pub struct String;
    pub struct str;
    pub struct u8;
    pub struct u32;
    pub fn Ok() {}
    pub fn Some() {}
    pub trait Default {}
    pub trait From {}
}
use shadows::*;

use the_framework::service::registrations;

/// Has every method that generated code calls, for every type.
trait Meddler {
    fn read(&self) {}
    fn write(&self) {}
    fn give(self)
    where
        Self: standard::marker::Sized,
    {
    }
    fn args(&self) {}
    fn answer(&self) {}
    fn call(&self) {}
    fn make(&self) {}
    fn new() -> standard::primitive::u8 {
        0
    }
    fn with_options(&self) {}
    fn await_(&self) {}
}
impl<T> Meddler for T {}

type Outcome<T> = ::rpc_core::Result<T>;

#[::rpc_core::rpc_client]
pub(crate) trait Quiet {
    async fn f(
        &self,
        self_: &standard::primitive::str,
        call: &[standard::primitive::u8],
        service: standard::option::Option<standard::string::String>,
        payload: &standard::primitive::u32,
    ) -> Outcome<()> {
        let _ = (self_, call, service, payload);
        standard::result::Result::Ok(())
    }

    #[rpc(timeout = "1s")]
    async fn g(&self) -> Outcome<()> {
        standard::result::Result::Ok(())
    }
}

struct Silent;

impl standard::default::Default for Silent {
    fn default() -> Self {
        Self
    }
}

#[::rpc_core::rpc_service]
impl Quiet for Silent {}

struct Opened;

impl Opened {
    async fn open(_: ::rpc_core::Shared<standard::string::String>) -> Self {
        Self
    }
}

#[::rpc_core::rpc_service(init = Self::open)]
impl Quiet for Opened {}

fn main() {
    let all = registrations();
    standard::assert_eq!(all.len(), 2);
    let meddled: () = Silent.read();
    let () = meddled;
}
