//! What comes back as it was sent, in either codec, and what is known not to.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(missing_docs, reason = "the types of tests explain themselves")]

use rpc_core::codec::{Codec, scan, skip};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
    net::IpAddr,
    time::{Duration, SystemTime},
};
use uuid::Uuid;

const BOTH: [Codec; 2] = [Codec::Named, Codec::Compact];

fn encode<T: Serialize + ?Sized>(codec: Codec, value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec.encode(value, &mut bytes).unwrap();
    scan(&bytes).unwrap();
    assert_eq!(skip(&[&bytes[..], &[0xc1]].concat()).unwrap(), bytes.len());
    bytes
}

fn returns<T: Serialize + DeserializeOwned + PartialEq + Debug>(codec: Codec, value: &T) {
    let bytes = encode(codec, value);
    assert_eq!(codec.decode::<T>(&bytes).as_ref(), Ok(value), "{codec:?} {bytes:02x?}");
}

fn both<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    for codec in BOTH {
        returns(codec, value);
    }
}

#[test]
fn numbers() {
    both(&(i64::MIN, i64::MAX, u64::MAX, i8::MIN, u8::MAX, i32::MIN, u32::MAX));
    both(&(f32::MIN_POSITIVE, f64::MAX, f64::NEG_INFINITY, -0.0_f64));
    for n in [0, 1, u128::from(u64::MAX), u128::MAX] {
        both(&n);
        both(&vec![n]);
        both(&Some(n));
    }
    for n in [i128::MIN, -1, 0, i128::MAX] {
        both(&n);
    }
    both(&(true, false, 'a', 'ß', '🦀', char::MAX));
}

#[test]
fn types_of_the_library() {
    both(&(Duration::new(u64::MAX, 999_999_999), Duration::ZERO, SystemTime::UNIX_EPOCH));
    both(&BTreeMap::from([(-1_i32, "minus".to_owned()), (i32::MAX, String::new())]));
    both(&HashMap::from([(u64::MAX, vec![()]), (0, vec![])]));
    both(&BTreeMap::from([(true, 1), (false, 0)]));
    both(&BTreeSet::from(['a', 'b']));
    both(&(Ok::<u8, String>(1), Err::<u8, String>("no".into())));
    both(&[0..10, 5..5]);
    both(&(Box::new(1), std::rc::Rc::<str>::from("rc").to_string(), std::cell::Cell::new(3)));
    for ip in ["127.0.0.1", "::1", "2001:db8::ffff"] {
        both(&ip.parse::<IpAddr>().unwrap());
        both(&std::net::SocketAddr::new(ip.parse().unwrap(), 9000));
    }
    both(&Uuid::from_u128(0x1234_5678_9abc_def0));
    both(&HashMap::from([(Uuid::max(), Uuid::nil())]));
}

#[test]
fn named_is_readable_and_compact_is_binary() {
    let uuid = Uuid::from_u128(1);
    assert_eq!(encode(Codec::Named, &uuid)[..2], *b"\xd9\x24");
    assert_eq!(encode(Codec::Compact, &uuid)[..2], *b"\xc4\x10");
    let ip: IpAddr = "127.0.0.1".parse().unwrap();
    assert_eq!(encode(Codec::Named, &ip), b"\xa9127.0.0.1");
    assert_eq!(encode(Codec::Compact, &ip), b"\x81\xa2V4\x94\x7f\x00\x00\x01");
    assert!(Codec::Compact.decode::<Uuid>(&encode(Codec::Named, &ip)).is_err());
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i32, i32),
    Box { width: u8, height: Option<u8> },
    Unit(Unit),
    Bytes(ByteBuf),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meters(f64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair(u8, String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Empty {}

#[test]
fn structs_and_enums() {
    both(&vec![
        Shape::Empty,
        Shape::Circle(0.5),
        Shape::Line(-1, 1),
        Shape::Box { width: 1, height: None },
        Shape::Box { width: 1, height: Some(2) },
        Shape::Unit(Unit),
        Shape::Bytes(ByteBuf::from([0xff])),
    ]);
    both(&(Unit, Meters(1.5), Pair(1, "two".into()), Empty {}, ()));
    both(&(Some(Unit), Some(Meters(1.5)), Some(Empty {}), None::<Pair>));
    both(&HashMap::from([("a".to_owned(), Some(Shape::Line(1, 2)))]));
}

/// There is one nil on the wire.
#[test]
fn options_in_options_are_lost() {
    for codec in BOTH {
        assert_eq!(encode(codec, &Some(None::<u8>)), b"\xc0");
        assert_eq!(codec.decode::<Option<Option<u8>>>(b"\xc0").unwrap(), None);
        assert_eq!(encode(codec, &Some(())), b"\xc0");
        assert_eq!(codec.decode::<Option<()>>(b"\xc0").unwrap(), None);
        returns(codec, &Some(Some(1)));
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Borrowing<'a> {
    text: &'a str,
    bytes: &'a [u8],
    maybe: Option<&'a [u8]>,
    #[serde(with = "serde_bytes")]
    marked: &'a [u8],
    #[serde(borrow)]
    marked_maybe: Option<&'a serde_bytes::Bytes>,
}

#[test]
fn borrowed_data_stay_where_they_are() {
    let full: &[u8] = &[1, 2, 200];
    for bytes in [&[][..], full] {
        for codec in BOTH {
            let value = Borrowing {
                text: "",
                bytes,
                maybe: Some(bytes),
                marked: bytes,
                marked_maybe: Some(serde_bytes::Bytes::new(bytes)),
            };
            let message = encode(codec, &value);
            let back: Borrowing<'_> = codec.decode(&message).unwrap();
            assert_eq!(back, value);
            if !bytes.is_empty() {
                assert!(message.as_ptr_range().contains(&back.bytes.as_ptr()));
            }
        }
    }
    for codec in BOTH {
        let message = encode(codec, "text");
        let text: &str = codec.decode(&message).unwrap();
        assert!(message.as_ptr_range().contains(&text.as_ptr()));
    }
}

/// `rmp-serde` writes an empty `&[u8]` as an array, and by itself does not read it back.
#[test]
fn empty_bytes_are_bytes() {
    let empty: &[u8] = &[];
    for codec in BOTH {
        assert_eq!(encode(codec, empty), b"\x90");
        assert!(rmp_serde::from_slice::<&[u8]>(b"\x90").is_err());
        for message in [&b"\x90"[..], b"\xc4\x00", b"\xdc\x00\x00"] {
            assert_eq!(codec.decode::<&[u8]>(message).unwrap(), empty);
            assert_eq!(codec.decode::<Option<&[u8]>>(message).unwrap(), Some(empty));
            assert_eq!(codec.decode::<Vec<u8>>(message).unwrap(), empty);
            assert_eq!(codec.decode::<ByteBuf>(message).unwrap(), empty);
            assert_eq!(codec.decode::<&serde_bytes::Bytes>(message).unwrap(), empty);
        }
        assert_eq!(codec.decode::<Option<&[u8]>>(b"\xc0").unwrap(), None);
        assert!(codec.decode::<&[u8]>(b"\x91\x01").is_err());
        assert!(codec.decode::<&str>(b"\x90").is_err());
    }
}

#[test]
fn byte_sequences_travel_as_bytes() {
    both(&Vec::<u8>::new());
    both(&vec![0_u8, 127, 128, 255]);
    both(&vec![255_u8; 70_000]);
    both(&([1_u8, 2], [200_u8; 16], (1_u8, 255_u8), [0_u8; 0]));
    both(&vec![[1_u8, 2, 3], [200, 201, 202]]);
    both(&vec![vec![1_i8, -1], vec![]]);
    both(&Some(ByteBuf::from([])));
    for codec in BOTH {
        assert_eq!(encode(codec, &vec![1_u8, 2]), b"\xc4\x02\x01\x02");
        assert_eq!(encode(codec, &[1_u8, 2][..]), b"\xc4\x02\x01\x02");
        // What a peer in another language may send for a list of small numbers.
        assert_eq!(codec.decode::<Vec<u8>>(b"\x92\x01\x02").unwrap(), [1, 2]);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Pair { left: String, right: String },
    List(Vec<Untagged>),
    Bytes(ByteBuf),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    Ping,
    Text { text: String, size: Option<u32> },
    Data(Inner),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Ping,
    Text(String),
    Both { a: u8, b: u8 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    data: ByteBuf,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    rest: BTreeMap<String, i64>,
}

#[test]
fn types_that_serde_buffers_work_in_named() {
    returns(Codec::Named, &Untagged::Number(-5));
    returns(Codec::Named, &Untagged::Pair { left: "l".into(), right: "r".into() });
    returns(
        Codec::Named,
        &Untagged::List(vec![Untagged::Number(1), Untagged::Bytes(ByteBuf::from([1, 255]))]),
    );
    returns(Codec::Named, &Internal::Ping);
    returns(Codec::Named, &Internal::Text { text: "t".into(), size: None });
    returns(Codec::Named, &Internal::Data(Inner { data: ByteBuf::from([9]) }));
    returns(Codec::Named, &Adjacent::Ping);
    returns(Codec::Named, &Adjacent::Text(String::new()));
    returns(Codec::Named, &Adjacent::Both { a: 1, b: 2 });
    let rest = BTreeMap::from([("x".to_owned(), i64::MIN)]);
    returns(Codec::Named, &Flat { id: 1, inner: Inner { data: ByteBuf::new() }, rest });
}

/// In a buffer, bytes stay bytes, which serde's `Vec<u8>` does not read.
#[test]
fn unmarked_bytes_in_buffered_types_are_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Unmarked {
        Data { data: Vec<u8> },
    }
    let bytes = encode(Codec::Named, &Unmarked::Data { data: vec![1] });
    let error = Codec::Named.decode::<Unmarked>(&bytes).unwrap_err();
    assert!(error.message().contains("invalid type: byte array, expected a sequence"), "{error}");
    returns(Codec::Named, &Unmarked::Data { data: vec![] });
}

#[test]
fn what_serialize_refuses_is_an_error_with_the_type() {
    struct Never;
    impl Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("out of luck"))
        }
    }
    let error = Codec::Named.encode(&vec![Never], &mut Vec::new()).unwrap_err();
    assert_eq!(error.code(), rpc_core::RpcCode::Internal);
    let text = error.message();
    assert!(
        text.starts_with("cannot encode a ") && text.ends_with("Never>: out of luck"),
        "{text}"
    );
}

#[test]
fn parts_of_a_scanned_message_decode_by_themselves() {
    for codec in BOTH {
        let message = encode(codec, &("one", 2, vec![3_u8]));
        scan(&message).unwrap();
        let mut rest = &message[1..];
        let mut next = || {
            let (part, others) = rest.split_at(skip(rest).unwrap());
            rest = others;
            part
        };
        assert_eq!(codec.decode_scanned::<&str>(next()).unwrap(), "one");
        assert_eq!(codec.decode_scanned::<u8>(next()).unwrap(), 2);
        assert_eq!(codec.decode_scanned::<&[u8]>(next()).unwrap(), [3]);
        assert!(rest.is_empty());
    }
}

#[test]
fn codecs_have_numbers() {
    for codec in BOTH {
        assert_eq!(Codec::from_wire(codec.to_wire()), Some(codec));
    }
    assert_eq!((Codec::default().to_wire(), Codec::from_wire(2)), (0, None));
}
