//! Messages made to crash the reader: each is refused with a text, on a 2 MiB stack, in any build.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(missing_docs, dead_code, reason = "the types of tests explain themselves")]

use rpc_core::{
    RpcCode,
    codec::{Codec, scan, skip},
    defaults::MAX_DEPTH,
};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use std::{collections::HashMap, fmt::Debug, thread};

const BOTH: [Codec; 2] = [Codec::Named, Codec::Compact];

/// Runs on a thread with the stack of tokio's and of test threads. `CODEC_STACK_KIB` sets another,
/// to find out how much is needed.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    let kib = std::env::var("CODEC_STACK_KIB").map_or(2048, |kib| kib.parse().unwrap());
    let thread = thread::Builder::new().stack_size(kib * 1024).spawn(test).unwrap();
    thread.join().unwrap();
}

fn refusal<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> String {
    let Err(error) = codec.decode::<T>(bytes) else { panic!("{bytes:02x?} was accepted") };
    assert_eq!(error.code(), RpcCode::Internal);
    error.message().to_owned()
}

fn refusal_scanned<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> String {
    let Err(error) = codec.decode_scanned::<T>(bytes) else { panic!("{bytes:02x?} was accepted") };
    error.message().to_owned()
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
enum Node {
    Leaf,
    Neg(Box<Node>),
    Pair(Box<Node>, Box<Node>),
    Named { of: Box<Node> },
    Many(Vec<Node>),
    Maybe(Option<Box<Node>>),
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Chain {
    next: Option<Box<Chain>>,
    pad: [u64; 16],
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Tree(Vec<Tree>);

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Endless(Option<Box<Endless>>);

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Ring(Box<Option<Ring>>);

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Layers {
    #[serde(default)]
    next: Option<Box<Wrapped>>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Wrapped(Hull);

#[derive(Debug, Serialize, Deserialize, PartialEq)]
enum Hull {
    Of(Layers),
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(untagged)]
enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(HashMap<String, Json>),
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "t")]
enum Tagged {
    End,
    Next { of: Box<Tagged> },
}

/// `levels` times `head`, then `tail`.
fn nested(head: &[u8], levels: usize, tail: &[u8]) -> Vec<u8> {
    [&head.repeat(levels)[..], tail].concat()
}

fn newtype_variant(levels: usize) -> Vec<u8> {
    nested(b"\x81\xa3Neg", levels, b"\xa4Leaf")
}

#[test]
fn recursive_enums_do_not_abort() {
    on_small_stack(|| {
        for codec in BOTH {
            assert!(codec.decode::<Node>(&newtype_variant(MAX_DEPTH)).is_ok());
            // 24 KB abort a debug build of `rmp_serde::from_slice`, 120 KB one of release.
            for levels in [MAX_DEPTH + 1, 4_000, 6_000, 24_000] {
                let text = refusal::<Node>(codec, &newtype_variant(levels));
                assert!(text.contains("deeper than 64 levels"), "{text}");
                let text = refusal_scanned::<Node>(codec, &newtype_variant(levels.max(1000)));
                assert!(text.contains("deeper than 256 steps"), "{text}");
            }
            for head in [&b"\x81\xa5Named\x81\xa2of"[..], b"\x81\xa4Many\x91", b"\x81\xa5Maybe"] {
                assert!(codec.decode::<Node>(&nested(head, 32, b"\xa4Leaf")).is_ok());
                refusal::<Node>(codec, &nested(head, 10_000, b"\xa4Leaf"));
                refusal_scanned::<Node>(codec, &nested(head, 10_000, b"\xa4Leaf"));
            }
        }
    });
}

/// As deep as each type goes within the limits, which is what needs most stack.
#[test]
fn the_deepest_accepted_values_fit_the_stack() {
    on_small_stack(|| {
        let padding = [&b"\xa3pad\x9c\0"[..], &[0; 11]].concat();
        assert_eq!(padding.len(), 17);
        for codec in BOTH {
            let tree = nested(b"\x91", MAX_DEPTH - 1, b"\x90");
            assert!(codec.decode::<Tree>(&tree).is_ok());
            let layers = nested(b"\x81\xa4next\x81\xa2Of", MAX_DEPTH / 2 - 1, b"\x81\xa4next\xc0");
            codec.decode::<Layers>(&layers).unwrap();
            let json = nested(b"\x91", MAX_DEPTH, b"\x01");
            assert!(codec.decode::<Json>(&json).is_ok());
            let tagged = nested(b"\x82\xa1t\xa4Next\xa2of", MAX_DEPTH - 1, b"\x81\xa1t\xa3End");
            assert!(codec.decode::<Tagged>(&tagged).is_ok());
        }
        let mut chain = Chain { next: None, pad: [7; 16] };
        for _ in 1..MAX_DEPTH - 1 {
            chain = Chain { next: Some(Box::new(chain)), pad: [7; 16] };
        }
        for codec in BOTH {
            let mut bytes = Vec::new();
            codec.encode(&chain, &mut bytes).unwrap();
            assert_eq!(codec.decode::<Chain>(&bytes).unwrap(), chain);
        }
    });
}

#[test]
fn one_byte_does_not_recurse_without_end() {
    on_small_stack(|| {
        for codec in BOTH {
            assert_eq!(codec.decode::<Endless>(b"\xc0").unwrap(), Endless(None));
            for bytes in [&b"\x01"[..], b"\x90", b"\x80", b"\xa0", b"\xc3"] {
                assert!(refusal::<Endless>(codec, bytes).contains("deeper than 256 steps"));
                assert!(refusal::<Ring>(codec, bytes).contains("deeper than 256 steps"));
            }
        }
    });
}

/// A recursive type that is large in memory: serde moves each level several times.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default)]
struct Large {
    next: Option<Box<Large>>,
    pads: [[u64; 32]; 2],
}

#[test]
fn half_a_kilobyte_for_each_level_fits_the_stack() {
    assert!(size_of::<Large>() > 512);
    on_small_stack(|| {
        let bytes = nested(b"\x81\xa4next", MAX_DEPTH, b"\xc0");
        for codec in BOTH {
            assert!(codec.decode::<Large>(&bytes).is_ok());
        }
    });
}

#[test]
fn nesting_is_refused_even_where_nobody_looks() {
    #[derive(Debug, Deserialize)]
    struct Known {
        id: u8,
    }
    let deep = nested(b"\x91", 5_000_000, b"\xc0");
    let unknown = [&b"\x82\xa2id\x01\xa1x"[..], &deep].concat();
    for codec in BOTH {
        assert!(refusal::<IgnoredAny>(codec, &deep).contains("deeper than 64 levels at byte 64"));
        assert!(refusal::<Known>(codec, &unknown).contains("deeper than 64 levels at byte 70"));
        assert!(refusal::<Json>(codec, &deep).contains("deeper than 64 levels"));
        // Unscanned as well.
        assert!(refusal_scanned::<IgnoredAny>(codec, &deep).contains("nested"));
        assert!(refusal_scanned::<Known>(codec, &unknown).contains("nested"));
    }
    for head in [0x91, 0x81] {
        let fits = nested(if head == 0x81 { b"\x81\x01" } else { b"\x91" }, MAX_DEPTH, b"\xc0");
        assert!(scan(&fits).is_ok());
        // An empty one is a level too.
        let last = [&fits[..fits.len() - 1], &[head & 0xf0]].concat();
        assert!(scan(&last).unwrap_err().message().contains("deeper"));
    }
}

#[test]
fn claims_are_held_against_what_is_there() {
    let claims: [(&[u8], &str); 12] = [
        (b"\xdd\xff\xff\xff\xff", "an array at byte 0 claims a length of 4294967295, but 0 bytes"),
        (b"\xdf\xff\xff\xff\xff", "a map at byte 0 claims a length of 4294967295, but 0 bytes"),
        (b"\xdf\x80\x00\x00\x00\x01", "a map at byte 0 claims a length of 2147483648, but 1 bytes"),
        (b"\xdb\xff\xff\xff\xff", "a string at byte 0 claims a length of 4294967295"),
        (b"\xc6\xff\xff\xff\xff", "binary data at byte 0 claims a length of 4294967295"),
        (b"\xc9\xff\xff\xff\xff\x01", "an extension at byte 0 claims a length of 4294967295"),
        (b"\x93\x01\x02", "an array at byte 0 claims a length of 3, but 2 bytes"),
        (b"\x82\x01\x02\x03", "a map at byte 0 claims a length of 2, but 3 bytes"),
        (b"\x92\xa3ab\x01", "within the value at byte 5"),
        (b"\xdc\x00", "within the value at byte 0"),
        (b"\x91\xcf\x00\x00", "within the value at byte 1"),
        (b"\xc7\x00", "within the value at byte 0"),
    ];
    for (bytes, text) in claims {
        for codec in BOTH {
            let found = refusal::<IgnoredAny>(codec, bytes);
            assert!(found.contains(text), "{bytes:02x?}: {found}");
            refusal::<Vec<u64>>(codec, bytes);
            refusal::<HashMap<u64, u64>>(codec, bytes);
            refusal::<String>(codec, bytes);
        }
        assert!(skip(bytes).is_err());
    }
}

#[test]
fn what_is_not_one_whole_value_is_refused() {
    for codec in BOTH {
        assert_eq!(refusal::<u8>(codec, b""), "the message is empty");
        assert_eq!(refusal::<u8>(codec, b"\xc1"), "0xc1 at byte 0 is not MessagePack");
        assert_eq!(
            refusal::<IgnoredAny>(codec, b"\x92\x01\xc1"),
            "0xc1 at byte 2 is not MessagePack"
        );
        // `rmp_serde::from_slice` reads the first value and says nothing.
        assert_eq!(rmp_serde::from_slice::<u8>(b"\x01\x02\x03").unwrap(), 1);
        let text = "2 bytes follow the value, which ends at byte 1";
        assert_eq!(refusal::<u8>(codec, b"\x01\x02\x03"), text);
        assert!(refusal_scanned::<u8>(codec, b"\x01\x02\x03").contains("unread"));
    }
    assert_eq!(skip(b"\x01\x02\x03").unwrap(), 1);
    assert_eq!(skip(b"\x92\x01\xa1a\xc1").unwrap(), 4);
}

#[test]
fn texts_name_the_type_and_the_reason() {
    #[derive(Debug, Deserialize)]
    struct Point {
        x: u8,
        y: u8,
    }
    let cases: [(&[u8], &str); 6] = [
        (b"\x81\xa1x\x01", "missing field `y`"),
        (b"\x82\xa1x\x01\xa1y\xa1a", "found a string, which is not what the type has there"),
        (b"\x82\xa1x\x01\xa1y\xcd\x01\x2c", "invalid value: integer `300`, expected u8"),
        (b"\x82\xa1x\x01\xa1y\xff", "invalid value: integer `-1`, expected u8"),
        (b"\x82\xa1x\x01\xa1x\x01", "duplicate field `x`"),
        (b"\x93\x01\x02\x03", "an array or map has another length than the type (2)"),
    ];
    for (bytes, text) in cases {
        for codec in BOTH {
            let found = refusal::<Point>(codec, bytes);
            assert!(
                found.starts_with("cannot decode a value of type ") && found.contains("Point"),
                "{found}"
            );
            assert!(found.contains(text), "{found}");
        }
    }
    assert!(refusal::<String>(Codec::Named, b"\xa2\xff\xff").contains("not UTF-8"));
}

/// An enum with data is a map of one; another length or an array is no enum.
#[test]
fn what_is_no_enum_is_refused() {
    for codec in BOTH {
        for bytes in [&b"\x91\xa4Leaf"[..], b"\x80", b"\x90", b"\x82\xa3Neg\xa4Leaf\xa3Neg\xa4Leaf"]
        {
            refusal::<Node>(codec, bytes);
            refusal::<Vec<Node>>(codec, &[b"\x91", bytes].concat());
        }
    }
}
