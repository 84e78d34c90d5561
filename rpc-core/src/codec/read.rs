//! Decoding: a `serde` deserializer over the bytes of a message, under limits.
//!
//! It reads what `rmp-serde` writes, as `rmp-serde` reads it. Its own deserializer would do, inside
//! of one that counts steps and sizes; but for each value that is asked for there the two stand
//! between the bytes and the type, and reading took more time than anything else in a call.

mod access;
mod limits;

use super::skip;
use access::{Bytes, Elements, Entries, Extension, Variant};
use limits::Limits;
use rmp::Marker;
use rmp_serde::{MSGPACK_EXT_STRUCT_NAME, decode::Error};
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor, value::SeqAccessDeserializer},
};

/// Reads a `T` from all of `bytes`.
#[inline]
pub(super) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8], human: bool) -> Result<T, Error> {
    let mut input = Input { rest: bytes, limits: Limits::new(bytes.len()), human };
    let value = T::deserialize(Value { input: &mut input, steps: limits::STEPS })?;
    if input.rest.is_empty() {
        return Ok(value);
    }
    Err(de::Error::custom("the type leaves a part of the value unread"))
}

/// What is left of a message, and of the limits.
struct Input<'de> {
    rest: &'de [u8],
    limits: Limits,
    human: bool,
}

/// The next value of a message, which may be so many steps deep.
struct Value<'i, 'de> {
    input: &'i mut Input<'de>,
    steps: u32,
}

/// What the values in a value are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Any number of elements, which are paid for one by one.
    Elements,
    /// Fields of a value that was paid for as a whole.
    Fields,
}

/// How many bytes or values follow a first byte.
#[derive(Clone, Copy)]
enum Form {
    Text(usize),
    Binary(usize),
    Array(usize),
    Map(usize),
    Extension(usize),
    /// A value of its own, or no value at all.
    Scalar,
}

impl<'de> Input<'de> {
    #[inline]
    fn take(&mut self, length: usize) -> Result<&'de [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else { return Err(ended()) };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn digits<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((digits, rest)) = self.rest.split_first_chunk() else { return Err(ended()) };
        self.rest = rest;
        Ok(*digits)
    }

    #[inline]
    fn first(&mut self) -> Result<u8, Error> {
        self.digits::<1>().map(|[first]| first)
    }

    #[inline]
    fn peek(&self) -> Result<u8, Error> {
        self.rest.first().copied().ok_or_else(ended)
    }

    /// A length of `N` bytes.
    #[inline]
    fn length<const N: usize>(&mut self) -> Result<usize, Error> {
        Ok(self.digits::<N>()?.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
    }

    /// What follows the byte `first`.
    #[inline]
    fn form(&mut self, first: u8) -> Result<Form, Error> {
        Ok(match first {
            0xa0..=0xbf => Form::Text((first & 0x1f).into()),
            0x80..=0x8f => Form::Map((first & 0x0f).into()),
            0x90..=0x9f => Form::Array((first & 0x0f).into()),
            0xc4 => Form::Binary(self.length::<1>()?),
            0xc5 => Form::Binary(self.length::<2>()?),
            0xc6 => Form::Binary(self.length::<4>()?),
            0xd9 => Form::Text(self.length::<1>()?),
            0xda => Form::Text(self.length::<2>()?),
            0xdb => Form::Text(self.length::<4>()?),
            0xdc => Form::Array(self.length::<2>()?),
            0xdd => Form::Array(self.length::<4>()?),
            0xde => Form::Map(self.length::<2>()?),
            0xdf => Form::Map(self.length::<4>()?),
            0xc7 => Form::Extension(self.length::<1>()?),
            0xc8 => Form::Extension(self.length::<2>()?),
            0xc9 => Form::Extension(self.length::<4>()?),
            0xd4..=0xd8 => Form::Extension(1 << (first - 0xd4)),
            _ => Form::Scalar,
        })
    }

    /// A string of this length; what is none may be bytes to who asks.
    #[inline]
    fn text<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let bytes = self.take(length)?;
        match str::from_utf8(bytes) {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(error) => {
                visitor.visit_borrowed_bytes::<Error>(bytes).map_err(|_| Error::Utf8Error(error))
            }
        }
    }

    #[inline]
    fn scalar<V: Visitor<'de>>(&mut self, first: u8, visitor: V) -> Result<V::Value, Error> {
        match first {
            0x00..=0x7f => visitor.visit_u8(first),
            0xcc => visitor.visit_u8(u8::from_be_bytes(self.digits()?)),
            0xcd => visitor.visit_u16(u16::from_be_bytes(self.digits()?)),
            0xce => visitor.visit_u32(u32::from_be_bytes(self.digits()?)),
            0xcf => visitor.visit_u64(u64::from_be_bytes(self.digits()?)),
            0xe0..=0xff => visitor.visit_i8(first.cast_signed()),
            0xd0 => visitor.visit_i8(i8::from_be_bytes(self.digits()?)),
            0xd1 => visitor.visit_i16(i16::from_be_bytes(self.digits()?)),
            0xd2 => visitor.visit_i32(i32::from_be_bytes(self.digits()?)),
            0xd3 => visitor.visit_i64(i64::from_be_bytes(self.digits()?)),
            0xca => visitor.visit_f32(f32::from_be_bytes(self.digits()?)),
            0xcb => visitor.visit_f64(f64::from_be_bytes(self.digits()?)),
            0xc2 | 0xc3 => visitor.visit_bool(first == 0xc3),
            0xc0 => visitor.visit_unit(),
            _ => Err(mismatch(first)),
        }
    }

    /// An integer of 128 bits: one of less, or 16 bytes.
    fn wide(&mut self) -> Result<Wide, Error> {
        let first = self.first()?;
        Ok(match first {
            0x00..=0x7f => Wide::Positive(first.into()),
            0xcc => Wide::Positive(u8::from_be_bytes(self.digits()?).into()),
            0xcd => Wide::Positive(u16::from_be_bytes(self.digits()?).into()),
            0xce => Wide::Positive(u32::from_be_bytes(self.digits()?).into()),
            0xcf => Wide::Positive(u64::from_be_bytes(self.digits()?)),
            0xe0..=0xff => Wide::Signed(first.cast_signed().into()),
            0xd0 => Wide::Signed(i8::from_be_bytes(self.digits()?).into()),
            0xd1 => Wide::Signed(i16::from_be_bytes(self.digits()?).into()),
            0xd2 => Wide::Signed(i32::from_be_bytes(self.digits()?).into()),
            0xd3 => Wide::Signed(i64::from_be_bytes(self.digits()?)),
            0xc4 => match self.first()? {
                16 => Wide::Bytes(self.digits()?),
                _ => return Err(Error::LengthMismatch(16)),
            },
            _ => return Err(mismatch(first)),
        })
    }
}

/// What an integer of 128 bits is written as.
enum Wide {
    Positive(u64),
    Signed(i64),
    Bytes([u8; 16]),
}

impl<'de> Value<'_, 'de> {
    /// One step into an option, newtype, enum, sequence or map.
    #[inline]
    fn deeper(self) -> Result<Self, Error> {
        match self.steps.checked_sub(1) {
            Some(steps) => Ok(Self { steps, ..self }),
            None => Err(limits::too_deep()),
        }
    }

    /// A value without values in it: a type that asks for one gets no other.
    #[inline]
    fn leaf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let first = self.input.first()?;
        match self.input.form(first)? {
            Form::Text(length) => self.input.text(length, visitor),
            Form::Scalar => self.input.scalar(first, visitor),
            Form::Binary(length) => visitor.visit_borrowed_bytes(self.input.take(length)?),
            Form::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            Form::Map(_) => Err(de::Error::invalid_type(Unexpected::Map, &visitor)),
            Form::Extension(_) => Err(de::Error::invalid_type(Unexpected::NewtypeStruct, &visitor)),
        }
    }

    /// Whatever comes.
    #[inline]
    fn any<V: Visitor<'de>>(self, visitor: V, role: Role) -> Result<V::Value, Error> {
        let first = self.input.first()?;
        match self.input.form(first)? {
            Form::Binary(length) => visitor.visit_borrowed_bytes(self.input.take(length)?),
            form => self.holding(first, form, visitor, role),
        }
    }

    /// The same for who asks for several values: bytes are so many numbers to it.
    #[inline]
    fn several<V: Visitor<'de>>(self, visitor: V, role: Role) -> Result<V::Value, Error> {
        let first = self.input.first()?;
        match self.input.form(first)? {
            Form::Binary(length) => {
                let bytes = self.input.take(length)?;
                let Value { input, .. } = self.deeper()?;
                visitor.visit_seq(Bytes { input, rest: bytes.iter(), role })
            }
            form => self.holding(first, form, visitor, role),
        }
    }

    #[inline]
    fn holding<V: Visitor<'de>>(
        self,
        first: u8,
        form: Form,
        visitor: V,
        role: Role,
    ) -> Result<V::Value, Error> {
        match form {
            Form::Map(length) => {
                let Value { input, steps } = self.deeper()?;
                let mut left = length;
                let map = Entries { input, steps, left: &mut left, role };
                let value = visitor.visit_map(map)?;
                all_read(value, left, length)
            }
            Form::Array(length) => {
                let Value { input, steps } = self.deeper()?;
                let mut left = length;
                let value = visitor.visit_seq(Elements { input, steps, left: &mut left, role })?;
                all_read(value, left, length)
            }
            Form::Text(length) => self.input.text(length, visitor),
            Form::Scalar => self.input.scalar(first, visitor),
            Form::Extension(length) => self.extension(length, visitor),
            Form::Binary(_) => Err(mismatch(first)),
        }
    }

    /// A type and its data, as `rmp-serde` gives them: a sequence of two in a newtype.
    fn extension<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let [kind] = self.input.digits()?;
        let data = self.input.take(length)?;
        let Value { input, .. } = self.deeper()?;
        let both = Extension { input, kind: Some(kind.cast_signed()), data: Some(data) };
        visitor.visit_newtype_struct(SeqAccessDeserializer::new(both))
    }
}

#[inline]
fn all_read<T>(value: T, left: usize, length: usize) -> Result<T, Error> {
    if left == 0 {
        return Ok(value);
    }
    Err(Error::LengthMismatch(u32::try_from(length - left).unwrap_or(u32::MAX)))
}

#[cold]
fn ended() -> Error {
    Error::InvalidMarkerRead(std::io::ErrorKind::UnexpectedEof.into())
}

#[cold]
fn mismatch(first: u8) -> Error {
    Error::TypeMismatch(Marker::from_u8(first))
}

/// Methods that ask for a scalar of one kind, or for what is like it.
macro_rules! scalars {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let first = self.input.first()?;
            self.input.scalar(first, visitor)
        }
    )*};
}

/// Methods that ask for one value without values in it.
macro_rules! leaves {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.leaf(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Error;

    scalars! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    leaves! {
        deserialize_char deserialize_str deserialize_string
        deserialize_unit deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.any(visitor, Role::Elements)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.any(visitor, Role::Elements)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.several(visitor, Role::Elements)
    }

    /// Whatever the value is, it is passed over without recursion.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let length = skip(self.input.rest).map_err(<Error as de::Error>::custom)?;
        self.input.take(length)?;
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // An empty slice of `u8` travels as an empty array.
        if self.input.peek()? == 0x90 {
            self.input.first()?;
            return visitor.visit_borrowed_bytes(&[]);
        }
        self.any(visitor, Role::Elements)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.input.peek()? == 0xc0 {
            self.input.first()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self.deeper()?)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        // It is written as an empty array.
        if self.input.peek()? == 0x90 {
            self.input.first()?;
            return visitor.visit_unit();
        }
        self.any(visitor, Role::Elements)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == MSGPACK_EXT_STRUCT_NAME {
            let first = self.input.first()?;
            return match self.input.form(first)? {
                Form::Extension(length) => self.extension(length, visitor),
                _ => Err(mismatch(first)),
            };
        }
        visitor.visit_newtype_struct(self.deeper()?)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.input.limits.charge_value::<V::Value>()?;
        self.several(visitor, Role::Fields)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    /// A map from the variant to its content, or the variant alone.
    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.input.limits.charge_value::<V::Value>()?;
        let has_content = match self.input.peek()? {
            first @ (0x80..=0x8f | 0xde | 0xdf) => {
                self.input.first()?;
                match self.input.form(first)? {
                    Form::Map(1) => true,
                    Form::Map(length) => {
                        let length = u32::try_from(length).unwrap_or(u32::MAX);
                        return Err(Error::LengthMismatch(length));
                    }
                    _ => return Err(mismatch(first)),
                }
            }
            _ => false,
        };
        let Value { input, steps } = self.deeper()?;
        visitor.visit_enum(Variant { input, steps, has_content })
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i128(match self.input.wide()? {
            Wide::Positive(number) => number.into(),
            Wide::Signed(number) => number.into(),
            Wide::Bytes(bytes) => i128::from_be_bytes(bytes),
        })
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u128(match self.input.wide()? {
            Wide::Positive(number) => number.into(),
            Wide::Signed(number) => u128::try_from(number).map_err(|_| Error::OutOfRange)?,
            Wide::Bytes(bytes) => u128::from_be_bytes(bytes),
        })
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.input.human
    }
}
