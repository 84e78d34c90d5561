//! The seam between generated clients and whatever carries their calls.
//!
//! It is pointer-typed, so that a crate of contracts depends on this crate alone: the network
//! client, a mock and a recorder are all an [`Invoke`].

use crate::{
    CallContext, CallOptions, RpcError,
    codec::Codec,
    future::BoxFuture,
    service::{MethodMeta, ServiceMeta},
    transport::Body,
};
use std::net::SocketAddr;
use tokio::time::Instant;

/// Carries the calls of one service.
pub trait Invoke: Send + Sync + 'static {
    /// Makes one call and returns the peer's answer.
    ///
    /// # Errors
    ///
    /// Failures of the framework, with their place and outcome filled in. An application error is
    /// not one of them, it is [`Answer::App`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up: the provider is told to stop.
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Reply, RpcError>>;
}

/// One call as a generated client hands it over.
#[allow(missing_debug_implementations, reason = "holds borrowed arguments of any type")]
pub struct Call<'a> {
    /// The service.
    pub service: &'static ServiceMeta,
    /// The method.
    pub method: &'static MethodMeta,
    /// The arguments, encoded once for each attempt.
    pub args: &'a mut (dyn EncodeArgs + Send + 'a),
    /// What the caller asked for.
    pub options: &'a CallOptions,
    /// The context in which the method was called.
    pub context: &'a CallContext,
}

/// Arguments that can be written as a map from name to value.
pub trait EncodeArgs {
    /// Appends the map to `out`. On an error `out` may hold a part of it.
    ///
    /// # Errors
    ///
    /// What the `Serialize` of an argument refuses, as `InvalidArgument` naming the argument.
    fn encode(&mut self, codec: Codec, out: &mut Vec<u8>) -> Result<(), RpcError>;

    /// Appends the key of the call to `out`: the argument that its method names with
    /// `#[rpc(hash_key = ..)]`. `false`, with nothing in `out`, when there is none, or it is
    /// `None`. Only that argument is encoded.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    fn key(&mut self, codec: Codec, out: &mut Vec<u8>) -> Result<bool, RpcError>;
}

/// A peer's answer, not yet decoded.
#[derive(Debug)]
pub struct Reply {
    /// What it says.
    pub answer: Answer,
    /// How its body is encoded.
    pub codec: Codec,
    /// Who answered.
    pub endpoint: SocketAddr,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// When the call began.
    pub began: Instant,
}

/// Success or the application's error.
#[derive(Debug)]
pub enum Answer {
    /// The encoded `T` of `Result<T, E>`.
    Ok(Body),
    /// The encoded `E` of `Result<T, E>`.
    App(Body),
}
