//! Arguments by name: a map from argument name to value, located without a copy.
//!
//! There is no derived struct per method: generated code writes each argument with
//! [`write::Out`] and reads it with [`read::Slot`], the names come from the method's metadata.
//! A peer that knows more arguments is understood (unknown ones are ignored), and so is one that
//! knows fewer (a missing `Option` is `None`).

pub(crate) mod bytes;
mod key;
pub(crate) mod read;
pub(crate) mod write;

use bytes::{AsBytes, FromBytes};

use crate::{
    RpcError,
    codec::{self, Codec, Encoded},
    service::MethodMeta,
};
use serde::Deserialize;

/// The arguments of one request, each located in its body.
#[derive(Debug)]
pub struct Args<'de> {
    body: Encoded<'de>,
    codec: Codec,
    method: &'static MethodMeta,
    values: Values<'de>,
}

/// Where the value of each argument lies, in the order of the signature.
#[derive(Debug)]
enum Values<'de> {
    /// Enough for nearly every method, so that locating allocates nothing.
    Few([Option<&'de [u8]>; FEW]),
    Many(Vec<Option<&'de [u8]>>),
}

const FEW: usize = 8;

/// What a missing argument decodes from: `nil`, which only types with an empty value accept.
const NIL: &[u8] = &[0xc0];

/// An empty array, as which rmp-serde encodes an empty `&[u8]`, and the bytes that were meant.
const EMPTY_ARRAY: &[u8] = &[0x90];
const EMPTY_BYTES: &[u8] = &[0xc4, 0];

impl<'de> Args<'de> {
    /// Checks a whole body and locates the arguments of `method` in it.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: bytes that are not one value within the limits, not a map with names
    /// for keys, or a map that names an argument twice.
    pub(crate) fn new(
        body: Encoded<'de>,
        codec: Codec,
        method: &'static MethodMeta,
    ) -> Result<Self, RpcError> {
        // Each value is checked as it is located, and nothing is decoded before all are: the same
        // as scanning the whole, in one pass.
        let mut values = Values::new(method.args.len());
        let mut rest = body.bytes();
        let entries =
            rmp::decode::read_map_len(&mut rest).map_err(|_| malformed("they are not a map"))?;
        for position in 0..entries as usize {
            let (index, after) = named(method, position, rest)?;
            let length = codec::skip(after).map_err(|e| malformed(e.message()))?;
            let (value, after) = after.split_at(length);
            rest = after;
            let Some(index) = index else { continue };
            if values.as_mut()[index].replace(value).is_some() {
                let name = method.args[index].name;
                return Err(RpcError::invalid_argument(format!(
                    "argument `{name}` was given twice"
                )));
            }
        }
        if rest.is_empty() {
            return Ok(Self { body, codec, method, values });
        }
        Err(malformed(&format!("{} bytes follow them", rest.len())))
    }

    /// The value of the argument at `index` of the signature.
    fn get<T: Deserialize<'de>>(&self, index: usize) -> Result<T, RpcError> {
        let Some(value) = self.values.as_ref()[index] else {
            return self.codec.decode_scanned(NIL).map_err(|_| self.missing(index));
        };
        self.codec.decode_encoded(self.body.within(value)).or_else(|error| {
            // Serde asks for bytes only at the end of a type's own chain of `Deserialize`, so
            // whether they were meant shows only when they are offered.
            let empty = (value == EMPTY_ARRAY).then(|| self.codec.decode_scanned(EMPTY_BYTES));
            empty.and_then(Result::ok).ok_or_else(|| self.mismatch(index, &error))
        })
    }

    /// The value of an argument of bytes, without a step per byte.
    fn bytes<T: FromBytes<'de>>(&self, index: usize) -> Result<T, RpcError> {
        let value = self.values.as_ref()[index];
        if let Some(apart) = value.and_then(|value| self.body.within(value).only_apart()) {
            return Ok(T::from_apart(apart));
        }
        if let Some(taken) = value.and_then(bytes::content).and_then(T::from_bytes) {
            return Ok(taken);
        }
        // Bytes that came as something else, such as an array of numbers from another language.
        self.get(index)
    }

    #[cold]
    fn missing(&self, index: usize) -> RpcError {
        RpcError::invalid_argument(format!(
            "argument `{}` is missing: does the caller have an older contract?",
            self.method.args[index].name
        ))
    }

    #[cold]
    fn mismatch(&self, index: usize, error: &RpcError) -> RpcError {
        let name = self.method.args[index].name;
        RpcError::invalid_argument(format!(
            "argument `{name}`: {}: does the caller have another contract of that name?",
            error.message()
        ))
    }
}

impl<'de> Values<'de> {
    fn new(arguments: usize) -> Self {
        if arguments <= FEW { Self::Few([None; FEW]) } else { Self::Many(vec![None; arguments]) }
    }

    fn as_ref(&self) -> &[Option<&'de [u8]>] {
        match self {
            Self::Few(values) => values,
            Self::Many(values) => values,
        }
    }

    fn as_mut(&mut self) -> &mut [Option<&'de [u8]>] {
        match self {
            Self::Few(values) => values,
            Self::Many(values) => values,
        }
    }
}

/// Which argument of `method` is named at the beginning of `bytes`, if any, and what follows the
/// name. A peer with the same contract sends them in order, so the one at the same position is tried
/// first: its name need not be checked to be a string.
#[inline]
fn named<'de>(
    method: &MethodMeta,
    position: usize,
    bytes: &'de [u8],
) -> Result<(Option<usize>, &'de [u8]), RpcError> {
    if let Some(arg) = method.args.get(position)
        && let Some((head, rest)) = bytes.split_first()
        && arg.name.len() < 32
        && usize::from(*head) == 0xa0 | arg.name.len()
        && let Some(after) = rest.strip_prefix(arg.name.as_bytes())
    {
        return Ok((Some(position), after));
    }
    let (name, after) =
        rmp::decode::read_str_from_slice(bytes).map_err(|_| malformed("a name is not a string"))?;
    Ok((method.args.iter().position(|arg| arg.name == name), after))
}

#[cold]
fn malformed(what: &str) -> RpcError {
    RpcError::invalid_argument(format!("the arguments are malformed: {what}"))
}

#[cfg(test)]
mod tests;
