//! When the memory that a burst took is given back.

/// Counts how often in a row little of a buffer was used.
///
/// A busy connection uses its buffers again and again. One that came to rest would keep the size of
/// its largest burst, some hundreds of KB, for as long as it lives.
#[derive(Debug, Default)]
pub struct Calm(u8);

impl Calm {
    /// What a buffer keeps at rest, and what is little, in bytes.
    pub(super) const KEPT: usize = 8 * 1024;
    /// Small uses in a row that are rest: so few that the pings of an idle connection get there in
    /// minutes, so many that growing again costs little beside them.
    const USES: u8 = 16;

    /// A buffer was used for so many bytes; whether it is at rest.
    pub(super) fn used(&mut self, bytes: usize) -> bool {
        self.0 = if bytes < Self::KEPT { self.0.saturating_add(1) } else { 0 };
        self.0 >= Self::USES
    }

    /// Empties a buffer, to be used again. At rest it keeps 8 KiB of its memory at most.
    pub fn clear(&mut self, buffer: &mut Vec<u8>) {
        let is_at_rest = self.used(buffer.len());
        buffer.clear();
        if is_at_rest {
            buffer.shrink_to(Self::KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_until_sixteen_uses_in_a_row_were_small() {
        let (mut calm, mut buffer) = (Calm::default(), Vec::new());
        for small_uses in [15, 15, 16] {
            buffer.resize(100_000, 0);
            calm.clear(&mut buffer);
            for _ in 0..small_uses {
                assert!(buffer.capacity() >= 100_000);
                buffer.push(0);
                calm.clear(&mut buffer);
            }
        }
        assert_eq!(buffer.capacity(), Calm::KEPT);
    }
}
