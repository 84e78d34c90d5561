use super::*;
use crate::codec::Codec;
use crate::wire::{BASE_LIMITS, Kind, next_frame};

/// A piece whose bytes are all in the read buffer.
fn data<T>(
    assembly: &mut Assembly<T>,
    id: u64,
    piece: &[u8],
    out: &mut Vec<u8>,
) -> Result<Progress<T>, ProtocolError> {
    assembly.data(id, piece.len())?;
    Ok(fill(assembly, piece, out))
}

/// The same, for the first piece of a body.
fn begin<T>(
    assembly: &mut Assembly<T>,
    (id, what): (u64, T),
    total: u32,
    piece: &[u8],
    out: &mut Vec<u8>,
) -> Result<Progress<T>, ProtocolError> {
    let taken = assembly.begin(id, what, total, piece.len(), piece)?;
    Ok(fill(assembly, &piece[taken..], out))
}

fn fill<T>(assembly: &mut Assembly<T>, mut piece: &[u8], out: &mut Vec<u8>) -> Progress<T> {
    let mut buffer = ReadBuffer::new();
    loop {
        let room = buffer.room();
        let count = room.len().min(piece.len());
        room[..count].copy_from_slice(&piece[..count]);
        piece = &piece[count..];
        buffer.filled(count);
        assembly.take(&mut buffer);
        if let Some(progress) = assembly.settle(out) {
            assert!(piece.is_empty() && !assembly.is_waiting());
            return progress;
        }
    }
}

fn credits(mut out: &[u8]) -> Vec<(u64, u32)> {
    let mut seen = Vec::new();
    while let Some((header, payload, length)) = next_frame(out).unwrap() {
        assert_eq!(header.kind, Kind::Credit);
        seen.push((header.id, u32::from_le_bytes(payload.try_into().unwrap())));
        out = &out[length..];
    }
    seen
}

#[test]
fn pieces_become_a_body_and_credit_goes_back_by_quarters() {
    let mut assembly = Assembly::new(BASE_LIMITS);
    let (mut out, piece) = (Vec::new(), vec![7; 16 * 1024]);
    let begun = begin(&mut assembly, (5, "x"), 100_000, &piece, &mut out);
    assert!(matches!(begun, Ok(Progress::More)));
    for _ in 0..5 {
        assert!(matches!(data(&mut assembly, 5, &piece, &mut out), Ok(Progress::More)));
    }
    let rest = &piece[..100_000 - 6 * 16 * 1024];
    let Ok(Progress::Complete("x", body)) = data(&mut assembly, 5, rest, &mut out) else {
        panic!()
    };
    assert_eq!(body.len(), 100_000);
    assert!(body.iter().all(|byte| *byte == 7));
    // The third grant covers the rest.
    let quarter = 16 * 1024;
    assert_eq!(credits(&out), [(5, quarter), (5, quarter), (5, quarter), (0, 4 * quarter)]);
    assert!(assembly.is_empty());
}

#[test]
fn a_body_within_its_first_window_takes_no_grant() {
    let mut assembly = Assembly::new(BASE_LIMITS);
    let (mut out, piece) = (Vec::new(), vec![7; 32 * 1024]);
    begin(&mut assembly, (5, ()), 64 * 1024, &piece, &mut out).unwrap();
    let end = data(&mut assembly, 5, &piece, &mut out).unwrap();
    assert!(matches!(end, Progress::Complete(..)));
    assert_eq!(credits(&out), [(0, 64 * 1024)], "the connection's alone");
}

#[test]
fn pieces_of_nothing_give_the_connection_its_credit_back() {
    let mut assembly = Assembly::<()>::new(BASE_LIMITS);
    let mut out = Vec::new();
    for _ in 0..4 {
        data(&mut assembly, 9, &[0; 16 * 1024], &mut out).unwrap();
    }
    assert_eq!(credits(&out), [(0, 64 * 1024)]);
}

#[test]
fn a_body_that_is_forgotten_within_a_piece_loses_the_rest_of_it() {
    let mut assembly = Assembly::new(BASE_LIMITS);
    let (mut buffer, mut out) = (ReadBuffer::new(), Vec::new());
    assembly.begin(1, (), 50_000, 20_000, &[]).unwrap();
    assert_eq!(assembly.room().map(|room| *room.left), Some(20_000));
    assert!(assembly.forget(1).is_some());
    assert!(assembly.room().is_none() && assembly.is_waiting());
    for _ in 0..3 {
        assert!(assembly.settle(&mut out).is_none());
        buffer.room()[..8000].fill(0);
        buffer.filled(8000);
        assembly.take(&mut buffer);
    }
    assert!(matches!(assembly.settle(&mut out), Some(Progress::More)));
    assert_eq!(buffer.data().len(), 4000, "what follows the piece");
}

#[test]
fn a_sender_without_credit_or_beyond_the_total_is_refused() {
    let mut assembly = Assembly::new(BASE_LIMITS);
    assert!(assembly.begin(1, (), 10, 11, &[]).is_err());
    assert!(assembly.begin(2, (), 1 << 20, 64 * 1024 + 1, &[]).is_err());
    let mut assembly = Assembly::new(BASE_LIMITS);
    begin(&mut assembly, (3, ()), 10, &[0], &mut Vec::new()).unwrap();
    assert!(assembly.begin(3, (), 10, 1, &[]).is_err(), "the id is in use");
    assert!(assembly.data(9, 256 * 1024 + 1).is_err(), "the connection's credit");
}

#[test]
fn a_declared_length_takes_no_memory() {
    let mut assembly = Assembly::new(Limits::default());
    assembly.begin(1, (), u32::MAX, 1, &[]).unwrap();
    assert!(assembly.parts.get_mut(&1).unwrap().bytes.buffer().capacity() <= 300_000);
}

/// Bytes arrive in small reads and pieces, by way of the buffer and straight.
#[test]
fn long_bytes_get_memory_of_their_own_wherever_pieces_and_reads_end() {
    let value = (1u8, serde_bytes::ByteBuf::from(vec![7; 40_000]), "tail".repeat(100));
    let mut whole = Vec::new();
    Codec::Named.encode(&value, &mut whole).unwrap();
    for (piece, read) in [(1000, 300), (16_384, 100), (16_384, 8192), (16_384, 40_000), (5, 3)] {
        let (mut assembly, mut out) = (Assembly::new(Limits::default()), Vec::new());
        let mut complete = None;
        for (index, piece) in whole.chunks(piece).enumerate() {
            let mut rest = piece;
            if index == 0 {
                // What the first read has brought.
                let start = &piece[..read.min(piece.len())];
                let total = u32::try_from(whole.len()).unwrap();
                rest = &rest[assembly.begin(1, (), total, piece.len(), start).unwrap()..];
            } else {
                assembly.data(1, piece.len()).unwrap();
            }
            while !rest.is_empty() {
                let mut buffer = ReadBuffer::new();
                let room = assembly.room().unwrap();
                assert!(room.bytes.capacity() - room.bytes.len() >= room.most + Room::BEYOND);
                let count = room.most.min(read).min(rest.len());
                if count % 2 == 0 || count > 8192 {
                    room.bytes.extend_from_slice(&rest[..count]);
                    *room.left -= count;
                } else {
                    buffer.room()[..count].copy_from_slice(&rest[..count]);
                    buffer.filled(count);
                    assembly.take(&mut buffer);
                }
                rest = &rest[count..];
            }
            complete = assembly.settle(&mut out);
        }
        let Some(Progress::Complete((), body)) = complete else { panic!("{piece} {read}") };
        // Of 5 bytes no head can be seen.
        assert_eq!(body.encoded().bytes().len() < 1000, read != 3);
        assert_eq!(body.total(), whole.len());
        let read: (u8, serde_bytes::ByteBuf, String) =
            Codec::Named.decode_encoded(body.encoded()).unwrap();
        assert_eq!(read, value);
    }
}
