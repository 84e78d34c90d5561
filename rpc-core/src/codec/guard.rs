//! Decoding under limits: a `Deserializer` around another that counts steps and sizes.
//!
//! Every deserializer, visitor, seed and access that a `Deserialize` gets to see is ours: it
//! holds the real one, counts, and passes on what it is asked.

mod access;
mod limits;
mod visitor;

use super::Encoded;
use crate::defaults::MAX_DEPTH;
use limits::{Limits, Place};
use rmp_serde::decode::Error;
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use visitor::{Leaf, Role, Watch};

/// Reads a `T` from all of `value`. If what lies apart from it was not asked for as bytes, it is put
/// together and read again.
#[inline]
pub(super) fn decode<'de, T: Deserialize<'de>>(
    mut value: Encoded<'de>,
    human: bool,
) -> Result<T, Error> {
    loop {
        let result = read(value, human);
        match value.joined() {
            None => return result,
            Some(joined) => value = joined,
        }
    }
}

#[inline]
fn read<'de, T: Deserialize<'de>>(value: Encoded<'de>, human: bool) -> Result<T, Error> {
    let limits = Limits::new(value, human);
    let mut inner = rmp_serde::Deserializer::from_read_ref(value.bytes());
    // One more than the limit: it refuses when it has counted down to zero.
    inner.set_max_depth(MAX_DEPTH + 1);
    let result = T::deserialize(Guard { inner: &mut inner, place: limits.start() });
    if result.is_ok() {
        // The reader cannot be asked where it stands, only whether it can go on.
        let Err(Error::InvalidMarkerRead(_)) = inner.deserialize_bool(de::IgnoredAny) else {
            return Err(de::Error::custom("the type leaves a part of the value unread"));
        };
    }
    result
}

/// A deserializer under the limits.
struct Guard<'g, 'de, D> {
    inner: D,
    place: Place<'g, 'de>,
}

/// Methods for which `rmp-serde` itself refuses all but scalars.
macro_rules! scalars {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

/// Methods for which `rmp-serde` takes whatever comes, although one value without values in it is
/// asked for. Only that is let through.
macro_rules! leaves {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(Leaf(visitor))
        }
    )*};
}

/// Methods that ask for values in a value, or take whatever comes.
macro_rules! watched {
    ($($method:ident: $role:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(Watch { visitor, place: self.place, role: Role::$role })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guard<'_, 'de, D> {
    type Error = D::Error;

    scalars! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    leaves! {
        deserialize_char deserialize_str deserialize_string
        deserialize_unit deserialize_identifier
    }

    watched! {
        deserialize_any: Elements
        deserialize_bytes: Bytes
        deserialize_byte_buf: Buffer
        deserialize_option: Elements
        deserialize_seq: Elements
        deserialize_map: Elements
        deserialize_ignored_any: Elements
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Watch { visitor, place: self.place, role: Role::Elements };
        self.inner.deserialize_unit_struct(name, visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Watch { visitor, place: self.place, role: Role::Elements };
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.place.charge_value::<V::Value, _>()?;
        let visitor = Watch { visitor, place: self.place, role: Role::Fields };
        self.inner.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.place.charge_value::<V::Value, _>()?;
        let visitor = Watch { visitor, place: self.place, role: Role::Fields };
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.place.charge_value::<V::Value, _>()?;
        let visitor = Watch { visitor, place: self.place, role: Role::Fields };
        self.inner.deserialize_struct(name, fields, visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.place.charge_value::<V::Value, _>()?;
        let visitor = Watch { visitor, place: self.place, role: Role::Fields };
        self.inner.deserialize_enum(name, variants, visitor)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.place.human()
    }
}
