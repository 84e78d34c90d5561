//! Every hex dump and every id in `docs/protocol.md` is what the code makes of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rpc_core::{
    MetadataEntry, RpcError, Token, TraceId,
    codec::Codec,
    discovery::InstanceId,
    wire::{
        Header, Kind, Limits, Preface, Reason, RequestHead, flag, fnv1a_32, fnv1a_64, put_credit,
        put_error, put_frame, put_metadata, put_signal,
    },
};
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../docs/protocol.md");

fn dumps() -> BTreeMap<String, Vec<u8>> {
    let blocks = DOCUMENT.split("```hex ").skip(1);
    blocks
        .map(|block| {
            let (name, rest) = block.split_once('\n').unwrap();
            let digits = rest.split("```").next().unwrap().split_whitespace();
            let bytes = digits.map(|d| u8::from_str_radix(d, 16).unwrap()).collect();
            (name.to_owned(), bytes)
        })
        .collect()
}

const CALL: u64 = 1 << 32;

fn request(trace: Option<TraceId>, metadata: &[MetadataEntry]) -> Vec<u8> {
    let head = RequestHead {
        service: fnv1a_64(b"demo-api.Chat"),
        method: fnv1a_32(b"send"),
        remaining_ms: 10_000,
        sent_ms: 5,
        trace,
    };
    let mut body = Vec::new();
    let arguments = BTreeMap::from([("text", "hi")]);
    Codec::Named.encode(&arguments, &mut body).unwrap();
    let mut flags = 0;
    flags |= if trace.is_some() { flag::TRACE } else { 0 };
    flags |= if metadata.is_empty() { 0 } else { flag::METADATA };
    frame(Kind::Request, flags, 0, |out| {
        head.put(out);
        if !metadata.is_empty() {
            put_metadata(out, metadata.iter()).unwrap();
        }
        out.extend_from_slice(&body);
    })
}

fn frame(kind: Kind, flags: u8, aux: u16, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, Header { kind, flags, aux, id: CALL }, fill);
    out
}

fn pair(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

#[test]
fn every_dump_is_what_the_code_writes() {
    let server = InstanceId::from_u64(0x8f3c_2a9e_11d0_4b7c);
    let tenant = MetadataEntry { key: "tenant".into(), value: "a".into(), propagates: true };
    let trace = TraceId(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    let made = BTreeMap::from([
        ("preface-client", pair(|out| Preface::new(None, Limits::default()).put(out))),
        (
            "preface-token",
            pair(|out| {
                let token = Some(Token::from("s3cret"));
                Preface::new(None, Limits::default()).with_token(token).put(out);
            }),
        ),
        ("preface-server", pair(|out| Preface::new(server, Limits::default()).put(out))),
        (
            "ping",
            pair(|out| {
                put_signal(out, Kind::Ping, 7);
                put_signal(out, Kind::Pong, 7);
            }),
        ),
        (
            "leaving",
            pair(|out| {
                put_signal(out, Kind::Leaving, 0);
                put_signal(out, Kind::Left, 0);
            }),
        ),
        ("request", request(None, &[])),
        ("request-metadata", request(Some(trace), &[tenant])),
        ("reply", frame(Kind::Reply, 0, 0x8000, |out| Codec::Named.encode("ok", out).unwrap())),
        (
            "credit",
            pair(|out| {
                put_credit(out, 9, 65_536);
                put_credit(out, 0, 1 << 20);
            }),
        ),
        (
            "error",
            frame(Kind::Error, 0, 0, |out| {
                put_error(out, Reason::Handler, &RpcError::not_found("no user 7"));
            }),
        ),
    ]);
    let shown = dumps();
    assert_eq!(shown.len(), made.len(), "every dump of the document is checked");
    for (name, bytes) in made {
        let shown = &shown[name];
        assert!(*shown == bytes, "{name}: the code writes\n{}", hex(&bytes));
    }
}

#[test]
fn every_id_is_what_the_code_computes() {
    for text in ["", "foobar", "demo-api.Chat", "demo-api.Chat@2"] {
        let row = format!("`{:016x}`", fnv1a_64(text.as_bytes()));
        assert!(DOCUMENT.contains(&row), "{text}: {row}");
    }
    for text in ["", "foobar", "send"] {
        let row = format!("`{:08x}`", fnv1a_32(text.as_bytes()));
        assert!(DOCUMENT.contains(&row), "{text}: {row}");
    }
}

#[test]
fn the_reasons_have_the_numbers_of_the_table() {
    for number in (1..=9).chain(128..=131) {
        assert_eq!(Reason::from_wire(number).to_wire(), number);
        assert!(DOCUMENT.contains(&format!("\n| {number} | ")), "{number}");
    }
}

fn hex(bytes: &[u8]) -> String {
    let rows = bytes
        .chunks(16)
        .map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "));
    rows.collect::<Vec<_>>().join("\n")
}
