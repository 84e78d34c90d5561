//! The guard's visitor: a step down wherever a value has values in it.

use super::{
    Guard,
    access::{Entries, Variants},
    limits::Place,
};
use serde::{
    Deserializer,
    de::{EnumAccess, Error, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// What the values in a value are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Any number of elements, which are paid for one by one.
    Elements,
    /// Fields of a value that was paid for as a whole.
    Fields,
    /// Nothing: bytes are asked for. An empty slice of `u8` travels as an empty array.
    Bytes,
    /// Nothing: bytes are asked for, to be kept.
    Buffer,
}

/// A visitor under the limits.
pub(super) struct Watch<'g, 'de, V> {
    pub(super) visitor: V,
    pub(super) place: Place<'g, 'de>,
    pub(super) role: Role,
}

/// A visitor for a value without values in it.
pub(super) struct Leaf<V>(pub(super) V);

/// What a visitor does with a value without values in it: whatever the real one does.
macro_rules! forward {
    ($real:tt) => {
        type Value = V::Value;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.$real.expecting(f)
        }

        forward! {
            $real:
            visit_bool(bool)
            visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
            visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128)
            visit_f32(f32) visit_f64(f64)
            visit_char(char)
            visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
            visit_bytes(&[u8]) visit_byte_buf(Vec<u8>)
        }

        #[inline]
        fn visit_none<E: Error>(self) -> Result<V::Value, E> {
            self.$real.visit_none()
        }

        #[inline]
        fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
            self.$real.visit_unit()
        }
    };
    ($real:tt: $($method:ident($type:ty))*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.$real.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Leaf<V> {
    forward!(0);
    forward!(0: visit_borrowed_bytes(&'de [u8]));
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, 'de, V> {
    forward!(visitor);

    #[inline]
    fn visit_borrowed_bytes<E: Error>(self, value: &'de [u8]) -> Result<V::Value, E> {
        match self.place.apart(value) {
            None => self.visitor.visit_borrowed_bytes(value),
            Some(apart) if self.role == Role::Buffer => self.visitor.visit_byte_buf(apart.take()),
            Some(apart) => self.visitor.visit_borrowed_bytes(apart.lend()),
        }
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Guard { inner, place: self.place.deeper()? })
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Guard { inner, place: self.place.deeper()? })
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        if matches!(self.role, Role::Bytes | Role::Buffer) && inner.size_hint() == Some(0) {
            return self.visitor.visit_borrowed_bytes(&[]);
        }
        let elements = self.role != Role::Fields;
        self.visitor.visit_seq(Entries { inner, place: self.place.deeper()?, elements })
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let elements = self.role != Role::Fields;
        self.visitor.visit_map(Entries { inner, place: self.place.deeper()?, elements })
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Variants { inner, place: self.place.deeper()? })
    }
}
