//! Results and errors of methods: what they must be, and how they travel.

use crate::{
    Outcome, Place, RpcError,
    args::bytes::{self, AsBytes, Content, FromBytes},
    codec::{Codec, Encoded, scan},
    decoding_at,
    invoke::{self, Answer},
    service::{HandlerAnswer, MethodMeta, ServiceMeta},
    transport::Body,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{any::Any, marker::PhantomData};

/// What an rpc method returns: `Result<T, E>`.
#[diagnostic::on_unimplemented(
    message = "an rpc method must return `Result<T, E>`, not `{Self}`",
    label = "write `rpc_core::Result<..>` here",
    note = "`E` must implement `From<RpcError>`; `T` and `E` must be serde types"
)]
pub trait Reply: Sized + Send + 'static {
    /// The result that a framework error is.
    fn failed(error: RpcError) -> Self;

    /// Decodes a peer's answer.
    fn from_reply(
        reply: invoke::Reply,
        service: &'static ServiceMeta,
        method: &'static MethodMeta,
    ) -> Self;

    /// Encodes a handler's result.
    fn into_answer(self, codec: Codec) -> HandlerAnswer;
}

impl<T: Value, E: Fault> Reply for Result<T, E> {
    fn failed(error: RpcError) -> Self {
        Err(error.into())
    }

    fn from_reply(
        reply: invoke::Reply,
        service: &'static ServiceMeta,
        method: &'static MethodMeta,
    ) -> Self {
        let place = || Place {
            service: service.registered,
            method: method.name,
            endpoint: Some(reply.endpoint),
            attempts: reply.attempts,
            elapsed: reply.began.elapsed(),
            outcome: Some(Outcome::Ran),
        };
        let codec = reply.codec;
        let decoded = match &reply.answer {
            Answer::Ok(body) => decode(codec, body.encoded()).map(Ok),
            Answer::App(body) => {
                let body = body.encoded();
                let decode = || scan(body.bytes()).and_then(|()| codec.decode_encoded(body));
                decoding_at(place(), decode).map(Err)
            }
        };
        decoded.unwrap_or_else(|error| Err(undecodable(&error, place()).into()))
    }

    fn into_answer(self, codec: Codec) -> HandlerAnswer {
        let mut body = Body::to_encode();
        let (written, answer): (_, fn(Body) -> HandlerAnswer) = match &self {
            Ok(value) => (encode(codec, value, body.buffer()), HandlerAnswer::Ok),
            Err(error) => {
                if let Some(error) = (error as &dyn Any).downcast_ref::<RpcError>() {
                    return HandlerAnswer::Error(error.clone());
                }
                (codec.encode(error, body.buffer()), HandlerAnswer::App)
            }
        };
        match written {
            Ok(()) => answer(body),
            Err(error) => HandlerAnswer::Unencodable(unencodable(&error)),
        }
    }
}

/// Requires that a return type is a result that can travel, where the user wrote it.
///
/// The rest of the generated code works with [`Expected`] and [`Returned`], whose fallbacks take
/// any type, so that a wrong one is reported once.
pub const fn returns<R: Reply>() {}

/// Stands for the result that a call expects: `(&&Expected::<R>::new()).rpc_decode()`.
#[derive(Debug)]
pub struct Expected<R>(PhantomData<fn() -> R>);

/// Makes a result of what carried the call.
pub(crate) type Decode<R> =
    fn(Result<invoke::Reply, RpcError>, &'static ServiceMeta, &'static MethodMeta) -> R;

impl<R> Expected<R> {
    /// The one there is.
    #[allow(clippy::new_without_default, reason = "generated code alone makes it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Results that can travel.
pub trait DecodeReply<R> {
    /// How to decode one.
    fn rpc_decode(&self) -> Decode<R>;
}

impl<R: Reply> DecodeReply<R> for &Expected<R> {
    fn rpc_decode(&self) -> Decode<R> {
        |carried, service, method| match carried {
            Ok(reply) => R::from_reply(reply, service, method),
            Err(error) => R::failed(error),
        }
    }
}

/// The others, which [`returns`] refuses.
pub trait DecodeNothing<R> {
    /// Never compiles.
    fn rpc_decode(&self) -> Decode<R>;
}

impl<R> DecodeNothing<R> for Expected<R> {
    fn rpc_decode(&self) -> Decode<R> {
        |_, _, _| unreachable!("`returns` refuses this type")
    }
}

/// What a method returned: `Returned(result).rpc_answer(codec)`.
#[derive(Debug)]
pub struct Returned<R>(pub R);

/// Results that can travel.
pub trait EncodeReply {
    /// Encodes it.
    fn rpc_answer(self, codec: Codec) -> HandlerAnswer;
}

impl<R: Reply> EncodeReply for Returned<R> {
    fn rpc_answer(self, codec: Codec) -> HandlerAnswer {
        self.0.into_answer(codec)
    }
}

/// The others, which [`returns`] refuses.
pub trait EncodeNothing {
    /// Never compiles.
    fn rpc_answer(self, codec: Codec) -> HandlerAnswer;
}

impl<R> EncodeNothing for &Returned<R> {
    fn rpc_answer(self, _: Codec) -> HandlerAnswer {
        unreachable!("`returns` refuses this type")
    }
}

/// A value that a method can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the result of an rpc method",
    label = "needs `serde::Serialize`, `serde::Deserialize` and `Send`, and may not borrow"
)]
pub trait Value: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Value for T {}

/// An error that a method can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the error of an rpc method",
    label = "needs `From<RpcError>`, `serde::Serialize`, `serde::Deserialize` and `Send`",
    note = "give it a variant for errors of the framework; with thiserror: \
            `#[error(transparent)] Rpc(#[from] RpcError)`"
)]
pub trait Fault: From<RpcError> + Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<E: From<RpcError> + Serialize + DeserializeOwned + Send + 'static> Fault for E {}

/// Encodes a result; bytes in one piece. The types are compared at compile time.
fn encode<T: Value>(codec: Codec, value: &T, out: &mut Vec<u8>) -> Result<(), RpcError> {
    fn as_bytes<B: AsBytes + 'static>(value: &dyn Any) -> Option<Content<'_>> {
        value.downcast_ref::<B>().map(AsBytes::as_bytes)
    }
    let value_of =
        |value| as_bytes::<Vec<u8>>(value).or_else(|| as_bytes::<Option<Vec<u8>>>(value));
    match value_of(value) {
        Some(value) => {
            bytes::write(value, out);
            Ok(())
        }
        None => codec.encode(value, out),
    }
}

/// Decodes a result; bytes in one piece.
fn decode<T: Value>(codec: Codec, body: Encoded<'_>) -> Result<T, RpcError> {
    fn fill<B: for<'de> FromBytes<'de> + 'static>(slot: &mut dyn Any, body: Encoded<'_>) {
        if let Some(slot) = slot.downcast_mut::<Option<B>>() {
            *slot = match body.only_apart() {
                Some(apart) => Some(B::from_apart(apart)),
                None => bytes::content(body.bytes()).and_then(B::from_bytes),
            };
        }
    }
    scan(body.bytes())?;
    let mut slot = None::<T>;
    fill::<Vec<u8>>(&mut slot, body);
    fill::<Option<Vec<u8>>>(&mut slot, body);
    slot.map_or_else(|| codec.decode_encoded(body), Ok)
}

#[cold]
fn undecodable(error: &RpcError, place: Place<'static>) -> RpcError {
    let text = format!(
        "the reply does not decode: {}: does the provider have another contract of that name?",
        error.message()
    );
    RpcError::internal(text).placed(place)
}

#[cold]
fn unencodable(error: &RpcError) -> RpcError {
    RpcError::internal(format!("the result can't be encoded: {}", error.message()))
}
