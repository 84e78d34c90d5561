//! Reading an argument, whatever form its type has.
//!
//! Generated code calls `(&&&&Slot::<T>::new()).rpc_read(&args, i)`. Method lookup removes one
//! reference at a time and takes the first of these traits whose bounds hold, so aliases work as
//! the types that they stand for:
//!
//! 1. [`ReadBytes`]: `&[u8]`, `Vec<u8>` and the like, in one piece;
//! 2. [`ReadValue`]: what serde can read, borrowed (`&str`, `Vec<&str>`) or owned;
//! 3. [`ReadReferent`], [`ReadSlice`]: `&T` and `&[T]`, where a `T` is read and then lent;
//! 4. [`ReadNothing`]: anything else, to say what is missing.
//!
//! Each gives a [`Taken`], [`Lent`] or [`LentSlice`], whose `rpc_give` is what the method gets.

use super::{Args, FromBytes};
use crate::RpcError;
use serde::Deserialize;
use std::marker::PhantomData;

/// Stands for an argument of type `T`.
#[derive(Debug)]
pub struct Slot<T>(PhantomData<fn() -> T>);

impl<T> Slot<T> {
    /// The one there is.
    #[allow(clippy::new_without_default, reason = "generated code alone makes it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// An argument that is passed by value, borrowed forms of serde included.
#[derive(Debug)]
pub struct Taken<T>(T);

impl<T> Taken<T> {
    /// The argument.
    pub fn rpc_give(self) -> T {
        self.0
    }
}

/// An argument `&T`: the `T` stays here while the method runs.
#[derive(Debug)]
pub struct Lent<T>(T);

impl<T> Lent<T> {
    /// The argument.
    pub fn rpc_give(&self) -> &T {
        &self.0
    }
}

/// An argument `&[T]`: the values stay here while the method runs.
#[derive(Debug)]
pub struct LentSlice<T>(Vec<T>);

impl<T> LentSlice<T> {
    /// The argument.
    pub fn rpc_give(&self) -> &[T] {
        &self.0
    }
}

/// Bytes in one piece.
pub trait ReadBytes<'de, T> {
    /// Reads the argument at `index`.
    fn rpc_read(&self, args: &Args<'de>, index: usize) -> Result<Taken<T>, RpcError>;
}

impl<'de, T: FromBytes<'de>> ReadBytes<'de, T> for &&&Slot<T> {
    fn rpc_read(&self, args: &Args<'de>, index: usize) -> Result<Taken<T>, RpcError> {
        args.bytes(index).map(Taken)
    }
}

/// What serde can read.
pub trait ReadValue<'de, T> {
    /// Reads the argument at `index`.
    fn rpc_read(&self, args: &Args<'de>, index: usize) -> Result<Taken<T>, RpcError>;
}

impl<'de, T: Deserialize<'de>> ReadValue<'de, T> for &&Slot<T> {
    fn rpc_read(&self, args: &Args<'de>, index: usize) -> Result<Taken<T>, RpcError> {
        args.get(index).map(Taken)
    }
}

/// A reference to what serde can read.
pub trait ReadReferent<'de, T> {
    /// Reads the argument at `index`.
    fn rpc_read(&self, args: &Args<'de>, index: usize) -> Result<Lent<T>, RpcError>;
}

impl<'de, T: Deserialize<'de>> ReadReferent<'de, T> for &Slot<&T> {
    fn rpc_read(&self, args: &Args<'de>, index: usize) -> Result<Lent<T>, RpcError> {
        args.get(index).map(Lent)
    }
}

/// A slice of what serde can read.
pub trait ReadSlice<'de, T> {
    /// Reads the argument at `index`.
    fn rpc_read(&self, args: &Args<'de>, index: usize) -> Result<LentSlice<T>, RpcError>;
}

impl<'de, T: Deserialize<'de>> ReadSlice<'de, T> for &Slot<&[T]> {
    fn rpc_read(&self, args: &Args<'de>, index: usize) -> Result<LentSlice<T>, RpcError> {
        args.get(index).map(LentSlice)
    }
}

/// Nothing that can be read; reached only to report that.
pub trait ReadNothing<T> {
    /// Never compiles.
    fn rpc_read(&self, args: &Args<'_>, index: usize) -> Result<Taken<T>, RpcError>
    where
        T: Receivable;
}

impl<T> ReadNothing<T> for Slot<T> {
    fn rpc_read(&self, _: &Args<'_>, _: usize) -> Result<Taken<T>, RpcError>
    where
        T: Receivable,
    {
        Err(RpcError::internal("an argument that can't be received was received"))
    }
}

/// What generated code requires of an argument that no other form fits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the argument of an rpc method",
    label = "needs `serde::Deserialize`",
    note = "an argument is a serde type, owned or borrowed: `T`, `&T`, `&[T]`, `&str`, `&[u8]`, \
            `Option<&str>`, `Cow<'_, str>`, ..."
)]
pub trait Receivable: Never {}

/// Keeps everyone from implementing [`Receivable`].
pub trait Never {}
