//! Bytes read from a socket and not yet parsed.

use super::Calm;

/// A read buffer that starts over at its front whenever it is empty, so that reads stay large.
///
/// Beside large bodies reads are small instead: what follows a piece is likely the header of the
/// next one, whose bytes are read straight to where they stay.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Where in the stream the first byte that waits is.
    position: u64,
    /// Reads that are still to be small.
    small_reads: u8,
    calm: Calm,
}

impl ReadBuffer {
    /// Bytes of an empty buffer: room for a largest frame and more beside it.
    const CAPACITY: usize = 256 * 1024;
    /// Least room that a read gets.
    const LEAST_ROOM: usize = 4096;
    /// A connection at rest keeps this much.
    const INITIAL: usize = Calm::KEPT;
    /// Room of a small read: many small frames, and little of a piece, which is copied once more.
    const SMALL_ROOM: usize = 8 * 1024;
    /// Reads that are small after a piece of a large body.
    const SMALL_READS: u8 = 16;

    /// An empty buffer, which takes memory with the first read. It grows to its full size once the
    /// peer sends more than a little, and shrinks again after sixteen small reads in a row.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that wait to be parsed.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where in the stream they begin.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Drops the first `count` bytes that wait.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.position += count as u64;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Drops the first `count` bytes that wait, which belong to a piece of a large body.
    pub(super) fn consume_piece(&mut self, count: usize) {
        self.consume(count);
        self.small_reads = Self::SMALL_READS;
    }

    /// While nothing waited, `count` bytes of a piece were read to elsewhere, and `next`, which
    /// follows them.
    pub(super) fn passed(&mut self, count: usize, next: &[u8]) {
        self.position += count as u64;
        self.small_reads = Self::SMALL_READS;
        let end = self.end + next.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.end..end].copy_from_slice(next);
        self.end = end;
    }

    /// Where the next read goes. A frame is at most half of the full size, so there is room.
    pub fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() - self.end < Self::LEAST_ROOM {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.bytes.len() - self.end < Self::LEAST_ROOM.max(self.bytes.len() / 4) {
                self.bytes.resize((self.bytes.len() * 4).clamp(Self::INITIAL, Self::CAPACITY), 0);
            }
        }
        let end = match self.small_reads {
            0 => self.bytes.len(),
            _ => self.bytes.len().min(self.end + Self::SMALL_ROOM),
        };
        &mut self.bytes[self.end..end]
    }

    /// `count` bytes were read into [`room`](Self::room).
    pub fn filled(&mut self, count: usize) {
        let was_empty = self.end == 0;
        let full = was_empty && count == self.bytes.len();
        self.end = (self.end + count).min(self.bytes.len());
        if self.small_reads > 0 {
            self.small_reads -= 1;
        } else if full && self.bytes.len() < Self::CAPACITY {
            // A read that fills everything: the peer has more to say than a small buffer holds.
            self.bytes.resize((self.bytes.len() * 4).min(Self::CAPACITY), 0);
        } else if self.calm.used(if was_empty { count } else { Self::CAPACITY })
            && self.bytes.len() > Self::INITIAL
        {
            // What was read is less than what stays.
            self.bytes.truncate(Self::INITIAL);
            self.bytes.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_out_in_order_however_they_went_in(
            steps in prop::collection::vec((1usize..9000, 0usize..9000), 1..200),
        ) {
            let (mut buffer, mut next_in, mut next_out) = (ReadBuffer::new(), 0u8, 0u8);
            let mut taken = 0;
            for (fill, take) in steps {
                let room = buffer.room();
                prop_assert!(!room.is_empty());
                let fill = fill.min(room.len());
                for byte in &mut room[..fill] {
                    *byte = next_in;
                    next_in = next_in.wrapping_add(1);
                }
                buffer.filled(fill);
                // Keep what waits below half of the full size, as frames do.
                let take = take.max(buffer.data().len().saturating_sub(ReadBuffer::CAPACITY / 2));
                let take = take.min(buffer.data().len());
                for byte in &buffer.data()[..take] {
                    prop_assert_eq!(*byte, next_out);
                    next_out = next_out.wrapping_add(1);
                }
                buffer.consume(take);
                taken += take as u64;
                prop_assert_eq!(buffer.position(), taken);
            }
        }
    }

    #[test]
    fn reads_are_small_after_a_piece_and_then_grow_again() {
        let mut buffer = ReadBuffer::new();
        let room = buffer.room().len();
        buffer.filled(room);
        buffer.consume(usize::MAX);
        assert!(buffer.room().len() > ReadBuffer::SMALL_ROOM);
        buffer.passed(100_000, b"next");
        assert_eq!((buffer.data(), buffer.position()), (&b"next"[..], 108_192));
        for _ in 0..ReadBuffer::SMALL_READS {
            assert_eq!(buffer.room().len(), ReadBuffer::SMALL_ROOM);
            buffer.filled(10);
            buffer.consume(usize::MAX);
        }
        assert!(buffer.room().len() > ReadBuffer::SMALL_ROOM);
    }

    #[test]
    fn a_burst_leaves_no_memory_with_a_connection_at_rest() {
        let mut buffer = ReadBuffer::new();
        for _ in 0..5 {
            let room = buffer.room().len();
            buffer.filled(room);
            buffer.consume(usize::MAX);
        }
        assert_eq!(buffer.room().len(), ReadBuffer::CAPACITY);
        for _ in 0..16 {
            buffer.room();
            buffer.filled(16);
            buffer.consume(usize::MAX);
        }
        assert_eq!((buffer.bytes.len(), buffer.bytes.capacity()), (8192, 8192));
        // And nothing of what waits.
        buffer.room()[..3].copy_from_slice(b"end");
        buffer.filled(3);
        assert_eq!(buffer.data(), b"end");
    }
}
