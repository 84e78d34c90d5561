//! Frames survive any chunking; rubbish is refused and never panics.

use super::*;
use crate::{MetadataEntry, Place, RpcCode, RpcError, Token, TraceId, discovery::InstanceId};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn ids_match_the_published_test_vectors() {
    assert_eq!(fnv1a_64(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a_64(b"foobar"), 0x8594_4171_f739_67e8);
    assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
    assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
}

#[test]
fn a_preface_is_read_byte_by_byte_and_refused_as_early_as_possible() {
    let preface = Preface::new(InstanceId::from_u64(7), Limits::default());
    let mut bytes = Vec::new();
    preface.put(&mut bytes);
    assert_eq!(bytes.len(), PREFACE);
    for cut in 0..PREFACE {
        assert_eq!(read_preface(&bytes[..cut]), Ok(None));
    }
    bytes.extend_from_slice(b"more");
    assert_eq!(read_preface(&bytes), Ok(Some((preface.clone(), PREFACE))));
    assert_eq!(read_preface(b"GET"), Err(PrefaceError::NotThisProtocol(b'G')));
    assert_eq!(read_preface(&[0x16]), Err(PrefaceError::NotThisProtocol(0x16)));
    let later = PrefaceError::Incompatible { lowest: 2, highest: 3 };
    (bytes[4], bytes[5]) = (2, 3);
    assert_eq!(read_preface(&bytes[..8]), Err(later));
    // A later version may speak ours too, and its preface may be longer.
    (bytes[4], bytes[5], bytes[6]) = (1, 3, 32 + 4);
    let read = read_preface(&bytes).unwrap().unwrap();
    assert_eq!((read.0.highest, read.1), (3, PREFACE + 4));
}

#[test]
fn a_token_stands_behind_the_fields_and_one_that_is_not_well_formed_is_broken() {
    let preface = Preface::new(None, Limits::default());
    let shown = preface.clone().with_token(Some(Token::from("s3cret")));
    let mut bytes = Vec::new();
    shown.put(&mut bytes);
    for cut in 0..bytes.len() {
        assert_eq!(read_preface(&bytes[..cut]), Ok(None));
    }
    assert_eq!(read_preface(&bytes), Ok(Some((shown, PREFACE + 2 + 6))));
    let broken = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        read_preface(&bytes)
    };
    for (at, byte) in [(PREFACE, 0), (PREFACE, 7), (PREFACE + 1, 1), (PREFACE + 2, b',')] {
        assert_eq!(broken(at, byte), Err(PrefaceError::Broken), "{at} {byte}");
    }
    // Who does not know the feature skips the bytes.
    assert_eq!(broken(8, 0), Ok(Some((preface.clone(), PREFACE + 2 + 6))));
    let mut bytes = Vec::new();
    preface.put(&mut bytes);
    bytes[8] = 1;
    assert_eq!(read_preface(&bytes), Err(PrefaceError::Broken), "a token that is not there");
    assert_eq!(preface.clone().with_token(Some(Token::from("a b"))), preface);
    let longest = preface.with_token(Some(Token::from("~".repeat(512))));
    let mut bytes = Vec::new();
    longest.put(&mut bytes);
    assert_eq!(read_preface(&bytes), Ok(Some((longest, PREFACE + 2 + 512))));
}

#[test]
fn a_preface_below_the_base_limits_is_broken() {
    let mut limits = BASE_LIMITS;
    limits.credit_per_body -= 1;
    let mut bytes = Vec::new();
    Preface::new(None, limits).put(&mut bytes);
    assert_eq!(read_preface(&bytes), Err(PrefaceError::Broken));
}

#[test]
fn lengths_out_of_range_are_refused_before_the_frame_is_there() {
    for length in [0u32, 11, MAX_FRAME + 1, u32::MAX] {
        assert!(next_frame(&length.to_le_bytes()).is_err(), "{length}");
    }
}

#[test]
fn unknown_kinds_are_refused_below_0x80_and_skipped_above() {
    let mut bytes = Vec::new();
    put_signal(&mut bytes, Kind::Ping, 1);
    bytes[4] = 0x7f;
    assert!(next_frame(&bytes).is_err());
    bytes[4] = 0xfe;
    assert_eq!(next_frame(&bytes).unwrap().unwrap().0.kind, Kind::Skipped);
}

#[test]
fn reasons_keep_their_numbers_and_unknown_ones_their_half() {
    for number in 0..=255 {
        let reason = Reason::from_wire(number);
        let ran_half = number >= 128;
        let ran = matches!(
            reason,
            Reason::Handler | Reason::Panicked | Reason::BadAnswer | Reason::DeadlinePassed
        );
        assert_eq!(ran, ran_half, "{number}");
        if !matches!(reason, Reason::OtherRefusal | Reason::Handler) {
            assert_eq!(reason.to_wire(), number);
        }
    }
}

#[test]
fn an_error_of_any_length_fits_a_frame() {
    let long = "s".repeat(200_000);
    let placed = |text: &str, name: &str| {
        RpcError::not_found(text).placed(Place {
            service: name,
            method: name,
            endpoint: None,
            attempts: 1,
            elapsed: Duration::ZERO,
            outcome: None,
        })
    };
    for error in [RpcError::not_found(&*long), placed("short", &long), placed(&long, "short")] {
        let mut out = Vec::new();
        put_error(&mut out, Reason::Handler, &error);
        assert!(out.len() <= 16 * 1024, "{}", out.len());
        let (reason, read) = read_error(&out);
        assert_eq!((reason, read.code()), (Reason::Handler, RpcCode::NotFound));
        assert!(error.message().starts_with(read.message()) && !read.message().is_empty());
    }
}

fn entry() -> impl Strategy<Value = MetadataEntry> {
    ("[a-z]{0,20}", "\\PC{0,40}", any::<bool>())
        .prop_map(|(key, value, propagates)| MetadataEntry { key, value, propagates })
}

proptest! {
    #[test]
    fn frames_survive_any_chunking(
        frames in prop::collection::vec((any::<u64>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 1..20),
        cuts in prop::collection::vec(1usize..97, 1..50),
    ) {
        let mut bytes = Vec::new();
        for (id, flags, payload) in &frames {
            let header = Header { kind: Kind::Data, flags: *flags, aux: 7, id: *id };
            put_frame(&mut bytes, header, |out| out.extend_from_slice(payload));
        }
        let (mut seen, mut buffer, mut rest, mut cut) = (Vec::new(), Vec::new(), &bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let n = (*cut.next().unwrap()).min(rest.len());
            buffer.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
            while let Some((header, payload, length)) = next_frame(&buffer).unwrap() {
                seen.push((header.id, header.flags, payload.to_vec()));
                buffer.drain(..length);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(seen, frames);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), flags: u8) {
        let _ = read_preface(&bytes);
        let _ = next_frame(&bytes);
        let _ = RequestHead::read(flags, &mut &bytes[..]);
        let _ = read_metadata(&bytes);
        let _ = read_error(&bytes);
        let _ = read_close(&bytes);
    }

    #[test]
    fn a_spoilt_preface_with_a_token_never_panics(at in 4usize..54, byte: u8, cut in 0usize..60) {
        let preface = Preface::new(None, Limits::default());
        let mut bytes = Vec::new();
        preface.with_token(Some(Token::from("a-token-here"))).put(&mut bytes);
        bytes[at] = byte;
        let _ = read_preface(&bytes[..cut.min(bytes.len())]);
    }

    #[test]
    fn request_heads_and_metadata_round_trip(
        service: u64, method: u32, remaining_ms: u32, sent_ms: u32, trace: Option<u128>,
        entries in prop::collection::vec(entry(), 0..5),
    ) {
        let head = RequestHead { service, method, remaining_ms, sent_ms, trace: trace.map(TraceId) };
        let mut bytes = Vec::new();
        head.put(&mut bytes);
        put_metadata(&mut bytes, entries.iter()).unwrap();
        bytes.extend_from_slice(b"body");
        let flags = flag::METADATA | if trace.is_some() { flag::TRACE } else { 0 };
        let mut payload = &bytes[..];
        let (read, section) = RequestHead::read(flags, &mut payload).unwrap();
        prop_assert_eq!(read, head);
        prop_assert_eq!(payload, b"body");
        prop_assert_eq!(&read_metadata(section).unwrap()[..], &entries[..]);
    }
}
