use super::*;
use crate::codec::Codec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use std::{borrow::Cow, collections::BTreeMap, fmt::Debug};

const LONG: usize = 40_000;

/// A message with its long bytes apart, if `find` sees them in the first `seen` bytes of it.
fn split(whole: &[u8], seen: usize) -> Option<(Vec<u8>, Apart)> {
    let start = &whole[..seen.min(whole.len())];
    let long = LongBin::find(start, whole.len())?;
    let end = long.head.end + long.length;
    let mut bytes = Vec::new();
    long.put_before(start, &mut bytes);
    bytes.extend_from_slice(&whole[end..]);
    let content = whole[long.head.end..end].to_vec();
    Some((bytes, long.filled(content)))
}

fn encode<T: Serialize>(codec: Codec, value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    codec.encode(value, &mut out).unwrap();
    out
}

/// Whatever a type makes of the message, it makes the same of it with its long bytes apart.
fn same<T: DeserializeOwned + Debug + PartialEq>(value: &impl Serialize) -> T {
    for codec in [Codec::Compact, Codec::Named] {
        let whole = encode(codec, value);
        let (bytes, apart) = split(&whole, 100).expect("there is a long bin");
        assert!(bytes.len() < whole.len());
        crate::codec::scan(&bytes).unwrap();
        let read = codec.decode_encoded::<T>(Encoded::new(&bytes, Some(&apart)));
        assert_eq!(read.as_ref().ok(), codec.decode::<T>(&whole).as_ref().ok());
        if codec == Codec::Named {
            return read.unwrap();
        }
    }
    unreachable!("both codecs were tried")
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct File<B> {
    name: String,
    content: B,
    tail: Option<u32>,
}

fn file<B>(content: B) -> File<B> {
    File { name: "n".to_owned(), content, tail: Some(7) }
}

fn long() -> ByteBuf {
    ByteBuf::from((0..=u8::MAX).cycle().take(LONG).collect::<Vec<_>>())
}

#[derive(Debug, PartialEq, Deserialize)]
struct Tail {
    tail: u32,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Either {
    Text(File<String>),
    Bytes(File<ByteBuf>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Enum {
    Of(Option<File<ByteBuf>>),
}

#[test]
fn every_type_reads_the_same() {
    assert_eq!(same::<File<ByteBuf>>(&file(long())), file(long()));
    assert_eq!(same::<File<Option<ByteBuf>>>(&file(long())), file(Some(long())));
    assert_eq!(same::<Enum>(&Enum::Of(Some(file(long())))), Enum::Of(Some(file(long()))));
    // A second one, and a short one in front.
    let many = vec![ByteBuf::from([1; 9]), long(), ByteBuf::new(), long()];
    assert_eq!(same::<Vec<ByteBuf>>(&many), many);
    // Types that ask for numbers, for text, for whatever comes, or for nothing of it.
    assert_eq!(same::<File<Vec<u8>>>(&file(long())), file(long().into_vec()));
    let text = ByteBuf::from("x".repeat(LONG));
    assert_eq!(same::<File<String>>(&file(&text)), file("x".repeat(LONG)));
    assert_eq!(same::<File<Cow<'static, str>>>(&file(&text)).tail, Some(7));
    assert_eq!(same::<Either>(&file(long())), Either::Bytes(file(long())));
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let whole = encode(Codec::Named, &file(long()));
    let (bytes, apart) = split(&whole, 100).unwrap();
    let read = Codec::Named.decode_encoded::<Tail>(Encoded::new(&bytes, Some(&apart)));
    assert_eq!(read, Ok(Tail { tail: 7 }));
}

#[test]
fn a_buffer_is_the_memory_that_was_read_to_and_a_slice_lies_in_it() {
    let whole = encode(Codec::Named, &file(long()));
    let (bytes, apart) = split(&whole, 100).unwrap();
    let memory = apart.content.lock().unwrap().as_ref().unwrap().as_ptr();
    let read: File<ByteBuf> =
        Codec::Named.decode_encoded(Encoded::new(&bytes, Some(&apart))).unwrap();
    assert_eq!(read.content.as_ptr(), memory);

    let (bytes, apart) = split(&whole, 100).unwrap();
    let memory = apart.content.lock().unwrap().as_ref().unwrap().as_ptr();
    let read: File<&[u8]> =
        Codec::Named.decode_encoded(Encoded::new(&bytes, Some(&apart))).unwrap();
    assert_eq!((read.content.as_ptr(), read.content), (memory, &long()[..]));
}

#[test]
fn a_message_that_somebody_has_looked_at_decodes_all_the_same() {
    let whole = encode(Codec::Named, &file(long()));
    let (bytes, apart) = split(&whole, 100).unwrap();
    assert_eq!(Encoded::new(&bytes, Some(&apart)).whole(), whole);
    let read = Codec::Named.decode_encoded(Encoded::new(&bytes, Some(&apart)));
    assert_eq!(read, Ok(file(long())));
}

#[test]
fn what_is_short_incomplete_or_far_behind_stays() {
    let find = |bytes: &[u8]| LongBin::find(bytes, 1 << 20);
    assert_eq!(find(b"\xc5\x7f\xff"), None, "short");
    assert_eq!(find(b"\xc5\x80\x00"), Some(LongBin { head: 0..3, length: 32 * 1024 }));
    assert_eq!(find(b"\x92\xa2id\xc6\x00\x00\x40"), None, "the head is cut off");
    let behind = |values: u8| [&[1].repeat(values.into())[..], b"\xc5\x80\x00"].concat();
    assert!(find(&behind(63)).is_some() && find(&behind(64)).is_none());
    assert_eq!(find(b"\xda\x80\x00"), None, "a string");
    let length = u32::MAX.to_be_bytes();
    assert_eq!(find(&[&b"\xc6"[..], &length].concat()), None, "beyond the message");
    assert_eq!(LongBin::find(b"\xc5\x80\x00", 32 * 1024 + 2), None);
    assert_eq!(LongBin::find(b"", 0), None);
}

fn alike<T: DeserializeOwned + Debug + PartialEq>(whole: &[u8], seen: usize) {
    for codec in [Codec::Compact, Codec::Named] {
        let Some((bytes, apart)) = split(whole, seen) else { return };
        let decode = |()| codec.decode_encoded::<T>(Encoded::new(&bytes, Some(&apart)));
        let read = crate::codec::scan(&bytes).and_then(decode);
        assert_eq!(read.ok(), codec.decode::<T>(whole).ok());
    }
}

proptest! {
    /// Also of bytes that are no message.
    #[test]
    fn what_is_put_together_again_is_what_it_was(
        start in prop::collection::vec(any::<u8>(), 0..40),
        end in prop::collection::vec(any::<u8>(), 0..40),
        seen in 0usize..100,
    ) {
        let whole = [&start, &encode(Codec::Named, &long())[..], &end].concat();
        let found = LongBin::find(&whole[..seen.min(whole.len())], whole.len());
        let Some((bytes, apart)) = split(&whole, seen) else {
            prop_assert_eq!(found, None);
            return Ok(());
        };
        let value = Encoded::new(&bytes, Some(&apart));
        prop_assert_eq!(value.length(), whole.len());
        let joined = value.joined().unwrap().bytes();
        prop_assert!(value.joined().is_none(), "once");
        // Its head may have had a longer form.
        let (long, again) = (found.unwrap(), LongBin::find(joined, joined.len()).unwrap());
        prop_assert_eq!(&joined[..again.head.start], &whole[..long.head.start]);
        prop_assert_eq!(&joined[again.head.end..], &whole[long.head.end..]);
    }

    #[test]
    fn mistakes_in_a_message_are_read_the_same(
        kind in 0..5,
        mistakes in prop::collection::vec((0usize..60, any::<bool>(), any::<u8>()), 0..4),
        seen in 20usize..100,
    ) {
        let mut whole = match kind {
            0 => encode(Codec::Named, &file(long())),
            1 => encode(Codec::Compact, &file(ByteBuf::from("x".repeat(LONG)))),
            2 => encode(Codec::Compact, &[ByteBuf::from([1; 9]), long(), ByteBuf::new(), long()]),
            3 => encode(Codec::Named, &Enum::Of(Some(file(long())))),
            _ => encode(Codec::Named, &BTreeMap::from([("a", long()), ("b", ByteBuf::new())])),
        };
        for (at, in_front, byte) in mistakes {
            let at = if in_front { at } else { whole.len() - 1 - at };
            whole[at] = byte;
        }
        alike::<File<ByteBuf>>(&whole, seen);
        alike::<File<Vec<u8>>>(&whole, seen);
        alike::<File<Option<String>>>(&whole, seen);
        alike::<Vec<ByteBuf>>(&whole, seen);
        alike::<Enum>(&whole, seen);
        alike::<Either>(&whole, seen);
        alike::<BTreeMap<String, ByteBuf>>(&whole, seen);
    }
}
