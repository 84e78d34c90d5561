//! What the attributes collect: contracts, their methods, and the impls that serve them.
//!
//! For `rpc-client`, `rpc-server` and generated code; no stability.

mod check;
mod contracts;
mod init;
mod provide;
mod registration;

pub use check::{check, method, method_id, service_id};
pub use contracts::{Contract, contracts};
pub use init::{Probe, ViaDefault, ViaNothing, init};
pub use provide::{FromProvided, Instance, Provided, Shared};
pub use registration::{Make, Registration, registrations};

use crate::{RpcError, codec::Codec, future::BoxFuture, transport::Body};
use std::time::Duration;

/// A contract, as `#[rpc_client]` describes it.
#[derive(Debug)]
pub struct ServiceMeta {
    /// `name` or `name@version`: what is registered, looked up and hashed.
    pub registered: &'static str,
    /// The name without the version.
    pub name: &'static str,
    /// The version, if the contract has one.
    pub version: Option<&'static str>,
    /// FNV-1a of `registered`, 64 bits.
    pub id: u64,
    /// The trait's doc comment.
    pub doc: &'static str,
    /// How arguments and results travel.
    pub codec: Codec,
    /// In the order of the trait.
    pub methods: &'static [&'static MethodMeta],
}

/// One method of a contract.
#[derive(Debug)]
pub struct MethodMeta {
    /// The wire name.
    pub name: &'static str,
    /// FNV-1a of `name`, 32 bits.
    pub id: u32,
    /// The method's doc comment.
    pub doc: &'static str,
    /// In the order of the signature.
    pub args: &'static [ArgMeta],
    /// The return type as written.
    pub output: &'static str,
    /// Whether the method may be sent again when it may have run.
    pub idempotent: bool,
    /// The method's own timeout, or the contract's.
    pub timeout: Option<Duration>,
    /// Index of the argument whose value is the call's key under consistent hashing.
    pub hash_key: Option<usize>,
}

/// One argument of a method.
#[derive(Debug)]
pub struct ArgMeta {
    /// The name that travels.
    pub name: &'static str,
    /// The type as written.
    pub ty: &'static str,
}

/// A running handler; it ends with its answer, or with what is wrong with the arguments: then no
/// user code ran.
pub type HandlerFuture = BoxFuture<'static, Result<HandlerAnswer, RpcError>>;

/// What became of a request that reached its handler.
#[derive(Debug)]
pub enum HandlerAnswer {
    /// The encoded `T`.
    Ok(Body),
    /// The encoded application error.
    App(Body),
    /// The handler's own `RpcError`.
    Error(RpcError),
    /// An answer that cannot be encoded; why.
    Unencodable(RpcError),
}

/// An instance together with the contract it serves.
pub trait BoundService: Send + Sync {
    /// The contract.
    fn meta(&self) -> &'static ServiceMeta;

    /// Starts the method with this index in `meta().methods`. The future does nothing before its
    /// first poll.
    ///
    /// # Panics
    ///
    /// If there is no such method.
    fn call(&self, method: usize, body: Body, codec: Codec) -> HandlerFuture;
}
