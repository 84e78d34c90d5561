//! What a client, a server and the contracts between them share.
//!
//! A service contract is a trait with [`#[rpc_client]`](rpc_client), its providers are impls with
//! [`#[rpc_service]`](rpc_service). A crate of contracts needs this crate (and serde) alone.
//!
//! In reading order: [`CallOptions`] and [`CallContext`] are what a call carries, [`RpcError`] is
//! how it can fail, [`discovery`] is how the sides find each other. [`wire`] and [`transport`] are
//! for `rpc-client` and `rpc-server`; programs do not need them.

// Generated code names `::rpc_core`; this lets the crate's own tests use the attributes.
extern crate self as rpc_core;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

mod proxy;

mod handler;

mod args;
mod reply;
#[doc(hidden)]
pub mod service;

#[doc(hidden)]
pub mod invoke;

mod context;
mod options;

mod balance;
mod trace;

pub mod discovery;
pub mod transport;
pub mod wire;

pub mod codec;
#[doc(hidden)]
pub mod config;
pub mod defaults;

mod error;
mod setup;
mod token;

mod future;
mod memory;

pub use balance::{Balance, UnknownBalance};
pub use context::{CallContext, spawn};
pub use error::{Attempt, Outcome, Result, RpcCode, RpcError};
#[doc(hidden)]
pub use error::{Place, Trail, decoding_at};
pub use future::BoxFuture;
pub use invoke::{Answer, Call, EncodeArgs, Invoke, Reply as RawReply};
pub use options::{CallOptions, MetadataEntry};
pub use proxy::{Proxy, RpcProxy};
pub use rpc_macros::{rpc_client, rpc_service};
pub use service::Shared;
pub use setup::SetupError;
pub use token::Token;
pub use trace::TraceId;
