//! The frames of raw and raw-mux: length of the body, four spare bytes, id; then the body.

/// Bytes before the body.
pub const HEAD: usize = 16;

#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub len: usize,
    pub id: u64,
}

impl Head {
    pub fn to_bytes(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&(self.len as u32).to_le_bytes());
        bytes[8..].copy_from_slice(&self.id.to_le_bytes());
        bytes
    }

    /// The head of the frame that begins here, once all of it is there.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let id = u64::from_le_bytes(*rest.first_chunk()?);
        Some(Self { len: u32::from_le_bytes(*len) as usize, id })
    }
}
