//! Writing arguments, whatever form their types have.
//!
//! Generated code gives a closure that calls `(&&&Out(&argument)).rpc_write(writer)` for each
//! argument in order. As in [`read`](super::read), method lookup takes the first of [`WriteBytes`],
//! [`WriteValue`] and [`WriteNothing`] whose bounds hold.

use super::{AsBytes, bytes, key};
use crate::{
    RpcError,
    codec::Codec,
    invoke::EncodeArgs,
    service::{ArgMeta, MethodMeta},
};
use serde::Serialize;

/// Arguments that a closure writes. It is called once for each attempt.
pub(crate) struct Written<F> {
    pub(crate) method: &'static MethodMeta,
    pub(crate) write: F,
}

impl<F: FnMut(&mut Writer<'_>) -> Result<(), RpcError>> EncodeArgs for Written<F> {
    fn encode(&mut self, codec: Codec, out: &mut Vec<u8>) -> Result<(), RpcError> {
        let names = self.method.args;
        // Writing into memory does not fail, and no signature has 2^32 arguments.
        let _ = rmp::encode::write_map_len(out, u32::try_from(names.len()).unwrap_or(u32::MAX));
        (self.write)(&mut Writer { codec, out, names: names.iter(), for_key: false })
    }

    fn key(&mut self, codec: Codec, out: &mut Vec<u8>) -> Result<bool, RpcError> {
        let key_on = self.method.hash_key.and_then(|index| self.method.args.get(index..));
        let Some(names) = key_on else { return Ok(false) };
        let begin = out.len();
        (self.write)(&mut Writer { codec, out, names: names.iter(), for_key: true })?;
        Ok(key::reduce(out, begin))
    }
}

/// Where the arguments of one attempt go.
#[derive(Debug)]
pub struct Writer<'a> {
    codec: Codec,
    out: &'a mut Vec<u8>,
    /// Those that are still to be written.
    names: std::slice::Iter<'static, ArgMeta>,
    /// Only the argument that is the call's key is wanted.
    for_key: bool,
}

impl Writer<'_> {
    /// Whether only the argument that is the call's key is to be written.
    pub fn is_for_key(&self) -> bool {
        self.for_key
    }

    /// Writes the name of the next argument.
    fn name(&mut self) -> &'static str {
        let name = self.names.next().map_or("", |arg| arg.name);
        let _ = rmp::encode::write_str(self.out, name);
        name
    }
}

/// An argument to write.
#[derive(Debug)]
pub struct Out<'a, T>(pub &'a T);

/// Bytes in one piece.
pub trait WriteBytes {
    /// Writes the argument under the next name.
    fn rpc_write(&self, writer: &mut Writer<'_>) -> Result<(), RpcError>;
}

impl<T: AsBytes> WriteBytes for &&Out<'_, T> {
    fn rpc_write(&self, writer: &mut Writer<'_>) -> Result<(), RpcError> {
        writer.name();
        bytes::write(self.0.as_bytes(), writer.out);
        Ok(())
    }
}

/// What serde can write.
pub trait WriteValue {
    /// Writes the argument under the next name.
    fn rpc_write(&self, writer: &mut Writer<'_>) -> Result<(), RpcError>;
}

impl<T: Serialize> WriteValue for &Out<'_, T> {
    fn rpc_write(&self, writer: &mut Writer<'_>) -> Result<(), RpcError> {
        let name = writer.name();
        writer.codec.encode(self.0, writer.out).map_err(|error| refused(name, &error))
    }
}

/// Nothing that can be written; reached only to report that.
pub trait WriteNothing<T> {
    /// Never compiles.
    fn rpc_write(&self, writer: &mut Writer<'_>) -> Result<(), RpcError>
    where
        T: Sendable;
}

impl<T> WriteNothing<T> for Out<'_, T> {
    fn rpc_write(&self, _: &mut Writer<'_>) -> Result<(), RpcError>
    where
        T: Sendable,
    {
        Err(RpcError::internal("an argument that can't be sent was sent"))
    }
}

/// What generated code requires of an argument that no other form fits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the argument of an rpc method",
    label = "needs `serde::Serialize`"
)]
pub trait Sendable: super::read::Never {}

#[cold]
fn refused(name: &str, error: &RpcError) -> RpcError {
    RpcError::invalid_argument(format!("argument `{name}` can't be encoded: {}", error.message()))
}
