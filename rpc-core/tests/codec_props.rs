//! Whatever the bytes are, the codec answers; and whatever it writes, it accepts.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(missing_docs, reason = "the types of tests explain themselves")]

use proptest::{collection::vec, prelude::*};
use rpc_core::codec::{Codec, scan, skip};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_bytes::ByteBuf;
use std::{collections::BTreeMap, time::Duration};

const BOTH: [Codec; 2] = [Codec::Named, Codec::Compact];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Expr {
    Nil,
    Int(i64),
    Text(String),
    Data(ByteBuf),
    Neg(Box<Expr>),
    Pair(Box<Expr>, Option<Box<Expr>>),
    Let { name: char, of: Box<Expr>, flag: Option<bool> },
    All(Vec<Expr>),
    By(BTreeMap<u16, Expr>),
    Wrap(Wrap),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrap(Box<Expr>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    id: u64,
    small: i8,
    ratio: f32,
    name: String,
    data: Vec<u8>,
    array: [u8; 4],
    big: u128,
    wait: Duration,
    tags: Vec<String>,
    next: Option<Box<Record>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Endless(Option<Box<Endless>>);

#[derive(Debug, Serialize, Deserialize)]
struct Tree(Vec<Tree>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Json {
    Null(()),
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "t")]
enum Tagged {
    End,
    Next { of: Box<Tagged> },
}

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only that it is decoded counts")]
struct Borrowing<'a> {
    text: &'a str,
    data: &'a [u8],
    #[serde(flatten, borrow)]
    rest: BTreeMap<&'a str, Option<u8>>,
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        Just(Expr::Nil),
        any::<i64>().prop_map(Expr::Int),
        any::<String>().prop_map(Expr::Text),
        vec(any::<u8>(), 0..300).prop_map(|data| Expr::Data(ByteBuf::from(data))),
    ];
    leaf.prop_recursive(12, 64, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(Expr::Neg),
            (boxed.clone(), proptest::option::of(boxed.clone()))
                .prop_map(|(left, right)| Expr::Pair(left, right)),
            (any::<char>(), boxed.clone(), any::<Option<bool>>())
                .prop_map(|(name, of, flag)| Expr::Let { name, of, flag }),
            vec(inner.clone(), 0..20).prop_map(Expr::All),
            proptest::collection::btree_map(any::<u16>(), inner, 0..20).prop_map(Expr::By),
            boxed.prop_map(|of| Expr::Wrap(Wrap(of))),
        ]
    })
}

prop_compose! {
    fn flat_record()(
        (id, small, name) in any::<(u64, i8, String)>(),
        ratio in -1e9_f32..1e9,
        data in vec(any::<u8>(), 0..70),
        (array, big) in any::<([u8; 4], u128)>(),
        wait in any::<Duration>(),
        tags in vec(any::<String>(), 0..20),
    ) -> Record {
        Record { id, small, ratio, name, data, array, big, wait, tags, next: None }
    }
}

fn record() -> impl Strategy<Value = Record> {
    (flat_record(), proptest::option::of(flat_record().prop_map(Box::new)))
        .prop_map(|(record, next)| Record { next, ..record })
}

/// Bytes that are more often a message than chance would have it.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => (0x80_u8..0xa0).prop_map(|byte| vec![byte]),
        4 => (0xc0_u8..=0xdf).prop_map(|byte| vec![byte]),
        4 => (0_u8..4).prop_map(|byte| vec![byte]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        4 => prop::sample::select(vec![
            "Nil", "Int", "Text", "Data", "Neg", "Pair", "Let", "All", "By", "Wrap", "name", "of",
            "flag", "id", "data", "text", "rest", "next", "tags", "t", "End", "Next",
        ]).prop_map(|name| {
            let length = u8::try_from(name.len()).unwrap();
            [&[0xa0 | length], name.as_bytes()].concat()
        }),
        1 => (0_usize..100).prop_map(|levels| vec![0x91; levels]),
        1 => (0_usize..100).prop_map(|levels| b"\x81\xa3Neg".repeat(levels)),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn answers<T: DeserializeOwned>(bytes: &[u8]) {
    for codec in BOTH {
        let scanned = codec.decode::<T>(bytes);
        // The guard holds by itself.
        let alone = codec.decode_scanned::<T>(bytes);
        assert!(scanned.is_err() || alone.is_ok());
    }
}

fn all_answer(bytes: &[u8]) {
    match skip(bytes) {
        Ok(length) => {
            assert!((1..=bytes.len()).contains(&length));
            assert!(scan(&bytes[..length]).is_ok());
            assert_eq!(scan(bytes).is_ok(), length == bytes.len());
            assert!(scan(&bytes[..length - 1]).is_err());
            // Whoever reads anything reads the same length.
            let mut inner = rmp_serde::Deserializer::new(bytes);
            IgnoredAny::deserialize(&mut inner).unwrap();
            assert_eq!(bytes.len() - inner.get_ref().len(), length);
        }
        Err(_) => assert!(scan(bytes).is_err()),
    }
    answers::<Expr>(bytes);
    answers::<Record>(bytes);
    answers::<Endless>(bytes);
    answers::<Tree>(bytes);
    answers::<Json>(bytes);
    answers::<Tagged>(bytes);
    answers::<IgnoredAny>(bytes);
    answers::<serde_json::Value>(bytes);
    answers::<BTreeMap<i32, Vec<Option<[u8; 2]>>>>(bytes);
    for codec in BOTH {
        let _ = codec.decode_scanned::<Borrowing<'_>>(bytes);
        let _ = codec.decode_scanned::<Option<&[u8]>>(bytes);
    }
}

fn returns<T: Serialize + DeserializeOwned + PartialEq>(value: &T) -> Result<(), TestCaseError> {
    for codec in BOTH {
        let mut bytes = vec![0xc1];
        codec.encode(value, &mut bytes).unwrap();
        let written = bytes.len() - 1;
        prop_assert_eq!(scan(&bytes[1..]), Ok(()));
        prop_assert!(codec.decode::<T>(&bytes[1..]).unwrap() == *value);
        bytes.push(0xc1);
        prop_assert_eq!(skip(&bytes[1..]), Ok(written));
        prop_assert!(scan(&bytes[1..]).is_err());
        for cut in 0..written.min(200) {
            prop_assert!(scan(&bytes[1..=cut]).is_err());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..400)) {
        all_answer(&bytes);
    }

    #[test]
    fn almost_messages(bytes in plausible()) {
        all_answer(&bytes);
    }

    #[test]
    fn damaged_messages(
        value in expr(),
        other in record(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for codec in BOTH {
            let mut bytes = Vec::new();
            codec.encode(&value, &mut bytes).unwrap();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            all_answer(&bytes);
            bytes.clear();
            codec.encode(&other, &mut bytes).unwrap();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            all_answer(&bytes);
        }
    }

    #[test]
    fn expressions_return(value in expr()) {
        returns(&value)?;
    }

    #[test]
    fn records_return(value in record()) {
        returns(&value)?;
    }
}
