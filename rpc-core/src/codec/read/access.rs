//! What a visitor pulls the values in a value from. A claimed length is kept from it, so nothing
//! is reserved for what has not come.

use super::{Input, Role, Value, mismatch};
use rmp_serde::decode::Error;
use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
    value::{BorrowedBytesDeserializer, I8Deserializer, U8Deserializer},
};
use std::slice;

/// The values of an array.
pub(super) struct Elements<'i, 'de, 'l> {
    pub(super) input: &'i mut Input<'de>,
    pub(super) steps: u32,
    pub(super) left: &'l mut usize,
    pub(super) role: Role,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de, '_> {
    type Error = Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        *self.left = left;
        next(self.input, self.steps, self.role, seed).map(Some)
    }
}

/// The keys and values of a map.
pub(super) struct Entries<'i, 'de, 'l> {
    pub(super) input: &'i mut Input<'de>,
    pub(super) steps: u32,
    pub(super) left: &'l mut usize,
    pub(super) role: Role,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de, '_> {
    type Error = Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        *self.left = left;
        next(self.input, self.steps, self.role, seed).map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        next(self.input, self.steps, self.role, seed)
    }
}

#[inline]
fn next<'de, S: DeserializeSeed<'de>>(
    input: &mut Input<'de>,
    steps: u32,
    role: Role,
    seed: S,
) -> Result<S::Value, Error> {
    if role == Role::Elements {
        input.limits.charge_element::<S::Value>()?;
    }
    seed.deserialize(Value { input, steps })
}

/// Binary data, byte by byte.
pub(super) struct Bytes<'i, 'de> {
    pub(super) input: &'i mut Input<'de>,
    pub(super) rest: slice::Iter<'de, u8>,
    pub(super) role: Role,
}

impl<'de> SeqAccess<'de> for Bytes<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(byte) = self.rest.next() else { return Ok(None) };
        if self.role == Role::Elements {
            self.input.limits.charge_element::<S::Value>()?;
        }
        let byte: U8Deserializer<Error> = byte.into_deserializer();
        seed.deserialize(byte).map(Some)
    }
}

/// The type and the data of an extension.
pub(super) struct Extension<'i, 'de> {
    pub(super) input: &'i mut Input<'de>,
    pub(super) kind: Option<i8>,
    pub(super) data: Option<&'de [u8]>,
}

impl<'de> SeqAccess<'de> for Extension<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.input.limits.charge_element::<S::Value>()?;
        if let Some(kind) = self.kind.take() {
            return seed.deserialize(I8Deserializer::new(kind)).map(Some);
        }
        let Some(data) = self.data.take() else { return Ok(None) };
        seed.deserialize(BorrowedBytesDeserializer::new(data)).map(Some)
    }
}

/// An enum, before and after its variant is known. Its step was counted when it was entered.
pub(super) struct Variant<'i, 'de> {
    pub(super) input: &'i mut Input<'de>,
    pub(super) steps: u32,
    pub(super) has_content: bool,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name = seed.deserialize(Value { input: &mut *self.input, steps: self.steps })?;
        Ok((name, self))
    }
}

impl<'i, 'de> Variant<'i, 'de> {
    #[inline]
    fn content(self, expected: &'static str) -> Result<Value<'i, 'de>, Error> {
        if self.has_content {
            return Ok(Value { input: self.input, steps: self.steps });
        }
        Err(de::Error::invalid_type(Unexpected::UnitVariant, &expected))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    #[inline]
    fn unit_variant(self) -> Result<(), Error> {
        match self.has_content.then(|| self.input.first()).transpose()? {
            None | Some(0xc0) => Ok(()),
            Some(first) => Err(mismatch(first)),
        }
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.content("newtype variant")?)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.content("tuple variant")?.several(visitor, Role::Fields)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.content("struct variant")?.several(visitor, Role::Fields)
    }
}
