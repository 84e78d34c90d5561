//! The guard's accesses: what a visitor pulls the values in a value from.

use super::{
    Guard,
    limits::Place,
    visitor::{Role, Watch},
};
use serde::{
    Deserializer,
    de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor},
};

/// A sequence or map under the limits. It keeps the claimed length to itself, so nothing is
/// reserved for what has not come.
pub(super) struct Entries<'g, 'de, A> {
    pub(super) inner: A,
    pub(super) place: Place<'g, 'de>,
    /// Whether each is paid for, rather than all as a whole.
    pub(super) elements: bool,
}

impl<'g, 'de, A> Entries<'g, 'de, A> {
    #[inline]
    fn seed<S>(&self, seed: S) -> Seed<'g, 'de, S> {
        Seed { real: seed, place: self.place, element: self.elements }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Entries<'_, 'de, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.seed(seed);
        self.inner.next_element_seed(seed)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, 'de, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.seed(seed);
        self.inner.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.seed(seed);
        self.inner.next_value_seed(seed)
    }
}

/// An enum, before and after its variant is known. Its step was counted when it was entered.
pub(super) struct Variants<'g, 'de, A> {
    pub(super) inner: A,
    pub(super) place: Place<'g, 'de>,
}

impl<'de, 'g, A: EnumAccess<'de>> EnumAccess<'de> for Variants<'g, 'de, A> {
    type Error = A::Error;
    type Variant = Variants<'g, 'de, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let seed = Seed { real: seed, place: self.place, element: false };
        let (variant, inner) = self.inner.variant_seed(seed)?;
        Ok((variant, Variants { inner, place: self.place }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variants<'_, 'de, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Seed { real: seed, place: self.place, element: false })
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Watch { visitor, place: self.place, role: Role::Fields })
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = Watch { visitor, place: self.place, role: Role::Fields };
        self.inner.struct_variant(fields, visitor)
    }
}

/// A seed under the limits.
struct Seed<'g, 'de, S> {
    real: S,
    place: Place<'g, 'de>,
    element: bool,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, 'de, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        if self.element {
            self.place.charge_element::<S::Value, _>()?;
        }
        self.real.deserialize(Guard { inner, place: self.place })
    }
}
