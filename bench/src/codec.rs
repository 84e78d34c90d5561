//! Messages to frames and back, as raw and raw-mux have them: rmp-serde, structs as arrays.

use crate::{
    frame::{HEAD, Head},
    message::Echo,
};
use anyhow::Result;
use bytes::BytesMut;
use std::io;

/// Appends without the reservation for each piece that `BufMut::writer` makes.
struct Append<'a>(&'a mut BytesMut);

impl io::Write for Append<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends a whole frame, or nothing.
pub fn encode(out: &mut BytesMut, id: u64, message: &Echo) -> Result<()> {
    let start = out.len();
    out.reserve(HEAD + message.payload.len() + 64);
    out.extend_from_slice(&[0; HEAD]);
    if let Err(error) = rmp_serde::encode::write(&mut Append(out), message) {
        out.truncate(start);
        return Err(error.into());
    }
    let len = out.len() - start - HEAD;
    out[start..start + HEAD].copy_from_slice(&Head { len, id }.to_bytes());
    Ok(())
}

pub fn decode(body: &[u8]) -> Result<Echo> {
    Ok(rmp_serde::from_slice(body)?)
}
