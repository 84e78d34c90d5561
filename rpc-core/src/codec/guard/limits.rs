//! What is left of the two limits of one decode, and where in the value it stands.

use crate::{
    codec::{Apart, Encoded},
    defaults::{MAX_DEPTH, MAX_MESSAGE},
};
use serde::de;
use std::cell::Cell;

/// Steps into a value. The scan allows [`MAX_DEPTH`] arrays and maps; a value of Rust has an
/// option, a newtype or an enum in some of them as well.
const MAX_STEPS: u32 = 256;
const _: () = assert!(MAX_STEPS as usize == 4 * MAX_DEPTH);

/// The budget for sizes, as a multiple of a message's length.
const SIZE_PER_BYTE: usize = 16;

/// The limits of one decode.
pub(super) struct Limits<'de> {
    value: Encoded<'de>,
    /// Bytes of values that may still be made.
    budget: Cell<usize>,
    /// The size of the latest element, until a value claims it as its own.
    paid: Cell<usize>,
    human: bool,
}

impl<'de> Limits<'de> {
    #[inline]
    pub(super) fn new(value: Encoded<'de>, human: bool) -> Self {
        // Small messages share the budget of the largest: 16 times five bytes is no use.
        let budget = value.length().max(MAX_MESSAGE as usize).saturating_mul(SIZE_PER_BYTE);
        Self { value, budget: Cell::new(budget), paid: Cell::new(0), human }
    }

    #[inline]
    pub(super) fn start(&self) -> Place<'_, 'de> {
        Place { limits: self, steps: MAX_STEPS }
    }
}

/// How deep in the value one deserializer stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'g, 'de> {
    limits: &'g Limits<'de>,
    /// Steps that are left.
    steps: u32,
}

impl<'de> Place<'_, 'de> {
    /// What lies apart from the value, if it belongs to the empty `bin` with this content.
    #[inline]
    pub(super) fn apart(self, content: &[u8]) -> Option<&'de Apart> {
        if content.is_empty() { self.limits.value.apart_at(content) } else { None }
    }

    #[inline]
    pub(super) fn human(self) -> bool {
        self.limits.human
    }

    /// One step into an option, newtype, enum, sequence or map.
    #[inline]
    pub(super) fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.steps.checked_sub(1) {
            Some(steps) => Ok(Self { steps, ..self }),
            None => Err(too_deep()),
        }
    }

    /// Pays for an element of a sequence or map.
    #[inline]
    pub(super) fn charge_element<T, E: de::Error>(self) -> Result<(), E> {
        self.limits.paid.set(size_of::<T>());
        self.charge(size_of::<T>())
    }

    /// Pays for a struct, tuple or enum, less what was paid for it as an element: it may be
    /// behind a pointer, or a smaller thing that the element is made from.
    #[inline]
    pub(super) fn charge_value<T, E: de::Error>(self) -> Result<(), E> {
        self.charge(size_of::<T>().saturating_sub(self.limits.paid.take()))
    }

    #[inline]
    fn charge<E: de::Error>(self, size: usize) -> Result<(), E> {
        if let Some(left) = self.limits.budget.get().checked_sub(size) {
            self.limits.budget.set(left);
            return Ok(());
        }
        // A type that tries one form after another must not go on with what is left.
        self.limits.budget.set(0);
        Err(too_large(size))
    }
}

#[cold]
fn too_deep<E: de::Error>() -> E {
    E::custom(format_args!(
        "it is nested deeper than {MAX_STEPS} steps into options, newtypes, enums, arrays and maps"
    ))
}

#[cold]
fn too_large<E: de::Error>(size: usize) -> E {
    E::custom(format_args!(
        "its elements take more memory than {SIZE_PER_BYTE} times the largest message (the latest \
         {size} bytes); send them in several messages or box what is large and often absent"
    ))
}
