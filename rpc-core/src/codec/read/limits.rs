//! What is left of the two limits of one decode.

use crate::defaults::{MAX_DEPTH, MAX_MESSAGE};
use rmp_serde::decode::Error;
use serde::de::Error as _;

/// Steps into a value. The scan allows [`MAX_DEPTH`] arrays and maps; a value of Rust has an
/// option, a newtype or an enum in some of them as well.
pub(super) const STEPS: u32 = 256;
const _: () = assert!(STEPS as usize == 4 * MAX_DEPTH);

/// The budget for sizes, as a multiple of a message's length.
const SIZE_PER_BYTE: usize = 16;

/// The sizes of the values of one decode.
pub(super) struct Limits {
    /// Bytes of values that may still be made.
    budget: usize,
    /// The size of the latest element, until a value claims it as its own.
    paid: usize,
}

impl Limits {
    #[inline]
    pub(super) fn new(message: usize) -> Self {
        // Small messages share the budget of the largest: 16 times five bytes is no use.
        let budget = message.max(MAX_MESSAGE as usize).saturating_mul(SIZE_PER_BYTE);
        Self { budget, paid: 0 }
    }

    /// Pays for an element of a sequence or map.
    #[inline]
    pub(super) fn charge_element<T>(&mut self) -> Result<(), Error> {
        self.paid = size_of::<T>();
        self.charge(size_of::<T>())
    }

    /// Pays for a struct, tuple or enum, less what was paid for it as an element: it may be
    /// behind a pointer, or a smaller thing that the element is made from.
    #[inline]
    pub(super) fn charge_value<T>(&mut self) -> Result<(), Error> {
        let paid = std::mem::take(&mut self.paid);
        self.charge(size_of::<T>().saturating_sub(paid))
    }

    #[inline]
    fn charge(&mut self, size: usize) -> Result<(), Error> {
        if let Some(left) = self.budget.checked_sub(size) {
            self.budget = left;
            return Ok(());
        }
        // A type that tries one form after another must not go on with what is left.
        self.budget = 0;
        Err(too_large(size))
    }
}

#[cold]
pub(super) fn too_deep() -> Error {
    Error::custom(format_args!(
        "it is nested deeper than {STEPS} steps into options, newtypes, enums, arrays and maps"
    ))
}

#[cold]
fn too_large(size: usize) -> Error {
    Error::custom(format_args!(
        "its elements take more memory than {SIZE_PER_BYTE} times the largest message (the latest \
         {size} bytes); send them in several messages or box what is large and often absent"
    ))
}
