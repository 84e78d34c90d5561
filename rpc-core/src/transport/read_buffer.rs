//! Bytes read from a socket and not yet parsed.

/// A read buffer that starts over at its front whenever it is empty, so that reads stay large.
#[derive(Debug)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// Bytes of an empty buffer: room for a largest frame and more beside it.
    const CAPACITY: usize = 256 * 1024;
    /// Least room that a read gets.
    const LEAST_ROOM: usize = 4096;
    /// An idle connection keeps this much.
    const INITIAL: usize = 8 * 1024;

    /// An empty buffer, without memory. It grows to its full size once the peer sends more than a
    /// little.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0 }
    }

    /// The bytes that wait to be parsed.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Drops the first `count` bytes that wait.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where the next read goes. A frame is at most half of the full size, so there is room.
    pub fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() - self.end < Self::LEAST_ROOM {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.bytes.len() - self.end < Self::LEAST_ROOM.max(self.bytes.len() / 4) {
                let size = (self.bytes.len() * 4).clamp(Self::INITIAL, Self::CAPACITY);
                self.bytes.resize(size, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were read into [`room`](Self::room).
    pub fn filled(&mut self, count: usize) {
        let full = self.end == 0 && count == self.bytes.len();
        self.end = (self.end + count).min(self.bytes.len());
        if full && self.bytes.len() < Self::CAPACITY {
            // A read that fills everything: the peer has more to say than a small buffer holds.
            self.bytes.resize((self.bytes.len() * 4).min(Self::CAPACITY), 0);
        }
    }
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self::new()
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
            }
        }
    }
}
