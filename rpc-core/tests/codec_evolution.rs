//! The compatibility contract: what an old and a new peer read of each other, as golden bytes.
//!
//! Every row names a change between an `Old` and a `New` type. The bytes are what each writes in
//! each codec; a release that writes or reads them differently breaks peers that are running.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(missing_docs, dead_code, reason = "the types of tests explain themselves")]

use rpc_core::codec::{
    Codec,
    Codec::{Compact, Named},
    scan,
};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// `value` is written as exactly these bytes.
#[track_caller]
fn writes<T: Serialize>(codec: Codec, value: &T, golden: &[u8]) {
    let mut bytes = Vec::new();
    codec.encode(value, &mut bytes).unwrap();
    assert_eq!(bytes.escape_ascii().to_string(), golden.escape_ascii().to_string());
    scan(golden).unwrap();
}

/// A reader with type `T` makes this of the bytes.
#[track_caller]
fn reads<'de, T: Deserialize<'de> + PartialEq + Debug>(codec: Codec, bytes: &'de [u8], value: T) {
    assert_eq!(codec.decode::<T>(bytes), Ok(value));
}

/// A reader with type `T` refuses the bytes for this reason.
#[track_caller]
fn refuses<'de, T: Deserialize<'de> + Debug>(codec: Codec, bytes: &'de [u8], reason: &str) {
    let error = codec.decode::<T>(bytes).unwrap_err();
    assert!(error.message().contains(reason), "{error}");
}

macro_rules! types {
    ($($(#[$attribute:meta])* $keyword:ident $name:ident { $($body:tt)* })*) => {$(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        $(#[$attribute])*
        $keyword $name { $($body)* }
    )*};
}

types! {
    struct Old { id: u32, name: String }
}

fn old() -> Old {
    Old { id: 7, name: "Ada".into() }
}

const OLD_NAMED: &[u8] = b"\x82\xa2id\x07\xa4name\xa3Ada";
const OLD_COMPACT: &[u8] = b"\x92\x07\xa3Ada";

#[test]
fn the_old_type() {
    writes(Named, &old(), OLD_NAMED);
    writes(Compact, &old(), OLD_COMPACT);
    // Structs are read from either form; only what is written depends on the codec.
    reads(Named, OLD_COMPACT, old());
    reads(Compact, OLD_NAMED, old());
}

#[test]
fn field_with_default_added_at_the_end() {
    types! { struct New { id: u32, name: String, #[serde(default)] age: u8 } }
    let new = New { id: 7, name: "Ada".into(), age: 36 };
    let was = New { age: 0, ..new.clone() };
    let (named, compact) = (b"\x83\xa2id\x07\xa4name\xa3Ada\xa3age\x24", b"\x93\x07\xa3Ada\x24");
    writes(Named, &new, named);
    writes(Compact, &new, compact);
    reads(Named, OLD_NAMED, was.clone());
    reads(Named, named, old());
    reads(Compact, OLD_COMPACT, was);
    refuses::<Old>(Compact, compact, "another length than the type (2)");
}

#[test]
fn option_added_at_the_end() {
    types! { struct New { id: u32, name: String, age: Option<u8> } }
    let new = New { id: 7, name: "Ada".into(), age: Some(36) };
    let was = New { age: None, ..new.clone() };
    let (named, compact) = (b"\x83\xa2id\x07\xa4name\xa3Ada\xa3age\x24", b"\x93\x07\xa3Ada\x24");
    writes(Named, &new, named);
    writes(Compact, &new, compact);
    writes(Named, &was, b"\x83\xa2id\x07\xa4name\xa3Ada\xa3age\xc0");
    reads(Named, OLD_NAMED, was);
    reads(Named, named, old());
    refuses::<New>(Compact, OLD_COMPACT, "invalid length 2, expected struct New with 3 elements");
    refuses::<Old>(Compact, compact, "another length than the type (2)");
}

#[test]
fn field_without_default_added() {
    types! { struct New { id: u32, name: String, age: u8 } }
    let named = b"\x83\xa2id\x07\xa4name\xa3Ada\xa3age\x24";
    writes(Named, &New { id: 7, name: "Ada".into(), age: 36 }, named);
    refuses::<New>(Named, OLD_NAMED, "missing field `age`");
    reads(Named, named, old());
    refuses::<New>(Compact, OLD_COMPACT, "invalid length 2");
    refuses::<Old>(Compact, b"\x93\x07\xa3Ada\x24", "another length than the type (2)");
}

#[test]
fn field_with_default_added_in_the_middle() {
    types! { struct New { id: u32, #[serde(default)] age: u8, name: String } }
    let new = New { id: 7, age: 36, name: "Ada".into() };
    let (named, compact) = (b"\x83\xa2id\x07\xa3age\x24\xa4name\xa3Ada", b"\x93\x07\x24\xa3Ada");
    writes(Named, &new, named);
    writes(Compact, &new, compact);
    reads(Named, OLD_NAMED, New { age: 0, ..new });
    reads(Named, named, old());
    refuses::<New>(Compact, OLD_COMPACT, "found a string");
    refuses::<Old>(Compact, compact, "integer `36`, expected a string");
}

#[test]
fn fields_of_different_types_reordered() {
    types! { struct New { name: String, id: u32 } }
    let new = New { name: "Ada".into(), id: 7 };
    let (named, compact) = (b"\x82\xa4name\xa3Ada\xa2id\x07", b"\x92\xa3Ada\x07");
    writes(Named, &new, named);
    writes(Compact, &new, compact);
    reads(Named, OLD_NAMED, new);
    reads(Named, named, old());
    refuses::<New>(Compact, OLD_COMPACT, "expected a string");
    refuses::<Old>(Compact, compact, "found a string");
}

#[test]
fn fields_of_one_type_reordered() {
    types! {
        struct Before { from: u8, to: u8 }
        struct After { to: u8, from: u8 }
    }
    let (before, after) = (Before { from: 1, to: 2 }, After { from: 1, to: 2 });
    let (named, compact) = (b"\x82\xa4from\x01\xa2to\x02", b"\x92\x01\x02");
    writes(Named, &before, named);
    writes(Compact, &before, compact);
    writes(Named, &after, b"\x82\xa2to\x02\xa4from\x01");
    writes(Compact, &after, b"\x92\x02\x01");
    reads(Named, named, after);
    // Nobody notices. This is why compact freezes a type.
    reads(Compact, compact, After { to: 1, from: 2 });
}

#[test]
fn field_renamed() {
    types! {
        struct Renamed { id: u32, label: String }
        struct Alias { id: u32, #[serde(alias = "name")] label: String }
    }
    let named = b"\x82\xa2id\x07\xa5label\xa3Ada";
    let new = Alias { id: 7, label: "Ada".into() };
    writes(Named, &new, named);
    refuses::<Renamed>(Named, OLD_NAMED, "missing field `label`");
    reads(Named, OLD_NAMED, new.clone());
    refuses::<Old>(Named, named, "missing field `name`");
    reads(Compact, OLD_COMPACT, new);
}

#[test]
fn field_removed() {
    types! {
        struct New { id: u32 }
        struct Lenient { id: u32, #[serde(default)] name: String }
    }
    let (named, compact) = (b"\x81\xa2id\x07", b"\x91\x07");
    writes(Named, &New { id: 7 }, named);
    writes(Compact, &New { id: 7 }, compact);
    reads(Named, OLD_NAMED, New { id: 7 });
    refuses::<Old>(Named, named, "missing field `name`");
    reads(Named, named, Lenient { id: 7, name: String::new() });
    refuses::<New>(Compact, OLD_COMPACT, "another length than the type (1)");
    refuses::<Old>(Compact, compact, "invalid length 1");
}

#[test]
fn field_added_in_a_nested_struct() {
    types! {
        struct New { id: u32, name: String, #[serde(default)] age: u8 }
        struct ListOfOld { all: Vec<Old>, end: bool }
        struct ListOfNew { all: Vec<New>, end: bool }
    }
    let new = New { id: 7, name: "Ada".into(), age: 36 };
    let named = b"\x82\xa3all\x91\x83\xa2id\x07\xa4name\xa3Ada\xa3age\x24\xa3end\xc3";
    let compact = b"\x92\x91\x93\x07\xa3Ada\x24\xc3";
    let old_named = b"\x82\xa3all\x91\x82\xa2id\x07\xa4name\xa3Ada\xa3end\xc3";
    let old_compact = b"\x92\x91\x92\x07\xa3Ada\xc3";
    let (of_old, of_new) = (
        ListOfOld { all: vec![old()], end: true },
        ListOfNew { all: vec![new.clone()], end: true },
    );
    let was = ListOfNew { all: vec![New { age: 0, ..new }], end: true };
    writes(Named, &of_new, named);
    writes(Compact, &of_new, compact);
    writes(Named, &of_old, old_named);
    writes(Compact, &of_old, old_compact);
    reads(Named, old_named, was.clone());
    reads(Named, named, of_old);
    reads(Compact, old_compact, was);
    refuses::<ListOfOld>(Compact, compact, "another length than the type (2)");
}

#[test]
fn field_skipped_in_the_middle() {
    types! {
        struct Skipping {
            a: u8,
            #[serde(default, skip_serializing_if = "Option::is_none")] b: Option<u8>,
            c: String,
        }
    }
    let value = Skipping { a: 1, b: None, c: "x".into() };
    writes(Named, &value, b"\x82\xa1a\x01\xa1c\xa1x");
    writes(Compact, &value, b"\x92\x01\xa1x");
    reads(Named, b"\x82\xa1a\x01\xa1c\xa1x", value);
    refuses::<Skipping>(Compact, b"\x92\x01\xa1x", "found a string");
}

#[test]
fn untagged_struct_variant() {
    types! {
        #[serde(untagged)]
        enum Either { Number { n: u8 }, Text { text: String } }
    }
    let value = Either::Text { text: "x".into() };
    writes(Named, &value, b"\x81\xa4text\xa1x");
    reads(Named, b"\x81\xa4text\xa1x", value.clone());
    writes(Compact, &value, b"\x91\xa1x");
    // Not even its own writer can read it: serde takes such a variant from a map alone.
    refuses::<Either>(Compact, b"\x91\xa1x", "did not match any variant");
}

#[test]
fn tagged_and_flattened_types() {
    types! {
        #[serde(tag = "t")]
        enum Internal { A { x: u8 }, B }
        #[serde(tag = "t", content = "c")]
        enum Adjacent { A { x: u8 }, B }
        struct Inner { x: u8 }
        struct Flat { id: u8, #[serde(flatten)] inner: Inner }
    }
    let (internal, adjacent) = (Internal::A { x: 1 }, Adjacent::A { x: 1 });
    let flat = Flat { id: 2, inner: Inner { x: 1 } };
    writes(Named, &internal, b"\x82\xa1t\xa1A\xa1x\x01");
    writes(Compact, &internal, b"\x92\xa1A\x01");
    writes(Named, &adjacent, b"\x82\xa1t\xa1A\xa1c\x81\xa1x\x01");
    writes(Compact, &adjacent, b"\x92\xa1A\x91\x01");
    writes(Named, &flat, b"\x82\xa2id\x02\xa1x\x01");
    writes(Compact, &flat, b"\x82\xa2id\x02\xa1x\x01");
    reads(Named, b"\x82\xa1t\xa1A\xa1x\x01", internal.clone());
    reads(Compact, b"\x92\xa1A\x01", internal);
    reads(Named, b"\x82\xa1t\xa1A\xa1c\x81\xa1x\x01", adjacent.clone());
    // Serde takes a struct variant from a map alone here.
    refuses::<Adjacent>(Compact, b"\x92\xa1A\x91\x01", "expected struct variant Adjacent::A");
    reads(Named, b"\x82\xa2id\x02\xa1x\x01", flat.clone());
    reads(Compact, b"\x82\xa2id\x02\xa1x\x01", flat);
    // With a field more, as a newer peer sends it.
    reads(Named, b"\x83\xa1t\xa1A\xa1y\x09\xa1x\x01", Internal::A { x: 1 });
}

#[test]
fn enum_variant_added() {
    types! {
        enum Closed { A, B(u8) }
        enum Wider { C, A, B(u8), D(u8) }
        enum Open { A, B(u8), #[serde(other)] Unknown }
    }
    for codec in [Named, Compact] {
        // Variants travel by name, so their order is free.
        writes(codec, &Wider::B(1), b"\x81\xa1B\x01");
        reads(codec, b"\x81\xa1B\x01", Closed::B(1));
        writes(codec, &Wider::C, b"\xa1C");
        writes(codec, &Wider::D(1), b"\x81\xa1D\x01");
        refuses::<Closed>(codec, b"\xa1C", "unknown variant `C`, expected `A` or `B`");
        refuses::<Closed>(codec, b"\x81\xa1D\x01", "unknown variant `D`");
        reads(codec, b"\xa1C", Open::Unknown);
        // `other` catches what has no data.
        refuses::<Open>(codec, b"\x81\xa1D\x01", "found");
    }
}

#[test]
fn numbers_widened_and_narrowed() {
    for codec in [Named, Compact] {
        writes(codec, &u32::MAX, b"\xce\xff\xff\xff\xff");
        writes(codec, &-1_i64, b"\xff");
        writes(codec, &300_u16, b"\xcd\x01\x2c");
        writes(codec, &1.5_f64, b"\xcb\x3f\xf8\0\0\0\0\0\0");
        reads(codec, b"\xce\xff\xff\xff\xff", u64::from(u32::MAX));
        reads(codec, b"\xce\xff\xff\xff\xff", i64::from(u32::MAX));
        reads(codec, b"\x07", 7.0_f64);
        reads(codec, b"\xca\x3f\xc0\0\0", 1.5_f64);
        refuses::<u8>(codec, b"\xcd\x01\x2c", "integer `300`, expected u8");
        refuses::<u64>(codec, b"\xff", "integer `-1`, expected u64");
        refuses::<u32>(codec, b"\xcb\x3f\xf8\0\0\0\0\0\0", "floating point `1.5`, expected u32");
        refuses::<u8>(codec, b"\xc3", "boolean `true`, expected u8");
    }
}

#[test]
fn made_optional_or_boxed_or_renamed_type() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Name(String);
    types! { struct New { id: Option<u32>, name: Box<Name> } }
    let new = New { id: Some(7), name: Box::new(Name("Ada".into())) };
    writes(Named, &new, OLD_NAMED);
    writes(Compact, &new, OLD_COMPACT);
    reads(Named, OLD_NAMED, new.clone());
    reads(Compact, OLD_COMPACT, new);
    refuses::<Old>(Named, b"\x82\xa2id\xc0\xa4name\xa3Ada", "expected u32");
}

#[test]
fn duplicate_and_denied_fields() {
    types! {
        #[serde(deny_unknown_fields)]
        struct Strict { id: u32 }
    }
    refuses::<Old>(Named, b"\x83\xa2id\x07\xa4name\xa3Ada\xa2id\x08", "duplicate field `id`");
    refuses::<Strict>(Named, OLD_NAMED, "unknown field `name`, expected `id`");
}

/// Trailing arguments of a method, if they were sent as a tuple.
#[test]
fn element_added_to_a_tuple() {
    for codec in [Named, Compact] {
        writes(codec, &(1000, "a"), b"\x92\xcd\x03\xe8\xa1a");
        refuses::<(u32, String, Option<u8>)>(codec, b"\x92\xcd\x03\xe8\xa1a", "invalid length 2");
        refuses::<(u32,)>(codec, b"\x92\xcd\x03\xe8\xa1a", "another length than the type (1)");
    }
}

#[test]
fn forms_of_library_types() {
    let (second, ip) = (std::time::Duration::new(1, 2), std::net::IpAddr::from([10, 0, 0, 1]));
    writes(Named, &second, b"\x82\xa4secs\x01\xa5nanos\x02");
    writes(Compact, &second, b"\x92\x01\x02");
    writes(Named, &ip, b"\xa810.0.0.1");
    writes(Compact, &ip, b"\x81\xa2V4\x94\x0a\x00\x00\x01");
    for codec in [Named, Compact] {
        writes(codec, &1_u128, b"\xc4\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01");
        writes(codec, &'ß', b"\xa2\xc3\x9f");
        writes(codec, &(), b"\xc0");
        writes(codec, &None::<u8>, b"\xc0");
        writes(codec, &vec![1_u8, 255], b"\xc4\x02\x01\xff");
        writes(codec, &[1_u8, 255], b"\xc4\x02\x01\xff");
        // Small arrays of small numbers are as short without.
        writes(codec, &[1_u8, 2], b"\x92\x01\x02");
        writes(codec, &Vec::<u8>::new(), b"\x90");
        writes(codec, &serde_bytes::ByteBuf::new(), b"\xc4\x00");
        writes(codec, &std::collections::BTreeMap::from([(1, true)]), b"\x81\x01\xc3");
    }
}
