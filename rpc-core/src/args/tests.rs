//! Which way an argument takes, which its value does not show.
#![allow(clippy::needless_borrow, reason = "generated code has the same for every type")]

use super::{
    Args,
    bytes::{AsBytes, Content, FromBytes},
    read::{ReadBytes as _, ReadReferent as _, ReadSlice as _, ReadValue as _, Slot},
    write::{Out, WriteBytes as _, WriteValue as _, Written},
};
use crate::{
    RpcError,
    codec::{Apart, Codec, Encoded, LongBin},
    invoke::EncodeArgs,
    service::{ArgMeta, MethodMeta},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

static METHOD: MethodMeta = MethodMeta {
    name: "m",
    id: 1,
    doc: "",
    args: &[ArgMeta { name: "x", ty: "" }],
    output: "",
    idempotent: false,
    timeout: None,
    hash_key: None,
};

/// Bytes that serde must not be asked for.
#[derive(Debug, PartialEq)]
struct Whole(Vec<u8>);

impl AsBytes for Whole {
    fn as_bytes(&self) -> Content<'_> {
        Content::Bytes(&self.0)
    }
}

impl FromBytes<'_> for Whole {
    fn from_bytes(content: Content<'_>) -> Option<Self> {
        match content {
            Content::Bytes(bytes) => Some(Self(bytes.to_vec())),
            Content::Nothing => None,
        }
    }

    fn from_apart(apart: &Apart) -> Self {
        Self(apart.take())
    }
}

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("serde was asked"))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("serde was asked"))
    }
}

fn written(write: impl FnMut(&mut super::write::Writer<'_>) -> Result<(), RpcError>) -> Vec<u8> {
    let mut out = Vec::new();
    Written { method: &METHOD, write }.encode(Codec::Named, &mut out).unwrap();
    out
}

#[test]
fn bytes_do_not_ask_serde() {
    let body = written(|w| (&&&Out(&Whole(vec![7, 8]))).rpc_write(w));
    assert_eq!(body, b"\x81\xa1x\xc4\x02\x07\x08");
    let args = Args::new(body[..].into(), Codec::Named, &METHOD).unwrap();
    let read = (&&&&Slot::<Whole>::new()).rpc_read(&args, 0).unwrap();
    assert_eq!(read.rpc_give(), Whole(vec![7, 8]));
}

#[test]
fn empty_bytes_are_bytes() {
    for body in [
        written(|w| (&&&Out(&Vec::<u8>::new())).rpc_write(w)),
        written(|w| (&&&Out(&&b""[..])).rpc_write(w)),
        written(|w| (&&&Out(&Some(&b""[..]))).rpc_write(w)),
    ] {
        assert_eq!(body, b"\x81\xa1x\xc4\x00");
    }
    assert_eq!(written(|w| (&&&Out(&None::<Vec<u8>>)).rpc_write(w)), b"\x81\xa1x\xc0");
}

#[test]
fn empty_bytes_from_a_peer_that_sends_an_array() {
    let args = Args::new(b"\x81\xa1x\x90"[..].into(), Codec::Named, &METHOD).unwrap();
    assert_eq!((&&&&Slot::<&[u8]>::new()).rpc_read(&args, 0).unwrap().rpc_give(), b"");
    let maybe = (&&&&Slot::<Option<&[u8]>>::new()).rpc_read(&args, 0).unwrap();
    assert_eq!(maybe.rpc_give(), Some(&b""[..]));
}

#[test]
fn other_values_go_through_serde_and_references_are_lent() {
    let numbers: &[u32] = &[1, 2];
    let body = written(|w| (&&&Out(&numbers)).rpc_write(w));
    assert_eq!(body, b"\x81\xa1x\x92\x01\x02");
    let args = Args::new(body[..].into(), Codec::Named, &METHOD).unwrap();
    assert_eq!((&&&&Slot::<Vec<u32>>::new()).rpc_read(&args, 0).unwrap().rpc_give(), numbers);
    assert_eq!((&&&&Slot::<&[u32]>::new()).rpc_read(&args, 0).unwrap().rpc_give(), numbers);
    assert_eq!((&&&&Slot::<&Vec<u32>>::new()).rpc_read(&args, 0).unwrap().rpc_give(), numbers);
}

#[test]
fn bytes_that_lie_apart_are_given_as_they_are() {
    let long = vec![7; 40_000];
    let whole = written(|w| (&&&Out(&long)).rpc_write(w));
    let apart = || {
        let (long, mut bytes) = (LongBin::find(&whole[..9], whole.len()).unwrap(), Vec::new());
        long.put_before(&whole, &mut bytes);
        assert_eq!(bytes, b"\x81\xa1x\xc4\x00");
        let content = whole[long.head.end..].to_vec();
        (bytes, content.as_ptr(), long.filled(content))
    };
    let (body, memory, content) = apart();
    let args = Args::new(Encoded::new(&body, Some(&content)), Codec::Named, &METHOD).unwrap();
    let vec = (&&&&Slot::<Vec<u8>>::new()).rpc_read(&args, 0).unwrap().rpc_give();
    assert_eq!((vec.as_ptr(), &vec), (memory, &long));
    let (body, memory, content) = apart();
    let args = Args::new(Encoded::new(&body, Some(&content)), Codec::Named, &METHOD).unwrap();
    let slice = (&&&&Slot::<&[u8]>::new()).rpc_read(&args, 0).unwrap().rpc_give();
    assert_eq!((slice.as_ptr(), slice), (memory, &long[..]));
    let (body, _, content) = apart();
    let args = Args::new(Encoded::new(&body, Some(&content)), Codec::Named, &METHOD).unwrap();
    let numbers = (&&&&Slot::<Vec<u16>>::new()).rpc_read(&args, 0).unwrap().rpc_give();
    assert_eq!(numbers, vec![7; 40_000]);
}
