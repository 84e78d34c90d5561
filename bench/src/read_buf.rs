//! Bytes that were read and not yet parsed. Emptied, it starts over at its front, so that reads
//! stay large; `BytesMut` would shrink them until it allocates anew.

#[derive(Debug)]
pub struct ReadBuf {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuf {
    pub fn new(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], start: 0, end: 0 }
    }

    pub fn unparsed(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where to read to: at least `min` bytes.
    pub fn space(&mut self, min: usize) -> &mut [u8] {
        if self.bytes.len() - self.end < min {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.bytes.len() - self.end < min {
                self.bytes.resize(self.end + min, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were read into the space.
    pub fn filled(&mut self, count: usize) {
        self.end += count;
    }
}
