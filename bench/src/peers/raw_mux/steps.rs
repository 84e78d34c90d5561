//! Taking frames from what was read, and bodies too long for the read buffer from the socket.

use super::LONG;
use crate::{
    frame::{HEAD, Head},
    read_buf::ReadBuf,
};
use anyhow::{Result, ensure};
use tokio::{io::AsyncReadExt, net::tcp::OwnedReadHalf};

/// A step of reading frames.
pub enum Step<'a> {
    Frame(u64, &'a [u8]),
    /// The rest of this body is to be [read from the socket](long_body).
    Long(Head),
    /// More has to be read first.
    Short,
}

/// Looks at what begins the buffer. After `Frame`, consume the head and the body.
pub fn step(input: &ReadBuf) -> Step<'_> {
    let Some(head) = Head::parse(input.unparsed()) else { return Step::Short };
    match input.unparsed().get(HEAD..HEAD + head.len) {
        Some(body) => Step::Frame(head.id, body),
        None if head.len > LONG => Step::Long(head),
        None => Step::Short,
    }
}

/// What is in the buffer and the rest from the socket, which goes straight to where it stays.
pub async fn long_body(
    socket: &mut OwnedReadHalf,
    input: &mut ReadBuf,
    len: usize,
) -> Result<Vec<u8>> {
    let mut body = Vec::with_capacity(len);
    body.extend_from_slice(&input.unparsed()[HEAD..]);
    input.consume(input.unparsed().len());
    let mut rest = socket.take((len - body.len()) as u64);
    while body.len() < len {
        ensure!(rest.read_buf(&mut body).await? > 0, "closed within a frame");
    }
    Ok(body)
}
